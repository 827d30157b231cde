"""`toolkit camera`'s reading on drawn scenes beside OpenCV's textbook recipe: what is read right, and how fast.

`python tests/benchmarks/camera.py BUNDLE` draws scenes with the MNIST test digits that ship. `--data FOLDER` draws the
last 5,000 training digits of MNIST's files instead, with which no shipped model was trained: to choose by. The recipe
(mean adaptive threshold, external contours, a box of 20 pixels, the centre of mass in the middle) runs the same model
on ONNX Runtime. Both use one core and see the same frames. The last table is of streams, of which ours reads what has
changed since it was read (`runtime.camera.watching`), as `toolkit camera` does, and the recipe all.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

import runtime
from runtime import open_session
from runtime.camera.frame import Box, Digit, Picture, Reading
from runtime.camera.reading.boxes import inside, overlap
from runtime.camera.reading.reader import DigitReader
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.truth import Truth
from runtime.camera.tracking import Tracker
from runtime.camera.watching import Watch
from runtime.datasets import open_dataset
from runtime.session import Session
from tests.benchmarks.common import publish

SHIPPED = Path(runtime.__file__).parent / "data" / "mnist"
HELD_OUT = 5000
MATCH = 0.5  # intersection over union, from which a box is in the right place
SIZES = ((640, 480), (1920, 1080))
TIMED = 24  # frames: fewer are no fair choice of scenes
STREAMED = 90  # frames of a stream
Read = Callable[[Picture], Reading]


class Textbook:
    """The recipe of OpenCV's tutorials, with one session."""

    def __init__(self, session: Session) -> None:
        self.session, self.threshold = session, session.spec.reject_threshold or 0.5

    def read(self, image: Picture) -> Reading:
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        ink = cv2.adaptiveThreshold(gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 51, 15)
        boxes = []
        for contour in cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
            box = cv2.boundingRect(contour)
            if 12 <= box[3] <= image.shape[0] / 2 and box[2] <= 1.5 * box[3]:
                boxes.append(box)
        height, width, _ = self.session.spec.image_shape
        images = np.zeros((len(boxes), height, width, 1), np.uint8)
        for picture, (x, y, wide, high) in zip(images, boxes, strict=True):
            scale = 20 / max(wide, high)
            size = (max(1, round(wide * scale)), max(1, round(high * scale)))
            small = cv2.resize(ink[y : y + high, x : x + wide], size, interpolation=cv2.INTER_AREA)
            mass = cv2.moments(small)
            left = min(max(round(width / 2 - mass["m10"] / mass["m00"]), 0), width - size[0])
            top = min(max(round(height / 2 - mass["m01"] / mass["m00"]), 0), height - size[1])
            picture[top : top + size[1], left : left + size[0], 0] = small
        rows = self.session.run(images)
        digits, refused = [], []
        for box, row in zip(boxes, rows, strict=True):
            if row.max() >= self.threshold:
                digits.append(Digit(box, str(row.argmax()), float(row.max())))
            else:
                refused.append(box)
        return Reading(tuple(digits), tuple(refused))


@dataclass
class Score:
    """Counts over frames; a digit's frames all count."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, found: Sequence[tuple[Box, str]], truth: Sequence[Truth]) -> dict[int, str]:
        """Count one frame; gives the label that each digit's place has, by its id."""
        known = [thing for thing in truth if thing.label is not None]
        pairs = sorted(
            ((overlap(box, thing.box), i, j) for i, (box, _) in enumerate(found) for j, thing in enumerate(known)),
            reverse=True,
        )
        place: dict[int, int] = {}
        for share, i, j in pairs:
            if share >= MATCH and i not in place and j not in place.values():
                place[i] = j
        labels = {known[j].id: found[i][1] for i, j in place.items() if not known[j].cut}
        for thing in known:
            if not thing.cut:
                self.counts["digits"] += 1
                self.counts["seen"] += thing.id in labels
                self.counts["right"] += labels.get(thing.id) == str(thing.label)
        cut = [thing.box for thing in truth if thing.cut]
        for i, (box, _) in enumerate(found):
            if i not in place and not any(overlap(box, other) > 0.3 or inside(box, other) > 0.5 for other in cut):
                self.counts["false"] += 1
        for thing in truth:
            if thing.label is None and not thing.cut:
                self.counts["others"] += 1
                self.counts["taken"] += any(
                    overlap(box, thing.box) > 0.3 or inside(box, thing.box) > 0.5 for box, _ in found
                )
        return labels

    @property
    def f1(self) -> float:
        counts = self.counts
        answers = counts["seen"] + counts["false"]
        return 2 * counts["right"] / max(counts["digits"] + answers, 1)

    def figures(self) -> dict[str, Any]:
        counts = self.counts
        others = counts["others"]
        return {
            "f1": self.f1,
            "digits": counts["digits"],
            "missed_percent": 100 * (1 - counts["seen"] / max(counts["digits"], 1)),
            "wrong_percent": 100 * (counts["seen"] - counts["right"]) / max(counts["digits"], 1),
            "false": counts["false"],
            "others_refused_percent": 100 * (1 - counts["taken"] / others) if others else None,
        }


