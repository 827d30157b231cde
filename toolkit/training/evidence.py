"""Fits what the camera's reader makes of a digit's surroundings: `python -m toolkit.training.evidence BUNDLE DATA`.

It reads drawn scenes with a bundle, and fits the weights of `runtime.camera.reading.sureness` to what it read right.
DATA holds MNIST's files; the digits are its last training images, which no shipped model was trained with. The same
bundle and seed give the same weights.
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
from runtime.camera.reading.evidence import FACTORS, measure
from runtime.camera.reading.reader import DigitReader
from runtime.camera.reading.sureness import FILE, Regression, Weights, standardized
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.truth import Truth
from runtime.datasets import open_dataset
from runtime.folder import write_atomically
from toolkit.training.shapes import Digits

HELD_OUT = 5000
ORDER = ("desk", "desk", *DIFFICULTIES)
MATCH = 0.5  # intersection over union, from which a box is in the right place
DAMPING = 20.0  # of the weights, chosen on other scenes
LEAST_DEVIATION = 0.001
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


def fit(factors: Floats, right: Flags) -> Regression:
    """A logistic regression, by Newton's method.

    Args:
        factors: float64 (N, factors).
        right: of each, whether the answer is.
    """
    mean, deviation = factors.mean(0), np.maximum(factors.std(0), LEAST_DEVIATION)
    count = len(mean)
    first, second = np.triu_indices(count)
    values = standardized(factors, mean, deviation)
    table = np.column_stack([values, values[:, first] * values[:, second], np.ones(len(values))])
    damping = np.diag([DAMPING] * (table.shape[1] - 1) + [0.0])
    weights = np.zeros(table.shape[1])
    for _ in range(STEPS):
        probability = 1 / (1 + np.exp(-table @ weights))
        slope = table.T @ (right - probability) - damping @ weights
        curve = (table * (probability * (1 - probability))[:, None]).T @ table + damping
        weights += np.linalg.solve(curve, slope)
    found = weights.round(4).tolist()
    starts = np.flatnonzero(first == second).tolist()
    products = [found[count + start : count + start + count - number] for number, start in enumerate(starts)]
    return Regression(
        mean=mean.round(4).tolist(),
        deviation=deviation.round(4).tolist(),
        constant=found[-1],
        weights=found[:count],
        products=products,
    )


@click.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--scenes", default=3000, show_default=True, help="To draw and read.")
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
    bars = np.concatenate([bar for _, bar, _ in seen]) if seen else np.zeros(0, bool)
    if bars.all() or not bars.any():
        raise click.ClickException(f"{bundle} read no 1s, or nothing else, on {scenes} scenes; draw more: --scenes N")
    factors, bar, right = (np.concatenate(columns) for columns in zip(*seen, strict=True))
    weights = Weights(list(FACTORS), fit(factors[~bar], right[~bar]), fit(factors[bar], right[bar]))
    write_atomically(output, msgspec.json.format(msgspec.json.encode(weights), indent=2) + b"\n")
    click.echo(f"{len(right):,} answers of {scenes:,} scenes, {right.mean():.1%} of them right: {output}")


if __name__ == "__main__":
    main()
