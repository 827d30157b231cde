"""What to try when a build fails for want of memory: less of it; or for want of workspace: more of that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from runtime.backends.tensorrt.events import Failure, Request

OUT_OF_MEMORY = re.compile(r"OutOfMemory|out of memory|bad_alloc|cudaErrorMemoryAllocation|MemoryError", re.IGNORECASE)
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
    if failure.stage in ("start", "parse", "write") or len(tried) >= MOST_TRIES:
        return None
    limit, level = last.options.workspace_mib, last.options.optimization_level
    workspaces = [request.options.workspace_mib or FIRST_WORKSPACE_MIB for request in tried]
    grew, shrank = workspaces[-1] > workspaces[0], workspaces[-1] < workspaces[0]
    if out_of_memory(failure, limit):
        less = FIRST_WORKSPACE_MIB if limit is None else min(limit, max(LEAST_WORKSPACE_MIB, limit // 4))
        lower = max(0, (USUAL_LEVEL if level is None else level) - 1)
        if grew or (less, lower) == (limit, level):
            return None
        options = replace(last.options, workspace_mib=less, optimization_level=lower)
        why = f"out of memory: trying {less} MiB of workspace and optimization level {lower}"
        return structs.replace(last, options=options), why
    if limit is None or shrank or not wants_workspace(failure, limit):
        return None
    more = max(4 * limit, needed_mib(failure), LEAST_WORKSPACE_MIB)
    if last.device_mib:
        more = min(more, last.device_mib)
    if more <= limit:
        return None  # it has all that there is: what is missing is no workspace
    options = replace(last.options, workspace_mib=more)
    return structs.replace(last, options=options), f"{limit} MiB of workspace do not suffice: trying {more}"


def out_of_memory(failure: Failure, limit_mib: int | None) -> bool:
    """Whether less memory would help: not where TensorRT ran out of less than the workspace that it was not given."""
    if failure.stage == "killed" or failure.short_of_memory:
        return True
    return bool(OUT_OF_MEMORY.search(failure.text)) and not (limit_mib and needed_mib(failure) > limit_mib)


def wants_workspace(failure: Failure, limit_mib: int) -> bool:
    """Whether a larger workspace would help: TensorRT says so, or ran out of less memory than the limit."""
    return bool(NO_WORKSPACE.search(failure.text)) or needed_mib(failure) > limit_mib


def needed_mib(failure: Failure) -> int:
    """What TensorRT says it wanted at once, rounded up; 0 where it does not say."""
    found = REQUESTED.search(failure.text)
    return -(-int(found[1]) // MIB) if found else 0
