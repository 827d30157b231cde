"""Questions about a graph."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from export.graph import (
    attribute,
    consumers,
    free_name,
    initializers,
    names_of,
    producers,
    replace_initializer,
)
from tests.export.graphs import normal, parse

BODY = "a, b = Split <axis=1, num_outputs=2> (image) c = Add (a, w) d = Mul (a, a)"
OUTPUTS = "float[n,k,h,w] c, float[n,k,h,w] b"


def test_a_tensor_is_made_by_one_node_and_inputs_and_constants_by_none() -> None:
    graph = parse(BODY, OUTPUTS, w=normal(1)).graph
    made_by = producers(graph)
    assert {name: node.op_type for name, node in made_by.items()} == {
        "a": "Split",
        "b": "Split",
        "c": "Add",
        "d": "Mul",
    }


def test_every_use_of_a_tensor_counts_and_so_does_the_outside() -> None:
    used_by = consumers(parse(BODY, OUTPUTS, w=normal(1)).graph)
    assert [node.op_type for node in used_by["a"]] == ["Add", "Mul", "Mul"]
    assert [node.op_type for node in used_by["b"]] == [""]
    assert [node.op_type for node in used_by["w"]] == ["Add"]
    assert used_by["d"] == []


def test_an_attribute_that_is_not_there_has_its_default() -> None:
    node = parse(BODY, OUTPUTS).graph.node[0]
    assert attribute(node, "axis", 7) == 1
    assert attribute(node, "split", [3]) == [3]


def test_a_constant_is_replaced_in_its_place() -> None:
    graph = parse(BODY, OUTPUTS, v=normal(2), w=normal(1), x=normal(3)).graph
    new = np.array([[1.5, 2.5]], np.float32)
    replace_initializer(graph, "w", new)
    assert [initializer.name for initializer in graph.initializer] == ["v", "w", "x"]
    assert np.array_equal(numpy_helper.to_array(initializers(graph)["w"]), new)
    assert np.array_equal(numpy_helper.to_array(initializers(graph)["v"]), normal(2))


def test_what_a_branch_reads_is_used_and_what_it_makes_is_not() -> None:
    branch = "%s = way () => (float[n,3,6,5] %s) { %s = Add (image, w) }"
    body = f"z = If (yes) <{branch % ('then_branch', 'p', 'p')}, {branch % ('else_branch', 'q', 'q')}>"
    used_by = consumers(parse(body, "float[n,3,6,5] z", yes=np.array(True), w=normal(1)).graph)
    assert [node.op_type for node in used_by["w"]] == ["If", "If"]
    assert not used_by["p"]


def test_a_free_name_is_that_of_no_tensor_and_no_node_and_is_given_once() -> None:
    taken = names_of(parse(f"[node] {BODY}", OUTPUTS, w=normal(1)).graph)
    assert taken >= {"image", "node", "a", "b", "c", "d", "w"}
    assert [free_name(name, taken) for name in ("w", "w", "node", "e", "e")] == ["w_", "w__", "node_", "e", "e_"]
    assert free_name("f", taken | {"f/scale"}, ("/int8", "/scale")) == "f_"
