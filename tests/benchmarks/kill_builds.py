"""What `kill -9` at any moment of a build leaves behind: goal, a whole bundle or none, and a next build that works.

python tests/benchmarks/kill_builds.py [KILLS] [MINUTES]

Nine in ten are `toolkit build BUNDLE`, the others `toolkit build lenet --int8`; half of them replace a bundle that is
there. Half of the short ones are killed at a random time, the others around the moment when their bundle appears.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime import open_session
from runtime.backend import EngineOptions
from runtime.bundle import Bundle
from runtime.errors import ToolkitError
from runtime.progress import SilentProgress, TimedProgress
from tests.benchmarks.common import TOOLKIT, environment, publish
from toolkit.rebuild import RebuildRequest, rebuild

FULL_EVERY = 10
LONGEST_END_MS = 5000
LONGEST_PUBLISH_S = 0.03  # about what it takes from the manifest to the end: every file is flushed to the disk first


@dataclass(frozen=True)
class Kill:
    """One build that was killed.

    Attributes:
        what: the command.
        stage: the last one that it had ended, `publish` once its manifest was written, or `it had ended`.
        left: `nothing`, `the old bundle`, `the new bundle`, or what is wrong.
        recovered: what is wrong after the next build; empty when nothing is.
    """

    what: str
    stage: str
    left: str
    recovered: str

    @property
    def good(self) -> bool:
        return self.left in ("nothing", "the old bundle", "the new bundle") and not self.recovered


def kill_builds(source: Path, folder: Path, kills: int, *, full_every: int = 0, seed: int = 0) -> Iterator[Kill]:
    """Kill builds one after the other.

    Args:
        source: the bundle to build from.
        folder: an empty one to build in.
        kills: how many.
        full_every: one in so many is `build lenet --int8`; 0 for none.
        seed: of the moments.
    """
    rng, output = random.Random(seed), folder / "out"
    short, full = [*TOOLKIT, "build", str(source)], [*TOOLKIT, "build", "lenet", "--int8"]
    seconds = {id(command): duration(command, folder) for command in (short, *([full] if full_every else []))}
    for index in range(kills):
        command = full if full_every and index % full_every == full_every - 1 else short
        force = rng.random() < 0.5
        if not force and output.exists():
            shutil.rmtree(output)
        elif force and not output.exists():
            recover(source, output)
        before = digest(output)
        aimed = command is short and index % 2 == 0
        delay = rng.uniform(0, LONGEST_PUBLISH_S if aimed else seconds[id(command)])
        stage = kill_one([*command, "-o", str(output), *["--force"] * force], folder, delay, aimed)
        left = look(output, before)
        yield Kill("build BUNDLE" if command is short else "build lenet --int8", stage, left, recover(source, output))


def duration(command: list[str], folder: Path) -> float:
    """Seconds of one whole build."""
    start = time.perf_counter()
    subprocess.run([*command, "-o", str(folder / "whole")], check=True, capture_output=True, env=environment())
    shutil.rmtree(folder / "whole")
    return time.perf_counter() - start


def kill_one(command: list[str], folder: Path, delay: float, aimed: bool) -> str:
    """Start a build and kill it.

    Args:
        command: the build into `folder / "out"`.
        folder: where its temporary files go too.
        delay: seconds from its start, or from its manifest where it is `aimed`.
        aimed: whether to wait for the manifest first.

    Returns:
        The stage that it was in.
    """
    manifest = folder / ".out.building" / "manifest.json"
    temporary = folder / "tmp"
    temporary.mkdir()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**environment(), "TMPDIR": str(temporary)},
            start_new_session=True,  # its children are no part of the kill, and must be ended afterwards
        )
        while aimed and process.poll() is None and not manifest.exists():
            pass  # a sleep would miss it
        time.sleep(delay)
        publishing = manifest.exists()
        ended = process.poll() is not None
        process.kill()
        process.wait()
        if not ended:
            end_group(process.pid)
    shutil.rmtree(temporary)
    lines = [line.split(":")[0] for line in (folder / "log").read_text().splitlines() if line.endswith(" s")]
    return "it had ended" if ended else "publish" if publishing else f"after {lines[-1]}" if lines else "start"


def end_group(group: int) -> None:
    """Kill what is left of a group of processes, and wait until none is: a lock is held for as long as they end."""
    with suppress(ProcessLookupError):
        for _ in range(LONGEST_END_MS):
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.001)


def digest(output: Path) -> str:
    """Which bundle is there; empty for none."""
    return Bundle.open(output).manifest.digest if output.exists() else ""


def look(output: Path, before: str) -> str:
    """What is there: every file is verified, and the engine answers its probe."""
    if not os.path.lexists(output):
        return "the old bundle is gone" if before else "nothing"
    try:
        with open_session(output, threads=1, self_check=True):
            return "the old bundle" if before == digest(output) else "the new bundle"
    except (ToolkitError, OSError) as error:
        return str(error)


def recover(source: Path, output: Path) -> str:
    """Build once more, in this process, and say what is wrong then."""
    request = RebuildRequest(Bundle.open(source), "onnxruntime", output, True, None, EngineOptions(threads=1))
    try:
        rebuild(request, TimedProgress(SilentProgress()))
        with open_session(output, threads=1, self_check=True):
            rest = {path.name for path in output.parent.iterdir()} - {output.name, "log"}
            return f"left behind: {rest}" if rest else ""
    except (ToolkitError, OSError) as error:
        return str(error)


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    done: list[Kill] = []
    with tempfile.TemporaryDirectory() as name:
        source, folder = Path(name) / "source", Path(name) / "work"
        folder.mkdir()
        subprocess.run([*TOOLKIT, "build", "lenet", "--int8", "-o", str(source)], check=True, env=environment())
        end = time.monotonic() + 60 * minutes
        for kill in kill_builds(source, folder, kills, full_every=FULL_EVERY):
            done.append(kill)
            print(f"{len(done)}/{kills} {kill.what}, {kill.stage}: {kill.left} {kill.recovered}", file=sys.stderr)
            if time.monotonic() > end:
                break
    outcomes = ("nothing", "the old bundle", "the new bundle")
    rows = []
    for what, stage in dict.fromkeys((kill.what, kill.stage) for kill in done):
        these = [kill for kill in done if (kill.what, kill.stage) == (what, stage)]
        left = Counter(kill.left for kill in these)
        bad = sum(not kill.good for kill in these)
        rows.append([what, stage, str(len(these)), *(str(left[outcome]) for outcome in outcomes), str(bad), "0"])
    columns = ["killed", "when", ">kills", *(f">{outcome}" for outcome in outcomes), ">not whole", ">goal"]
    publish("kill_builds", columns, sorted(rows), [vars(kill) for kill in done])


if __name__ == "__main__":
    main()
