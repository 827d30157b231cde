"""Processes that this one starts for a part of its work: what they run, and what they tell of themselves."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Nothing from the folder that the user happens to be in; the kernel ends it with us, who may be killed.
CODE = """
import ctypes, sys
getattr(ctypes.CDLL(None), "prctl", lambda *_: None)(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
sys.path[:] = [{root!r}, *filter(None, sys.path)]
from {module} import main
main()
"""


def peak_bytes() -> int | None:
    """The most memory that this process had; getrusage would count its parent's, from before it was started."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        return None
