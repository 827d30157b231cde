"""`kill -9` leaves a whole bundle or none, and the next build works: a few of the many kills of the benchmark."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.kill_builds import kill_builds


def test_a_killed_build_leaves_a_whole_bundle_or_none_and_the_next_one_works(tiny_bundle: Path, tmp_path: Path) -> None:
    kills = list(kill_builds(tiny_bundle, tmp_path, 5, seed=1))
    assert [kill for kill in kills if not kill.good] == []
