"""Fits what the camera's reader makes of a digit's surroundings: `python -m toolkit.training.evidence BUNDLE DATA`.

It reads drawn scenes with a bundle, and fits the weights of `runtime.camera.reading.evidence` to what it read right: a
logistic regression, by Newton's method, for 1s and for the others. DATA holds MNIST's files; the digits are its last
training images, which no shipped model was trained with. The same bundle and seed give the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import msgspec
import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from runtime import open_session
from runtime.camera.reading.answer import Answer, walk_answers
from runtime.camera.reading.boxes import inside, overlap
from runtime.camera.reading.evidence import FACTORS, FILE, Weights, measure
from runtime.camera.reading.reader import DigitReader
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.truth import Truth
from runtime.datasets import open_dataset
from runtime.folder import write_atomically
from toolkit.training.shapes import Digits

HELD_OUT = 5000
ORDER = ("desk", "desk", *DIFFICULTIES)
MATCH = 0.5  # intersection over union, from which a box is in the right place
DAMPING = 1.0  # of the weights of factors in units of their deviation
STEPS = 25
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def observe(reader: DigitReader, digits: Digits, scenes: int, seed: int) -> Iterator[tuple[Floats, Flags, Flags]]:
    """Of each scene's answers: the factors, whether it was taken for a 1, and whether it is right."""
    for number in range(scenes):
        rng = default_rng((seed, number))
        difficulty = ORDER[number % len(ORDER)]
        scene = Scene(digits.images, digits.labels, difficulty=difficulty, seed=int(rng.integers(1 << 31)))
        frame, truth = scene.frame(int(rng.integers(200)))
        answers = [answer for answer in walk_answers(reader.look([frame])[0]) if answer.probability >= reader.likely]
        if not answers:
            continue
        right = [is_right(answer, truth) for answer in answers]
        known = [place for place, verdict in enumerate(right) if verdict is not None]
        if known:
            yield (
                measure(frame, answers)[known],
                np.array([answers[place].bar for place in known]),
                np.array([right[place] for place in known], bool),
            )


def is_right(answer: Answer, truth: tuple[Truth, ...]) -> bool | None:
    """Whether an answer is the digit that is there; None where the frame cuts that off."""
    for thing in truth:
        if thing.label is not None and overlap(answer.box, thing.box) >= MATCH:
            return thing.label == answer.number
    off = any(thing.cut and inside(answer.box, thing.box) > MATCH for thing in truth)
    return None if off else False


def fit(factors: Floats, right: Flags) -> dict[str, float]:
    """Weights by factor, and the constant."""
    center, deviation = factors.mean(0), factors.std(0) + 1e-9
    table = np.column_stack([(factors - center) / deviation, np.ones(len(factors))])
    damping = np.diag([DAMPING] * factors.shape[1] + [0.0])
    weights = np.zeros(table.shape[1])
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-table @ weights))
        slope = table.T @ (right - probability) - damping @ weights
        curve = (table * (probability * (1 - probability))[:, None]).T @ table + damping
        weights += np.linalg.solve(curve, slope)
    scaled = weights[:-1] / deviation
    found = (*scaled, weights[-1] - scaled @ center)
    return {name: round(float(value), 4) for name, value in zip((*FACTORS, "constant"), found, strict=True)}


@click.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--scenes", default=1200, show_default=True, help="To draw and read.")
@click.option("--seed", default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=FILE, help="Instead of the file that ships.")
def main(bundle: Path, data: Path, scenes: int, seed: int, output: Path) -> None:
    """Fit the weights of the evidence to what BUNDLE reads right, on scenes with the last digits of DATA."""
    cv2.setNumThreads(1)
    dataset = open_dataset(data, "train")
    assert dataset.labels is not None
    places = range(max(0, len(dataset) - HELD_OUT), len(dataset))
    digits = Digits(np.stack([dataset.image(place) for place in places]), dataset.labels[list(places)])
    with open_session(bundle, backend="onnxruntime", threads=1) as session:
        seen = list(observe(DigitReader(session), digits, scenes, seed))
    factors, bar, right = (np.concatenate(columns) for columns in zip(*seen, strict=True))
    weights = Weights(digit=fit(factors[~bar], right[~bar]), bar=fit(factors[bar], right[bar]))
    write_atomically(output, msgspec.json.format(msgspec.json.encode(weights), indent=2) + b"\n")
    click.echo(f"{len(right):,} answers of {scenes:,} scenes, {right.mean():.1%} of them right: {output}")


if __name__ == "__main__":
    main()
