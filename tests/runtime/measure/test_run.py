"""A whole run over small engines: what was asked for is there, and nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.backend import Parts
from runtime.datasets import ArrayDataset
from runtime.measure import run
from runtime.measure.energy import OTHER_DEVICE
from runtime.measure.result import Energy, Paced, Performance
from runtime.measure.run import AUTO, MeasureOptions, measure_all, unsteady
from runtime.measure.single import WarmUp, describe_single
from runtime.measure.statistics import summarise
from runtime.measure.turns import Block
from runtime.session import Session
from runtime.spec import BatchRange
from tests.fakes import FakeEngine, RecordingProgress, fake_session, first_pixel_class
from tests.machines import make_laptop
from tests.tiny import CLASSES, SIDE, make_images, make_spec


def make_sessions(*names: str) -> dict[str, Session]:
    answer = first_pixel_class(CLASSES)
    return {name: fake_session(make_spec(), answer, BatchRange(1, 1, 4))[0] for name in names}


SHORT = MeasureOptions(seconds=0.05)
IMAGES = dict.fromkeys("ab", make_images(2))


def test_alone_the_single_stream(tmp_path: Path) -> None:
    progress = RecordingProgress()
    performances, conditions, latencies = measure_all(
        make_sessions("a", "b"), IMAGES, SHORT, progress, root=make_laptop(tmp_path)
    )
    assert list(performances) == list(latencies) == ["a", "b"]
    for name, found in performances.items():
        assert (found.batches, found.paced, found.cold, found.preparation, found.energy, found.gpu) == (
            (), (), None, None, None, None
        )  # fmt: skip
        assert (found.energy_reason, found.single.batch) == ("", 1)
        assert latencies[name].p50 == pytest.approx(found.single.times.p50, abs=1e-6)
        assert latencies[name].p50 <= latencies[name].p90 <= latencies[name].p99 <= found.single.times.max + 1e-6
    assert performances["a"].single.ratio is None and performances["b"].single.ratio is not None
    assert conditions.governor == "powersave"
    assert list(progress.stages) == ["warm up", "measure latency"]


def test_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    energy = Energy(1, 2, 1, "a stand-in")
    monkeypatch.setattr(run, "measure_energy", lambda works, *_, **__: dict.fromkeys(works, energy))
    options = MeasureOptions(seconds=0.05, batch=3, batches=AUTO, paces=(500.0, 1000.0), energy=True)
    pictures = ArrayDataset("arrays", np.zeros((2, SIDE, SIDE), np.uint8), None)
    measured = measure_all(make_sessions("a"), IMAGES, options, RecordingProgress(), pictures=pictures, root=tmp_path)
    found = measured.performances["a"]
    assert found.single.batch == 3
    assert [point.batch for point in found.batches] == [1, 2, 4]
    assert [pace.fps for pace in found.paced] == [500, 1000]
    assert found.preparation is not None and found.preparation.images == 2
    assert (found.energy, found.energy_reason, found.cold) == (energy, "", None)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Performance) == found


def test_energy_that_cannot_be_measured_has_a_reason(tmp_path: Path) -> None:
    options = MeasureOptions(seconds=0.05, energy=True)
    found = measure_all(make_sessions("a"), IMAGES, options, RecordingProgress(), root=tmp_path)
    assert found.performances["a"].energy is None
    assert found.performances["a"].energy_reason.startswith("no sensor")


class OnGpu(FakeEngine):
    """An engine that says what a call spends its time on."""

    def time_parts(self, batch: np.ndarray, out: np.ndarray) -> Parts:
        return Parts(0.2, 1.0, 0.05, 0.1, 2.0)


def test_the_parts_of_a_call_on_a_gpu(tmp_path: Path) -> None:
    session = Session(OnGpu(first_pixel_class(CLASSES)), make_spec(), BatchRange())
    found = measure_all({"a": session}, IMAGES, SHORT, RecordingProgress(), root=tmp_path)
    gpu = found.performances["a"].gpu
    assert gpu is not None and gpu.compute_ms.p50 == 1.0


def test_rapl_does_not_see_a_gpu_even_where_the_session_splits_its_batch(tmp_path: Path) -> None:
    session = Session(OnGpu(first_pixel_class(CLASSES)), make_spec(), BatchRange(2, 2, 4))
    options = MeasureOptions(seconds=0.05, batch=5, energy=True)
    found = measure_all({"a": session}, IMAGES, options, RecordingProgress(), root=make_laptop(tmp_path))
    performance = found.performances["a"]
    assert (performance.gpu, performance.energy, performance.energy_reason) == (None, None, OTHER_DEVICE)


def described(times: list[int], steady: bool, late: int) -> tuple[dict[str, Performance], dict[str, list[Block]]]:
    blocks = {"a": [Block(turn, np.array([took] * 4), 0) for turn, took in enumerate(times)]}
    single = describe_single(blocks, {"a": WarmUp(1, steady, 1.0)}, 1)["a"]
    pace = Paced(60, summarise([np.array([1000] * 10)]), late)
    return {"a": Performance(single, paced=(pace,))}, blocks


@pytest.mark.parametrize(
    ("times", "steady", "late", "words"),
    [
        ([1000, 1001, 1000, 1001], True, 5, []),
        ([1000, 1000, 1200, 1200], True, 0, ["rose by 20%"]),
        ([1200, 1200, 900, 900], True, 0, ["fell by 25%"]),
        ([1000] * 4, False, 0, ["not steady"]),
        ([1000] * 4, True, 6, ["cannot keep up with 60 fps: 6 of 10"]),
    ],
)
def test_what_times_say_against_themselves(times: list[int], steady: bool, late: int, words: list[str]) -> None:
    warnings = list(unsteady(*described(times, steady, late), 2.0))
    assert len(warnings) == len(words)
    assert all(word in warning and warning.startswith("a") for word, warning in zip(words, warnings, strict=True))


@pytest.mark.parametrize(("seconds", "said"), [(2.0, "--seconds gives it longer"), (5.0, "trust ratios")])
def test_more_seconds_are_advised_where_they_make_the_warm_up_longer(seconds: float, said: str) -> None:
    (warning,) = unsteady(*described([1000] * 4, False, 0), seconds)
    assert said in warning


def test_options_are_told_in_the_order_of_the_run(tmp_path: Path) -> None:
    progress = RecordingProgress()
    options = MeasureOptions(seconds=0.05, batches=(1,), paces=(1000.0,))
    measure_all(make_sessions("a"), IMAGES, options, progress, root=tmp_path)
    assert list(progress.stages) == ["warm up", "measure latency", "measure batch sizes", "keep 1000 fps"]
    assert all(stage.done == stage.total for stage in progress.stages.values() if stage.total)
    assert list(itertools.chain(*(stage.notes for stage in progress.stages.values()))) == []


def test_each_engine_gets_images_of_its_own_size(tmp_path: Path) -> None:
    shapes: dict[str, set[tuple[int, ...]]] = {"small": set(), "large": set()}

    def session(name: str, side: int) -> Session:
        def answer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
            shapes[name].add(batch.shape[1:])
            return np.full((len(batch), CLASSES), 1 / CLASSES, np.float32)

        return fake_session(make_spec(height=side, width=side), answer)[0]

    sessions = {"small": session("small", 4), "large": session("large", 16)}
    images = {name: np.zeros((1, *one.spec.image_shape), np.uint8) for name, one in sessions.items()}
    options = MeasureOptions(seconds=0.05, batches=(2,), paces=(500.0,))
    found = measure_all(sessions, images, options, RecordingProgress(), root=tmp_path)
    assert shapes == {"small": {(4, 4, 1)}, "large": {(16, 16, 1)}}
    assert found.performances["large"].single.ratio is not None
