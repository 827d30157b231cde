"""`toolkit bench --on`: bundles are sent, and timed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from runtime.bundle import MANIFEST, Bundle
from runtime.progress import Progress
from toolkit.remote.answer import decode
from toolkit.remote.log import with_our_names
from toolkit.remote.session import Remote, at_work
from toolkit.results import BenchRow


def bench_there(remote: Remote, bundles: Sequence[Path], words: Sequence[str], progress: Progress) -> list[BenchRow]:
    """Time bundles on another machine.

    Args:
        remote: the machine.
        bundles: their folders here.
        words: the other options of `bench`.
        progress: told of what is sent.

    Returns:
        What `bench` printed there, with the folders as they are named here.
    """
    opened = [Bundle.open(path) for path in bundles]
    with at_work(remote, progress) as work:
        sent = [
            work.send(f"bundle{number}", bundle.path, [MANIFEST, *bundle.manifest.files])
            for number, bundle in enumerate(opened)
        ]
        ran = work.run("bench", "bench", *sent, *words, "--json")
        work.require(ran)
        rows = decode(remote.address, ran, list[BenchRow])
    names = {there: str(path) for there, path in zip(sent, bundles, strict=True)}
    return [with_names_of_here(row, names) for row in rows]


def with_names_of_here(row: BenchRow, names: Mapping[str, str]) -> BenchRow:
    """What was measured of a bundle; `names` are ours for the folders there."""
    warnings = tuple(with_our_names(warning, names) for warning in row.conditions.warnings)
    bundle = names.get(row.bundle, row.bundle)
    return replace(row, bundle=bundle, conditions=replace(row.conditions, warnings=warnings))
