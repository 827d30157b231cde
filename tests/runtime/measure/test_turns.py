"""One request after another, and batch sizes: who is called, how often, in which order. No time is asserted."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from runtime.errors import Cancelled
from runtime.latency import MIN_CALLS
from runtime.measure import single, turns
from runtime.measure.offline import ROUNDS, measure_offline, powers_of_two
from runtime.measure.single import WarmUp, describe_single, measure_single, warm_up
from runtime.measure.turns import MOST_CALLS, Block, calls_to_fill, make_work, take_turns, time_block
from runtime.progress import SilentStage
from runtime.session import Session
from runtime.spec import BatchRange
from tests.fakes import Answer, FakeEngine, RecordingProgress, RecordingStage, fake_session, first_pixel_class
from tests.tiny import CLASSES, make_images, make_spec


def noting(log: list[str], name: str, sleep: float = 0.0) -> Session:
    """A session that writes its name down at every call, and takes its time."""
    answer = first_pixel_class(CLASSES)

    def note(batch: np.ndarray) -> np.ndarray:
        log.append(name)
        if sleep:
            time.sleep(sleep)
        return answer(batch)

    made: Answer = note
    return fake_session(make_spec(), made)[0]


def test_the_order_of_turns_rotates_and_a_quarter_does_not_count() -> None:
    log: list[str] = []
    works = {name: make_work(noting(log, name), make_images(1), 1) for name in "abc"}
    stage = RecordingStage(4, None)
    blocks = take_turns(works, {"a": 8, "b": 12, "c": 4}, 4, stage)
    order = "".join(name for name, _ in itertools.groupby(log))
    assert order == "abc" + "bca" + "cab" + "abc"
    assert stage.done == 4
    assert {name: [len(block.times) for block in found] for name, found in blocks.items()} == {
        "a": [6] * 4, "b": [9] * 4, "c": [3] * 4
    }  # fmt: skip
    assert [log.count(name) for name in "abc"] == [32, 48, 16]


def test_what_is_thrown_away_costs_no_cpu_time_either(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = itertools.count()
    log: list[str] = []

    def cpu() -> int:
        log.append("cpu")
        return 500 * next(spent)

    monkeypatch.setattr(turns.time, "process_time_ns", cpu)
    block = time_block(make_work(noting(log, "call"), make_images(1), 1), 8)
    assert log == ["call"] * 2 + ["cpu"] + ["call"] * 6 + ["cpu"]
    assert block.cpu_ns == 500


def test_a_session_that_sleeps_takes_that_long_and_hardly_any_cpu() -> None:
    works = {name: make_work(noting([], name, took), make_images(1), 1) for name, took in (("a", 0.002), ("b", 0.004))}
    blocks, warm_ups = measure_single(works, RecordingProgress(), seconds=0.2, rounds=10)
    found = describe_single(blocks, warm_ups, 1)
    for name, least in (("a", 2), ("b", 4)):
        times = found[name].times
        assert times.p50 >= least and times.max >= times.p50  # how much longer is up to the machine
        assert found[name].cpu_ms < times.mean
        assert times.samples == sum(found[name].histogram.counts) == sum(len(block.times) for block in blocks[name])
        assert len(found[name].rounds) == 10
        at = [turn.at_s for turn in found[name].rounds]
        assert at == sorted(at) and all(turn.p50 <= turn.max for turn in found[name].rounds)
        assert found[name].warm_up_calls == warm_ups[name].calls > 0
    assert found["a"].rounds[0].at_s == 0
    ratio = found["b"].ratio
    assert found["a"].ratio is None and ratio is not None
    assert ratio.value == pytest.approx(found["b"].times.p50 / found["a"].times.p50)


def blocks_of(*rounds: list[int]) -> list[Block]:
    return [Block(10**9 * turn, np.array(times), 7 * len(times)) for turn, times in enumerate(rounds)]


def test_the_values_of_known_turns() -> None:
    blocks = {"a": blocks_of([1_000_000, 3_000_000], [2_000_000] * 2), "b": blocks_of([4_000_000], [6_000_000])}
    found = describe_single(blocks, dict.fromkeys("ab", WarmUp(9, False, 1.0)), batch=3)
    a, b = found["a"], found["b"]
    assert (a.batch, a.warm_up_calls, a.steady, a.ratio) == (3, 9, False, None)
    assert [(turn.at_s, turn.p50, turn.max) for turn in a.rounds] == [(0, 2, 3), (1, 2, 2)]
    assert (a.times.p50, b.times.p50, a.cpu_ms) == (2, 5, 7e-6)
    assert b.ratio is not None and (b.ratio.value, b.ratio.interval) == (2.5, None)


class Scripted:
    """Work whose windows have given medians, by a clock that goes on with them."""

    def __init__(self, medians: list[float]) -> None:
        self.medians = iter(medians)
        self.now, self.calls, self.windows = 0.0, 0, 0

    def times(self, calls: int) -> list[int]:
        median = next(self.medians)
        self.now += calls * median / 1e9
        self.calls += calls
        self.windows += 1
        return [int(median)] * calls


@pytest.mark.parametrize(
    ("medians", "limit", "steady", "windows"),
    [
        ([50e6, 5e6, 3e6, 2e6, 1e6, 1e6, 1e6, 1e6, 9e6], 9.0, True, 8),  # though the first are slow
        ([1e6] * 9, 9.0, True, 5),
        ([1e6, 2e6] * 50, 1.0, False, 17),
    ],
)
def test_warming_up_ends_when_times_are_steady_or_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, medians: list[float], limit: float, steady: bool, windows: int
) -> None:
    work = Scripted(medians)
    monkeypatch.setattr(single.time, "perf_counter", lambda: work.now)
    found = warm_up(work, limit)  # type: ignore[arg-type]
    assert found.steady is steady
    assert (found.calls, windows) == (work.calls, work.windows)
    assert found.mean_ns == medians[windows - 1]


@pytest.mark.parametrize(("median", "calls"), [(0, MOST_CALLS), (1e6, 500), (1e9, MIN_CALLS)])
def test_calls_fill_the_time_within_limits(median: float, calls: int) -> None:
    assert calls_to_fill(0.5, median) == calls


def test_a_request_to_stop_is_heard() -> None:
    works = {"a": make_work(noting([], "a"), make_images(1), 1)}
    with pytest.raises(Cancelled):
        take_turns(works, {"a": 4}, 3, RecordingStage(None, 1))


def test_images_are_taken_again_where_there_are_too_few() -> None:
    images = make_images(3)
    work = make_work(noting([], "a"), images, 5)
    assert np.array_equal(work.images, images[[0, 1, 2, 0, 1]])
    assert work.out.shape == (5, CLASSES) and work.images.flags.c_contiguous


class TestOffline:
    def sessions(self) -> tuple[dict[str, Session], dict[str, FakeEngine]]:
        made = {
            name: fake_session(make_spec(), first_pixel_class(CLASSES), batch)
            for name, batch in (("wide", BatchRange(1, 1, 8)), ("narrow", BatchRange(2, 2, 4)))
        }
        return {name: one for name, (one, _) in made.items()}, {name: engine for name, (_, engine) in made.items()}

    def test_auto_is_every_power_of_two_that_one_of_them_serves(self) -> None:
        assert powers_of_two(self.sessions()[0]) == (1, 2, 4, 8)

    def test_each_engine_gets_the_sizes_that_it_serves(self) -> None:
        sessions, engines = self.sessions()
        progress = RecordingProgress()
        found = measure_offline(
            sessions, dict.fromkeys(sessions, make_images(3)), (1, 4, 8, 64), progress, seconds=0.01
        )
        assert [point.batch for point in found["wide"]] == [1, 4, 8]
        assert [point.batch for point in found["narrow"]] == [4]
        assert {name: set(engine.batches) for name, engine in engines.items()} == {"wide": {1, 4, 8}, "narrow": {4}}
        stage = progress.stages["measure batch sizes"]
        assert stage.notes == [
            "wide serves 1 to 8 images a call: left out 64",
            "narrow serves 2 to 4 images a call: left out 1, 8, 64",
        ]
        assert stage.done == 3 * ROUNDS

    def test_images_a_second_are_those_of_all_that_was_timed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(turns, "time_calls", lambda session, images, out, calls: [2_000_000] * calls)
        sessions, images = {"a": self.sessions()[0]["wide"]}, {"a": make_images(1)}
        found = measure_offline(sessions, images, (8,), RecordingProgress(), seconds=1)
        (point,) = found["a"]
        assert (point.batch, point.p50_ms, point.images_per_second) == (8, 2, 4000)


def test_a_silent_stage_will_do() -> None:
    works = {"a": make_work(noting([], "a"), make_images(1), 1)}
    assert len(take_turns(works, {"a": 4}, 2, SilentStage())["a"]) == 2
