"""Every hostile model gets a line that says what is wrong and where, within limits of time and memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import zygote
from tests.command import TOOLKIT, assert_clean_failure, environment, toolkit
from tests.hostile.corpus import CASES, Case
from tests.zygote import Done
from toolkit.foreign.onnx import open_onnx
from toolkit.foreign.spec import Told

SECONDS, MEMORY = 30, 2_000_000_000  # what a model may cost that is refused


def files(folder: Path) -> list[str]:
    return sorted(os.path.join(parent, name) for parent, dirs, names in os.walk(folder) for name in (*dirs, *names))


def run(folder: Path, *arguments: str, **extra: str) -> Done:
    """Run a command that is to end within the limits, and to leave nothing but a file that it says it wrote."""
    temporary, cache = folder / "tmp", folder / "cache"
    temporary.mkdir(), cache.mkdir()
    before = files(folder)
    variables = environment(TMPDIR=str(temporary), XDG_CACHE_HOME=str(cache), **extra)
    done = zygote.run(TOOLKIT[-1], arguments, folder / "work", variables)
    assert done.seconds < SECONDS and done.rss < MEMORY, (done.seconds, done.rss, done.err)
    assert "Traceback" not in done.out + done.err
    if done.code:
        assert files(folder) == before
    return done


@pytest.mark.parametrize("case", [case for case in CASES if not case.words], ids=lambda case: case.name)
def test_it_is_a_good_model_after_all(case: Case, tmp_path: Path) -> None:
    case.make(tmp_path)
    assert open_onnx(tmp_path / "model.onnx", True, Told()).spec.classes == 4


@pytest.mark.parametrize("case", [case for case in CASES if case.words], ids=lambda case: case.name)
def test_it_is_refused_in_a_line(case: Case, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    case.make(tmp_path / "work")
    done = run(tmp_path, "export", "model.onnx", "--random-weights", *case.options)
    assert (done.code, done.out) == (1, ""), done
    lines = [line for line in done.err.splitlines() if not line.endswith(" s") and "--output-kind" not in line]
    assert [line[:6] for line in lines] == ["error:", "hint: "], done.err
    assert ("model" in lines[0] or "labels.txt" in lines[0]) and len(done.err) < 2000
    for word in case.words:
        assert word in "\n".join(lines)


@pytest.mark.parametrize("name", ["truncated", "cyclic", "weight_nan"])
def test_the_whole_command_refuses_it(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    case.make(tmp_path)
    done = toolkit("build", "model.onnx", "--int8", "--random-weights", "--json", cwd=tmp_path, fresh=True)
    assert_clean_failure(done, "model.onnx", *case.words)
    assert os.listdir(tmp_path) == ["model.onnx"]
