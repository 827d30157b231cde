"""Files that are called `model.onnx` and are none, or are made to hurt: each with the words that its refusal holds."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.toolkit.foreign.graphs import Maker

Model = onnx.ModelProto


@dataclass(frozen=True)
class Case:
    """One hostile model.

    Attributes:
        name: of the function that makes it.
        make: writes it into a folder.
        words: what its message holds; none where it is a good model after all.
        options: of the command line.
    """

    name: str
    make: Callable[[Path], None]
    words: tuple[str, ...]
    options: tuple[str, ...]


CASES: list[Case] = []


def file(*words: str, options: tuple[str, ...] = ()) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """A case that writes its files itself."""

    def keep(make: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(Case(make.__name__, make, words, options))
        return make

    return keep


def graph(*words: str, options: tuple[str, ...] = ()) -> Callable[[Callable[[], Model]], Callable[[], Model]]:
    """A case that is one graph."""

    def keep(make: Callable[[], Model]) -> Callable[[], Model]:
        def write(folder: Path) -> None:
            (folder / "model.onnx").write_bytes(make().SerializeToString())

        CASES.append(Case(make.__name__, write, words, options))
        return make

    return keep


def base() -> Model:
    """A good one: Conv_conv, GlobalAveragePool_pooled, Flatten_logits, from 3x16x16 to 4 classes."""
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, ir_version=10)


def before_the_end(*inputs: str, kind: str, **attributes: Any) -> Model:
    """The good one with a node between its convolution and its pooling."""
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    return ended(make, kind, ["conv", *inputs], **attributes)


def ended(make: Maker, kind: str, inputs: list[str], **attributes: Any) -> Model:
    """With `{kind}_bad` and the pooling behind it."""
    make.node(kind, inputs, "bad", **attributes)
    make.node("GlobalAveragePool", ["bad"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, ir_version=10)


def with_constants(kind: str, given: list[str], constants: dict[str, tuple[Any, str]], **attributes: Any) -> Model:
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    for name, (values, dtype) in constants.items():
        make.constant(name, values, dtype)
    return ended(make, kind, given, **attributes)


# Files


@file("no nodes")
def empty(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")


@file("not an ONNX file")
def truncated(folder: Path) -> None:
    data = base().SerializeToString()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


@file("not an ONNX file")
def random_bytes(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(np.random.default_rng(0).bytes(100_000))


@file("not an ONNX file")
def groups(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\x0b" * 100_000)


@file("not an ONNX file")
def length_of_2_gb(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(base().SerializeToString() + b"\x3a\xff\xff\xff\xff\x07" + b"x" * 100)


@file("not an ONNX file")
def text_of_a_proto(folder: Path) -> None:
    (folder / "model.onnx").write_text(str(base()))


@file("not an ONNX file")
def zip_archive(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.onnx", "w") as archive:
        archive.writestr("model.onnx", base().SerializeToString())


@file("not an ONNX file")
def checkpoint(folder: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(10)}, folder / "model.onnx")


@file("is a folder")
def folder_of_that_name(folder: Path) -> None:
    (folder / "model.onnx").mkdir()


@file("is no file")
def pipe(folder: Path) -> None:
    os.mkfifo(folder / "model.onnx")


@file("No such file")
def link_to_nowhere(folder: Path) -> None:
    (folder / "model.onnx").symlink_to("nowhere")


@file("symbolic links")
def link_to_itself(folder: Path) -> None:
    (folder / "model.onnx").symlink_to("model.onnx")


@file("2 GB")
def hole_of_3_gb(folder: Path) -> None:
    with (folder / "model.onnx").open("wb") as hole:
        hole.truncate(3_000_000_000)


@file("model.onnx")
def hole_of_1_gb(folder: Path) -> None:
    with (folder / "model.onnx").open("wb") as hole:
        hole.write(base().SerializeToString())
        hole.truncate(1_000_000_000)


@file("is a folder")
def bundle_of_that_name(folder: Path) -> None:
    from tests.tiny import write_tiny_bundle

    shutil.copytree(write_tiny_bundle(folder / "tiny"), folder / "model.onnx")
    shutil.rmtree(folder / "tiny")


# Weights in other files


def outside(location: str, prepare: Callable[[Path], None] = lambda _: None, **more: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        model = base()
        weight = model.graph.initializer[0]
        (folder / "weights.bin").write_bytes(weight.raw_data)
        prepare(folder)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, str(value)
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return make


def replace(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """Put something else in the place of the weights."""

    def prepare(folder: Path) -> None:
        (folder / "weights.bin").unlink()
        make(folder / "weights.bin")

    return prepare


EXTERNAL: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "absolute": (outside("/etc/passwd"), ("'conv_w'", "/etc/passwd", "no file beside it")),
    "up": (outside("../../../../../etc/passwd"), ("'conv_w'", "no file beside it")),
    "missing": (outside("elsewhere.bin"), ("'conv_w'", "no file beside it")),
    "link_out": (outside("weights.bin", replace(lambda p: p.symlink_to("/etc/passwd"))), ("no file beside it",)),
    "pipe_beside": (outside("weights.bin", replace(os.mkfifo)), ("no file beside it",)),
    "folder_beside": (outside("weights.bin", replace(Path.mkdir)), ("no file beside it",)),
    "no_name": (outside(""), ("no file beside it",)),
    "nul": (outside("weights\0.bin"), ("'conv_w'",)),
    "long_name": (outside("x" * 100_000), ("'conv_w'",)),
    "offset_behind": (outside("weights.bin", offset=1 << 40), ("too short", "'conv_w'")),
    "offset_negative": (outside("weights.bin", offset=-8), ("'conv_w'",)),
    "length_short": (outside("weights.bin", length=4), ("'conv_w'", "108 values", "Conv_conv", "(Conv)")),
    "length_long": (outside("weights.bin", length=1 << 33), ("'conv_w'",)),
    "hole": (outside("weights.bin", replace(lambda p: p.touch() or os.truncate(p, 1 << 36))), ("'conv_w'",)),
    "itself": (outside("model.onnx"), ("'conv_w'", "short")),
}
for _name, (_make, _words) in EXTERNAL.items():
    CASES.append(Case(f"external_{_name}", _make, _words, ()))


@file("'conv_w'", "'offset': 'many'")
def external_words_for_numbers(folder: Path) -> None:
    outside("weights.bin", offset=0)(folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[1].value = "many"
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@file()
def external_overlapping(folder: Path) -> None:
    outside("weights.bin")(folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    bias = model.graph.initializer[1]
    bias.ClearField("raw_data")
    bias.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", "offset": "8", "length": "16"}.items():
        bias.external_data.add(key=key, value=value)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@file("'much'", "claim")
def external_overlapping_to_many_gb(folder: Path) -> None:
    """A file of 400 MB, most of it a hole, that is claimed a hundred times."""
    model = base()
    with (folder / "weights.bin").open("wb") as hole:
        hole.truncate(400_000_000)
    for index in range(100):
        tensor = model.graph.initializer.add(name=f"w{index}", data_type=1, dims=[100_000_000])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
    (folder / "model.onnx").write_bytes(model.SerializeToString())


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("claim 40.0 GB",), ())


# Graphs


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


@graph("Conv_conv", "(Conv)", "'conv'", "twice", options=())
def same_output_twice() -> Model:
    model = base()
    model.graph.node.append(model.graph.node[0])
    return model


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("Conv_conv", "(Conv)", "makes 'conv', as does"), ())


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


@graph("(Add)", "'one'", "its own output")
def cyclic() -> Model:
    model = base()
    model.graph.node.insert(2, helper.make_node("Add", ["pooled", "other"], ["some"], "one"))
    model.graph.node.insert(3, helper.make_node("Add", ["pooled", "some"], ["other"], "two"))
    model.graph.node[4].input[0] = "some"
    return model


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("(Add)", "needs its own output"), ())


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


# Shapes and sizes


def conv_with(**attributes: Any) -> Model:
    model = base()
    node = model.graph.node[0]
    kept = [entry for entry in node.attribute if entry.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
    return model


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "kernel_that_contradicts": {"kernel_shape": [5, 5]},
    "kernel_of_zero": {"kernel_shape": [0, 0]},
    "kernel_negative": {"kernel_shape": [-3, -3]},
    "kernel_of_three_sides": {"kernel_shape": [3, 3, 3]},
    "group_of_zero": {"group": 0},
    "group_negative": {"group": -1},
    "group_of_many": {"group": 1 << 40},
    "strides_of_zero": {"strides": [0, 0]},
    "strides_negative": {"strides": [-1, -1]},
    "dilations_of_zero": {"dilations": [0, 0]},
    "dilations_huge": {"dilations": [1 << 40, 1 << 40]},
    "pads_huge": {"pads": [10**9] * 4},
    "pads_beyond_64_bits": {"pads": [(1 << 63) - 1] * 4},
    "pads_negative": {"pads": [-100] * 4},
    "pads_short": {"pads": [1]},
    "auto_pad_unknown": {"auto_pad": "MAGIC"},
}
for _name, _attributes in CONVOLUTIONS.items():
    graph("Conv_conv", "Conv")(lambda _attributes=_attributes: conv_with(**_attributes))  # type: ignore[misc]
    CASES[-1] = Case(f"conv_{_name}", CASES[-1].make, CASES[-1].words, ())


@graph("Conv", "conv")
def weight_that_contradicts() -> Model:
    model = base()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((4, 7, 3, 3), "f4"), "conv_w"))
    return model


@graph("MatMul_logits", "(MatMul)")
def shapes_that_contradict() -> Model:
    make = Maker()
    make.node("Flatten", ["data"], "flat")
    make.node("MatMul", ["flat", make.weight("w", 100, 4)], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, ir_version=10)


def input_of(*shape: int | str) -> Callable[[], Model]:
    def make() -> Model:
        model = base()
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("data", TensorProto.FLOAT, shape))
        return model

    return make


for _name, _shape, _words in (
    ("negative", ("N", 3, -16, 16), ("-16",)),
    ("huge", ("N", 3, 1 << 62, 1 << 62), ("too large",)),
    ("large", ("N", 3, 1 << 20, 1 << 20), ("too large",)),
    ("zero", (0, 3, 16, 16), ()),
    ("batch_negative", (-1, 3, 16, 16), ()),
    ("batch_huge", (1 << 40, 3, 16, 16), ("too large",)),
):
    graph(*_words)(input_of(*_shape))
    CASES[-1] = Case(f"input_{_name}", CASES[-1].make, _words, ())


def weight_like(change: Callable[[onnx.TensorProto], None]) -> Callable[[], Model]:
    def make() -> Model:
        model = base()
        change(model.graph.initializer[0])
        return model

    return make


def set_dims(*dims: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.dims[:] = dims

    return change


def set_type(data_type: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.data_type = data_type

    return change


def add_strings(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_type = TensorProto.STRING
    tensor.string_data.extend([b"text"] * 108)


def add_floats(tensor: onnx.TensorProto) -> None:
    tensor.float_data.extend([1.0] * 108)


def make_nan(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = np.full(108, np.nan, "f4").tobytes()


def make_infinite(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = np.full(108, np.inf, "f4").tobytes()


def segmented(tensor: onnx.TensorProto) -> None:
    tensor.segment.begin, tensor.segment.end = 0, 1 << 40


WEIGHTS: dict[str, Callable[[onnx.TensorProto], None]] = {
    "too_short": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[:-4]),
    "too_long": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data * 2),
    "of_2_gb": set_dims(4, 3, 8192, 8192),
    "of_2_to_the_62": set_dims(1 << 62),
    "beyond_64_bits": set_dims(1 << 62, 1 << 62),
    "negative": set_dims(4, 3, -3, -3),
    "of_unknown_type": set_type(77),
    "of_no_type": set_type(0),
    "of_integers": set_type(TensorProto.INT32),
    "of_strings": add_strings,
    "twice": add_floats,
    "segmented": segmented,
    "nan": make_nan,
    "infinite": make_infinite,
}
for _name, _change in WEIGHTS.items():
    graph()(weight_like(_change))
    CASES[-1] = Case(f"weight_{_name}", CASES[-1].make, ("conv_w", "Conv_conv", "(Conv)"), ())
for _option in ("--int8", "--fp16"):
    graph()(weight_like(make_nan))
    CASES[-1] = Case(f"weight_nan_{_option}", CASES[-1].make, ("conv_w", "Conv_conv", "NaN"), (_option,))
CASES[:] = [
    Case(case.name, case.make, ("Conv", "conv"), ())
    if case.name in ("weight_of_integers", "weight_of_strings")
    else case
    for case in CASES
]


@graph("'sparse' is a sparse tensor")
def sparse_weight() -> Model:
    model = base()
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.ones(1, "f4"), "sparse"),
            numpy_helper.from_array(np.zeros(1, "i8"), "indices"),
            [1 << 40],
        )
    )
    return model


BOMBS: dict[str, Callable[[], Model]] = {
    "expand": lambda: with_constants("Expand", ["conv", "s"], {"s": ([1, 4, 1, 1 << 30], "i8")}),
    "tile": lambda: with_constants("Tile", ["conv", "s"], {"s": ([1, 1, 1 << 15, 1 << 15], "i8")}),
    "resize": lambda: with_constants("Resize", ["conv", "", "s"], {"s": ([1, 1, 1e5, 1e5], "f4")}),
    "pad": lambda: with_constants("Pad", ["conv", "s"], {"s": ([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20], "i8")}),
    "constant_of_shape": lambda: with_constants("ConstantOfShape", ["s"], {"s": ([1, 4, 50_000, 50_000], "i8")}),
    "depth": lambda: with_constants(
        "OneHot", ["i", "d", "v"], {"i": ([[[1]]], "i8"), "d": (1 << 40, "i8"), "v": ([0, 1], "f4")}
    ),
    "range": lambda: with_constants("Range", ["a", "b", "c"], {"a": (0, "f4"), "b": (1e10, "f4"), "c": (1, "f4")}),
    "random": lambda: with_constants("RandomNormal", [], {}, shape=[1, 4, 1 << 20, 1 << 20]),
    "pool": lambda: before_the_end(kind="MaxPool", kernel_shape=[1, 1], pads=[1 << 30] * 4),
    "depth_to_space": lambda: before_the_end(kind="DepthToSpace", blocksize=1 << 30),
    "reshape_overflow": lambda: with_constants("Reshape", ["conv", "s"], {"s": ([1 << 32, 1 << 32, 1, 1], "i8")}),
    "transpose_twice": lambda: before_the_end(kind="Transpose", perm=[0, 0, 0, 0]),
    "gather_beyond": lambda: with_constants("Gather", ["conv", "s"], {"s": ([1 << 40], "i8")}, axis=1),
    "slice_reverse": lambda: with_constants(
        "Slice", ["conv", "a", "b", "x", "z"], {"a": ([0], "i8"), "b": ([9], "i8"), "x": ([1], "i8"), "z": ([0], "i8")}
    ),
    "split_into_nothing": lambda: with_constants("Unsqueeze", ["conv", "s"], {"s": ([99], "i8")}),
    "concat_of_another_axis": lambda: before_the_end(kind="Concat", axis=99),
}  # fmt: skip
for _name, _bomb in BOMBS.items():
    graph()(_bomb)
    CASES[-1] = Case(f"bomb_{_name}", CASES[-1].make, (_bomb().graph.node[1].op_type,), ())


@graph("model.onnx")
def bomb_of_computed_shape() -> Model:
    """ConstantOfShape of 10^10 elements, that only a run knows: the shape is a sum of pixels."""
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.node("ReduceSum", ["data"], "sum", keepdims=0)
    make.node("Abs", ["sum"], "positive")
    make.node("Mul", ["positive", make.constant("many", 1e9, "f4")], "much")
    make.node("Cast", ["much"], "count", to=TensorProto.INT64)
    make.node("Reshape", ["count", make.constant("one", [1])], "shape")
    make.node("ConstantOfShape", ["shape"], "zeros")
    make.node("ReduceSum", ["zeros"], "zero", keepdims=0)
    return ended(make, "Add", ["conv", "zero"])


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("ConstantOfShape_zeros", "ConstantOfShape"), ())


@graph("model.onnx")
def doubling() -> Model:
    """Forty Concats, each of a tensor with itself: 2^40 values from a few hundred bytes."""
    make = Maker()
    make.conv("data", "conv", 4, 3)
    last = "conv"
    for index in range(40):
        last = make.node("Concat", [last, last], f"d{index}", axis=3)
    return ended(make, "Relu", [last])


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("(Concat)", "too large"), ())


@graph("(ConstantOfShape)", "too large")
def bombs_in_a_row() -> Model:
    """None is too large by itself, but ONNX's shape inference would compute with each of their elements."""
    make = Maker()
    make.conv("data", "conv", 4, 3)
    last = "conv"
    for index in range(30):
        make.node("ConstantOfShape", [make.constant(f"s{index}", [3_000_000])], f"c{index}")
        make.node("ReduceMax", [f"c{index}"], f"m{index}", keepdims=0)
        last = make.node("Add", [last, f"m{index}"], f"a{index}")
    return ended(make, "Relu", [last])


