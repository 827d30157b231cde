"""Graphs that were exported for one image answer as many as they are given, each as it was answered alone."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from export.batch import batch_place, open_batch
from tests.export.graphs import normal, parse

IMAGE = "float[1,3,8,8] image"


def many_as_one(body: str, outputs: str, **constants: np.ndarray) -> onnx.ModelProto:
    """Open a graph for one image, hold its answers to three images to those of one at a time, and give it back."""
    found = parse(body, outputs, takes=IMAGE, **constants)
    images = normal(3, 3, 8, 8)
    one_by_one = np.concatenate([run(found, image[None]).reshape(1, -1) for image in images])
    opened = onnx.ModelProto()
    opened.CopyFrom(found)
    open_batch(opened, (1, 3, 8, 8))
    opened.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    opened.graph.output[0].type.tensor_type.ClearField("shape")
    for count in (1, 2, 3):
        np.testing.assert_allclose(
            run(opened, images[:count]).reshape(count, -1), one_by_one[:count], rtol=1e-5, atol=1e-6
        )
    return opened


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    from export.reference import open_reference

    return np.asarray(open_reference(model).run(None, {"image": images})[0])


def shape(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int64)


def test_targets_that_name_the_batch() -> None:
    opened = many_as_one(
        "a = Reshape(image, whole) b = MatMul(a, w) c = Reshape(b, windows) d = Reshape(c, rest)",
        "float[1,4] d",
        whole=shape(1, -1), w=normal(192, 4), windows=shape(2, 2), rest=shape(1, 4),
    )  # fmt: skip
    targets = [node.input[1] for node in opened.graph.node if node.op_type == "Reshape"]
    assert targets == ["a/shape", "c/shape", "d/shape"]


def test_a_target_that_follows_by_itself_is_left_alone() -> None:
    opened = many_as_one(
        "a = Reshape(image, same) b = Reshape(a, open)",
        "float[1,192] b", same=shape(0, 3, 64), open=shape(-1, 192),
    )  # fmt: skip
    assert [node.input[1] for node in opened.graph.node] == ["same", "open"]


def test_windows_that_multiply_the_batch_and_come_together_again() -> None:
    """As Swin has them: 4 windows an image, and back."""
    many_as_one(
        """a = Reshape(image, split) b = Transpose <perm = [0, 2, 4, 3, 5, 1]> (a)
        c = Reshape(b, windows) d = MatMul(c, w) e = Reshape(d, grid) f = Transpose <perm = [0, 5, 1, 3, 2, 4]> (e)
        g = Reshape(f, image_again)""",
        "float[1,5,8,8] g",
        split=shape(1, 3, 2, 4, 2, 4), windows=shape(4, 16, 3), w=normal(3, 5), grid=shape(1, 2, 2, 4, 4, 5),
        image_again=shape(1, 5, 8, 8),
    )  # fmt: skip


def test_attention_with_the_sequence_first() -> None:
    """As PyTorch's MultiheadAttention has it: the batch is the second side, and multiplies the heads."""
    many_as_one(
        """flat = Reshape(image, tokens) seq = Transpose <perm = [2, 0, 1]> (flat) rows = Reshape(seq, rows_shape)
        lin = MatMul(rows, w) q = Reshape(lin, heads) k = Transpose <perm = [1, 0, 2]> (q)
        kt = Transpose <perm = [0, 2, 1]> (k) scores = MatMul(k, kt) weights = Softmax <axis = -1> (scores)
        mixed = MatMul(weights, k) back = Transpose <perm = [1, 0, 2]> (mixed) joined = Reshape(back, rows_again)
        out = MatMul(joined, v) end = Reshape(out, seq_again)
        first = Transpose <perm = [1, 0, 2]> (end)""",
        "float[1,64,5] first",
        tokens=shape(1, 3, 64), rows_shape=shape(64, 3), w=normal(3, 4), heads=shape(64, 2, 2),
        rows_again=shape(64, 4), v=normal(4, 5), seq_again=shape(64, 1, 5),
    )  # fmt: skip


