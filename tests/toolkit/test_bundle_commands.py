"""classify, bench, verify and inspect on a small bundle, and on what is none: without PyTorch and ONNX."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from runtime.images import read_image
from runtime.session import open_session
from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit
from tests.tiny import LABELS

DIGITS = sorted((ROOT / "examples" / "digits").glob("*.png"))


def test_classify_gives_the_answers_of_the_session_in_order(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", tiny_int8_bundle, *DIGITS, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["image"] for answer in answers] == [str(path) for path in DIGITS]
    with open_session(tiny_int8_bundle, threads=1) as session:
        expected = session.run(np.stack([session.preprocess(read_image(path)) for path in DIGITS])).argmax(axis=1)
        assert [answer["top"][0]["label"] for answer in answers] == [session.spec.label(int(i)) for i in expected]
    assert len(set(expected)) > 1
    assert {answer["refused"] for answer in answers} == {None}


def test_classify_takes_a_folder_and_gives_as_many_classes_as_asked(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", tiny_int8_bundle, ROOT / "examples" / "digits", "--top", 3, "--json", cwd=tmp_path)
    answers = [json.loads(line)["top"] for line in done.stdout.splitlines()]
    assert len(answers) == len(DIGITS)
    for top in answers:
        probabilities = [answer["probability"] for answer in top]
        assert len(top) == 3
        assert probabilities == sorted(probabilities, reverse=True)


def test_classify_goes_on_after_a_bad_image_and_exits_with_1(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    done = toolkit("classify", tiny_int8_bundle, DIGITS[0], "empty.png", "gone.png", DIGITS[1], "--json", cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert ["error" in line for line in lines] == [False, True, True, False]
    assert "0 bytes" in lines[1]["error"]


def test_classify_without_json_prints_a_table(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", tiny_int8_bundle, DIGITS[7], cwd=tmp_path)
    assert DIGITS[7].name in done.stdout
    assert "%" in done.stdout


def test_bench_compares_backends_by_name(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit(
        "bench", tiny_int8_bundle, "--backend", "onnxruntime", "--batch", 3, "--seconds", 0.1, "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert (result["backend"], result["batch"], result["precision"]) == ("onnxruntime", 3, "int8")
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p90"] <= result["latency_ms"]["p99"]


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_verify_holds_on_every_backend(tiny_int8_bundle: Path, tmp_path: Path, backend: str) -> None:
    done = toolkit("verify", tiny_int8_bundle, "--backend", backend, "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert result["ok"]
    assert result["distance"] <= result["limit"]


def test_verify_finds_a_changed_byte(tiny_bundle_copy: Path, tmp_path: Path) -> None:
    probe = tiny_bundle_copy / "probe.npz"
    data = bytearray(probe.read_bytes())
    data[40] ^= 0xFF
    probe.write_bytes(data)
    assert_clean_failure(toolkit("verify", tiny_bundle_copy, cwd=tmp_path), "probe.npz")


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_verify_says_in_json_too_that_a_bundle_cannot_be_opened(
    tiny_bundle_copy: Path, tmp_path: Path, damage: str
) -> None:
    (tiny_bundle_copy / "probe.npz").write_bytes(b"changed")
    bundle = "gone" if damage == "gone" else str(tiny_bundle_copy)
    done = toolkit("verify", bundle, "--json", cwd=tmp_path)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["bundle"], answer["ok"]) == (bundle, False)
    assert answer["error"] in done.stderr and answer["hint"] in done.stderr
    assert set(answer) == {"bundle", "ok", "error", "hint"}


def test_inspect_shows_layers_and_files(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("inspect", tiny_int8_bundle, cwd=tmp_path)
    for word in ("fc", "256", "int8", "model.onnx", "no evaluation data", "openvino"):
        assert word in done.stdout
    manifest = json.loads(toolkit("inspect", tiny_int8_bundle, "--json", cwd=tmp_path).stdout)
    assert manifest["spec"]["labels"] == list(LABELS)


def test_inspect_says_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    assert_clean_failure(
        toolkit("inspect", "net.onnx", cwd=tmp_path), "neither a bundle nor a calibration.json", "summary shows"
    )


def test_bench_says_when_a_batch_takes_several_calls(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("bench", tiny_int8_bundle, "--batch", 64, "--seconds", "0.05", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"serves 1 to \d+ images a call: 64 took \d+ calls", done.stderr), done.stderr


@pytest.mark.parametrize("name", ["classify", "bench", "verify", "inspect"])
def test_a_folder_that_is_no_bundle(tmp_path: Path, name: str) -> None:
    extra = [DIGITS[0]] if name == "classify" else []
    assert_clean_failure(toolkit(name, "nowhere", *extra, cwd=tmp_path), "nowhere", "toolkit build")


def test_a_file_name_that_is_no_utf8_is_answered_all_the_same(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    (tmp_path / name).write_bytes(DIGITS[3].read_bytes())
    done = toolkit("classify", tiny_int8_bundle, name, os.fsdecode(b"\xfe.png"), DIGITS[4], "--json", cwd=tmp_path)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert ["top" in line for line in lines] == [True, False, True]
    assert lines[0]["image"] == "\ufffd.png"


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
@pytest.mark.parametrize(("name", "option"), [("bench", "--seconds"), ("classify", "--max-megapixels")])
def test_numbers_that_are_none_are_usage_errors(
    tiny_int8_bundle: Path, tmp_path: Path, name: str, option: str, value: str
) -> None:
    done = toolkit(name, tiny_int8_bundle, *([DIGITS[0]] if name == "classify" else []), option, value, cwd=tmp_path)
    assert done.returncode == 2
    assert option in done.stderr


def test_no_space_for_the_output_is_an_error_without_traceback(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TOOLKIT, "inspect", str(tiny_int8_bundle), "--json"],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=""),  # empty: buffered, as it is for users
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error_to_speak_of(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(
            [*TOOLKIT, "classify", str(tiny_int8_bundle), *map(str, DIGITS), "--json"],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=""),
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (141, "")
