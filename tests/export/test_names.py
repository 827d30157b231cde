"""Names of layers, and nothing of the machine."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.names import name_layers, name_turned_weights, strip_metadata
from tests.export.graphs import in_bytes, normal, parse

PATH = "/home/somebody/secret/model.py"


def graph_of(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    """A graph that need not run; in the names of constants `_` stands for a dot."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name.replace("_", ".")) for name, array in constants.items()],
    )
    return helper.make_model(graph)


def names(model: onnx.ModelProto) -> list[str]:
    return [node.name for node in model.graph.node]


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose", "Gemm", "MatMul"])
def test_a_layer_is_called_by_the_module_of_its_weight(op_type: str) -> None:
    nodes = [helper.make_node(op_type, ["image", "features.0.conv.weight"], ["out"], "node_17")]
    model = graph_of(nodes, features_0_conv_weight=normal(1))
    name_layers(model)
    assert names(model) == ["features.0.conv"]


def test_a_node_without_a_weight_of_its_own_is_called_by_its_output() -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["relu_3"], "node_1"),
        helper.make_node("MatMul", ["relu_3", "image"], ["attention"], "node_2"),
        helper.make_node("MatMul", ["fc.weight", "attention"], ["swapped"], "node_3"),
        helper.make_node("Add", ["swapped", "fc.weight"], ["added"], "node_4"),
        helper.make_node("Conv", ["added", "val"], ["folded"], "node_5"),
        helper.make_node("Gemm", ["folded", "computed.weight"], ["out"], "node_6"),
    ]
    model = graph_of(nodes, fc_weight=normal(1), val=normal(1))
    name_layers(model)
    assert names(model) == ["relu_3", "attention", "swapped", "added", "folded", "out"]


def test_names_are_unique_though_a_weight_is_used_twice_or_a_tensor_has_the_same_name() -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["conv"]),
        helper.make_node("Conv", ["conv", "conv.weight"], ["a"]),
        helper.make_node("Conv", ["a", "conv.weight"], ["conv_2"]),
        helper.make_node("Neg", ["conv_2"], ["out"]),
        helper.make_node("Conv", ["out", "conv.weight"], ["b"]),
    ]
    model = graph_of(nodes, conv_weight=normal(1))
    name_layers(model)
    assert names(model) == ["conv", "conv_2", "conv_3", "out", "conv_4"]


def test_naming_changes_no_tensor() -> None:
    model = parse("a = Relu (image) out = Conv (a, w)", "float[n,k,h,v] out", w=normal(2, 3, 1, 1))
    before = [(list(node.input), list(node.output)) for node in model.graph.node]
    name_layers(model)
    assert [(list(node.input), list(node.output)) for node in model.graph.node] == before


def soil(holder: object) -> None:
    """Write what PyTorch's exporter writes."""
    holder.doc_string = f"from {PATH}"  # type: ignore[attr-defined]
    entry = holder.metadata_props.add()  # type: ignore[attr-defined]
    entry.key, entry.value = "pkg.torch.onnx.stack_trace", f'File "{PATH}", line 7'


def test_no_path_of_a_source_is_left_anywhere() -> None:
    model = parse("a = Relu (image) out = Conv (a, w)", "float[n,k,h,v] out", w=normal(2, 3, 1, 1))
    clean = in_bytes(model)
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, None))
    graph = model.graph
    for holder in (
        model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output
    ):  # fmt: skip
        soil(holder)
    assert in_bytes(model).count(PATH.encode()) == 2 * 8
    strip_metadata(model)
    assert in_bytes(model) == clean


def test_no_path_of_a_source_is_left_in_a_branch() -> None:
    body = """
        out = If (yes) <
            then_branch = then () => (float[n,3,6,5] a) { a = Relu (image) },
            else_branch = other () => (float[n,3,6,5] b) { b = Neg (image) }
        >
    """
    model = parse(body, "float[n,3,6,5] out", yes=np.array(True))
    clean = in_bytes(model)
    for entry in model.graph.node[0].attribute:
        for holder in (entry.g, *entry.g.node, *entry.g.output):
            soil(holder)
    assert PATH.encode() in in_bytes(model)
    strip_metadata(model)
    assert in_bytes(model) == clean


def test_a_turned_weight_gets_the_path_of_its_parameter() -> None:
    """As PyTorch exports two Linears that read three dimensions; the second is tied to a third that keeps its name."""
    first, second = normal(4, 5), normal(5, 4, seed=1)
    model = parse(
        "a = MatMul (image, val_1) b = MatMul (a, val_2) c = MatMul (b, val_3)",
        "float[batch,3,6,4] c", val_1=first.T, val_2=second.T, val_3=normal(5, 4, seed=2),
    )  # fmt: skip
    name_turned_weights(model, {"block.fc1.weight": first, "block.fc2.weight": second, "block.fc2.bias": normal(5)})
    assert [node.input[1] for node in model.graph.node] == ["block.fc1.weight", "block.fc2.weight", "val_3"]
    assert {tensor.name for tensor in model.graph.initializer} == {"block.fc1.weight", "block.fc2.weight", "val_3"}
    name_layers(model)
    assert [node.name for node in model.graph.node] == ["block.fc1", "block.fc2", "c"]


def test_turned_weights_that_are_equal_get_a_path_each() -> None:
    """As nn.TransformerEncoder copies its layer: untrained, the weights of two are equal. The third is nobody's."""
    weight = normal(4, 4)
    model = parse(
        "a = MatMul (image, val_1) b = MatMul (a, val_2) c = MatMul (b, val_3)",
        "float[batch,3,6,4] c", val_1=weight.T, val_2=weight.T, val_3=weight.T,
    )  # fmt: skip
    name_turned_weights(model, {"one.weight": weight, "two.weight": weight})
    assert [node.input[1] for node in model.graph.node] == ["one.weight", "two.weight", "val_3"]


def test_a_branch_reads_a_turned_weight_by_its_new_name() -> None:
    branch = "%s = way () => (float[batch,3,6,4] %s) { %s = MatMul (image, val_1) }"
    body = f"""a = MatMul (image, val_1)
        b = If (yes) <{branch % ("then_branch", "p", "p")}, {branch % ("else_branch", "q", "q")}> c = Add (a, b)"""
    weight = normal(4, 5)
    model = parse(body, "float[batch,3,6,4] c", yes=np.array(True), val_1=weight.T)
    name_turned_weights(model, {"fc.weight": weight})
    onnx.checker.check_model(model, full_check=True)
    assert {tensor.name for tensor in model.graph.initializer} == {"yes", "fc.weight"}
