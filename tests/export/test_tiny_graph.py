"""The graphs in tests/data are what onnx would write today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.export.tiny_graph import make_graph
from tests.tiny import DATA, PLACEHOLDERS, Precision, make_initializers, write_model


@pytest.mark.parametrize("precision", PLACEHOLDERS)
def test_the_file_is_what_the_script_writes(precision: Precision) -> None:
    assert onnx.load(DATA / f"tiny-{precision}.onnx") == make_graph(precision)


def test_every_file_is_one_that_the_script_writes() -> None:
    assert {path.name for path in DATA.glob("tiny-*.onnx")} == {f"tiny-{precision}.onnx" for precision in PLACEHOLDERS}


@pytest.mark.parametrize("seed", [0, 9])
@pytest.mark.parametrize("precision", PLACEHOLDERS)
def test_weights_replace_the_placeholders_and_nothing_else(tmp_path: Path, precision: Precision, seed: int) -> None:
    write_model(tmp_path / "model.onnx", seed, precision)
    model, template = onnx.load(tmp_path / "model.onnx"), make_graph(precision)
    onnx.checker.check_model(model, full_check=True)
    written = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    expected = make_initializers(seed, precision)
    for entry in template.graph.initializer:
        values = expected.get(entry.name, numpy_helper.to_array(entry))
        np.testing.assert_array_equal(written[entry.name], values, strict=True)
    del model.graph.initializer[:], template.graph.initializer[:]
    assert model == template
