"""Gates: what they are made from, how they judge, and the commands that take them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from runtime.manifest import Accuracy, Coverage, GraphError, Latency
from runtime.measure.machine import Watch, describe_machine
from runtime.measure.result import Performance
from runtime.measure.single import WarmUp, describe_single
from runtime.measure.turns import Block
from runtime.race import RaceRow
from runtime.session import open_session
from tests.command import call, require_documented
from toolkit.build_result import BuildResult
from toolkit.figures import BENCH_FIGURES, BUILD_FIGURES, bench_figures, build_figures
from toolkit.gates import Gate, GateResult, judge, parse_gate
from toolkit.results import BenchRow

NAMES = ("top1", "drop_points", "p50_ms")
finite = st.floats(allow_nan=False, allow_infinity=False)
operators = st.sampled_from(["<=", ">="])

FP32 = RaceRow("onnxruntime", "fp32", p50_ms=3.0)
INT8 = RaceRow("openvino", "int8", p50_ms=2.0, chosen=True)
BUILT = BuildResult(
    model="tiny",
    precision="int8",
    target="openvino",
    bundle="out",
    size_bytes=1000,
    accuracy=Accuracy(99.0, 99.5, 0.5, 99.8, 100, "openvino"),
    accuracy_reason="",
    latency_ms=Latency(2.0, 3.0, 4.0),
    latency_reason="",
    latency_batch=1,
    method="minmax",
    reduced_range=False,
    coverage=Coverage(1, 2, 0.75, ()),
    error=GraphError(30.0, 10),
    layers=(),
    race=(RaceRow("openvino", "fp32", p50_ms=5.0), FP32, RaceRow("other", "fp32"), INT8),
    probe_distance=0.0,
    warnings=(),
    seconds=1.0,
    stage_seconds={},
)


class TestParse:
    """A text becomes a gate, or wrong usage that says what would."""

    @given(st.sampled_from(NAMES), operators, finite, st.sampled_from(["", " ", "  "]))
    def test_what_a_gate_says_is_what_it_was_made_from(self, name: str, operator: str, limit: float, gap: str) -> None:
        gate = parse_gate(f"{gap}{name}{gap}{operator}{gap}{limit!r}{gap}", NAMES)
        assert (gate.name, gate.operator, gate.limit) == (name, operator, limit)

    @given(st.sampled_from(NAMES), operators, st.decimals(-1000, 1000, places=3))
    def test_its_text_is_read_back(self, name: str, operator: str, limit: object) -> None:
        gate = parse_gate(f"{name}{operator}{limit}", NAMES)
        assert parse_gate(str(gate), NAMES) == gate

    @given(st.text())
    @example("top1")
    @example("top1<99")
    @example("top1=99")
    @example("top1==99")
    @example("<=99")
    @example("top1<=")
    @example("top1<=>=99")
    @example("top1<=9_9,0")
    def test_anything_else_is_refused_by_name(self, text: str) -> None:
        try:
            gate = parse_gate(text, NAMES)
        except ValueError as error:
            assert text in str(error) or text.strip().partition("<")[0] in str(error)
        else:
            assert gate.name in NAMES and math.isfinite(gate.limit)

    @pytest.mark.parametrize("limit", ["nan", "inf", "-inf", "1e999", "five", "5ms", "0x10"])
    def test_a_limit_that_is_no_number(self, limit: str) -> None:
        with pytest.raises(ValueError, match="not a finite number"):
            parse_gate(f"top1<={limit}", NAMES)

    @pytest.mark.parametrize(
        ("name", "words"), [("p50", "did you mean p50_ms"), ("drop", "drop_points"), ("zzz", "there are top1, drop")]
    )
    def test_a_wrong_name_gets_near_ones(self, name: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            parse_gate(f"{name}<=1", NAMES)


class TestJudge:
    """Figures are held to gates."""

    @given(finite, operators, finite)
    @example(0.0, "<=", -0.0)
    def test_a_gate_passes_exactly_on_its_side(self, value: float, operator: str, limit: float) -> None:
        gate = parse_gate(f"top1{operator}{limit!r}", NAMES)
        (result,) = judge([gate], {"top1": value})
        assert result == GateResult("top1", limit, gate.operator, value, result.passed)
        assert result.passed == ((value <= limit) if operator == "<=" else (value >= limit))

    @given(finite, finite)
    def test_of_two_opposite_gates_both_pass_only_at_the_limit(self, value: float, limit: float) -> None:
        results = judge([Gate("top1", "<=", limit), Gate("top1", ">=", limit)], {"top1": value})
        assert [result.passed for result in results].count(True) == (2 if value == limit else 1)

    @given(finite, operators, finite)
    def test_a_tighter_limit_passes_no_more(self, value: float, operator: str, limit: float) -> None:
        tighter = limit - 1 if operator == "<=" else limit + 1
        narrow, wide = (
            judge([parse_gate(f"top1{operator}{x!r}", NAMES)], {"top1": value})[0] for x in (tighter, limit)
        )
        assert wide.passed or not narrow.passed

    @given(operators, finite, st.sampled_from(["no labels", math.nan, math.inf, -math.inf]))
    def test_what_was_not_measured_misses_every_gate(self, operator: str, limit: float, figure: float | str) -> None:
        (result,) = judge([parse_gate(f"top1{operator}{limit!r}", NAMES)], {"top1": figure})
        assert (result.passed, result.value) == (False, None)
        assert result.value_reason in str(result) and result.value_reason

    def test_results_come_in_the_order_of_the_gates(self) -> None:
        gates = [parse_gate(text, NAMES) for text in ("p50_ms<=5", "top1>=99", "p50_ms>=1")]
        results = judge(gates, {"top1": 98.5, "p50_ms": 2.0})
        assert [str(result) for result in results] == [
            "p50_ms<=5 passed: 2", "top1>=99 missed: 98.5", "p50_ms>=1 passed: 2"
        ]  # fmt: skip


class TestFigures:
    """What gates are held against."""

    def test_those_of_a_build(self) -> None:
        figures = build_figures(BUILT)
        assert tuple(figures) == BUILD_FIGURES
        assert list(figures.values()) == [99.0, 0.5, 99.8, 2.0, 3.0, 4.0, 1.5, 1000, 0.75, 30.0]

    @pytest.mark.parametrize(
        ("changes", "reasons"),
        [
            (
                {"accuracy": None, "accuracy_reason": "no data"},
                {"top1": "no data", "drop_points": "no data", "agreement": "no data"},
            ),
            (
                {"accuracy": Accuracy(None, None, None, 99.0, 3, "openvino")},
                {"top1": "the images have no labels", "drop_points": "the images have no labels"},
            ),
            (
                {"accuracy": Accuracy(99.0, None, None, None, 3, "openvino"), "accuracy_reason": "no FP32 graph"},
                {"drop_points": "no FP32 graph", "agreement": "no FP32 graph"},
            ),
            ({"latency_ms": None, "latency_reason": "elsewhere"}, {"p50_ms": "elsewhere", "speedup": "elsewhere"}),
            ({"error": GraphError(None, 0)}, {"logits_sqnr_db": "an FP32 graph strays from nothing"}),
            ({"race": (INT8,)}, {"speedup": "no FP32 graph was timed beside it"}),
        ],
    )  # fmt: skip
    def test_what_a_build_did_not_measure_has_a_reason(self, changes: dict, reasons: dict[str, str]) -> None:
        figures = build_figures(replace(BUILT, **changes))
        assert {name: str(figures[name]).partition(" (")[0] for name in reasons} == reasons

    def test_those_of_a_bench(self) -> None:
        blocks = {"a": [Block(0, np.full(400, 1_000_000), 0)]}
        timed = Performance(describe_single(blocks, {"a": WarmUp(1, True, 1.0)}, 1)["a"])
        about = (timed, Watch().conditions(), describe_machine())
        first, second = (
            BenchRow(name, "tiny", "fp32", "openvino", 1, 1, Latency(p50, 2.0, 3.0), 1000 / p50, *about)
            for name, p50 in (("a", 0.5), ("b", 1.0))
        )
        assert tuple(bench_figures(first, first)) == BENCH_FIGURES
        assert bench_figures(second, first) == {
            "p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0, "p95_ms": 1.0, "images_per_second": 1000, "time_ratio": 2.0
        }  # fmt: skip


class TestCommands:
    """`--gate` of `bench` and of `build`, in this process."""

    def test_every_bundle_of_a_bench_has_to_pass(
        self, tiny_bundle: Path, tiny_int8_bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        line = f"bench {tiny_bundle} {tiny_int8_bundle} --seconds 0.05 --gate 'p50_ms<=1e6' --gate 'time_ratio<=1e-6'"
        code, out, err = call(f"{line} --json", capsys)
        assert code == 3
        require_documented("bench", out)
        first, second = json.loads(out)
        assert [(gate["name"], gate["passed"]) for gate in first["gates"]] == [("p50_ms", True)]
        assert [(gate["name"], gate["passed"]) for gate in second["gates"]] == [("p50_ms", True), ("time_ratio", False)]
        ratio = second["latency_ms"]["p50"] / first["latency_ms"]["p50"]
        assert second["gates"][1] == {
            "name": "time_ratio", "limit": 1e-6, "operator": "<=", "value": ratio, "passed": False, "value_reason": ""
        }  # fmt: skip
        assert f"gate {tiny_int8_bundle}: time_ratio<=1e-06 missed: " in err

    def test_all_passed_is_0_and_the_table_stays_alone_on_standard_output(
        self, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, err = call(f"bench {tiny_bundle} --seconds 0.05 --gate 'images_per_second>=0.001'", capsys)
        assert code == 0
        assert "images_per_second>=0.001 passed: " in err and "gate" not in out

    def test_a_build_that_misses_a_gate_is_written_all_the_same(
        self,
        tiny_int8_bundle: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        gates = "--gate 'top1>=0' --gate 'size_bytes<=1' --gate 'p50_ms<=1e6' --gate 'speedup>=0.001'"
        code, out, err = call(f"build {tiny_int8_bundle} --target openvino -o out --json {gates}", capsys)
        assert code == 3
        require_documented("build", out)
        result = json.loads(out)
        assert [gate["passed"] for gate in result["gates"]] == [False, False, True, False]
        assert result["gates"][1]["value"] == result["size_bytes"]
        assert "top1>=0 missed: not measured: no evaluation data" in err
        assert "speedup>=0.001 missed: not measured: no FP32 graph was timed beside it" in err
        with open_session("out") as session:
            assert session.spec.name

    def test_a_build_that_passes(
        self, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        code, _, err = call(f"build {tiny_bundle} -o out --gate 'speedup>=0.001' --gate 'macs_share<=0'", capsys)
        assert code == 0, err
        assert "gate macs_share<=0 passed: 0\n" in err

    @pytest.mark.parametrize(
        ("gate", "words"),
        [
            ("p50<=1", "did you mean p50_ms"),
            ("time_ratios<=1", "time_ratio"),
            ("p50_ms<=soon", "not a finite number"),
            ("p50_ms", "needs quotes"),
            ("time_ratio<=1", "name another one"),
        ],
    )
    def test_a_wrong_gate_is_wrong_usage_before_any_work(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], gate: str, words: str
    ) -> None:
        code, out, err = call(f"bench {tmp_path / 'nowhere'} --gate '{gate}'", capsys)
        assert (code, out) == (2, "")
        assert "--gate" in err and words in err and "nowhere" not in err
        if "time_ratio" not in gate:
            code, _, err = call(f"build lenett --gate '{gate}'", capsys)
            assert code == 2 and "lenett" not in err
