"""The race: the fastest that keeps its word wins, and everyone else has a reason."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import candidate as candidates_module
from runtime import race as module
from runtime.backend import Availability, EngineFile, EngineOptions
from runtime.candidate import Candidate, Failed, Graph, coverage, enter, enter_all, reach
from runtime.datasets import ArrayDataset
from runtime.errors import BackendError, BackendUnavailableError, SelfCheckError
from runtime.latency import measure
from runtime.manifest import GraphError, Latency, LayerEntry
from runtime.probe import Probe
from runtime.progress import SilentProgress
from runtime.race import pick_winner, require_race, resolve_targets, run_race
from runtime.session import Session
from runtime.spec import BatchRange, ModelSpec, Precision
from tests.fakes import FakeEngine, RecordingProgress, fake_session, first_pixel_class
from tests.tiny import CLASSES, SIDE, make_images, make_spec

CPU_BACKENDS = ("openvino", "onnxruntime")
CONV = LayerEntry("conv", 300, "int8", "int8")
FC = LayerEntry("fc", 100, "int8", "int8")
FLOAT_CONV = LayerEntry("conv", 300, "int8", "fp32", "it runs it in fp32")
NO_ERROR = GraphError(None, 0)
FLOAT_FC = LayerEntry("fc", 100, "int8", "fp32", "it runs it in fp32")


def probes(limit: float = 10.0) -> dict[Precision, tuple[Probe, float]]:
    """For both precisions, what a fake without a shift answers; the usual limit lets every fake pass."""
    images = labelled().images[..., None]
    answers = first_pixel_class(CLASSES)(images)
    return {"fp32": (Probe(images, answers, answers), limit), "int8": (Probe(images, answers, answers), limit)}


def candidate(
    target: str,
    precision: Precision = "int8",
    layers: tuple[LayerEntry, ...] = (CONV, FC),
    *,
    shift: int = 0,
    path: Path = Path(__file__),
) -> Candidate:
    session, _ = fake_session(make_spec(), first_pixel_class(CLASSES, shift))
    executed = {layer.name: layer.reached for layer in layers}
    return Candidate(precision, target, "1.0", EngineFile(path, {}, executed), session, layers, NO_ERROR)


def pick(*candidates: Candidate, **p50: float) -> Candidate:
    return pick_winner(candidates, {one.key: one.reason_against for one in candidates}, times(**p50))


def times(**p50: float) -> dict[str, Latency]:
    """Latencies by key, with an underscore for the space."""
    return {name.replace("_", " "): Latency(value, value * 2, value * 3) for name, value in p50.items()}


class FakeBackend:
    """A backend whose engines are fakes, and which executes what it is told to."""

    def __init__(self, executed: Mapping[str, str] | None, elsewhere: str = "") -> None:
        self.executed, self.elsewhere = executed, elsewhere
        self.engines: list[FakeEngine] = []
        self.seen: list[EngineOptions] = []

    def available(self) -> Availability:
        return Availability(not self.elsewhere, "9.1", "fake", reason=self.elsewhere, builds=bool(self.elsewhere))

    def why_not_here(self, engine_file: EngineFile, options: EngineOptions) -> str:
        return self.elsewhere

    def compile(self, onnx_path: Path, out_dir: Path, spec: ModelSpec, options: EngineOptions, progress: Any) -> Any:
        self.seen.append(options)
        return EngineFile(onnx_path, {}, self.executed)

    def load(self, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions) -> FakeEngine:
        self.engines.append(FakeEngine(first_pixel_class(CLASSES)))
        return self.engines[-1]


@pytest.fixture
def fake_backends(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeBackend]:
    backends = {"quick": FakeBackend({"conv": "int8", "fc": "fp32"}), "silent": FakeBackend(None)}
    monkeypatch.setattr(candidates_module, "require_backend", lambda name, **_: backends[name])
    monkeypatch.setattr(candidates_module, "get_backend", lambda name: backends[name])
    return backends


def test_coverage_sums_up_what_is_executed() -> None:
    whole = coverage((CONV, FC))
    assert (whole.quantized, whole.quantizable, whole.macs_share, whole.skipped) == (2, 2, 1.0, ())
    part = coverage((CONV, FLOAT_FC))
    assert (part.quantized, part.quantizable, part.macs_share) == (1, 2, 0.75)
    assert part.skipped == ({"layer": "fc", "reason": "it runs it in fp32"},)
    none = coverage(())
    assert (none.quantized, none.quantizable, none.macs_share) == (0, 0, 0.0)
    unknown = coverage((LayerEntry("fc", 100, "int8", "unknown", "it does not tell"),))
    assert (unknown.quantized, unknown.macs_share, len(unknown.skipped)) == (0, 0.0, 1)


@pytest.mark.parametrize(
    "asked, reason, executed, reached, reason_then",
    [
        ("int8", "", {"fc": "int8"}, "int8", ""),
        ("int8", "", {"fc": "fp32"}, "fp32", "it runs it in fp32"),
        ("int8", "", {"other": "int8"}, "unknown", "it does not tell"),
        ("int8", "", None, "unknown", "it does not tell"),
        ("fp32", "left in float by --skip", {"fc": "fp32"}, "fp32", "left in float by --skip"),
        ("fp32", "", {"fc": "fp32"}, "fp32", ""),
    ],
)
def test_a_layer_says_what_it_is_executed_in_and_why_that_is_not_what_was_asked(
    asked: str, reason: str, executed: Mapping[str, str] | None, reached: str, reason_then: str
) -> None:
    layer = reach(LayerEntry("fc", 100, asked, "", reason), executed, "it")
    assert (layer.asked, layer.reached, layer.reason) == (asked, reached, reason_then)


def test_the_fastest_wins_by_its_median() -> None:
    slow, fast = candidate("slow"), candidate("fast")
    assert pick(slow, fast, int8_slow=2, int8_fast=1) is fast
    assert pick(fast, slow, int8_slow=2, int8_fast=1) is fast


def test_one_that_runs_no_layer_in_int8_cannot_win_however_fast() -> None:
    honest, empty = candidate("honest", layers=(CONV, FLOAT_FC)), candidate("empty", layers=(FLOAT_CONV, FLOAT_FC))
    assert empty.reason_against == "it runs nothing of this graph in INT8"
    assert honest.reason_against == ""
    assert pick(empty, honest, int8_empty=1, int8_honest=50) is honest


def test_where_none_keeps_its_word_the_fastest_is_taken_since_it_was_asked_for() -> None:
    one, two = (candidate(name, layers=(FLOAT_CONV,)) for name in ("one", "two"))
    assert pick(one, two, int8_one=2, int8_two=1) is two


def test_where_none_does_all_that_was_asked_the_one_that_does_most_is_taken() -> None:
    half, none = (candidate(n, "int8-fp16", ly) for n, ly in (("half", (CONV,)), ("none", (FLOAT_CONV,))))
    assert half.reason_against == "it runs nothing of this graph in float16"
    assert none.reason_against == "it runs nothing of this graph in INT8 or float16"
    assert pick(half, none, **{"int8-fp16_half": 9, "int8-fp16_none": 1}) is half


@pytest.mark.parametrize(
    ("precision", "executed", "missing"),
    [
        ("fp16", {"conv": "fp16", "fc": "fp32"}, ()),
        ("fp16", {"conv": "fp32", "fc": "fp32"}, ("fp16",)),
        ("fp16", {"conv": "bf16", "fc": "bf16"}, ("fp16",)),
        ("int8-fp16", {"conv": "int8", "fc": "int8", "tanh": "fp16"}, ()),
        ("int8-fp16", {"conv": "int8", "fc": "int8", "tanh": "fp32"}, ("fp16",)),
        ("int8", {"conv": "fp32", "fc": "fp32", "pool": "int8"}, ("int8",)),
        ("int8", None, ()),
        ("int8", {"conv": "unknown", "fc": "fp32"}, ()),
    ],
)
def test_what_is_missing_is_judged_by_what_is_executed(
    precision: Precision, executed: dict[str, str] | None, missing: tuple[str, ...]
) -> None:
    session, _ = fake_session(make_spec(), first_pixel_class(CLASSES))
    layers = tuple(reach(LayerEntry(name, 1, "", ""), executed, "it") for name in ("conv", "fc"))
    one = Candidate(precision, "it", "1", EngineFile(Path(__file__), {}, executed), session, layers, NO_ERROR)
    assert one.missing == missing


def test_float_candidates_have_nothing_against_them() -> None:
    assert candidate("x", "fp32", (FLOAT_CONV,)).reason_against == ""
    assert candidate("x", "int8", ()).reason_against == ""


def test_a_race_without_candidates_is_an_error_with_a_hint() -> None:
    with pytest.raises(BackendError) as caught:
        run_race([], "int8", {}, make_images(1), None, None, SilentProgress())
    assert "pip install" in caught.value.hint
    with pytest.raises(BackendError, match="too new"):
        run_race([Failed("int8", "one", "too new")], "int8", {}, make_images(1), None, None, SilentProgress())


def racers(tmp_path: Path) -> list[Candidate]:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"x" * 1234)
    return [
        candidate("one", "fp32", (FLOAT_CONV,), path=model),
        candidate("two", "fp32", (FLOAT_CONV,), path=model),
        candidate("one", "int8", (FLOAT_CONV, FLOAT_FC), path=model),
        candidate("two", "int8", (CONV, FLOAT_FC), shift=1, path=model),
    ]


def labelled(count: int = 8) -> ArrayDataset:
    classes = np.arange(count) % CLASSES
    images = np.repeat(classes.astype(np.uint8), SIDE * SIDE).reshape(count, SIDE, SIDE)
    return ArrayDataset("set", images, classes.astype(np.int64))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed latencies in place of measured ones; the references and the one that cannot win are the fastest."""
    values = times(fp32_one=0.5, fp32_two=0.6, int8_one=1, int8_two=2)
    monkeypatch.setattr(module, "measure", lambda sessions, images, progress: {key: values[key] for key in sessions})


