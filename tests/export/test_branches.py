"""An If whose condition is settled becomes its branch; another, and any other graph inside, is refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from export.branches import inline_branches
from export.reference import open_reference
from runtime.errors import ModelError
from tests.export.graphs import normal, parse

SHAPES = [(2, 3, 8, 8), (3, 3, 8, 8)]
IMAGE = "float[batch,3,8,8] image"
NEGATE_OR_KEEP = (
    "then_branch = t () => (float[batch,3,8,8] tx) { tx = Neg(image) },"
    "else_branch = e () => (float[batch,3,8,8] same) { same = Identity(image) }"
)


def inlined(body: str, outputs: str = "float[batch,3,8,8] out", **constants: np.ndarray) -> onnx.ModelProto:
    """Hold the answers to those of the original, and give the graph back."""
    model = parse(body, outputs, takes=IMAGE, **constants)
    images = normal(2, 3, 8, 8)
    wanted = open_reference(model).run(None, {"image": images})[0]
    inline_branches(model, SHAPES)
    assert not any(entry.HasField("g") for node in model.graph.node for entry in node.attribute)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_array_equal(open_reference(model).run(None, {"image": images})[0], wanted)
    return model


@pytest.mark.parametrize("yes", [True, False])
def test_a_constant_settles_it(yes: bool) -> None:
    model = inlined(f"out = If <{NEGATE_OR_KEEP}> (yes)", yes=np.array(yes))
    assert [node.op_type for node in model.graph.node] == ["Neg" if yes else "Identity", "Identity"]


def test_a_side_of_the_image_settles_it() -> None:
    """As PyTorch's older exporter wrote `squeeze`."""
    model = inlined(
        "s = Shape(image) side = Gather <axis = 0> (s, last) one = Equal(side, eight)"
        f"out = If <{NEGATE_OR_KEEP}> (one)",
        last=np.array(3), eight=np.array(8),
    )  # fmt: skip
    assert "Neg" in {node.op_type for node in model.graph.node}


def test_branches_in_branches_with_names_that_are_taken() -> None:
    """`tx` is made in three branches, and the inner one reads what the outer one made."""
    inner = (
        "then_branch = a () => (float[batch,3,8,8] tx) { u = Add(mine, w) tx = Neg(u) },"
        "else_branch = b () => (float[batch,3,8,8] tx) { tx = Exp(mine) }"
    )
    model = inlined(
        f"""x = If <then_branch = t () => (float[batch,3,8,8] tx) {{ mine = Neg(image) tx = If <{inner}> (yes) }},
        else_branch = e () => (float[batch,3,8,8] tx) {{ tx = Exp(image) }}> (yes)
        y = If <then_branch = t () => (float[batch,3,8,8] tx) {{ tx = Neg(x) }},
        else_branch = e () => (float[batch,3,8,8] tx) {{ tx = Exp(x) }}> (yes) out = Add(x, y)""",
        yes=np.array(True), w=np.array(2, np.float32),
    )  # fmt: skip
    made = [name for node in model.graph.node for name in node.output]
    assert len(made) == len(set(made))


def test_a_constant_of_a_branch_comes_along() -> None:
    model = inlined(
        "out = If <then_branch = t () => (float[batch,3,8,8] tx) <float two = {2.0}> { tx = Mul(image, two) },"
        "else_branch = e () => (float[batch,3,8,8] same) { same = Identity(image) }> (yes)",
        yes=np.array(True),
    )  # fmt: skip
    assert "two" in {tensor.name for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("s = Shape(image) n = Gather <axis = 0> (s, zero) c = Equal(n, two)", "depends on the size of the batch"),
        ("m = ReduceMean <keepdims = 0> (image) c = Greater(m, small)", "is not settled by constants and shapes"),
    ],
)
def test_what_is_not_settled_is_refused(body: str, words: str) -> None:
    model = parse(
        f"{body} out = If <{NEGATE_OR_KEEP}> (c)", "float[batch,3,8,8] out", takes=IMAGE,
        zero=np.array(0), two=np.array(2), small=np.array(0, np.float32),
    )  # fmt: skip
    with pytest.raises(ModelError, match=rf"'out' \(If\).*{words}"):
        inline_branches(model, SHAPES)


def test_a_loop_is_refused() -> None:
    model = parse(
        "out = Loop <body = b (int64 i, bool c, float[batch,3,8,8] x) => (bool c2, float[batch,3,8,8] y)"
        "{ c2 = Identity(c) y = Neg(x) }> (many, , image)",
        "float[batch,3,8,8] out", takes=IMAGE, many=np.array(3),
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"'out' \(Loop\) has a graph inside"):
        inline_branches(model, SHAPES)
