"""Processes that this one starts for a part of its work: what they run, and what they tell of themselves."""

from __future__ import annotations

import sys
from contextlib import suppress
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


def limit_growth(size: int) -> None:
    """Let this process take so many bytes more than it has now; Linux alone counts all that it may write to."""
    if sys.platform != "linux":
        return
    import resource  # Windows has none

    with suppress(OSError, IndexError, ValueError):  # as where there is no /proc: then without
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        wanted = 1024 * int(status.partition("VmData:")[2].split()[0]) + size
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