@pytest.mark.usefixtures("measured")
def test_a_race_has_a_row_for_everyone_and_one_winner_at_the_precision_asked_for(tmp_path: Path) -> None:
    candidates = racers(tmp_path)
    result = run_race(candidates, "int8", probes(), make_images(1), None, labelled(), RecordingProgress())
    assert result.winner is candidates[3]
    assert [(row.precision, row.target, row.chosen) for row in result.rows] == [
        ("fp32", "one", False),
        ("fp32", "two", False),
        ("int8", "one", False),
        ("int8", "two", True),
    ]
    assert result.rows[2].reason_against == "it runs nothing of this graph in INT8"
    assert [row.p50_ms for row in result.rows] == [0.5, 0.6, 1, 2]
    assert [(row.quantized, row.quantizable) for row in result.rows] == [(0, 1), (0, 1), (0, 2), (1, 2)]
    assert {row.size_bytes for row in result.rows} == {1234}
    assert result.latency == Latency(2, 4, 6)
    # The winner's fake engine puts every image into the class after the right one.
    assert result.accuracy is not None
    assert (result.accuracy.top1, result.accuracy.top1_fp32, result.accuracy.agreement) == (0, 100, 0)
    assert (result.accuracy.drop_points, result.accuracy.measured_with) == (100, "two")
    assert [row.top1 for row in result.rows] == [100, 100, 100, 0]


