"""Names with what no name should hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import helper

from tests.hostile.corpus.case import Model, base, file, graph


@graph()
def names_with_path_characters() -> Model:
    model = base()
    for node in model.graph.node:
        node.name = f"../../../tmp/{node.name}"
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "../../etc/passwd"
    model.graph.name = "../../graph"
    return model


def named(name: str) -> Callable[[], Model]:
    def make() -> Model:
        model = base()
        model.graph.node[0].name = name
        return model

    return make


for _name, _text in (
    ("nul", "a\0b"),
    ("newline", "a\nb"),
    ("terminal_codes", "\x1b[2Jgone"),
    ("right_to_left", "\u202egnp.exe"),
    ("of_1_mb", "x" * 1_000_000),
):
    graph("its node", "(Conv)", "name", name=f"name_{_name}")(named(_text))


@file("names 2 classes, and model answers for 4", options=("--labels", "labels.txt"))
def labels_too_few(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(base().SerializeToString())
    (folder / "labels.txt").write_text("../../a\nb\n")


@file("labels.txt", options=("--labels", "labels.txt"))
def labels_of_nul_and_terminal_codes(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(base().SerializeToString())
    (folder / "labels.txt").write_bytes(b"a\0\n\x1b[2J\n\xff\xfe\n" + b"x" * 1_000_000 + b"\n")


@graph("model.onnx")
def input_that_is_no_tensor() -> Model:
    model = base()
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    model.graph.input[0].CopyFrom(helper.make_value_info("data", kind))
    return model


@graph("model.onnx")
def everything_is_empty() -> Model:
    return Model(ir_version=8, graph=onnx.GraphProto(node=[onnx.NodeProto()], output=[onnx.ValueInfoProto()]))


@file("'data'", "no text")
def side_that_is_no_text(folder: Path) -> None:
    model = base()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "QQQQ"
    (folder / "model.onnx").write_bytes(model.SerializeToString().replace(b"QQQQ", b"\xce\xce\xce\xce"))
