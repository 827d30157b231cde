"""Whatever is changed in a graph, it opens and answers, or is refused in a line that names its file.

The files come from hypothesis, the same ones each time; they are opened in forked children. A native crash is counted
and its file named: the command makes a message of it (toolkit/supervisor.py). A hang is wrong.
`FUZZ_SECONDS=600 FUZZ_SEED=1 pytest tests/hostile/test_fuzz.py` runs longer; FUZZ_KEEP is a folder for finds.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from export.reference import open_reference
from runtime.errors import ToolkitError
from tests.hostile.mutations import files
from toolkit.foreign.onnx import open_onnx
from toolkit.foreign.spec import Told
from toolkit.guard import guard

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
BATCH = 100 if not SECONDS else 400
LIMIT_S = 30
WRONG = "WRONG"


def generate(count: int, number: int) -> list[bytes]:
    """So many files from a seed."""
    found: list[bytes] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(files())
    def collect(data: bytes) -> None:
        found.append(data)

    collect()
    return found


def judge(path: Path) -> str:
    """What comes of one file; begins with `WRONG` where that is no answer and no message."""
    try:
        with guard(str(path), path.stat().st_size):
            model = open_onnx(path, True, Told())
        images = np.zeros((2, *model.spec.image_shape), "f4").transpose(0, 3, 1, 2)
        session = open_reference(model.graph)
        answers = np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
        return "opened" if answers.shape == (2, model.spec.classes) else f"{WRONG}: answers {answers.shape}"
    except click.UsageError as error:
        return "asks for an option" if error.message.startswith("--") else f"{WRONG}: {error}"
    except ToolkitError as error:
        good = path.name in error.message and len(error.message.splitlines()) == 1 and error.hint
        good = good and "is not understood" not in error.message  # the guard's last resort
        return "refused" if good and len(error.message) < 1500 else f"{WRONG}: {error.message[:300]}"
    except BaseException as error:
        return f"{WRONG}: {type(error).__name__}: {error}"[:400]


def judge_all(data: list[bytes], folder: Path) -> list[str]:
    """In a child that goes on behind what it dies of."""
    results: list[str] = []
    while len(results) < len(data):
        report = folder / "report"
        report.touch()
        child = os.fork()
        if not child:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1), os.dup2(quiet, 2)
            sys.stderr = sys.__stderr__
            with report.open("a", buffering=1) as file:
                for index in range(len(results), len(data)):
                    path = folder / "model.onnx"
                    path.write_bytes(data[index])
                    signal.alarm(LIMIT_S)
                    start = time.monotonic()
                    result = judge(path)
                    rss = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                    if rss > 2_000_000_000:
                        result = f"{WRONG}: took {rss} bytes"
                    slow = time.monotonic() - start
                    print(f"{result} ".replace("\n", "\\n") + (f"({slow:.1f} s)" if slow > 5 else ""), file=file)
                    if rss > 1_500_000_000:
                        os._exit(0)  # the most that this process ever had stands there for good
            os._exit(0)
        _, status = os.waitpid(child, 0)
        lines = report.read_text(errors="replace").splitlines()
        report.unlink()
        results += lines
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGALRM:
            results.append(f"{WRONG}: takes more than {LIMIT_S} s")
        elif code:
            results.append(f"crashed with {signal.Signals(-code).name} (kept)" if code < -1 else f"{WRONG}: {code}")
    return results


def test_a_changed_graph_is_answered_or_refused_in_a_line(tmp_path: Path) -> None:
    end, number, counts, wrong = time.monotonic() + SECONDS, SEED, Counter[str](), list[str]()
    while True:
        data = generate(BATCH, number)
        for index, result in enumerate(judge_all(data, tmp_path)):
            kind = result.split("(")[0].strip() if not result.startswith(WRONG) else WRONG
            counts[kind] += 1
            if kind == WRONG or "(" in result:
                kept = Path(os.environ.get("FUZZ_KEEP", tmp_path)) / f"{number}-{index}.onnx"
                kept.write_bytes(data[index])
                wrong += [f"{kept}: {result}"] if kind == WRONG else []
                print(kept, result, flush=True)
        number += 1
        if time.monotonic() > end:
            break
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    assert min(counts["opened"], counts["refused"]) > 0


@pytest.mark.parametrize(
    ("opens", "words"),
    [
        (lambda *_: os._exit(3), "3"),
        (lambda *_: {}["key"], "is not understood: KeyError"),
        (lambda *_: exec("raise ToolkitError('two\\nlines of model.onnx', 'hint')", globals()), "two"),
        (lambda *_: exec("raise ToolkitError('no file', 'hint')", globals()), "no file"),
    ],
)
def test_what_is_wrong_is_found(
    opens: Callable[..., Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge itself: what opens or is refused well is none of it, anything else is."""
    monkeypatch.setattr(sys.modules[__name__], "open_onnx", opens)
    (result,) = judge_all([b""], tmp_path)
    assert result.startswith(WRONG) and words in result
