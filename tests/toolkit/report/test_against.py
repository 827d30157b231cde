from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from runtime.errors import DataError
from runtime.measure.result import Interval
from tests.toolkit.report.samples import four
from tests.toolkit.report.values import BUSY
from toolkit.report import tables
from toolkit.report.against import compare_reports, read_report, spread
from toolkit.report.result import Against, Change, EngineReport, Report

OLD = Path("old.json")


def with_p50(report: Report, name: str, factor: float, digest: str | None = None) -> Report:
    """The report with one engine's times multiplied."""

    def change(engine: EngineReport) -> EngineReport:
        assert engine.performance is not None
        single = engine.performance.single
        times = single.times
        assert times.p50_interval is not None
        ends = Interval(times.p50_interval.low * factor, times.p50_interval.high * factor)
        times = replace(times, p50=times.p50 * factor, p50_interval=ends)
        performance = replace(engine.performance, single=replace(single, times=times))
        return replace(engine, performance=performance, digest=digest or engine.digest)

    return replace(report, engines=tuple(change(e) if e.name == name else e for e in report.engines))


def verdicts(against: Against, figure: str) -> dict[str, str]:
    return {change.engine: change.verdict for change in against.changes if change.figure == figure}


def test_an_equal_report_has_no_changes() -> None:
    against = compare_reports(OLD, four(), four())
    assert {change.verdict for change in against.changes} == {"same"}
    assert (against.warnings, against.missing) == ((), ())


def test_what_has_no_noise_is_not_said_to_be_the_same_within_it() -> None:
    change = Change("lenet", "size_mib", 0.25, 0.25, None, "same")
    known = replace(change, figure="top1", before=98.0, now=97.9, interval=Interval(-0.3, 0.2))
    unknown = replace(change, figure="millijoules", now=0.3, verdict="unknown")
    table = tables.against(Against(str(OLD), "", (), (change, known, unknown), ()))
    assert table is not None
    assert [[(cell.text, cell.missing) for cell in row[4:]] for row in table.rows] == [
        [("", "noise is not known"), ("unknown: without an interval", "")],
        [("", "it is exact"), ("the same", "")],
        [("-0.3 to 0.2", ""), ("the same within noise", "")],
    ]


def test_what_is_beyond_noise_is_said() -> None:
    now = with_p50(four(), "lenet-int8-openvino", 0.8, "changed")
    now = with_p50(now, "lenet-int8-onnxruntime", 1.3, "changed")
    now = with_p50(now, "lenet-fp32-openvino", 1.01, "changed")
    assert verdicts(compare_reports(OLD, four(), now), "p50_ms") == {
        "lenet-fp32-onnxruntime": "same",
        "lenet-fp32-openvino": "same",
        "lenet-int8-openvino": "better",
        "lenet-int8-onnxruntime": "worse",
    }


def test_a_machine_that_became_slower_is_not_taken_for_engines_that_did() -> None:
    now = four()
    for engine in four().engines:
        now = with_p50(now, engine.name, 1.4, None if engine.precision == "fp32" else "changed")
    against = compare_reports(OLD, four(), now)
    assert set(verdicts(against, "p50_ms").values()) == {"unknown"}
    assert set(verdicts(against, "time_ratio").values()) == {"same"}
    assert any("has not changed, and takes 1.4 times as long" in warning for warning in against.warnings)


def test_without_an_engine_that_stayed_the_same_it_warns() -> None:
    now = four()
    for engine in four().engines:
        now = with_p50(now, engine.name, 1.4, "changed")
    against = compare_reports(OLD, four(), now)
    assert any("no engine is the same in both" in warning for warning in against.warnings)


def test_sizes_are_exact_and_figures_without_intervals_unknown() -> None:
    now = four()
    now = replace(now, engines=tuple(replace(engine, size_bytes=engine.size_bytes + 1) for engine in now.engines))
    assert set(verdicts(compare_reports(OLD, four(), now), "size_mib").values()) == {"worse"}
    slower = with_p50(four(), "lenet-int8-openvino", 0.5)
    assert verdicts(compare_reports(OLD, four(), slower), "cold_start_ms")["lenet-int8-openvino"] == "same"


def test_another_machine_library_data_and_a_busy_machine_are_warned_of() -> None:
    now = four()
    machine = replace(now.machine, cpu="Another", cores=8, packages=now.machine.packages | {"openvino": "2027.0"})
    now = replace(now, machine=machine, data="others", conditions=BUSY)
    text = " | ".join(compare_reports(OLD, four(), now).warnings)
    for part in (
        "another machine",
        "4 cores then, 8 now",
        "openvino 2026.4.1 then, 2027.0 now",
        "other images",
        "not quiet",
    ):
        assert part in text
    assert not verdicts(compare_reports(OLD, four(), now), "top1")


def test_engines_of_one_report_alone_are_named() -> None:
    now = replace(four(), engines=four().engines[1:])
    assert compare_reports(OLD, four(), now).missing == ("lenet-fp32-onnxruntime",)


def test_the_spread_of_a_difference_is_that_of_both() -> None:
    assert spread("top1", Interval(89, 91), Interval(90, 92)) == Interval(1 - 2**0.5, 1 + 2**0.5)
    quotient = spread("p50_ms", Interval(1, 1), Interval(2, 2))
    assert (quotient.low, quotient.high) == pytest.approx((2, 2))


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(msgspec.json.encode(four()))
    assert read_report(file) == four()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", "not a report"),
        (b"[", "not a report"),
        (b"\xff\xfe", "not a report"),
        (b'{"report_version": 99}', "version 99"),
        (b'{"report_version": 1}', "not a report"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_report(file)
    for factor in (0.0, 1e-300, 1e300):
        file.write_bytes(msgspec.json.encode(with_p50(four(), four().engines[0].name, factor)))
        with pytest.raises(DataError, match=r"not a report: p50_ms of .* cannot be .* to "):
            read_report(file)
    for place in (tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="cannot read"):
            read_report(place)
