"""onnxsim in a child process: what it does wrong costs a warning, never the model."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from export import limits
from export import simplify as module
from export.simplify import ONNXSIM, Simplifier, largest_difference, simplify
from tests.export.graphs import answer, in_bytes, normal, op_types, parse

IMAGES = normal(2, 3, 6, 5)
START = "import pathlib, sys, onnx, numpy as np; source, target = sys.stdin.read().split(chr(0)); "
LOAD = START + "model = onnx.load(source); "
SAVE = "; onnx.save(model, target)"
CONSTANT = "model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.float32([{}]), 'w'))"


def foldable() -> onnx.ModelProto:
    """Three nodes, two of which do what one constant does."""
    body = "twice = Add (w, w) more = Mul (image, twice) out = Identity (more)"
    return parse(body, "float[batch,3,6,5] out", w=np.ones(1, np.float32))


def run(code: str) -> tuple[onnx.ModelProto, onnx.ModelProto, str]:
    """The graph given, what became of it with a script for onnxsim, and the warning."""
    model = foldable()
    with Simplifier(code) as simplifier:
        return model, *simplify(model, IMAGES, simplifier)


@pytest.mark.skipif(find_spec("onnxsim") is None, reason="onnxsim is not installed")
def test_onnxsim_folds_constants_and_leaves_the_batch_dynamic() -> None:
    model = foldable()
    before = in_bytes(model)
    with Simplifier() as simplifier:
        simplified, warning = simplify(model, IMAGES, simplifier)
    assert warning == ""
    assert op_types(simplified) == ["Mul"]
    assert simplified.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    for count in (1, 5):
        images = normal(count, 3, 6, 5)
        assert np.array_equal(answer(simplified, images)[0], 2 * images)
    assert in_bytes(model) == before


@pytest.mark.skipif(find_spec("onnxsim") is None, reason="onnxsim is not installed")
def test_onnxsim_does_without_pytorch_and_sympy() -> None:
    _, _, warning = run(ONNXSIM + "sys.exit(str([name for name in ('onnx', 'sympy', 'torch') if sys.modules[name]]))")
    assert warning.startswith("onnxsim ended with 1 (['onnx'])")


def test_what_the_command_wrote_is_taken_where_it_answers_alike() -> None:
    _, simplified, warning = run(LOAD + "model.producer_name = 'shorter'" + SAVE)
    assert warning == ""
    assert simplified.producer_name == "shorter"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('first\\nno such operator')", ["ended with 1", "(no such operator)"]),
        ("import sys; sys.exit(3)", ["ended with 3", "no message"]),
        ("import os; os.abort()", ["ended with -6"]),
        ("", ["wrote no model", "out.onnx"]),
        (START + "pathlib.Path(target).write_bytes(b'garbage')", ["wrote no model"]),
        (START + "pathlib.Path(target).write_bytes(b'')", ["changed the answers by inf"]),
        (LOAD + CONSTANT.format(1.01) + SAVE, ["changed the answers by 0.01"]),
        (LOAD + CONSTANT.format("np.nan") + SAVE, ["changed the answers by nan"]),
        (LOAD + "model.graph.node[1].op_type = 'Nonsense'" + SAVE, ["changed the answers by inf"]),
        (
            LOAD + "model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2" + SAVE,
            ["changed the answers by inf"],
        ),
    ],
)
def test_whatever_goes_wrong_the_original_is_kept_with_a_warning(code: str, words: list[str]) -> None:
    model, simplified, warning = run(code)
    assert simplified is model
    assert in_bytes(model) == in_bytes(foldable())
    assert warning.startswith("onnxsim ") and warning.endswith("the graph was not simplified")
    assert [word for word in words if word not in warning] == []


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.3)
    start = time.perf_counter()
    model, simplified, warning = run("import time; time.sleep(60)")
    assert time.perf_counter() - start < 30
    assert simplified is model
    assert warning == "onnxsim took over 0.3 s: the graph was not simplified"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits another process")
def test_one_that_takes_too_much_memory_ends() -> None:
    _, _, warning = run("import sys; sys.stdin.read(); bytearray(1_000_000_000); bytearray(2_000_000_000)")
    assert "(MemoryError)" in warning


def test_one_that_was_started_for_nothing_is_ended() -> None:
    with pytest.raises(ZeroDivisionError), Simplifier("import time; time.sleep(60)") as simplifier:
        raise ZeroDivisionError
    assert simplifier.process is not None and simplifier.process.returncode == -9


def test_without_onnxsim_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        assert name == "onnxsim"

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(module, "find_spec", nothing)
    monkeypatch.setattr(module.subprocess, "Popen", forbidden)
    model = foldable()
    with Simplifier() as simplifier:
        simplified, warning = simplify(model, IMAGES, simplifier)
    assert simplified is model
    assert warning == "onnxsim is not installed: the graph was not simplified"


def test_the_difference_is_the_worst_of_one_and_of_two_images() -> None:
    def scaled(per_image: str) -> onnx.ModelProto:
        body = f"count = Shape <start=0, end=1> (image) n = Cast <to=1> (count) out = {per_image}"
        return parse(body, "float[batch,3,6,5] out")

    same = parse("out = Identity (image)", "float[batch,3,6,5] out")
    assert largest_difference(same, same, IMAGES) == 0
    # Twice as much where there are two images.
    assert largest_difference(same, scaled("Mul (image, n)"), IMAGES) == 1
    # Nothing where there is one.
    body = "count = Shape <start=0, end=1> (image) n = Cast <to=1> (count) m = Div (n, n) k = Sub (n, m) "
    other = parse(body + "out = Mul (image, k)", "float[batch,3,6,5] out")
    assert largest_difference(same, other, IMAGES) == 1


def test_the_process_sends_no_telemetry_and_imports_nothing_from_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    _, _, warning = run("import os, sys; sys.exit(os.environ['ORT_DISABLE_TELEMETRY'])")
    assert "(1)" in warning
    (tmp_path / "onnxsim.py").write_text("open('it ran', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Simplifier() as simplifier:
        _, warning = simplify(foldable(), IMAGES, simplifier)
    assert warning == ""
    assert [path.name for path in tmp_path.iterdir()] == ["onnxsim.py"]