@graph("NaN or infinity", "(Exp)")
def tower_of_powers() -> Model:
    make = Maker()
    last = make.conv("data", "conv", 4, 3)
    for index in range(6):
        last = make.node("Exp", [last], f"e{index}")
    return ended(make, "Relu", [last])


@graph("NaN or infinity", "Log_bad", "(Log)", options=("--int8",))
def logarithm_of_less_than_nothing() -> Model:
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.node("Abs", ["conv"], "abs")
    make.node("Neg", ["abs"], "less")
    return ended(make, "Log", ["less"])


# Branches and numbers


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


@file("1,000,004 nodes")
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


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("1,000,003 nodes",), ())


@graph("20,000")
def nodes_one_too_many() -> Model:
    return chain(20_000)


@graph("inputs")
def a_concat_of_a_million() -> Model:
    return before_the_end(*["conv"] * 1_000_000, kind="Concat", axis=1)


@graph("Concat")
def a_concat_of_100_000() -> Model:
    return before_the_end(*["conv"] * 100_000, kind="Concat", axis=1)


# Names


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
    graph()(named(_text))
    CASES[-1] = Case(f"name_{_name}", CASES[-1].make, ("its node", "(Conv)", "name"), ())


@file("names 2 classes, and model answers for 4", options=("--labels", "labels.txt"))
def labels_too_few(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(base().SerializeToString())
    (folder / "labels.txt").write_text("../../a\nb\n")


@file("labels.txt", options=("--labels", "labels.txt"))
def labels_of_nul_and_terminal_codes(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(base().SerializeToString())
    (folder / "labels.txt").write_bytes(b"a\0\n\x1b[2J\n\xff\xfe\n" + b"x" * 1_000_000 + b"\n")


@graph("0 dimensions")
def input_that_is_no_tensor() -> Model:
    model = base()
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    model.graph.input[0].CopyFrom(helper.make_value_info("data", kind))
    return model


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("model.onnx",), ())


@graph("Conv")
def everything_is_empty() -> Model:
    return Model(ir_version=8, graph=onnx.GraphProto(node=[onnx.NodeProto()], output=[onnx.ValueInfoProto()]))


CASES[-1] = Case(CASES[-1].name, CASES[-1].make, ("model.onnx",), ())
assert len({case.name for case in CASES}) == len(CASES)


@file("'data'", "no text")
def side_that_is_no_text(folder: Path) -> None:
    model = base()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "QQQQ"
    (folder / "model.onnx").write_bytes(model.SerializeToString().replace(b"QQQQ", b"\xce\xce\xce\xce"))
