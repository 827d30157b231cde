"""TensorRT's failures: it returns None or False, and says why in its log, often in several lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from runtime.backends.cuda.failures import HINTS, OUT_OF_MEMORY, RESTART
from runtime.errors import BackendError, DeviceMemoryError

if TYPE_CHECKING:
    import tensorrt as trt

NO_CUDA = "CUDA initialization failure"  # a warning, behind which TensorRT gives no builder and no runtime
NO_MEMORY = re.compile(rf"out of memory|OutOfMemory|{NO_CUDA} with error:? 2\b", re.IGNORECASE)
# What TensorRT says of CUDA in its log -> a hint that helps more than one about TensorRT.
HINTS_BY_REASON = {
    rf"driver version is insufficient|{NO_CUDA} with error:? 35\b": (
        "update NVIDIA's driver, or install TensorRT for an older CUDA: toolkit doctor says which"
    ),
    rf"no CUDA-capable device|{NO_CUDA} with error:? 100\b": HINTS["CUDA_ERROR_NO_DEVICE"],
    NO_CUDA: "toolkit doctor says whether the GPU, its driver and TensorRT go together",
    "illegal memory access": RESTART,
}
MOST_TEXT = 600  # characters of TensorRT's reason in a message
P = ParamSpec("P")
T = TypeVar("T")


class ErrorLog(Protocol):
    """A logger of TensorRT's, which it takes for the process's at first sight and for good."""

    def take(self) -> list[str]:
        """The errors that this thread has seen since they were last taken, which no longer has them."""
        ...


def is_error(trt: Any, severity: trt.ILogger.Severity, text: str) -> bool:
    """Whether what was logged may be why a call fails."""
    return severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR) or NO_CUDA in text


def reason_of(errors: Iterable[str]) -> str:
    """Errors in one line: the last one, of the call that failed, and then what led to it."""
    return "; ".join(dict.fromkeys(" ".join(text.split()) for text in reversed([*errors])))


def hint_for(reason: str, hint: str) -> str:
    """What to do about a reason; the hint where none is known that is better."""
    return next((better for pattern, better in HINTS_BY_REASON.items() if re.search(pattern, reason)), hint)


def failed(log: ErrorLog, what: str, hint: str = "") -> BackendError:
    """The error for something that TensorRT did not do, with its reason."""
    reason = reason_of(log.take())
    message = f"{what}: {reason[:MOST_TEXT]}" if reason else what
    if NO_MEMORY.search(reason):
        return DeviceMemoryError(message, HINTS[OUT_OF_MEMORY])
    return BackendError(message, hint_for(reason, hint))


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
