"""The node is found that ONNX Runtime refuses or dies of."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from export import blame
from export.blame import explained, explained_opening, first_bad, first_crashing, first_refused, nodes_of
from export.reference import open_reference
from tests.hostile.corpus import base
from tests.hostile.corpus.sizes import conv_with


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_the_first_bad_node_is_found(bad: int) -> None:
    model = base()
    found = first_bad(model, lambda part: len(part.graph.node) > bad)
    assert found is not None and found.name == model.graph.node[bad].name
    assert first_bad(model, lambda part: False) is None


def test_a_node_that_onnxruntime_does_not_name_is_named() -> None:
    assert first_refused(base()) is None
    model = conv_with(auto_pad="MAGIC")
    with pytest.raises(Exception, match="AutoPad") as caught:
        open_reference(model)
    assert "Conv_conv" not in str(caught.value)
    assert explained_opening(model, caught.value).startswith("its node 'Conv_conv' (Conv): ")


def test_a_node_that_it_renamed_is_named() -> None:
    nodes = nodes_of(base())
    assert explained(ValueError("Name:'conv_nchwc' fails\nmore"), nodes) == (
        "its node 'Conv_conv' (Conv): Name:'conv_nchwc' fails"
    )
    assert explained(ValueError("Name:'other' fails"), nodes) == "Name:'other' fails"


def test_a_node_that_kills_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(base(), tmp_path / "model.onnx")
    assert first_crashing(tmp_path / "model.onnx") == ""

    def dies(model: onnx.ModelProto) -> object:
        if any(node.op_type == "GlobalAveragePool" for node in model.graph.node):
            os.abort()
        return open_reference(model)

    monkeypatch.setattr(blame, "open_reference", dies)
    assert first_crashing(tmp_path / "model.onnx") == "its node 'GlobalAveragePool_pooled' (GlobalAveragePool)"
