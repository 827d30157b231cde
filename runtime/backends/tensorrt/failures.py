"""TensorRT's failures: it returns None or False, and says why in its log."""

from __future__ import annotations

from collections.abc import Callable
from traceback import clear_frames
from typing import ParamSpec, Protocol, TypeVar

from runtime.backends.cuda.failures import HINTS, OUT_OF_MEMORY, RESTART
from runtime.errors import BackendError, DeviceMemoryError

# What TensorRT says of CUDA in its log -> a hint that helps more than one about TensorRT.
HINTS_BY_REASON = {
    "driver version is insufficient": "update NVIDIA's driver, or install TensorRT for an older CUDA",
    "no CUDA-capable device": HINTS["CUDA_ERROR_NO_DEVICE"],
    "illegal memory access": RESTART,
}
P = ParamSpec("P")
T = TypeVar("T")


class ErrorLog(Protocol):
    """A logger of TensorRT's, which it takes for the process's at first sight and for good.

    Attributes:
        last_error: the last error that was logged; empty for none.
    """

    last_error: str


def failed(log: ErrorLog, what: str, hint: str = "") -> BackendError:
    """The error for something that TensorRT did not do, with its reason."""
    reason, log.last_error = log.last_error, ""
    message = f"{what}: {reason}" if reason else what
    if "out of memory" in reason.lower() or "OutOfMemory" in reason:
        return DeviceMemoryError(message, HINTS[OUT_OF_MEMORY])
    return BackendError(message, next((better for text, better in HINTS_BY_REASON.items() if text in reason), hint))


def forget_frames(error: BaseException) -> None:
    """Empty the frames that an error keeps: objects of TensorRT's in them may not outlive their device's context."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        seen.add(id(one))
        clear_frames(one.__traceback__)
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None and id(other) not in seen]


def construct(log: ErrorLog, kind: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A new object of TensorRT's, whose constructors raise where the library gives none.

    Raises:
        BackendError: it gives none.
    """
    try:
        return kind(*args, **kwargs)
    except (TypeError, RuntimeError) as error:
        raise failed(log, f"TensorRT makes no {kind.__name__} ({error})") from error
