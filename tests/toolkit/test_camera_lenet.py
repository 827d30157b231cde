"""The lenet that ships, on drawn frames: most digits are read, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import open_session
from runtime.camera.reading.reader import DigitReader
from runtime.camera.synthetic.scene import Scene
from runtime.camera.synthetic.source import shipped_digits
from tests.benchmarks.camera import Score


@pytest.mark.parametrize(("difficulty", "least"), [("clean", 0.95), ("uneven", 0.88), ("desk", 0.6)])
def test_digits_are_read(lenet_bundle: Path, difficulty: str, least: float) -> None:
    score = Score()
    with open_session(lenet_bundle, threads=1) as session:
        reader = DigitReader(session)
        for seed in range(12):
            image, truth = Scene(*shipped_digits(), difficulty=difficulty, seed=500 + seed).frame(0)
            score.add([(digit.box, digit.label) for digit in reader.read(image).digits], truth)
    assert score.counts["digits"] > 50
    assert score.f1 > least, score.figures()
