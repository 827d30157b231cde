"""The light runtime: opens a bundle and runs it. Needs numpy, OpenCV and one inference library; no PyTorch, no ONNX.

from runtime import classify, open_session

with open_session("lenet-int8") as session:
    probabilities = session.run(images)
    for answer in classify(session, ["1.png", "2.png"]):
        print(answer)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.classification import classify
    from runtime.session import Session, open_session

MODULES = {"classify": "classification", "Session": "session", "open_session": "session"}
__all__ = ["Session", "classify", "open_session"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: the command line's `--help` pays for neither numpy nor OpenCV."""
    if name not in MODULES:
        raise AttributeError(f"module 'runtime' has no attribute '{name}'")
    return getattr(import_module(f"runtime.{MODULES[name]}"), name)
