"""The real TensorRT for RTX parses and compiles our graphs, without a GPU, and refuses what it must."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runtime.backend import EngineFile, EngineOptions, get_backend
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.errors import BackendError, Cancelled
from runtime.progress import SilentProgress
from runtime.spec import BatchRange, ModelSpec, Precision
from tests.toolkit.tensorrt.conftest import Graphs
from tests.toolkit.tensorrt.graphs import MODELS, PRECISIONS

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: it has packages for x86-64 alone")

BATCHES = (BatchRange(1, 1, 32), BatchRange(4, 4, 4))


def build(
    model: Path, spec: ModelSpec, folder: Path, precision: Precision = "fp32", progress: Any = None, **options: Any
) -> EngineFile:
    batch = options.pop("batch", BATCHES[0])
    settings = EngineOptions(precision, batch, tensorrt=TensorRtOptions(**options))
    return get_backend("tensorrt-rtx").compile(model, folder, spec, settings, progress or SilentProgress())


class Watch:
    """A progress that keeps what it is told, and does something at a share of the way."""

    def __init__(self, do: Callable[[], bool] = lambda: True, at: int = 2000) -> None:
        self.notes: list[str] = []
        self.done = 0
        self.do, self.at = do, at

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Watch]:
        self.total = total
        yield self

    def advance(self, n: int = 1) -> bool:
        assert n >= 0
        self.done += n
        return self.do() if self.done >= self.at else True

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("capability", ["8.6", "12.0"])
@pytest.mark.parametrize("batch", BATCHES, ids=str)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
def test_every_graph_builds_with_its_layers_as_they_were_asked_to_be(
    name: str,
    precision: Precision,
    batch: BatchRange,
    capability: str,
    graphs_of: Callable[[str], Graphs],
    tmp_path: Path,
) -> None:
    graphs = graphs_of(name)
    model = graphs.folder / f"{precision}.onnx"
    made = build(model, graphs.spec, tmp_path, precision, batch=batch, compute_capabilities=(capability,))
    assert made.layers is not None
    assert {layer: made.layers[layer] for layer in graphs.asked[precision]} == graphs.asked[precision]
    if "int8" in precision:
        kinds = {node.name: node.op_type for node in onnx.load(model).graph.node}
        assert {layer for layer, kind in kinds.items() if kind in ("Conv", "Gemm")} == set(graphs.asked[precision])
        assert set(graphs.asked[precision].values()) == {"int8"}
    assert list(tmp_path.iterdir()) == [made.path] and made.path.stat().st_size > 100_000
    assert made.model == model
    assert made.fingerprint["compute_capability"] == capability
    assert made.fingerprint["module"] == "tensorrt_rtx" and made.fingerprint["version"].count(".") >= 2


def test_a_plan_can_be_for_several_gpus(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs = graphs_of("lenet")
    plans = []
    for capabilities in (("8.6",), ("8.6", "8.9", "12.0")):
        made = build(graphs.folder / "int8.onnx", graphs.spec, tmp_path, "int8", compute_capabilities=capabilities)
        assert made.fingerprint["compute_capability"] == ",".join(capabilities)
        plans.append(made.path.read_bytes())
    assert plans[0] != plans[1]


def test_float16_scales_build_for_turing(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs = graphs_of("lenet")
    for precision in ("fp16", "int8-fp16"):
        build(graphs.folder / f"{precision}.onnx", graphs.spec, tmp_path, precision, compute_capabilities=("7.5",))
    with pytest.raises(BackendError, match=r"'fc1'.*FP32 GEMM") as caught:
        build(graphs.folder / "fp32.onnx", graphs.spec, tmp_path, compute_capabilities=("7.5",))
    assert "--fp16" in caught.value.hint


def test_progress_goes_to_the_end_and_says_for_what_it_builds(
    graphs_of: Callable[[str], Graphs], tmp_path: Path
) -> None:
    graphs, watch = graphs_of("lenet"), Watch()
    build(graphs.folder / "int8.onnx", graphs.spec, tmp_path, "int8", watch)
    assert watch.done == watch.total
    assert "for compute capability 8.6: no GPU for it is here, and none was named" in watch.notes


def test_warnings_are_counted_or_shown(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs, few, all_of_them = graphs_of("lenet"), Watch(), Watch()
    model = graphs.folder / "int8-fp16.onnx"
    build(model, graphs.spec, tmp_path, "int8-fp16", few)
    assert "4 warnings (-v shows them)" in few.notes
    build(model, graphs.spec, tmp_path, "int8-fp16", all_of_them, verbose=True)
    assert any("Converting conv activation scales to fp32" in note for note in all_of_them.notes)


def test_a_stop_ends_the_build_and_leaves_nothing(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs = graphs_of("lenet")
    with pytest.raises(Cancelled):
        build(graphs.folder / "int8.onnx", graphs.spec, tmp_path, "int8", Watch(lambda: False, 100))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_the_build_and_leaves_nothing(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs = graphs_of("alexnet")
    assert threading.current_thread() is threading.main_thread()

    def interrupt() -> bool:
        signal.raise_signal(signal.SIGINT)
        time.sleep(10)
        return True

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            build(graphs.folder / "int8.onnx", graphs.spec, tmp_path, "int8", Watch(interrupt, 100))
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_does_not_suffice_grows(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs, watch = graphs_of("lenet"), Watch()
    made = build(graphs.folder / "int8.onnx", graphs.spec, tmp_path, "int8", watch, workspace_mib=1)
    assert made.layers and "1 MiB of workspace do not suffice: trying 64" in watch.notes


def test_a_plan_that_cannot_be_written_names_its_file(graphs_of: Callable[[str], Graphs], tmp_path: Path) -> None:
    graphs = graphs_of("lenet")
    with pytest.raises(BackendError, match=r"gone/fp32-tensorrt-rtx\.plan: No such file or directory") as caught:
        build(graphs.folder / "fp32.onnx", graphs.spec, tmp_path / "gone")
    assert "TMPDIR" in caught.value.hint


# What it must refuse


def graph(*nodes: onnx.NodeProto, **constants: np.ndarray) -> bytes:
    """From uint8 pixels (batch, 8, 8, 1), as float (batch, 1, 8, 8), by some nodes to `answer`."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 1])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    front = [
        helper.make_node("Cast", ["image"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["pixels"], "transpose", perm=[0, 3, 1, 2]),
    ]
    weights = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    made = helper.make_graph([*front, *nodes], "graph", [image], [answer], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], f"{kind}_{output}", **attributes)


