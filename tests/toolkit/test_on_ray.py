"""`toolkit classify --ray` on a local cluster of two workers, which die in the middle: every image exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from runtime.images import read_image
from runtime.session import open_session
from tests.command import ROOT, TOOLKIT, environment, toolkit

DIGITS = sorted((ROOT / "examples" / "digits").glob("*.png"))
COPIES = 60
PATIENCE_S = 120


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Digits over and over, and one file that is no image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for copy in range(COPIES):
        for path in DIGITS:
            (folder / f"{copy:03d}-{path.name}").write_bytes(path.read_bytes())
    (folder / "bad.png").write_text("no image")
    return folder


@contextmanager
def start(*arguments: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run it; whatever goes wrong, nothing of it goes on."""
    command = [*TOOLKIT, "classify", *map(str, arguments), "--ray", "local", "--workers", "2"]
    pipe = subprocess.PIPE
    started = subprocess.Popen(
        command, cwd=cwd, env=environment(), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def workers_of(pid: int) -> list[int]:
    """Ray's processes with a session, started by a process or by those that it has started."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue

    def descends(one: int) -> bool:
        while one in parents:
            one = parents[one]
            if one == pid:
                return True
        return False

    return [one for one, name in names.items() if b"MapBatches(Worker)" in name and descends(one)]


def environ_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def wait_for_answers(folder: Path, started: subprocess.Popen[str]) -> None:
    """Until some are written for good, and not all. Ray writes .pending.parquet files before."""
    end = time.monotonic() + PATIENCE_S
    while not any(".pending." not in path.name for path in folder.glob("out.*.checkpoint/*.parquet")):
        assert started.poll() is None and time.monotonic() < end, started.communicate()
        time.sleep(0.02)


def answers(folder: Path) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return list(parquet.read_table(folder).to_pylist())


def assert_each_once(rows: list[dict[str, Any]], images: Path, bundle: Path) -> None:
    counts = Counter(row["path"] for row in rows)
    assert counts == {str(path): 1 for path in images.iterdir()}
    with open_session(bundle, threads=1) as session:
        expected = {
            path.name: session.spec.label(int(session.run(session.preprocess(read_image(path))[None]).argmax()))
            for path in DIGITS
        }
    for row in rows:
        name = Path(row["path"]).name
        if name == "bad.png":
            assert row["error"] and row["top"] is None
        else:
            assert row["error"] is None and row["top"][0]["label"] == expected[name.partition("-")[2]]


@pytest.mark.slow
def test_a_run_that_is_killed_and_a_worker_that_is_killed_lose_and_double_nothing(
    tiny_int8_bundle: Path, images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    with start(tiny_int8_bundle, images, "-o", "out", cwd=tmp_path) as started:
        wait_for_answers(tmp_path, started)
    before = {path.name for path in (tmp_path / "out").iterdir()}  # one may be half-written
    with start(tiny_int8_bundle, images, "-o", "out", "--resume", cwd=tmp_path) as started:
        end = time.monotonic() + PATIENCE_S
        while len(found := workers_of(started.pid)) < 2:
            assert started.poll() is None and time.monotonic() < end, started.communicate()
            time.sleep(0.02)
        tokens = [
            environ_of(one)["RAY_AUTH_TOKEN"] for one in found
        ]  # without it, whoever reaches Ray may send it work
        assert len(set(tokens)) == 1 and len(tokens[0]) == 64 and environ_of(found[0])["RAY_AUTH_MODE"] == "token"
        os.kill(found[0], signal.SIGKILL)
        out, err = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 1, err  # one image is bad
    assert f"out: {len(DIGITS) * COPIES + 1} images" in out and "1 of" in out
    assert_each_once(answers(tmp_path / "out"), images, tiny_int8_bundle)
    assert before & {path.name for path in (tmp_path / "out").iterdir()}  # not all was done again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out"]

    again = toolkit("classify", tiny_int8_bundle, images, "-o", "out", "--ray", "local", cwd=tmp_path)
    assert again.returncode == 1 and "out is there already" in again.stderr
    again = toolkit("classify", tiny_int8_bundle, images, "-o", "out", "--ray", "local", "--resume", cwd=tmp_path)
    assert again.returncode == 1 and "is complete, or holds answers of another bundle" in again.stderr


@pytest.mark.slow
def test_images_come_from_parquet_files_too(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"name": [path.name for path in DIGITS], "data": [path.read_bytes() for path in DIGITS]})
    parquet.write_table(table, tmp_path / "in.parquet")
    with start(tiny_int8_bundle, "in.parquet", "-o", "out", cwd=tmp_path) as started:
        _, err = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 1 and "in.parquet has no column 'path', but name, data" in err and "--columns" in err
    told = ("in.parquet", "-o", "out", "--top", 2, "--columns", "name,data")
    with start(tiny_int8_bundle, *told, cwd=tmp_path) as started:
        _, err = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 0, err
    rows = answers(tmp_path / "out")
    assert sorted(row["name"] for row in rows) == [path.name for path in DIGITS]
    assert {len(row["top"]) for row in rows} == {2}


@pytest.mark.parametrize(
    ("images", "columns", "words"),
    [
        (["in.parquet"], "error,data", "the column 'error' would be that of an answer too"),
        ([DIGITS[0]], "name,data", "and none are given"),
        (["in.parquet", DIGITS[0]], "path,bytes", "Parquet files and other images"),
    ],
)
def test_columns_that_do_not_fit_are_refused_before_ray_starts(
    tiny_int8_bundle: Path, tmp_path: Path, images: list[object], columns: str, words: str
) -> None:
    pytest.importorskip("ray")
    told = ("-o", "out", "--ray", "local", "--columns", columns)
    done = toolkit("classify", tiny_int8_bundle, *images, *told, cwd=tmp_path)
    assert done.returncode == 1 and words in done.stderr


def test_what_is_not_ours_is_not_removed(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    for option in ("--force", "--resume"):
        done = toolkit("classify", tiny_int8_bundle, *DIGITS, "-o", "out", "--ray", "local", option, cwd=tmp_path)
        assert done.returncode == 1 and "out" in done.stderr
    assert (tmp_path / "out" / "thesis.txt").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--ray", "local"], "name a folder for them with -o"),
        (["--ray", "local", "-o", "out", "--json"], "--json does not go with --ray"),
        (["--ray", "local", "-o", "out", "--save", "copies"], "--save does not go with --ray"),
        (["--workers", "2"], "--workers is about --ray"),
        (["--columns", "a,b"], "--columns is about --ray"),
        (["--ray", "local", "-o", "out", "--columns", "a"], "--columns takes the names of two columns"),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(
    tiny_int8_bundle: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = toolkit("classify", tiny_int8_bundle, DIGITS[0], *arguments, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr
