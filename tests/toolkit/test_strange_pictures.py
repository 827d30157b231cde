"""Pictures with strange names, of strange kinds and damaged ones, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit

GOOD = [
    b"with space.png",
    b"-dash.png",
    b"d\xc3\xb6g \xf0\x9f\x90\x95.png",
    b"not utf-8 \xff\xfe.png",
    b"two\nlines\x1b[31m.png",
]
BAD = [b"pipe.png", b"zero.png", b"loop.png", b"empty.png", b"cut\noff.jpg", b"gone.png"]


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8))[1].tobytes()
    for name in GOOD:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(picture)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "empty.png").touch()
    jpeg = cv2.imencode(".jpg", np.zeros((64, 64), np.uint8))[1].tobytes()
    (folder / "cut\noff.jpg").write_bytes(jpeg[: len(jpeg) * 3 // 4])
    return folder


def classify(bundle: Path, *arguments: bytes | str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [*TOOLKIT, "classify", str(bundle), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, timeout=60)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_json_has_a_line_for_every_picture_good_or_bad(tiny_bundle: Path, strange: Path, whole_folder: bool) -> None:
    names = [b"."] if whole_folder else [*BAD, *GOOD, b"folder.png/"]
    done = classify(tiny_bundle, "--json", "--", *names, cwd=strange)
    assert (done.returncode, done.stderr) == (1, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["image"] for line in lines if "top" in line} == {name.decode(errors="replace") for name in GOOD}
    errors = {line["image"]: line for line in lines if "error" in line}
    assert set(errors) == {name.decode() for name in BAD}
    assert all(name in line["error"] and line["hint"] for name, line in errors.items())
    for name, word in (
        ("pipe.png", "pipe"),
        ("zero.png", "device"),
        ("loop.png", "links"),
        ("cut\noff.jpg", "cut off"),
    ):
        assert word in errors[name]["error"]


def test_the_table_and_the_messages_keep_one_line_for_each_picture(tiny_bundle: Path, strange: Path) -> None:
    done = classify(tiny_bundle, ".", cwd=strange)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in err
    assert out.count(" %") == len(GOOD)
    assert err.count("error: ") == err.count("hint:  ") == len(BAD) == len(err.splitlines()) // 2
    assert "two\\nlines\\x1b[31m.png" in out and "\x1b" not in out + err
    assert "dög 🐕.png" in out
    assert "cut\\noff.jpg" in err
    assert f"{len(BAD)} of {len(BAD) + len(GOOD)} images could not be read" in out


def test_a_directory_named_as_a_picture_stands_for_what_is_in_it(tiny_bundle: Path, strange: Path) -> None:
    assert_clean_failure(toolkit("classify", tiny_bundle, "folder.png", cwd=strange), "no images in folder.png")


def test_a_damaged_calibration_picture_ends_the_build_and_leaves_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "digits")
    path = tmp_path / "digits" / "4-light-on-dark.png"
    path.write_bytes(path.read_bytes()[:100])
    done = toolkit("build", "lenet", "--int8", "--calib-data", "digits", "-o", "out", cwd=tmp_path)
    assert_clean_failure(done, "4-light-on-dark.png", "damaged")
    assert os.listdir(tmp_path) == ["digits"]
