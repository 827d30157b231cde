from __future__ import annotations

import pytest
from msgspec.structs import replace

from runtime.measure.result import BatchPoint, Interval, Pairing, Ratio, Round
from tests.toolkit.report.samples import four, nothing, unlabelled
from tests.toolkit.report.values import accuracy, engine, performance
from toolkit.gates import GateResult
from toolkit.report.figures import REPORT_FIGURES, report_figures, throughput
from toolkit.report.recommend import pareto_front, recommend
from toolkit.report.result import EngineReport
from toolkit.report.tables import throughput_cell

LABELS = tuple("0123456789")
KEPT = GateResult("p99_ms", 9.0, "<=", 1.0, True)
MISSED = GateResult("p99_ms", 0.5, "<=", 1.0, False)


def timed(name: str, p50: float, top1: float | None = None, pairing: Pairing | None = None) -> EngineReport:
    """An engine whose rounds lie within two percent of its median."""
    answers = None if top1 is None else accuracy(top1, LABELS, 10_000, pairing, 1)
    return engine(name, "int8", "openvino", performance(p50, None, sum(map(ord, name))), answers)


def test_the_fastest_is_taken_and_the_others_are_said_to_be_slower() -> None:
    said = recommend([timed("fp32", 0.4), timed("int8", 0.1), timed("fp16", 0.2)])
    assert said.engine == "int8"
    assert said.text.startswith("Take int8: at 0.1 ms a call (median) it is the fastest.")
    assert "fp16 takes 2" in said.text
    assert "fp32 takes 4" in said.text or "fp32 takes 3.9" in said.text
    assert " to " in said.text


def test_what_is_as_fast_within_noise_is_said_to_be_so_and_accuracy_decides() -> None:
    said = recommend([timed("first", 0.1, 98.0), timed("second", 0.1005, 99.0), timed("slow", 0.3, 99.5)])
    assert said.engine == "second"
    assert "first is as fast within noise" in said.text
    assert "second is right most often" in said.text
    assert "slow takes" in said.text


def test_where_neither_decides_the_smallest_is_taken() -> None:
    small = replace(timed("small", 0.1), size_bytes=1000)
    said = recommend([timed("large", 0.1), small])
    assert said.engine == "small"
    assert "small is the smallest" in said.text


def test_beside_the_engine_named_first_the_interval_is_that_of_the_tables() -> None:
    first = timed("fp32", 0.1)
    slower, faster = (
        with_ratio(timed("int8", p50), low, high) for p50, low, high in ((0.2, 1.6, 2.5), (0.05, 0.4, 0.625))
    )
    for said, name in ((recommend([first, slower]), "int8"), (recommend([first, faster]), "fp32")):
        assert f"{name} takes 2 times as long (1.6 to 2.5)." in said.text


def with_ratio(one: EngineReport, low: float, high: float) -> EngineReport:
    assert one.performance
    single = one.performance.single
    ratio = Ratio(single.times.p50 / 0.1, Interval(low, high), within_noise=False)
    return replace(one, performance=replace(one.performance, single=replace(single, ratio=ratio)))


def test_what_misses_the_budget_is_not_taken() -> None:
    slow, fast = (
        replace(timed(name, p50), gates=(gate,)) for name, p50, gate in (("slow", 0.4, KEPT), ("fast", 0.1, MISSED))
    )
    said = recommend([slow, fast])
    assert said.engine == "slow"
    assert "No other is within the budget" in said.text


def test_where_the_reference_is_left_it_is_said_that_it_need_not_keep_the_budget() -> None:
    reference, missed = timed("fp32", 0.1), replace(timed("int8", 0.4), gates=(MISSED,))
    said = recommend([reference, missed])
    assert said.engine == "fp32"
    assert "No other is within the budget, which it need not keep." in said.text


def test_where_none_keeps_the_budget_the_reasons_are_said() -> None:
    engines = [replace(timed(name, 1.0), gates=(MISSED,)) for name in ("a", "b")]
    said = recommend(engines)
    assert said.engine is None
    assert said.text.startswith("No engine is within the budget. a: p99_ms<=0.5 missed: 1; b:")


def test_what_does_not_run_here_is_passed_over() -> None:
    said = recommend(nothing().engines)
    assert said.engine is None
    assert said.text == "No engine was timed. trt: TensorRT is not installed here."
    both = recommend([*nothing().engines, timed("one", 1.0)])
    assert both.engine == "one"
    assert "the only engine that was timed" in both.text


def test_a_loss_of_accuracy_is_said_with_its_chance() -> None:
    worse = Pairing(98.0, 0.9, Interval(0.6, 1.2), 100, 10, 1e-12)
    said = recommend([timed("int8", 0.1, 98.0, worse)])
    assert "loses 0.90 points of accuracy against the reference, more than chance explains (p = 1e-12)" in said.text
    better = Pairing(98.0, -0.9, Interval(-1.2, -0.6), 10, 100, 1e-12)
    assert "gains 0.90 points" in recommend([timed("int8", 0.1, 98.0, better)]).text
    noise = Pairing(99.9, 0.01, Interval(-0.05, 0.07), 6, 5, 1.0)
    assert "does not differ from the reference's beyond chance" in recommend([timed("int8", 0.1, 98.0, noise)]).text


def test_without_labels_the_agreement_is_said() -> None:
    said = recommend(unlabelled().engines)
    assert "lenet-int8-openvino agrees with the reference on 99.61 % of the images." in said.text


def test_the_front_holds_what_no_other_beats() -> None:
    engines = [timed("fast", 0.1, 98.0), timed("good", 0.4, 99.0), timed("bad", 0.5, 98.5), timed("middle", 0.2, 98.0)]
    assert pareto_front(engines) == ("fast", "good")
    assert pareto_front(unlabelled().engines) != ()


def test_drift_that_all_share_is_no_noise() -> None:
    """Two engines, one always five percent slower, on a machine whose speed doubles and halves."""

    def drifting(name: str, factor: float) -> EngineReport:
        made = timed(name, 0.1 * factor)
        assert made.performance is not None
        rounds = tuple(Round(float(i), 0.1 * factor * (1 + i % 2), 1.0) for i in range(20))
        return replace(
            made, performance=replace(made.performance, single=replace(made.performance.single, rounds=rounds))
        )

    said = recommend([drifting("one", 1.0), drifting("other", 1.05)])
    assert said.engine == "one"
    assert "noise" not in said.text


def test_each_figure_is_there_or_says_why_not() -> None:
    for made in (four(), unlabelled(), nothing()):
        for one in made.engines:
            figures = report_figures(one)
            assert tuple(sorted(figures)) == tuple(sorted(REPORT_FIGURES))
            assert all(value or value == 0 for value in figures.values())


def test_throughput_is_the_best_of_all_batches() -> None:
    made = timed("one", 0.1).performance
    assert made is not None
    assert throughput(made)[1] == 32
    assert throughput(replace(made, batches=()))[1] == 1


def test_the_page_has_the_throughput_that_gates_hold() -> None:
    """Also where one request after another gave more than any batch size of the sweep."""
    made = timed("one", 0.1).performance
    assert made is not None
    slow = replace(made, batches=(BatchPoint(1, 0.5, 2000.0), BatchPoint(2, 1.0, 1900.0)))
    assert throughput(slow) == (pytest.approx(1000 / 0.104), 1)
    assert throughput_cell(slow).text == "9,615"