@pytest.mark.usefixtures("measured")
def test_the_reference_of_a_candidate_is_the_float_graph_on_the_same_target(tmp_path: Path) -> None:
    candidates = racers(tmp_path)
    for index, shift in ((0, 2), (1, 1)):
        candidates[index].session._engine.answer = first_pixel_class(CLASSES, shift)  # type: ignore[union-attr]
    rows = run_race(candidates, "int8", probes(), make_images(1), None, labelled(), RecordingProgress()).rows
    assert [row.agreement for row in rows] == [100, 100, 0, 100]


@pytest.mark.usefixtures("measured")
def test_an_engine_that_answers_wrongly_is_shown_and_cannot_win(tmp_path: Path) -> None:
    candidates = racers(tmp_path)
    result = run_race(candidates, "int8", probes(0.1), make_images(1), None, None, RecordingProgress())
    assert result.winner is candidates[2]  # though it runs nothing in INT8: the other one is wrong
    assert result.check.ok
    assert "it does not answer its probe as it should" in result.rows[3].reason_against
    with pytest.raises(SelfCheckError, match="int8 on two"):
        run_race(candidates[3:], "int8", probes(0.1), make_images(1), None, None, RecordingProgress())


@pytest.mark.usefixtures("measured")
def test_without_images_nothing_is_said_of_accuracy(tmp_path: Path) -> None:
    result = run_race(racers(tmp_path), "int8", probes(), make_images(1), None, None, RecordingProgress())
    assert result.accuracy is None
    assert {(row.top1, row.drop_points, row.agreement) for row in result.rows} == {(None, None, None)}


