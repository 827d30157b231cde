"""`toolkit bench` with all that it can measure, on small bundles: without PyTorch and ONNX."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.measure.run import AUTO
from tests.command import call, environment, require_documented, toolkit
from toolkit import measure_options
from toolkit.measure_options import BatchesType


def test_everything_as_json(tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path) -> None:
    options = (
        "--batches 1,2,64 --pace 200 --pace 500 --cold 1 --energy --backend onnxruntime --threads 1 --seconds 0.05"
    )
    done = toolkit("bench", tiny_bundle, tiny_int8_bundle, *options.split(), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["bundle"] for row in rows] == [str(tiny_bundle), str(tiny_int8_bundle)]
    assert rows[0]["conditions"] == rows[1]["conditions"] and rows[0]["machine"] == rows[1]["machine"]
    for row in rows:
        performance = row["performance"]
        times = performance["single"]["times"]
        assert row["latency_ms"]["p50"] == pytest.approx(times["p50"], abs=1e-6)
        assert times["p50_interval"]["low"] <= times["p50"] <= times["p50_interval"]["high"]
        assert times["samples"] == sum(performance["single"]["histogram"]["counts"])
        assert [point["batch"] for point in performance["batches"]] == [1, 2]  # it serves no 64
        assert [pace["fps"] for pace in performance["paced"]] == [200, 500]
        assert performance["cold"]["starts"] == 1
        assert performance["cold"]["start_ms"] > performance["cold"]["load_ms"] > 0
        assert (performance["energy"] is None) is bool(performance["energy_reason"])
        assert row["machine"]["packages"]["onnxruntime"]
    ratio = rows[1]["performance"]["single"]["ratio"]
    assert rows[0]["performance"]["single"]["ratio"] is None
    assert ratio["interval"]["low"] <= ratio["value"] <= ratio["interval"]["high"]


def test_tables_for_people_and_warnings_beside_them(
    tiny_bundle: Path, tiny_int8_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"bench {tiny_bundle} {tiny_int8_bundle} --batches auto --pace 500 --cold 1 --energy --seconds 0.05"
    code, out, err = call(line, capsys)
    assert code == 0, err
    for title in ("batch 1, ", "images/s at batch sizes", "at a camera's pace", "processes of their own, 1 each"):
        assert title in out
    ratio = r"[\d.]+ \([\d.]+ to [\d.]+(, within noise)?\)"
    assert re.search(rf"{tiny_int8_bundle} takes {ratio} of the time of {tiny_bundle}\n\nimages/s", out)
    assert "warning" not in out
    assert "energy, without" in out or "warning: no energy: " in err


def test_alone_it_measures_one_request_after_another(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(f"bench {tiny_bundle} --seconds 0.05", capsys)
    assert code == 0 and "batch 1, " in out
    assert "batch sizes" not in out and "processes" not in out and "energy" not in out + err


def test_a_gate_on_a_percentile_that_few_calls_do_not_support(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.measure.turns.MOST_CALLS", 8)  # of a turn: 120 that count
    code, out, err = call(f"bench {tiny_bundle} --seconds 0.05 --gate 'p95_ms<=1e6' --json", capsys)
    require_documented("bench", out)
    assert code == 3
    assert "p95_ms<=1000000 missed: not measured: too few calls were timed" in err


def test_a_gate_on_a_percentile_that_they_do(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(f"bench {tiny_bundle} --seconds 0.2 --gate 'p95_ms<=1e6'", capsys)
    assert code == 0 and "p95_ms<=1000000 passed: " in err


def test_auto_means_the_same_to_the_option_and_to_the_run() -> None:
    assert BatchesType().convert("auto", None, None) == AUTO == measure_options.AUTO
    assert BatchesType().convert("4,1,4", None, None) == (4, 1)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--batches 1,two", "neither auto nor sizes"),
        ("--batches 0", "neither auto nor sizes"),
        ("--batches ''", "neither auto nor sizes"),
        ("--pace 0", "--pace"),
        ("--pace nan", "finite"),
        ("--cold -1", "--cold"),
    ],
)
def test_wrong_usage_comes_before_any_work(capsys: pytest.CaptureFixture[str], option: str, words: str) -> None:
    code, out, err = call(f"bench nowhere {option}", capsys)
    assert (code, out) == (2, "")
    assert words in err and "no folder" not in err


def test_a_process_that_gives_no_answer_is_a_failure_with_a_reason(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.measure.cold.CODE", "raise SystemExit('no such luck')")
    code, out, err = call(f"bench {tiny_bundle} --cold 1 --seconds 0.05", capsys)
    assert (code, out) == (1, "")
    assert str(tiny_bundle) in err and "exits with 1: no such luck" in err and "leave --cold out" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_process_that_it_started(
    tiny_bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    line = [sys.executable, "-m", "toolkit", "bench", tiny_bundle, "--cold", "1000", "--seconds", "0.05", "--json"]
    process = subprocess.Popen(
        list(map(str, line)), env=environment(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (children := starting(process.pid)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert out == "" and "interrupted" in err and "Traceback" not in err
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def starting(parent: int) -> list[int]:
    """The processes below another one that are a cold start."""
    found, left = [], [parent]
    while left:
        try:
            process = left.pop()
            text = Path(f"/proc/{process}/task/{process}/children").read_text()
            left += map(int, text.split())
            found += [process] if b"runtime.measure.child" in Path(f"/proc/{process}/cmdline").read_bytes() else []
        except OSError:
            continue
    return found