def accuracy(reader: Read, recipe: Read, difficulty: str, digits: Any, scenes: int, frames: int, seed: int) -> Any:
    """Score both on scenes of a difficulty; ours frame by frame and followed over the frames."""
    single, followed, textbook = Score(), Score(), Score()
    turns = track_frames = 0
    for number in range(scenes):
        scene, tracker = Scene(*digits, difficulty=difficulty, seed=seed + number), Tracker()
        history: dict[int, list[str]] = {}
        for index in range(frames):
            image, truth = scene.frame(index)
            reading = reader(image)
            single.add([(digit.box, digit.label) for digit in reading.digits], truth)
            tracked = tracker.update(reading, index * 33_000_000)
            for name, label in followed.add([(digit.box, digit.label) for digit in tracked], truth).items():
                history.setdefault(name, []).append(label)
            textbook.add([(digit.box, digit.label) for digit in recipe(image).digits], truth)
        turns += sum(one != other for labels in history.values() for one, other in pairwise(labels))
        track_frames += sum(map(len, history.values()))
    return {
        "difficulty": difficulty,
        "frame": single.figures(),
        "followed": followed.figures(),
        "flicker_percent": 100 * turns / max(track_frames, 1),
        "textbook": textbook.figures(),
    }


def speed(reader: Read, recipe: Read, size: tuple[int, int], digits: Any, seed: int, rounds: int) -> dict[str, Any]:
    """Milliseconds from a frame in hand to its digits, in turns, on clean paper with ten digits."""
    frames = [Scene(*digits, difficulty="clean", seed=seed + n, size=size, count=10).frame(0)[0] for n in range(TIMED)]
    times: dict[str, list[float]] = {"ours": [], "textbook": []}
    for _ in range(rounds):
        for image in frames:
            for name, read in (("textbook", recipe), ("ours", reader)):
                start = time.perf_counter()
                read(image)
                times[name].append(1e3 * (time.perf_counter() - start))
    p50, p99 = np.percentile(times["ours"], [50, 99])
    other = float(np.median(times["textbook"]))
    return {
        "size": f"{size[0]}x{size[1]}",
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "textbook_p50_ms": other,
        "ratio": float(p50) / other,
    }


def watching(
    reader: Read, recipe: Read, difficulty: str, held: bool, digits: Any, scenes: int, seed: int
) -> dict[str, Any]:
    """Score and time streams of 640x480, read where something has changed; from a camera that is held, or stands."""
    every, watched, times = Score(), Score(), dict[str, list[float]]()
    recalled = 0
    for number in range(scenes):
        scene = Scene(*digits, difficulty=difficulty, seed=seed + number)
        if not held:
            scene.path.shake, scene.path.reach = 0.0, np.zeros(4)
        watch, trackers = Watch(), (Tracker(), Tracker())
        for index in range(STREAMED):
            image, truth = scene.frame(index)
            start = time.perf_counter()
            recipe(image)
            after_recipe = time.perf_counter()
            known = watch.recall(image)
            reading = known or watch.learn(image, reader(image))
            end = time.perf_counter()
            recalled += known is not None
            times.setdefault("textbook", []).append(1e3 * (after_recipe - start))
            times.setdefault("ours", []).append(1e3 * (end - after_recipe))
            for score, tracker, found in zip((every, watched), trackers, (reader(image), reading), strict=True):
                tracked = tracker.update(found, index * 33_000_000)
                score.add([(digit.box, digit.label) for digit in tracked], truth)
    p50, p99 = np.percentile(times["ours"], [50, 99])
    return {
        "difficulty": difficulty,
        "camera": "held" if held else "standing",
        "f1_every_frame": every.f1,
        "f1_watching": watched.f1,
        "recalled_percent": 100 * recalled / (scenes * STREAMED),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "mean_ms": float(np.mean(times["ours"])),
        "textbook_p50_ms": float(np.median(times["textbook"])),
        "p50_ratio": float(p50 / np.median(times["textbook"])),
        "mean_ratio": float(np.mean(times["ours"]) / np.mean(times["textbook"])),
    }


