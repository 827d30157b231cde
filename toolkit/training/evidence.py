"""Fits what the camera's reader makes of a digit's surroundings: `python -m toolkit.training.evidence BUNDLE DATA`.

It reads drawn scenes with a bundle, and fits the weights of `runtime.camera.reading.sureness` to what it read right.
DATA holds MNIST's files; the digits are its last training images, which no shipped model was trained with. The same
bundle and seed give the same weights.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import click
import cv2
import msgspec
import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from torch import nn

from runtime import open_session
from runtime.camera.reading.answer import Answer, walk_answers
from runtime.camera.reading.boxes import inside, overlap
from runtime.camera.reading.evidence import FACTORS, measure
from runtime.camera.reading.reader import DigitReader
from runtime.camera.reading.sureness import FILE, Doubles, Layer, Network, standardized
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.truth import Truth
from runtime.datasets import open_dataset
from runtime.folder import write_atomically
from toolkit.training.digits import with_upstrokes
from toolkit.training.shapes import Digits

HELD_OUT = 5000
ORDER = (*DIFFICULTIES, "desk")
MATCH = 0.5  # intersection over union, from which a box is in the right place
LEAST_DEVIATION = 0.001
HIDDEN = (256, 128)  # these and what follows were chosen on other scenes
EPOCHS, BATCH, RATE, DECAY = 20, 512, 2e-3, 1e-3
DROPPED, NOISE = 0.3, 0.05  # share of the first layer's sums; deviations that factors are moved by
DECIMALS = 4  # of what is written
PART = 50  # scenes that a process reads at a time
Flags = NDArray[np.bool_]


def observe(reader: DigitReader, digits: Digits, scenes: Iterable[int], seed: int) -> Iterator[tuple[Doubles, Flags]]:
    """Of each scene's answers: the factors, and whether it is right."""
    for number in scenes:
        rng = default_rng((seed, number))
        difficulty = ORDER[number % len(ORDER)]
        scene = Scene(digits.images, digits.labels, difficulty=difficulty, seed=int(rng.integers(1 << 31)))
        frame, truth = scene.frame(int(rng.integers(200)))
        (things,) = reader.look([frame])
        answers = [answer for answer in walk_answers(things) if answer.probability >= reader.likely]
        if not answers:
            continue
        right = [is_right(answer, truth) for answer in answers]
        known = [place for place, verdict in enumerate(right) if verdict is not None]
        if known:
            yield measure(frame, answers, things)[known], np.array([right[place] for place in known], bool)


def is_right(answer: Answer, truth: tuple[Truth, ...]) -> bool | None:
    """Whether an answer is the digit that is there; None where the frame cuts that off."""
    for thing in truth:
        if thing.label is not None and overlap(answer.box, thing.box) >= MATCH:
            return thing.label == answer.number
    off = any(thing.cut and inside(answer.box, thing.box) > MATCH for thing in truth)
    return None if off else False


def fit(names: Sequence[str], factors: Doubles, right: Flags, seed: int = 0) -> Network:
    """A network that tells right answers from others, by gradient descent on the cross entropy.

    Args:
        names: of the factors.
        factors: float64 (N, factors).
        right: of each answer, whether it is.
        seed: of the first weights, and of the order and the noise that answers are shown with.
    """
    mean, deviation = factors.mean(0).round(DECIMALS), np.maximum(factors.std(0), LEAST_DEVIATION).round(DECIMALS)
    table = torch.from_numpy(standardized(factors, mean, deviation)).float()
    verdicts = torch.from_numpy(right).float()
    torch.manual_seed(seed)
    hidden, fewer = HIDDEN
    layers = [nn.Linear(table.shape[1], hidden), nn.Linear(hidden, fewer), nn.Linear(fewer, 1)]
    network = nn.Sequential(layers[0], nn.ReLU(), nn.Dropout(DROPPED), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    steps = EPOCHS * -(-len(table) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(table))
        for start in range(0, len(table), BATCH):
            batch = order[start : start + BATCH]
            shown = table[batch] + NOISE * torch.randn(len(batch), table.shape[1])
            loss = nn.functional.binary_cross_entropy_with_logits(network(shown)[:, 0], verdicts[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return Network(list(names), mean.tolist(), deviation.tolist(), [rounded(layer) for layer in layers])


def rounded(layer: nn.Linear) -> Layer:
    """As it is written."""
    weights, constants = (
        part.detach().double().numpy().round(DECIMALS).tolist() for part in (layer.weight, layer.bias)
    )
    return Layer(weights, constants)


@dataclass(frozen=True)
class Work:
    """What a process needs to read scenes: pickled, so that each opens the bundle itself."""

    bundle: Path
    digits: Digits
    seed: int

    def __call__(self, scenes: Sequence[int]) -> list[tuple[Doubles, Flags]]:
        """`observe` some."""
        cv2.setNumThreads(1)
        with open_session(self.bundle, backend="onnxruntime", threads=1) as session:
            return list(observe(DigitReader(session), self.digits, scenes, self.seed))


@click.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--scenes", default=24000, show_default=True, help="To draw and read.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that draw and read; any number gives the same.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=FILE, help="Instead of the file that ships.")
def main(bundle: Path, data: Path, scenes: int, seed: int, workers: int, output: Path) -> None:
    """Fit the weights of the evidence to what BUNDLE reads right, on scenes with the last digits of DATA."""
    dataset = open_dataset(data, "train")
    assert dataset.labels is not None
    places = range(max(0, len(dataset) - HELD_OUT), len(dataset))
    digits = Digits(np.stack([dataset.image(place) for place in places]), dataset.labels[list(places)])
    digits = with_upstrokes(digits, default_rng((seed, 4)))
    parts = [range(first, min(first + PART, scenes)) for first in range(0, scenes, PART)]
    with (
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
        click.progressbar(
            pool.map(Work(bundle, digits, seed), parts), len(parts), label="read scenes", file=sys.stderr
        ) as results,
    ):
        seen = [one for part in results for one in part]
    if not seen:
        raise click.ClickException(f"{bundle} read nothing on {scenes} scenes; draw more: --scenes N")
    factors, right = (np.concatenate(columns) for columns in zip(*seen, strict=True))
    network = fit(FACTORS, factors, right, seed)
    write_atomically(output, msgspec.json.encode(network) + b"\n")
    click.echo(f"{len(right):,} answers of {scenes:,} scenes, {right.mean():.1%} of them right: {output}")


if __name__ == "__main__":
    main()
