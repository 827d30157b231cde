"""Where images and answers lie while an engine runs."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from runtime.backends.cuda import Cuda
from runtime.spec import ModelSpec


class Buffers:
    """Page-locked memory for the largest batch, and memory on the device; both are one where the GPU is integrated.

    Args:
        cuda: the driver; the device's context is current.
        spec: the sizes of an image and an answer.
        largest: batch size.
        zero_copy: let the device use the host's memory, without copies.
        closing: takes what gives everything back.

    Attributes:
        image_address: where the device reads images, uint8 (n, height, width, channels).
        answer_address: where it writes answers, float32 (n, classes).

    Raises:
        BackendError: no memory is left.
    """

    def __init__(self, cuda: Cuda, spec: ModelSpec, largest: int, zero_copy: bool, closing: ExitStack) -> None:
        self.cuda, self.zero_copy = cuda, zero_copy
        self.image_shape, self.classes = spec.image_shape, spec.classes
        self.image_bytes = int(np.prod(spec.image_shape))
        self.answer_bytes = 4 * spec.classes
        self.host_images = cuda.allocate_host(largest * self.image_bytes, mapped=zero_copy)
        closing.callback(cuda.free_host, self.host_images)
        self.host_answers = cuda.allocate_host(largest * self.answer_bytes, mapped=zero_copy)
        closing.callback(cuda.free_host, self.host_answers)
        if zero_copy:
            self.image_address = self.host_images.device_address
            self.answer_address = self.host_answers.device_address
            return
        self.image_address = cuda.allocate(largest * self.image_bytes)
        closing.callback(cuda.free, self.image_address)
        self.answer_address = cuda.allocate(largest * self.answer_bytes)
        closing.callback(cuda.free, self.answer_address)

    def images(self, size: int) -> NDArray[np.uint8]:
        """The host's images, uint8 (size, height, width, channels)."""
        return self.host_images.array[: size * self.image_bytes].reshape(size, *self.image_shape)

    def answers(self, size: int) -> NDArray[np.float32]:
        """The host's answers, float32 (size, classes)."""
        return self.host_answers.array[: size * self.answer_bytes].view(np.float32).reshape(size, self.classes)

    def send(self, size: int, stream: int) -> None:
        """Queue the copy of images to the device, where it takes one."""
        if not self.zero_copy:
            self.cuda.copy_to_device(self.image_address, self.host_images, size * self.image_bytes, stream)

    def fetch(self, size: int, stream: int) -> None:
        """Queue the copy of answers to the host, where it takes one."""
        if not self.zero_copy:
            self.cuda.copy_to_host(self.host_answers, self.answer_address, size * self.answer_bytes, stream)
