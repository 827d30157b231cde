"""What an honest graph may have: the corpus of hostile ones shows what none may."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from export.validate import require_sound
from tests.hostile.corpus import base
from tests.toolkit.foreign import graphs
from tests.toolkit.foreign.graphs import Maker


@pytest.mark.parametrize("make", [graphs.of_2018, graphs.of_parts, graphs.of_tensorflow, graphs.of_halves, base])
def test_a_sound_graph_is_left_as_it_is(make: object) -> None:
    model = make()  # type: ignore[operator]
    before = model.SerializeToString()
    require_sound(Path("model.onnx"), model)
    assert model.SerializeToString() == before


def test_a_weight_may_be_larger_than_an_activation() -> None:
    """As the first fully connected layer of VGG is."""
    make = Maker()
    make.node("Flatten", ["data"], "flat")
    make.node("MatMul", ["flat", make.weight("w", 1, 1)], "logits")
    model = make.model(["N", 3, 224, 224], {"logits": ["N", None]})
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.dims[:] = [3 * 224 * 224, 1024]
    weight.external_data.add(key="location", value="weights.bin")
    require_sound(Path("model.onnx"), model)