def test_a_race_measures_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measure", partial(measure, seconds=1e-3))
    result = run_race(racers(tmp_path), "fp32", probes(), make_images(1), None, labelled(), SilentProgress())
    assert result.winner.precision == "fp32"
    assert sum(row.chosen for row in result.rows) == 1
    for row in result.rows:
        assert 0 < (row.p50_ms or 0) <= (row.p90_ms or 0) <= (row.p99_ms or 0)


class TestPrecisions:
    """No precision was asked for: the fastest that keeps FP32's accuracy on held-out images."""

    def race(self, tmp_path: Path, held_out: ArrayDataset, *, worse: bool) -> Any:
        model = tmp_path / "model.onnx"
        model.write_bytes(b"x")
        candidates = [
            candidate("one", "fp32", (FLOAT_CONV,), path=model),
            candidate("two", "fp32", (FLOAT_CONV,), path=model),
            candidate("one", "int8", path=model, shift=int(worse)),
            Failed("int8", "two", "it is too new"),
        ]
        return run_race(candidates, None, probes(), make_images(1), held_out, labelled(), RecordingProgress())

    @pytest.fixture(autouse=True)
    def latencies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = times(fp32_one=2, fp32_two=3, int8_one=1)
        monkeypatch.setattr(module, "measure", lambda sessions, *_: {key: values[key] for key in sessions})

    def test_the_fastest_wins_where_it_loses_nothing(self, tmp_path: Path) -> None:
        assert self.race(tmp_path, labelled(200), worse=False).winner.key == "int8 one"

    def test_one_that_loses_points_is_shown_with_its_loss_and_cannot_win(self, tmp_path: Path) -> None:
        result = self.race(tmp_path, labelled(200), worse=True)
        assert result.winner.key == "fp32 one"
        assert result.rows[2].reason_against == "it loses 100.00 points on 200 held-out calibration images, over 0.1"
        assert result.rows[2].top1 == 0

    def test_without_labels_agreement_judges(self, tmp_path: Path) -> None:
        unlabelled = ArrayDataset("set", labelled(200).images, None)
        result = self.race(tmp_path, unlabelled, worse=True)
        assert result.winner.key == "fp32 one"
        assert "agrees with FP32 on 0.00 % on 200 held-out" in result.rows[2].reason_against
        assert self.race(tmp_path, unlabelled, worse=False).winner.key == "int8 one"

    def test_what_failed_is_shown_with_its_reason(self, tmp_path: Path) -> None:
        failed = self.race(tmp_path, labelled(200), worse=False).rows[3]
        assert (failed.target, failed.precision, failed.reason_against) == ("two", "int8", "it is too new")
        assert (failed.p50_ms, failed.size_bytes, failed.top1, failed.chosen) == (None, None, None, False)

    def test_too_few_images_judge_nothing(self, tmp_path: Path) -> None:
        result = self.race(tmp_path, labelled(99), worse=False)
        assert result.winner.key == "fp32 one"
        assert result.rows[2].reason_against == "it was not asked for, and 99 held-out images are too few to judge it"
        assert [row.reason_against for row in result.rows[:2]] == ["", ""]

    def test_without_fp32_on_a_target_nothing_is_judged_there(self, tmp_path: Path) -> None:
        model = tmp_path / "model.onnx"
        model.write_bytes(b"x")
        entries = [Failed("fp32", "one", "no"), candidate("two", "fp32", path=model), candidate("one", path=model)]
        result = run_race(entries, None, probes(), make_images(1), labelled(200), None, RecordingProgress())
        assert result.winner.key == "fp32 two"
        assert "no FP32 on this target" in result.rows[2].reason_against


