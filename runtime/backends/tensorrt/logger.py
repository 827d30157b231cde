"""TensorRT's log becomes ours: `logging`'s logger of this name, and the reasons of the next failure."""

from __future__ import annotations

import logging
from collections import deque
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any

from runtime.backends.tensorrt.failures import ErrorLog, is_error

if TYPE_CHECKING:
    import tensorrt as trt

LOG = logging.getLogger(__name__)
MOST_ERRORS = 8  # kept: some are logged by calls that succeed


@cache
def make_logger(trt: Any) -> ErrorLog:
    """The one of this process: TensorRT keeps the first logger that it is given for good."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.said = local()  # by each thread

        def take(self) -> list[str]:
            errors: list[str] = [*self.said.__dict__.pop("errors", ())]
            return errors

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if is_error(trt, severity, msg):
                self.said.__dict__.setdefault("errors", deque(maxlen=MOST_ERRORS)).append(msg)
                LOG.debug("error: %s", msg)  # it is in the exception that follows
            elif severity == trt.ILogger.WARNING:
                LOG.warning("%s", msg)

    logger: ErrorLog = Logger()
    return logger
