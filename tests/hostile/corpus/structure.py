"""Graphs that are none: cycles, types, ends, operators and domains."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from tests.hostile.corpus.case import Model, base, before_the_end, graph, with_constants


@graph("no nodes or no outputs")
def no_outputs() -> Model:
    model = base()
    del model.graph.output[:]
    return model


@graph("2 inputs (data, other)")
def two_inputs() -> Model:
    model = base()
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    return model


@graph("Conv_conv", "(Conv)", "'data'", "nothing makes")
def no_inputs() -> Model:
    model = base()
    del model.graph.input[:]
    return model


@graph("2 outputs", "--output-name")
def two_outputs() -> Model:
    model = base()
    model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, None))
    return model


@graph("Conv_conv", "(Conv)", "makes 'conv', as does")
def same_output_twice() -> Model:
    model = base()
    model.graph.node.append(model.graph.node[0])
    return model


@graph("makes 'data', as does an input")
def makes_its_input() -> Model:
    model = base()
    model.graph.node.append(helper.make_node("Relu", ["conv"], ["data"], "again"))
    return model


@graph("'conv_w'", "twice", "Conv_conv")
def same_weight_twice() -> Model:
    model = base()
    model.graph.initializer.append(model.graph.initializer[0])
    return model


@graph("its output 'nothing' is made by nothing")
def output_of_nothing() -> Model:
    model = base()
    model.graph.output[0].name = "nothing"
    return model


@graph("Flatten_logits", "(Flatten)", "'absent'")
def input_of_nothing() -> Model:
    model = base()
    model.graph.node[2].input[0] = "absent"
    return model


@graph()
def not_sorted() -> Model:
    model = base()
    nodes = [*model.graph.node][::-1]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


@graph("(Add)", "needs its own output")
def cyclic() -> Model:
    model = base()
    model.graph.node.insert(2, helper.make_node("Add", ["pooled", "other"], ["some"], "one"))
    model.graph.node.insert(3, helper.make_node("Add", ["pooled", "some"], ["other"], "two"))
    model.graph.node[4].input[0] = "some"
    return model


@graph("'own' (Add)", "its own output")
def reads_itself() -> Model:
    model = base()
    model.graph.node.insert(2, helper.make_node("Add", ["pooled", "x"], ["x"], "own"))
    model.graph.node[3].input[0] = "x"
    return model


@graph("Magic_bad", "(Magic)", "no such operator")
def unknown_operator() -> Model:
    return before_the_end(kind="Magic")


@graph("Magic_bad", "example.org.Magic", "no backend")
def custom_domain() -> Model:
    return before_the_end(kind="Magic", domain="example.org")


@graph("Magic", "com.microsoft")
def unknown_operator_of_onnxruntime() -> Model:
    model = before_the_end(kind="Magic", domain="com.microsoft")
    model.opset_import.add(domain="com.microsoft", version=1)
    return model


@graph("Upsample_bad", "(Upsample)", "no longer")
def operator_of_the_past() -> Model:
    return with_constants("Upsample", ["conv", "s"], {"s": ([1, 1, 2, 2], "f4")})


@graph("(Relu)", "2 inputs, and takes 1")
def too_many_inputs() -> Model:
    return before_the_end("data", kind="Relu")


@graph("(Relu)", "lacks its input")
def empty_input() -> Model:
    model = before_the_end(kind="Relu")
    model.graph.node[1].input[0] = ""
    return model


@graph("Sum_bad", "(Sum)", "lacks its input")
def empty_input_of_many() -> Model:
    """ONNX Runtime 1.32 crashes on it."""
    return before_the_end("", kind="Sum")


@graph("Conv_conv", "(Conv)", "'pads' is FLOAT, and should be INTS")
def attribute_of_another_type() -> Model:
    model = base()
    node = model.graph.node[0]
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("pads", 1.5))
    return model


@graph("Conv_conv", "'pads'")
def attribute_with_two_values() -> Model:
    model = base()
    next(entry for entry in model.graph.node[0].attribute if entry.name == "pads").s = b"text"
    return model


@graph("Conv_conv", "'magic' is none")
def attribute_that_is_unknown() -> Model:
    model = base()
    model.graph.node[0].attribute.append(helper.make_attribute("magic", 1))
    return model


@graph("Conv_conv", "twice")
def attribute_twice() -> Model:
    model = base()
    model.graph.node[0].attribute.append(model.graph.node[0].attribute[0])
    return model


@graph("(Cast)", "lacks its attribute to")
def attribute_missing() -> Model:
    return before_the_end(kind="Cast")


@graph("opset is 0")
def opset_0() -> Model:
    model = base()
    model.opset_import[0].version = 0
    return model


@graph("opset is 99999")
def opset_99999() -> Model:
    model = base()
    model.opset_import[0].version = 99999
    return model


@graph("does not say which opset")
def no_opset() -> Model:
    model = base()
    del model.opset_import[:]
    return model


@graph("twice")
def opset_twice() -> Model:
    model = base()
    model.opset_import.append(model.opset_import[0])
    return model


@graph("IR version is 0")
def ir_version_0() -> Model:
    model = base()
    model.ir_version = 0
    return model


@graph("IR version is 99")
def ir_version_99() -> Model:
    model = base()
    model.ir_version = 99
    return model