def test_a_class_token_is_given_to_every_image() -> None:
    opened = many_as_one(
        """flat = Reshape(image, tokens) rows = Transpose <perm = [0, 2, 1]> (flat)
        all = Concat <axis = 1> (token, rows) placed = Add(all, position)""",
        "float[1,65,3] placed", tokens=shape(1, 3, 64), token=normal(1, 1, 3), position=normal(1, 65, 3),
    )  # fmt: skip
    assert [node.op_type for node in opened.graph.node].count("Tile") == 1


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("a = GlobalAveragePool(image) b = Squeeze(a) c = MatMul(b, w)", {}),
        ("a = GlobalAveragePool(image) b = Squeeze(a, axes) c = MatMul(b, w)", {"axes": shape(0, 2, 3)}),
        ("a = GlobalAveragePool(image) b = Reshape(a, all) c = MatMul(b, w)", {"all": shape(-1)}),
        ("a = GlobalAveragePool(image) b = Flatten <axis = 0> (a) c = MatMul(b, w)", {}),
        ("a = GlobalAveragePool(image) n = Squeeze(a, axes) b = Squeeze(n, only) c = MatMul(b, w)",
         {"axes": shape(2, 3), "only": shape(0)}),
    ],
)  # fmt: skip
def test_a_batch_that_was_dropped_is_kept(body: str, constants: dict[str, np.ndarray]) -> None:
    many_as_one(body, "float[5] c" if "Flatten" not in body else "float[1,5] c", w=normal(3, 5), **constants)


def test_sizes_of_a_resize_begin_with_the_batch() -> None:
    many_as_one('up = Resize <mode = "linear"> (image, , , sizes)', "float[1,3,12,16] up", sizes=shape(1, 3, 12, 16))


def test_a_first_state_of_zeros_is_no_state() -> None:
    many_as_one(
        """flat = Reshape(image, tokens) rows = Transpose <perm = [2, 0, 1]> (flat)
        spread = Expand(zero, state) y, h, c = LSTM <hidden_size = 4> (rows, w, r, b, , spread, zero)
        last = Transpose <perm = [1, 0, 2]> (h) out = Reshape(last, end)""",
        "float[1,4] out",
        tokens=shape(1, 3, 64), w=normal(1, 16, 3), r=normal(1, 16, 4), b=normal(1, 32),
        zero=np.zeros((1, 1, 4), np.float32), state=shape(1, 1, 1), end=shape(1, 4),
    )  # fmt: skip


def test_shapes_that_are_computed_are_seen_through() -> None:
    """The target is Concat(Shape[0], 3, 64): it follows by itself, and the fixed one behind it is mended."""
    opened = many_as_one(
        """s = Shape(image) n = Gather <axis = 0> (s, zero) t = Concat <axis = 0> (n, rest) a = Reshape(image, t)
        b = Reshape(a, fixed)""",
        "float[1,192] b", zero=shape(0), rest=shape(3, 64), fixed=shape(1, 192),
    )  # fmt: skip
    assert [node.input[1] for node in opened.graph.node if node.op_type == "Reshape"] == ["t", "b/shape"]


@pytest.mark.parametrize(
    ("before", "target", "place"),
    [
        (1, (1, 512), 0),
        (1, (512,), 0),
        (1, (1, 2, 2, 4, 4, 3), 0),
        (197, (197, 12, 64), 1),  # rows, then heads of all images
        (197, (197, 768), 0),  # a row keeps its 768 numbers
        (197, (197, 1, 768), 1),
        (30, (30, 1), 1),
        (5, (30, 4), 0),
    ],
)
def test_where_the_batch_goes(before: int, target: tuple[int, ...], place: int) -> None:
    assert batch_place(before, target) == place
