"""Items through a function on several threads, their results in order: what comes of it hangs on no timing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from runtime.backend import available_cores

T = TypeVar("T")
R = TypeVar("R")


def stream(function: Callable[[T], R], items: Iterable[T], *, ahead: int | None = None) -> Iterator[R]:
    """`map`, on as many threads as this process may use cores; items are taken as they are needed: memory is bounded.

    Args:
        function: called from several threads at once; they gain something where it leaves the interpreter to others,
            as ONNX Runtime, OpenCV and most of numpy do.
        items: taken one by one in the calling thread.
        ahead: how many results may be there, or on their way, before they are asked for; None is one for each thread.
    """
    threads = available_cores()
    ahead = threads if ahead is None else ahead
    with ThreadPoolExecutor(threads) as pool:
        started: deque[Future[R]] = deque()
        try:
            for item in items:
                started.append(pool.submit(function, item))
                if len(started) > ahead:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            for future in started:
                future.cancel()