def test_entering_compiles_loads_and_fills_in_what_was_reached(
    tmp_path: Path, fake_backends: dict[str, FakeBackend]
) -> None:
    layers = (LayerEntry("conv", 300, "int8", ""), LayerEntry("fc", 100, "int8", ""))
    options = EngineOptions(precision="int8", batch=BatchRange(2, 2, 4))
    graph = Graph(tmp_path / "m.onnx", layers, GraphError(40.0, 8))
    entered = enter("quick", "int8", graph, tmp_path, make_spec(), options, SilentProgress())
    assert entered.error == GraphError(40.0, 8)
    assert (entered.key, entered.backend_version) == ("int8 quick", "9.1")
    assert entered.session.batch == BatchRange(2, 2, 4)
    assert [(layer.reached, layer.reason) for layer in entered.layers] == [
        ("int8", ""),
        ("fp32", "quick runs it in fp32"),
    ]
    silent = enter("silent", "int8", graph, tmp_path, make_spec(), options, SilentProgress())
    assert {(layer.reached, layer.reason) for layer in silent.layers} == {("unknown", "silent does not tell")}


@pytest.mark.parametrize("fails", [False, True])
def test_every_graph_enters_on_every_target_and_all_sessions_are_closed(
    tmp_path: Path, fake_backends: dict[str, FakeBackend], fails: bool
) -> None:
    graphs: dict[Precision, Graph] = {
        "fp32": Graph(tmp_path / "a.onnx", (), NO_ERROR),
        "int8": Graph(tmp_path / "b.onnx", (CONV,), NO_ERROR),
    }
    progress = RecordingProgress()
    spec = make_spec()
    try:
        with enter_all(["quick", "silent"], graphs, None, tmp_path, spec, EngineOptions(), progress) as entered:
            candidates = [one for one in entered if isinstance(one, Candidate)]
            assert [one.key for one in candidates] == ["fp32 quick", "fp32 silent", "int8 quick", "int8 silent"]
            assert all(isinstance(one.session, Session) for one in candidates)
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    for backend in fake_backends.values():
        assert [options.precision for options in backend.seen] == ["fp32", "int8"]
        assert [engine.closed for engine in backend.engines] == [1, 1]
    assert (progress.stages["compile"].total, progress.stages["compile"].done) == (4, 4)


