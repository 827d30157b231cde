"""What a forger could write: a valid JSON value with one thing wrong, for every thing in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from typing import Any

REMOVED = object()
LONG = 8  # the counts of a histogram are all alike
WRONG: tuple[Any, ...] = (
    REMOVED,
    None,
    True,
    0,
    -1,
    -1.5,
    65537,
    2**63,
    10**30,
    5e-324,
    1e308,
    "",
    "NaN",
    "nul\0",
    "\x1b[2J",
    "x" * 10_000,
    "../../etc/passwd",
    [],
    {},
    [None],
    {"a": 1},
)

Path = tuple[str | int, ...]


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """The way to every value inside, from the outermost; of a long list, to its ends and its middle."""
    if isinstance(value, (dict, list)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if isinstance(value, list) and len(keys) > LONG:
            keys = [*keys[:2], keys[len(keys) // 2], *keys[-2:]]
        for key in keys:
            yield (*before, key)
            yield from paths(value[key], (*before, key))


def put(values: Any, path: Path, wrong: Any) -> None:
    """Replace the value at the end of a path, in place; `REMOVED` takes it away."""
    for key in path[:-1]:
        values = values[key]
    if wrong is REMOVED:
        del values[path[-1]]
    else:
        values[path[-1]] = wrong


def forgeries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every copy of a JSON value that has one thing wrong, with what that is."""
    whole = json.dumps(value)
    for path in paths(value):
        right = json.dumps(reduce(getitem, path, value))
        for wrong in WRONG:
            if wrong is REMOVED or json.dumps(wrong) != right:
                changed = json.loads(whole)
                put(changed, path, wrong)
                label = "removed" if wrong is REMOVED else repr(wrong)[:40]
                yield f"{'.'.join(map(str, path))}: {label}", changed
