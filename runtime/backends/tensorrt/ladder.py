"""What to try when a build fails for want of memory: less of it; or for want of workspace: more of that."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import structs

from runtime.backends.tensorrt.events import Failure, Request

OUT_OF_MEMORY = re.compile(r"OutOfMemory|out of memory|std::bad_alloc|cudaErrorMemoryAllocation", re.IGNORECASE)
NO_WORKSPACE = re.compile(r"no tactics|Could not find any implementation|requires workspace|workspace limit", re.I)
REQUESTED = re.compile(r"Requested size was (\d+) bytes")
USUAL_LEVEL = 3
FIRST_WORKSPACE_MIB, LEAST_WORKSPACE_MIB = 1024, 64
MOST_TRIES = 5
MIB = 1 << 20


def next_try(tried: Sequence[Request], failure: Failure) -> tuple[Request, str] | None:
    """The next build, and why it differs, for people; None where nothing is left to change.

    Args:
        tried: the requests so far, the failed one last.
        failure: of that one.
    """
    last = tried[-1]
    if failure.stage not in ("build", "killed") or len(tried) >= MOST_TRIES:
        return None
    limit, level = last.workspace_mib, last.optimization_level
    workspaces = [request.workspace_mib or FIRST_WORKSPACE_MIB for request in tried]
    if limit is not None and wants_workspace(failure, limit):
        if workspaces[0] > workspaces[-1]:
            return None  # it was taken down for want of memory
        more = max(4 * limit, needed_mib(failure), LEAST_WORKSPACE_MIB)
        why = f"{limit} MiB of workspace do not suffice: trying {more}"
        return structs.replace(last, workspace_mib=more), why
    if workspaces[-1] > workspaces[0] or not (failure.stage == "killed" or OUT_OF_MEMORY.search(failure.text)):
        return None
    less = FIRST_WORKSPACE_MIB if limit is None else max(LEAST_WORKSPACE_MIB, limit // 4)
    lower = max(0, (USUAL_LEVEL if level is None else level) - 1)
    if limit is not None and less >= limit and lower == level:
        return None
    why = f"out of memory: trying {less} MiB of workspace and optimization level {lower}"
    return structs.replace(last, workspace_mib=less, optimization_level=lower), why


def wants_workspace(failure: Failure, limit_mib: int) -> bool:
    """Whether a larger workspace would help: TensorRT says so, or ran out of less memory than the limit."""
    return bool(NO_WORKSPACE.search(failure.text)) or needed_mib(failure) > limit_mib


def needed_mib(failure: Failure) -> int:
    """What TensorRT says it wanted at once, rounded up; 0 where it does not say."""
    found = REQUESTED.search(failure.text)
    return -(-int(found[1]) // MIB) if found else 0
