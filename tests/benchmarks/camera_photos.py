"""`toolkit camera`'s reading on photographs of sudokus beside OpenCV's textbook recipe.

`python tests/benchmarks/camera_photos.py BUNDLE FOLDER`, where FOLDER is a clone of
<https://github.com/wichtounet/sudoku_dataset> (B. Wicht and J. Hennebert, "Mixed handwritten and printed digit
recognition in Sudoku with Convolutional Deep Belief Network", ICDAR 2015; CC BY 4.0): 200 pages of newspapers, taken
with phones, whose empty cells its authors filled with handwritten digits. `--part train` takes the 160 to choose by.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from runtime import open_session
from runtime.camera.frame import Picture, Reading
from runtime.camera.reading.reader import DigitReader
from runtime.preprocess import as_image
from tests.benchmarks.camera import Textbook
from tests.benchmarks.common import publish

CELLS = 9
LONGEST = 1280  # pixels: a camera's frame
CORNERS = np.array([[0, 0], [CELLS, 0], [CELLS, CELLS], [0, CELLS]], np.float32)


@dataclass(frozen=True, eq=False)
class Puzzle:
    """A photograph of one.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        digits: of its cells, (9, 9).
        printed: which of them are, bool (9, 9); the others were written.
        to_cells: maps pixels to columns and rows, (3, 3).
    """

    image: Picture
    digits: NDArray[np.int_]
    printed: NDArray[np.bool_]
    to_cells: cv2.typing.MatLike


def puzzles(folder: Path, part: str) -> Iterator[Puzzle]:
    """Of "train" or "test"; without those that have no outline, or one of the photograph as EXIF data turn it."""
    with (folder / "outlines_sorted.csv").open() as file:
        outlines = {Path(row.pop("filepath")).stem: [*row.values()] for row in csv.DictReader(file)}
    for name in (folder / "datasets" / f"v2_mixed_{part}.desc").read_text().split():
        filled, empty = folder / name, folder / "images" / Path(name).name
        shown = cv2.imread(str(empty))
        stored = cv2.imread(str(empty), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        image = cv2.imread(str(filled))
        if image is None or filled.stem not in outlines or not np.array_equal(shown, stored):
            continue
        scale = min(1, LONGEST / max(image.shape[:2]))
        outline = np.array(outlines[filled.stem], np.float32).reshape(4, 2) * scale
        size = (round(scale * image.shape[1]), round(scale * image.shape[0]))
        yield Puzzle(
            as_image(cv2.resize(image, size, interpolation=cv2.INTER_AREA)),
            grid(filled.with_suffix(".dat")),
            grid(empty.with_suffix(".dat")) > 0,
            cv2.getPerspectiveTransform(outline, CORNERS),
        )


def grid(path: Path) -> NDArray[np.int_]:
    """The digits of a puzzle, (9, 9); 0 where a cell is empty. Two lines about the photograph precede them."""
    return np.array([line.split() for line in path.read_text().splitlines()[2 : 2 + CELLS]], int)


def count(reading: Reading, puzzle: Puzzle) -> Counter[str]:
    """Cells of both kinds whose digit was read right or wrong, or missed; what was read outside is not counted."""
    found: dict[tuple[int, int], list[int]] = {}
    for digit in reading.digits:
        x, y, width, height = digit.box
        center = np.array([[[x + width / 2, y + height / 2]]], np.float32)
        column, row = np.floor(cv2.perspectiveTransform(center, puzzle.to_cells)[0, 0]).astype(int).tolist()
        found.setdefault((row, column), []).append(int(digit.label))
    counts = Counter[str]()
    for cell, label in np.ndenumerate(puzzle.digits):
        read = found.get(cell, [])
        outcome = "missed" if not read else "right" if read == [label] else "wrong"
        counts[f"{'printed' if puzzle.printed[cell] else 'handwritten'} {outcome}"] += 1
    return counts


@click.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--part", type=click.Choice(["train", "test"]), default="test", show_default=True)
@click.option("--backend", default="onnxruntime", show_default=True)
def main(bundle: Path, folder: Path, part: str, backend: str) -> None:
    """Print a table."""
    cv2.setNumThreads(1)
    counts: dict[str, Counter[str]] = {"toolkit camera": Counter(), "textbook recipe": Counter()}
    with open_session(bundle, backend=backend, threads=1) as session:
        readers = (DigitReader(session).read, Textbook(session).read)
        for puzzle in puzzles(folder, part):
            for total, read in zip(counts.values(), readers, strict=True):
                total += count(read(puzzle.image), puzzle)
    rows = []
    for name, total in counts.items():
        for kind in ("handwritten", "printed"):
            right, wrong, missed = (total[f"{kind} {outcome}"] for outcome in ("right", "wrong", "missed"))
            digits = right + wrong + missed
            shares = (f"{100 * some / digits:.2f}" for some in (right, wrong, missed))
            rows.append([name, kind, f"{digits:,}", *shares])
    publish("camera_photos", ["reader", "digits", "number", "right %", "wrong %", "missed %"], rows, counts)


if __name__ == "__main__":
    main()