def test_what_cannot_run_here_is_measured_by_the_reference_but_for_its_time(
    tmp_path: Path, fake_backends: dict[str, FakeBackend]
) -> None:
    fake_backends["far"] = FakeBackend({"conv": "int8"}, "no such GPU")
    fake_backends["onnxruntime"] = FakeBackend({"conv": "fp32"})
    for name in "ab":
        (tmp_path / f"{name}.onnx").write_bytes(b"four")
    graphs: dict[Precision, Graph] = {
        "fp32": Graph(tmp_path / "a.onnx", (CONV,), NO_ERROR),
        "int8": Graph(tmp_path / "b.onnx", (CONV,), NO_ERROR),
    }
    progress, images = RecordingProgress(), labelled().images[..., None]
    with enter_all(["far"], graphs, "int8", tmp_path, make_spec(), EngineOptions(), progress) as entered:
        race = run_race(entered, "int8", probes(), images[:1], None, labelled(), progress)
    assert [(row.precision, row.target) for row in race.rows] == [("fp32", "onnxruntime"), ("int8", "far")]
    assert (race.winner.target, race.winner.cannot_run, race.latency, race.check) == ("far", "no such GPU", None, None)
    assert race.rows[0].p50_ms is not None and race.rows[1].p50_ms is None and race.rows[1].size_bytes == 4
    assert race.accuracy is not None
    assert (race.accuracy.measured_with, race.accuracy.agreement) == ("onnxruntime, same graph", 100)
    assert [options.precision for options in fake_backends["far"].seen] == ["int8"]


def test_precisions_cannot_race_where_nothing_can_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = {"far": FakeBackend(None, "no such GPU"), "near": FakeBackend(None)}
    monkeypatch.setattr(module, "get_backend", backends.__getitem__)
    require_race(["near"], None)
    require_race(["far"], "int8")
    with pytest.raises(BackendUnavailableError, match="far does not run here, so precisions cannot race"):
        require_race(["near", "far"], None)


def broken(*_: object) -> EngineFile:
    raise BackendError("no", "hint")


def test_one_of_several_targets_that_fails_is_shown_and_the_others_go_on(
    tmp_path: Path, fake_backends: dict[str, FakeBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_backends["silent"], "compile", broken)
    graphs: dict[Precision, Graph] = {"fp32": Graph(tmp_path / "a.onnx", (), NO_ERROR)}
    progress = RecordingProgress()
    with enter_all(["quick", "silent"], graphs, None, tmp_path, make_spec(), EngineOptions(), progress) as entered:
        assert entered[1] == Failed("fp32", "silent", "no")
        assert progress.stages["compile"].notes == ["fp32 on silent failed: no"]
    assert [engine.closed for engine in fake_backends["quick"].engines] == [1]


def test_the_only_target_that_fails_is_an_error_and_closes_what_was_opened(
    tmp_path: Path, fake_backends: dict[str, FakeBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, calls = fake_backends["quick"], iter([quick_file := EngineFile(tmp_path / "a.onnx", {}, None)])
    monkeypatch.setattr(quick, "compile", lambda *_: next(calls, None) or broken())
    graphs: dict[Precision, Graph] = {
        "fp32": Graph(quick_file.path, (), NO_ERROR),
        "int8": Graph(quick_file.path, (), NO_ERROR),
    }
    with (
        pytest.raises(BackendError, match="no"),
        enter_all(["quick"], graphs, None, tmp_path, make_spec(), EngineOptions(), SilentProgress()),
    ):
        pass
    assert [engine.closed for engine in quick.engines] == [1]


def test_auto_stands_for_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed_backends", lambda: ["onnxruntime", "openvino"])
    assert resolve_targets("auto") == ["onnxruntime", "openvino"]
    monkeypatch.setattr(module, "installed_backends", list)
    with pytest.raises(BackendUnavailableError) as caught:
        resolve_targets("auto")
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize("target", ["auto", "openvino", "onnxruntime"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(target: str) -> None:
    assert resolve_targets("auto", "CPU") == list(CPU_BACKENDS)
    with pytest.raises(BackendError, match="no device 'TPU'") as caught:
        resolve_targets(target, "TPU")
    assert "has CPU" in caught.value.hint


def test_a_target_by_name_must_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="nonsense"):
        resolve_targets("nonsense")
    for name in CPU_BACKENDS:
        with monkeypatch.context() as patch:
            patch.setattr("runtime.backend.find_spec", lambda package: None)
            with pytest.raises(BackendUnavailableError):
                resolve_targets(name)
