"""Batches through a function on several threads, their results in order: what comes of it hangs on no timing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import onnx

from calibration.placement import inferred_shapes
from runtime.backend import available_cores

T = TypeVar("T")
R = TypeVar("R")
LARGEST_BATCH = 32
BATCH_BYTES = 32 << 20  # of the tensors that are looked at


def batch_size(model: onnx.ModelProto, tensors: Iterable[str]) -> int:
    """How many images to take at a time, so that memory is bounded whatever the model: a power of two."""
    shapes = inferred_shapes(model)
    size = 4 * sum(int(np.prod(shapes.get(name, (1,))[1:])) for name in tensors)
    return 1 << (min(max(BATCH_BYTES // max(size, 1), 1), LARGEST_BATCH).bit_length() - 1)


def stream(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`map`, on every core that this process may use; items are taken as they are needed, so that memory is bounded.

    Args:
        function: called from several threads at once; ONNX Runtime leaves the interpreter to others meanwhile.
        items: taken one by one in the calling thread.
    """
    threads = available_cores()
    with ThreadPoolExecutor(threads) as pool:
        started: deque[Future[R]] = deque()
        try:
            for item in items:
                started.append(pool.submit(function, item))
                if len(started) > threads:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            for future in started:
                future.cancel()
