"""`toolkit classify` from JPEG files: images a second beside decoding alone and inference alone, and memory.

The files are made here, 500x375 pixels of clouds, and kept in build/benchmarks:
`python tests/benchmarks/bulk.py BUNDLE...`.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from runtime import classify, open_session
from runtime.backend import available_cores
from runtime.images import read_image
from runtime.streaming import stream
from tests.benchmarks.common import OUTPUT, TOOLKIT, environment, publish

FILES, HEIGHT, WIDTH, QUALITY = 1000, 375, 500, 88
FEW, MANY = 1000, 20_000  # images that memory is compared at
BATCH = 32
SECONDS = 4.0


def pictures() -> list[Path]:
    """The files, made where they are not there."""
    folder = OUTPUT / "jpegs"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.jpg" for number in range(FILES)]
    rng = np.random.default_rng(0)
    for path in paths:
        if not path.exists():
            clouds = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
            for side in (3, 9, 40, 125):
                noise = rng.normal(0, 45 * side**-0.25, (side, side, 3)).astype(np.float32)
                clouds += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(path), np.clip(clouds, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return paths


def rate(count: int, start: float) -> float:
    """Images a second since then."""
    return count / (time.perf_counter() - start)


def throughput(bundle: Path, paths: list[Path]) -> dict[str, Any]:
    """Decoding and preprocessing alone, inference alone and both, in turns, on all cores."""
    with open_session(bundle) as session:

        def prepare(path: Path) -> np.ndarray:
            return session.preprocess(read_image(path))

        batch = np.stack([prepare(path) for path in paths[:BATCH]])
        session.run(batch)
        found: dict[str, list[float]] = {"decode": [], "inference": [], "classify": []}
        for _ in range(3):
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < SECONDS:
                session.run(batch)
                count += BATCH
            found["inference"].append(rate(count, start))
            few = paths[: max(BATCH, min(FILES, int(SECONDS * found["inference"][-1])))]
            start = time.perf_counter()
            found["decode"].append(rate(sum(1 for _ in stream(prepare, few, ahead=BATCH)), start))
            start = time.perf_counter()
            found["classify"].append(rate(sum(1 for _ in classify(session, few)), start))
    return {name: float(np.median(rates)) for name, rates in found.items()}


def peak_bytes(bundle: Path, paths: list[Path], count: int) -> int:
    """The most memory that the process of `toolkit classify` has for so many images."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*TOOLKIT, "classify", str(bundle), "-", "-o", f"{folder}/out.csv"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment())
        assert process.stdin
        names = "".join(f"{paths[number % len(paths)]}\n" for number in range(count)).encode()
        writer = threading.Thread(target=lambda: (process.stdin.write(names), process.stdin.close()))  # type: ignore[union-attr]
        writer.start()
        most = 0
        while process.poll() is None:
            most = max(most, *map(high_water, family(process.pid)))
            time.sleep(0.1)
        writer.join()
        assert process.returncode == 0
    return most


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [pid, *map(int, children.read_text().split())]
    except OSError:
        return [pid]


def high_water(pid: int) -> int:
    """The most memory that a process has had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return 1024 * int(status.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in status else 0


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(bundles: tuple[Path, ...]) -> None:
    """Measure the throughput of BUNDLES, and memory with the fastest."""
    paths = pictures()
    rates = {bundle: throughput(bundle, paths) for bundle in bundles}
    fastest = max(rates, key=lambda bundle: rates[bundle]["classify"])
    memory = {count: peak_bytes(fastest, paths, count) for count in (FEW, MANY)}
    rows = [
        [
            bundle.name,
            *(f"{value:,.0f}" for value in found.values()),
            f"{found['classify'] / min(found['decode'], found['inference']):.2f}",
        ]
        for bundle, found in rates.items()
    ]
    figures = {
        "cores": available_cores(),
        "pixels": [HEIGHT, WIDTH],
        "images_per_second": {bundle.name: found for bundle, found in rates.items()},
        "peak_bytes": {"bundle": fastest.name, **memory},
    }
    publish("bulk", ["images a second", ">decode", ">inference", ">classify", ">of the slower"], rows, figures)
    print(f"{fastest.name}: " + ", ".join(f"{value / 1e6:.0f} MB with {count:,}" for count, value in memory.items()))


if __name__ == "__main__":
    main()
