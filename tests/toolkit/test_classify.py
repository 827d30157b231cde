"""`toolkit classify` in bulk: lists, archives, files of answers, copies, and runs that were killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit

DIGITS = sorted((ROOT / "examples" / "digits").glob("*.png"))


def answers(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The likeliest class by image, of what --json printed."""
    return {line["image"]: line["top"][0]["label"] for line in map(json.loads, done.stdout.splitlines())}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "digits.zip", "w") as file:
        for path in DIGITS:
            file.write(path, path.name)
    return tmp_path / "digits.zip"


def test_an_archive_a_folder_and_a_pattern_answer_alike(tiny_int8_bundle: Path, archive: Path, tmp_path: Path) -> None:
    folder = ROOT / "examples" / "digits"
    found = [
        answers(toolkit("classify", tiny_int8_bundle, name, "--json", cwd=tmp_path))
        for name in (archive, folder, folder / "*.png")
    ]
    by_name = [{Path(image).name: label for image, label in one.items()} for one in found]
    assert by_name[0] == by_name[1] == by_name[2] and len(by_name[0]) == len(DIGITS)


def classify_list(bundle: Path, names: Sequence[object], *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Classify what a list on standard input names."""
    command = [*TOOLKIT, "classify", str(bundle), "-", *options]
    text = "".join(f"{name}\n" for name in names)
    return subprocess.run(command, input=text, capture_output=True, text=True, cwd=cwd, env=environment(), timeout=60)


def test_a_list_of_names_comes_from_standard_input(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = classify_list(tiny_int8_bundle, DIGITS, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(answers(done)) == [str(path) for path in DIGITS]


def test_answers_go_to_a_file(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no image")
    done = toolkit("classify", tiny_int8_bundle, *DIGITS, "bad.png", "--top", 2, "-o", "new/out.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert f"new/out.csv: {len(DIGITS) + 1} images" in done.stdout
    assert f"1 of {len(DIGITS) + 1} images could not be read" in done.stdout
    with (tmp_path / "new/out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [*map(str, DIGITS), "bad.png"]
    printed = toolkit("classify", tiny_int8_bundle, *DIGITS, "--top", 2, "--json", cwd=tmp_path)
    for row, line in zip(rows, map(json.loads, printed.stdout.splitlines()), strict=False):
        assert [row["label_1"], row["label_2"]] == [answer["label"] for answer in line["top"]]
    assert rows[-1]["error"] and not rows[-1]["label_1"]


def wait_for(path: Path) -> None:
    """Until a file holds some lines."""
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < 4096:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_is_gone_on_with(tiny_int8_bundle: Path, tmp_path: Path, number: int) -> None:
    names = [os.path.relpath(DIGITS[index % len(DIGITS)], tmp_path) for index in range(500)]
    command = [*TOOLKIT, "classify", str(tiny_int8_bundle), "-", "-o", "out.csv"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(), start_new_session=True
    ) as started:
        assert started.stdin and started.stderr
        started.stdin.write("".join(f"{name}\n" for name in names[:400]).encode())
        started.stdin.flush()
        wait_for(tmp_path / "out.csv.part")
        os.killpg(started.pid, number)
        started.stdin.close()
        assert b"Traceback" not in started.stderr.read()
    assert started.returncode == (130 if number == signal.SIGINT else -number)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv.part"]

    again = classify_list(tiny_int8_bundle, names, "-o", "out.csv", "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "kept of an earlier run: " in again.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [row["image"] for row in csv.DictReader(file)] == names


def test_a_file_that_is_there_is_kept(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    done = toolkit("classify", tiny_int8_bundle, DIGITS[0], "-o", "out.csv", cwd=tmp_path)
    assert_clean_failure(done, "out.csv is there already", "--force")
    assert (tmp_path / "out.csv").read_text() == "mine"
    assert toolkit("classify", tiny_int8_bundle, DIGITS[0], "-o", "out.csv", "--force", cwd=tmp_path).returncode == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--resume"], "--resume is about the file of -o"),
        (["--force"], "--force is about the file of -o"),
        (["-o", "out.csv", "--resume", "--force"], "--resume keeps what --force would drop"),
        (["-"], "- stands alone"),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(
    tiny_int8_bundle: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = toolkit("classify", tiny_int8_bundle, DIGITS[0], *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr


def test_an_unknown_form_is_refused_before_the_work(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("classify", tiny_int8_bundle, DIGITS[0], "-o", "out.xlsx", cwd=tmp_path)
    assert_clean_failure(done, "out.xlsx", ".parquet", code=2)
    assert not list(tmp_path.iterdir())


def test_copies_have_the_answer_under_the_picture(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    for name in ("in/a.png", "b.gif.bmp", "in/c.tif"):
        assert cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "bad.png").touch()
    inputs = ["../" + tmp_path.name + "/b.gif.bmp", "in", "bad.png"]
    done = toolkit("classify", tiny_int8_bundle, *inputs, "--save", "out", cwd=tmp_path)
    assert done.returncode == 1
    saved = {str(path.relative_to(tmp_path / "out")): path for path in (tmp_path / "out").rglob("*.*")}
    assert set(saved) == {f"{tmp_path.name}/b.gif.bmp", "in/a.png", "in/c.tif.png"}
    copy = cv2.imread(str(saved["in/a.png"]))
    assert copy is not None and copy.shape[0] > 200 and copy.shape[1:] == (300, 3)
    np.testing.assert_array_equal(copy[:200], picture)
    assert len(np.unique(copy[200:])) > 2  # something is written there
