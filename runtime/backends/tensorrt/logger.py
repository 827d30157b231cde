"""TensorRT's log becomes ours: `logging`'s logger of this name, and the reason of the next failure."""

from __future__ import annotations

import logging
from functools import cache
from threading import local
from typing import TYPE_CHECKING, Any

from runtime.backends.tensorrt.failures import ErrorLog

if TYPE_CHECKING:
    import tensorrt as trt

LOG = logging.getLogger(__name__)


@cache
def make_logger(trt: Any) -> ErrorLog:
    """The one of this process: TensorRT keeps the first logger that it is given for good."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.said = local()  # by each thread

        @property
        def last_error(self) -> str:
            return getattr(self.said, "error", "")

        @last_error.setter
        def last_error(self, text: str) -> None:
            self.said.error = text

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.last_error = " ".join(msg.split())
                LOG.debug("error: %s", msg)  # it is in the exception that follows
            elif severity == trt.ILogger.WARNING:
                LOG.warning("%s", msg)

    logger: ErrorLog = Logger()
    return logger