def take_digits(folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (N, 28, 28), and labels."""
    dataset = open_dataset(folder or SHIPPED, "train" if folder else "test")
    assert dataset.labels is not None
    places = range(max(0, len(dataset) - HELD_OUT), len(dataset)) if folder else range(len(dataset))
    return np.stack([dataset.image(place) for place in places]), dataset.labels[list(places)]


@click.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="MNIST's files: its last training digits.")
@click.option("--scenes", default=40, show_default=True, help="Of each difficulty.")
@click.option("--frames", default=10, show_default=True, help="Of each scene.")
@click.option("--seed", default=100_000, show_default=True, help="Of the first scene.")
@click.option(
    "--streams", type=click.IntRange(min=1), default=8, show_default=True, help=f"Of {STREAMED} frames, of each kind."
)
@click.option("--rounds", default=8, show_default=True, help=f"Of {TIMED} frames, to time.")
@click.option("--backend", default="onnxruntime", show_default=True)
def main(
    bundle: Path, data: Path | None, scenes: int, frames: int, seed: int, streams: int, rounds: int, backend: str
) -> None:
    """Print three tables."""
    cv2.setNumThreads(1)
    digits = take_digits(data)
    with open_session(bundle, backend=backend, threads=1) as session:
        reader, recipe = DigitReader(session).read, Textbook(session).read
        scores = [accuracy(reader, recipe, name, digits, scenes, frames, seed) for name in DIFFICULTIES]
        times = [speed(reader, recipe, size, digits, seed, rounds) for size in SIZES]
        watched = [
            watching(reader, recipe, name, held, digits, streams, seed)
            for name in DIFFICULTIES
            for held in (False, True)
        ]
    rows = []
    for score in scores:
        figures = score["followed"]
        refused = figures["others_refused_percent"]
        rows.append(
            [
                score["difficulty"],
                f"{figures['digits']:,}",
                f"{score['frame']['f1']:.4f}",
                f"{figures['f1']:.4f}",
                f"{figures['missed_percent']:.2f}",
                f"{figures['wrong_percent']:.2f}",
                f"{figures['false']}",
                "-" if refused is None else f"{refused:.1f}",
                f"{score['flicker_percent']:.2f}",
                f"{score['textbook']['f1']:.4f}",
            ]
        )
    columns = ["scenes", "digits", "F1", "F1 followed", "missed %", "wrong %", "false", "others refused %", "flicker %",
               "textbook F1"]  # fmt: skip
    publish("camera", columns, rows, {"accuracy": scores, "speed": times})
    rows = [
        [t["size"], f"{t['p50_ms']:.2f}", f"{t['p99_ms']:.2f}", f"{t['textbook_p50_ms']:.2f}", f"{t['ratio']:.2f}"]
        for t in times
    ]
    publish("camera_speed", ["frame", "p50 ms", "p99 ms", "textbook p50 ms", "ratio"], rows, times)

    rows = [
        [
            w["difficulty"],
            w["camera"],
            f"{w['f1_every_frame']:.4f}",
            f"{w['f1_watching']:.4f}",
            f"{w['recalled_percent']:.0f}",
            f"{w['p50_ms']:.2f}",
            f"{w['p99_ms']:.2f}",
            f"{w['mean_ms']:.2f}",
            f"{w['textbook_p50_ms']:.2f}",
            f"{w['p50_ratio']:.2f}",
            f"{w['mean_ratio']:.2f}",
        ]
        for w in watched
    ]
    columns = ["scenes", "camera", "F1 of every frame", "F1 watching", "recalled %", "p50 ms", "p99 ms", "mean ms",
               "textbook p50 ms", "p50 ratio", "mean ratio"]  # fmt: skip
    publish("camera_watching", columns, rows, watched)


if __name__ == "__main__":
    main()
