"""The light runtime: opens a bundle and runs it. Needs numpy, OpenCV and one inference library; no PyTorch, no ONNX.

from runtime import open_session

with open_session("lenet-int8") as session:
    probabilities = session.run(images)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.session import Session, open_session

__all__ = ["Session", "open_session"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: the command line's `--help` pays for neither numpy nor OpenCV."""
    if name not in __all__:
        raise AttributeError(f"module 'runtime' has no attribute '{name}'")
    from runtime import session

    return getattr(session, name)
