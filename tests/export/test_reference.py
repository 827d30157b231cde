"""ONNX Runtime as the reference, for any tensor of a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.reference import open_reference
from tests.export.graphs import in_bytes, normal, parse

IMAGES = normal(2, 3, 6, 5)


def chain() -> onnx.ModelProto:
    body = "less = Sub (image, one) relu = Relu (less) out = Mul (relu, one)"
    return parse(body, "float[batch,3,6,5] out", one=np.ones(1, np.float32))


def test_tensors_inside_the_graph_can_be_asked_for_in_any_order() -> None:
    session = open_reference(chain(), ["relu", "less"])
    assert [output.name for output in session.get_outputs()] == ["relu", "less"]
    relu, less = session.run(None, {"image": IMAGES})
    assert np.array_equal(less, IMAGES - 1)
    assert np.array_equal(relu, np.maximum(IMAGES - 1, 0))


def test_otherwise_a_graph_gives_its_own_outputs() -> None:
    session = open_reference(chain())
    assert [output.name for output in session.get_outputs()] == ["out"]
    assert np.array_equal(session.run(None, {"image": IMAGES})[0], np.maximum(IMAGES - 1, 0))


def test_asking_leaves_the_graph_alone() -> None:
    model = chain()
    before = in_bytes(model)
    open_reference(model, ["less"])
    assert in_bytes(model) == before


def test_a_file_serves_as_well(tmp_path: Path) -> None:
    onnx.save(chain(), tmp_path / "model.onnx")
    session = open_reference(tmp_path / "model.onnx", ["less"])
    assert np.array_equal(session.run(None, {"image": IMAGES})[0], IMAGES - 1)


def test_it_runs_on_the_cpu_with_one_thread_unless_told_otherwise() -> None:
    session = open_reference(chain())
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert session.get_session_options().intra_op_num_threads == 1
    assert open_reference(chain(), threads=2).get_session_options().intra_op_num_threads == 2


def test_a_tensor_that_is_not_there_is_refused() -> None:
    with pytest.raises(Exception, match="nonsense"):
        open_reference(chain(), ["nonsense"])
