"""Branches, loops, a million nodes; numbers that are none."""

from __future__ import annotations

from pathlib import Path

from onnx import helper

from tests.hostile.corpus.case import Model, base, before_the_end, ended, file, graph
from tests.toolkit.foreign.graphs import Maker


def nested(depth: int, kind: str = "If") -> Model:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["conv"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, None)]
    )
    for index in range(depth):
        node = helper.make_node("If", ["yes"], [f"o{index}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([node], f"g{index}", [], [helper.make_tensor_value_info(f"o{index}", 1, None)])
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.constant("yes", True, "?")
    make.nodes.append(helper.make_node("If", ["yes"], ["chosen"], "deep", then_branch=inner, else_branch=inner))
    return ended(make, "Relu", ["chosen"])


@graph()
def ifs_10_deep() -> Model:
    """Settled by a constant: the innermost branch is what is left."""
    return nested(9)


@file("not an ONNX file", "nested too deeply")
def ifs_200_deep(folder: Path) -> None:
    """Written by hand: each level holds the one below once."""
    data = helper.make_node("Identity", ["conv"], ["b"]).SerializeToString()

    def field(number: int, payload: bytes) -> bytes:
        length, rest = b"", len(payload)
        while rest > 127:
            length += bytes([rest & 127 | 128])
            rest >>= 7
        return bytes([number << 3 | 2]) + length + bytes([rest]) + payload

    for _ in range(200):
        attribute = field(1, b"then_branch") + field(6, field(1, data)) + b"\xa0\x01\x05"
        data = field(1, b"yes") + field(2, b"b") + field(4, b"If") + field(5, attribute)
    model = base()
    (folder / "model.onnx").write_bytes(model.SerializeToString() + field(7, field(1, data)))


@graph("forever", "(Loop)", "graph inside")
def endless_loop() -> Model:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, k, s) for n, k, s in (("i", 7, []), ("go", 9, []), ("v", 1, None))],
        [helper.make_tensor_value_info("on", 9, []), helper.make_tensor_value_info("w", 1, None)],
    )
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.constant("yes", True, "?")
    make.nodes.append(helper.make_node("Loop", ["", "yes", "conv"], ["looped"], "forever", body=body))
    return ended(make, "Relu", ["looped"])


@graph("function")
def function_that_calls_itself() -> Model:
    model = before_the_end(kind="Again", domain="own")
    node = helper.make_node("Again", ["x"], ["y"], domain="own")
    opset = [helper.make_opsetid("own", 1)]
    model.opset_import.extend(opset)
    model.functions.append(helper.make_function("own", "Again", ["x"], ["y"], [node], opset))
    return model


def chain(count: int) -> Model:
    make = Maker()
    last = make.conv("data", "conv", 4, 3)
    nodes = make.nodes
    for index in range(count):
        nodes.append(helper.make_node("Relu", [last], [f"t{index}"]))
        last = f"t{index}"
    return ended(make, "Relu", [last])


@file("1,000,003 nodes")
def a_million_nodes(folder: Path) -> None:
    """Built of bytes: the helper takes minutes."""
    data = base().SerializeToString()
    node = b"".join(b"\x0a" + bytes([len(n)]) + n for n in (
        b"\x0a\x04conv\x12\x07t%06d\x22\x04Relu" % index for index in range(1_000_000)
    ))  # fmt: skip
    length, rest = b"", len(node)
    while rest > 127:
        length += bytes([rest & 127 | 128])
        rest >>= 7
    (folder / "model.onnx").write_bytes(data + b"\x3a" + length + bytes([rest]) + node)


@graph("20,000")
def nodes_one_too_many() -> Model:
    return chain(20_000)


@graph("inputs")
def a_concat_of_a_million() -> Model:
    return before_the_end(*["conv"] * 1_000_000, kind="Concat", axis=1)


@graph("Concat")
def a_concat_of_100_000() -> Model:
    return before_the_end(*["conv"] * 100_000, kind="Concat", axis=1)
