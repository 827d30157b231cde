"""classify, bench, verify and inspect on a real bundle, and on what is none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit

DIGITS = sorted((ROOT / "examples" / "digits").glob("*.png"))


def test_classify_reads_every_example_digit(lenet_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", lenet_bundle, *DIGITS, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["image"] for answer in answers] == [str(path) for path in DIGITS]
    assert [answer["top"][0]["label"] for answer in answers] == [path.name[0] for path in DIGITS]
    assert {answer["refused"] for answer in answers} == {None}


def test_classify_takes_a_folder_and_gives_as_many_classes_as_asked(lenet_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", lenet_bundle, ROOT / "examples" / "digits", "--top", 3, "--json", cwd=tmp_path)
    answers = [json.loads(line)["top"] for line in done.stdout.splitlines()]
    assert len(answers) == len(DIGITS)
    for top in answers:
        probabilities = [answer["probability"] for answer in top]
        assert len(top) == 3
        assert probabilities == sorted(probabilities, reverse=True)


def test_classify_goes_on_after_a_bad_image_and_exits_with_1(lenet_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    done = toolkit("classify", lenet_bundle, DIGITS[0], "empty.png", "gone.png", DIGITS[1], "--json", cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert ["error" in line for line in lines] == [False, True, True, False]
    assert "0 bytes" in lines[1]["error"]


def test_classify_without_json_prints_a_table(lenet_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", lenet_bundle, DIGITS[7], cwd=tmp_path)
    assert DIGITS[7].name in done.stdout
    assert "%" in done.stdout


def test_bench_compares_backends_by_name(lenet_bundle: Path, tmp_path: Path) -> None:
    done = toolkit(
        "bench", lenet_bundle, "--backend", "onnxruntime", "--batch", 3, "--seconds", 0.1, "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert (result["backend"], result["batch"], result["precision"]) == ("onnxruntime", 3, "int8")
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p90"] <= result["latency_ms"]["p99"]


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_verify_holds_on_every_backend(lenet_bundle: Path, tmp_path: Path, backend: str) -> None:
    done = toolkit("verify", lenet_bundle, "--backend", backend, "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert result["ok"]
    assert result["distance"] <= result["limit"]


def test_verify_finds_a_changed_byte(lenet_bundle_copy: Path, tmp_path: Path) -> None:
    probe = lenet_bundle_copy / "probe.npz"
    data = bytearray(probe.read_bytes())
    data[40] ^= 0xFF
    probe.write_bytes(data)
    assert_clean_failure(toolkit("verify", lenet_bundle_copy, cwd=tmp_path), "probe.npz")


def test_inspect_shows_layers_and_files(lenet_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("inspect", lenet_bundle, cwd=tmp_path)
    for word in ("conv1", "117,600", "int8", "model.onnx", "top-1", "openvino"):
        assert word in done.stdout
    manifest = json.loads(toolkit("inspect", lenet_bundle, "--json", cwd=tmp_path).stdout)
    assert manifest["spec"]["labels"] == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("name", ["classify", "bench", "verify", "inspect"])
def test_a_folder_that_is_no_bundle(tmp_path: Path, name: str) -> None:
    extra = [DIGITS[0]] if name == "classify" else []
    assert_clean_failure(toolkit(name, "nowhere", *extra, cwd=tmp_path), "nowhere", "toolkit build")


def test_a_file_name_that_is_no_utf8_is_answered_all_the_same(lenet_bundle: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    (tmp_path / name).write_bytes(DIGITS[3].read_bytes())
    done = toolkit("classify", lenet_bundle, name, os.fsdecode(b"\xfe.png"), DIGITS[4], "--json", cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert ["top" in line for line in lines] == [True, False, True]
    assert lines[0]["image"] == "\ufffd.png"


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
@pytest.mark.parametrize(("name", "option"), [("bench", "--seconds"), ("classify", "--max-megapixels")])
def test_numbers_that_are_none_are_usage_errors(
    lenet_bundle: Path, tmp_path: Path, name: str, option: str, value: str
) -> None:
    done = toolkit(name, lenet_bundle, *([DIGITS[0]] if name == "classify" else []), option, value, cwd=tmp_path)
    assert done.returncode == 2
    assert option in done.stderr


def test_no_space_for_the_output_is_an_error_without_traceback(lenet_bundle: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TOOLKIT, "inspect", str(lenet_bundle), "--json"],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=""),  # empty: buffered, as it is for users
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error_to_speak_of(lenet_bundle: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [*TOOLKIT, "classify", str(lenet_bundle), *map(str, DIGITS), "--json"],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=""),
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "")
