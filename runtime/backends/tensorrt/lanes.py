"""What each batch size runs with, made when that size first comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.backends.tensorrt.buffers import Buffers
from runtime.backends.tensorrt.contexts import Contexts
from runtime.backends.tensorrt.failures import ErrorLog, failed
from runtime.spec import ModelSpec

if TYPE_CHECKING:
    import tensorrt as trt

MOST_LANES = 32  # with a context of their own; further batch sizes share one


@dataclass
class Lane:
    """What one batch size runs with.

    Attributes:
        context: its shape and addresses are set; None once closed.
        images: page-locked, uint8 (n, height, width, channels).
        answers: page-locked, float32 (n, classes).
        keeps_shape: the context is this lane's alone, so that a graph may be captured with it.
        graph: the whole of a run, once captured; else 0.
    """

    context: trt.IExecutionContext
    images: NDArray[np.uint8]
    answers: NDArray[np.float32]
    keeps_shape: bool
    graph: int = 0


class Lanes:
    """All lanes of an engine."""

    def __init__(self, contexts: Contexts, buffers: Buffers, spec: ModelSpec, log: ErrorLog) -> None:
        self.contexts, self.buffers, self.log = contexts, buffers, log
        self.addresses = {
            spec.inputs[0].name: buffers.image_address,
            spec.output.name: buffers.answer_address,
        }
        self.image = spec.inputs[0].name
        self.own: dict[int, Lane] = {}
        self.shared: Lane | None = None

    def get(self, size: int) -> Lane:
        """The lane of a batch size.

        Raises:
            BackendError: TensorRT makes no context for it.
        """
        lane = self.own.get(size)
        if lane is None and self.shared is not None and len(self.shared.images) == size:
            return self.shared
        return lane or self.open(size)

    def open(self, size: int) -> Lane:
        """A lane for a size that has none of its own."""
        keeps_shape = len(self.own) < MOST_LANES
        if self.shared is None or keeps_shape:
            context = self.contexts.make()
        else:
            context, self.shared = self.shared.context, None
        if not context.set_input_shape(self.image, (size, *self.buffers.image_shape)):
            raise failed(self.log, f"TensorRT takes no batch of {size}")
        for name, address in self.addresses.items():
            if not context.set_tensor_address(name, address):
                raise failed(self.log, f"TensorRT takes no address for '{name}'")
        lane = Lane(context, self.buffers.images(size), self.buffers.answers(size), keeps_shape)
        if keeps_shape:
            self.own[size] = lane
        else:
            self.shared = lane
        return lane

    def close(self) -> None:
        """Let TensorRT's contexts go, even where somebody still holds a lane."""
        for lane in (*self.own.values(), self.shared):
            if lane is not None:
                del lane.context
        self.own.clear()
        self.shared = None