ONE, WEIGHT = np.float32(0.5), np.ones((4, 1, 3, 3), np.float32)
STEPS = np.ones((4, 1, 3, 3), np.int8)
QUANTIZED = (
    node("QuantizeLinear", "pixels scale zero", "steps"),
    node("DequantizeLinear", "steps scale zero", "levels"),
    node("DequantizeLinear", "w scale", "weights"),
)
REFUSED: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "bias_in_int32": (
        graph(
            *QUANTIZED,
            node("DequantizeLinear", "b scale", "bias"),
            node("Conv", "levels weights bias", "answer"),
            scale=ONE, zero=np.int8(0), w=STEPS, b=np.ones(4, np.int32),
        ),
        ("DequantizeLinear_bias", "(DequantizeLinear)"),
    ),
    "zero_point": (
        graph(*QUANTIZED, node("Conv", "levels weights", "answer"), scale=ONE, zero=np.int8(3), w=STEPS),
        ("QuantizeLinear_steps", "(QuantizeLinear)"),
    ),
    "types_that_differ": (
        graph(
            node("Cast", "pixels", "half", to=TensorProto.FLOAT16),
            node("Conv", "half w", "answer"),
            w=WEIGHT,
        ),
        ("Conv_answer", "(Conv)"),
    ),
    "pixels_before_a_cast": (
        graph(
            node("Transpose", "image", "early", perm=[0, 3, 1, 2]),
            node("Cast", "early", "late", to=TensorProto.FLOAT),
            node("Conv", "late w", "answer"),
            w=WEIGHT,
        ),
        ("Transpose_early", "(Transpose)"),
    ),
    "operator_of_nobody": (
        graph(node("Magic", "pixels", "answer", domain="example.org")),
        ("Magic_answer", "(Magic)"),
    ),
    "no_onnx": (b"no model at all", ("the graph",)),
    "nothing_that_it_knows": (b"xx", ("the graph", "it holds no network")),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_take_is_refused_in_a_line_with_the_node(
    case: str, tiny_spec: ModelSpec, tmp_path: Path
) -> None:
    data, words = REFUSED[case]
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(BackendError) as caught:
        build(tmp_path / "model.onnx", tiny_spec, tmp_path)
    assert len(caught.value.message.splitlines()) == 1 and caught.value.hint
    assert "model.onnx" in caught.value.message
    for word in words:
        assert word in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
