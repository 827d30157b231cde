"""The lenet that ships, on drawn frames: most digits are read, and what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime import open_session
from runtime.camera.reading.reader import DigitReader
from runtime.camera.synthetic.scene import Scene
from runtime.camera.synthetic.source import shipped_digits
from runtime.camera.watching import Watch
from tests.benchmarks.camera import Score
from tests.command import toolkit


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


def test_what_has_not_changed_is_recalled_where_it_is(lenet_bundle: Path) -> None:
    every, watched, recalled = Score(), Score(), 0
    with open_session(lenet_bundle, threads=1) as session:
        reader = DigitReader(session)
        for seed in range(4):
            scene, watch = Scene(*shipped_digits(), difficulty="clean", seed=500 + seed), Watch()
            for index in range(20):
                image, truth = scene.frame(index)
                reading, known = reader.read(image), watch.recall(image)
                recalled += known is not None
                for score, found in ((every, reading), (watched, known or watch.learn(image, reading))):
                    score.add([(digit.box, digit.label) for digit in found.digits], truth)
    assert recalled > 20
    assert watched.f1 > every.f1 - 0.02


def test_all_frames_are_read_on_demand(lenet_bundle: Path, tmp_path: Path) -> None:
    source = ("--source", "synthetic://clean?size=320x240&digits=3&seed=3", "--frames", 40, "--fast", "--view", "none")
    some = json.loads(toolkit("camera", lenet_bundle, *source, "--json", cwd=tmp_path).stdout)
    every = json.loads(toolkit("camera", lenet_bundle, *source, "--json", "--every-frame", cwd=tmp_path).stdout)
    assert some["frames"] == every["frames"] == 40
    assert some["sources"][0]["recalled"] > 0 == every["sources"][0]["recalled"]
    assert some["inferences"] < every["inferences"]
    assert some["latency_ms"]["watch"]["count"] == 40 > some["latency_ms"]["find"]["count"]
