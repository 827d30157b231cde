"""Networks put together at random, as exporters of many years would write them: each is built, and both engines agree.

RANDOM_GRAPHS=500 runs more of them; each costs half a second.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from onnx import TensorProto

import export.module
from calibration.options import CalibrationOptions
from export.simplify import Simplifier
from runtime.backend import EngineFile, EngineOptions
from runtime.datasets import ArrayDataset
from runtime.errors import ModelError
from runtime.probe import LIMITS, distance
from runtime.progress import SilentProgress
from runtime.session import session_on
from runtime.spec import BatchRange
from tests.toolkit.foreign.graphs import Maker
from toolkit.foreign.onnx import open_onnx
from toolkit.foreign.spec import Told
from toolkit.graphs import Source, export_fp32, make_graphs

EXAMPLES = int(os.environ.get("RANDOM_GRAPHS", "12"))
CLASSES = 5
ACTIVATIONS = ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "Softplus", "Abs", "HardSigmoid")


class Net(Maker):
    """A network that grows from its input; `tensors` are those that may still be read, with channels and side."""

    def __init__(self, draw: Any, opset: int) -> None:
        super().__init__(draw(st.integers(0, 99)))
        self.draw, self.opset = draw, opset
        self.tensors: list[tuple[str, int, int]] = [("data", 3, 16)]
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"t{self.count}"

    def grow(self) -> None:
        """One node, or a few that belong together, behind any tensor so far."""
        kinds = [self.convolution, self.activation, self.pool, self.join, self.norm, self.idle, self.shuffle, self.gate]
        self.draw(st.sampled_from([*kinds, self.convolution, self.deconvolution, self.response, self.pad]))()

    def any(self) -> tuple[str, int, int]:
        return self.tensors[-1 - self.draw(st.integers(0, min(2, len(self.tensors) - 1)))]

    def add(self, kind: str, inputs: list[str], channels: int, side: int, **attributes: Any) -> str:
        made = self.node(kind, inputs, self.name(), **attributes)
        self.tensors.append((made, channels, side))
        return made

    def convolution(self) -> None:
        tensor, channels, side = self.any()
        groups = self.draw(st.sampled_from([1, 1, channels, 2])) if channels % 2 == 0 else 1
        maps = groups * self.draw(st.integers(1, 4)) if groups < channels else channels
        kernel, stride = self.draw(st.sampled_from([1, 3, 5])), self.draw(st.sampled_from([1, 1, 2]))
        dilation = self.draw(st.sampled_from([1, 2])) if kernel == 3 and side > 4 else 1
        reach = dilation * (kernel - 1)
        same = self.draw(st.booleans()) or side <= reach
        inputs = [tensor, self.weight(f"{self.name()}_w", maps, channels // groups, kernel, kernel)]
        if self.draw(st.booleans()):
            inputs.append(self.weight(f"{self.name()}_b", maps))
        pads = [reach // 2] * 2 + [reach - reach // 2] * 2 if same else [0] * 4
        out = ((side if same else side - reach) - 1) // stride + 1
        attributes = {"pads": pads, "strides": [stride] * 2, "group": groups, "dilations": [dilation] * 2}
        self.add("Conv", inputs, maps, out, kernel_shape=[kernel] * 2, **attributes)

    def deconvolution(self) -> None:
        tensor, channels, side = self.any()
        if side <= 8:
            weight = self.weight(f"{self.name()}_w", channels, 3, 2, 2)
            self.add("ConvTranspose", [tensor, weight], 3, 2 * side, strides=[2, 2], kernel_shape=[2, 2])

    def activation(self) -> None:
        tensor, channels, side = self.any()
        self.add(self.draw(st.sampled_from(ACTIVATIONS)), [tensor], channels, side)

    def pool(self) -> None:
        tensor, channels, side = self.any()
        kind = self.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        if side >= 4:
            self.add(kind, [tensor], channels, side // 2, kernel_shape=[2, 2], strides=[2, 2])

    def join(self) -> None:
        (one, channels, side), (other, others, side_too) = self.any(), self.any()
        if side != side_too:
            return
        if channels == others and self.draw(st.booleans()):
            self.add(self.draw(st.sampled_from(["Add", "Sum", "Mul", "Max"])), [one, other], channels, side)
        elif channels + others <= 24:
            self.add("Concat", [one, other], channels + others, side, axis=1)

    def norm(self) -> None:
        tensor, channels, side = self.any()
        parts = [self.weight(f"{self.name()}_{part}", channels) for part in ("scale", "bias", "mean")]
        variance = self.constant(f"{self.name()}_var", np.linspace(0.5, 2, channels), "f4")
        self.add("BatchNormalization", [tensor, *parts, variance], channels, side)

    def response(self) -> None:
        tensor, channels, side = self.any()
        self.add("LRN", [tensor], channels, side, size=3, alpha=1e-3, beta=0.75, bias=1.0)

    def idle(self) -> None:
        tensor, channels, side = self.any()
        self.add(self.draw(st.sampled_from(["Identity", "Dropout"])), [tensor], channels, side)

    def shuffle(self) -> None:
        tensor, channels, side = self.any()
        if channels % 2:
            return
        split = self.constant(self.name(), [1, 2, channels // 2, side, side])
        joined = self.constant(self.name(), [1, channels, side, side])
        groups = self.node("Reshape", [tensor, split], self.name())
        swapped = self.node("Transpose", [groups], self.name(), perm=[0, 2, 1, 3, 4])
        self.add("Reshape", [swapped, joined], channels, side)

    def gate(self) -> None:
        """Squeeze and excitation."""
        tensor, channels, side = self.any()
        mean = self.node("GlobalAveragePool", [tensor], self.name())
        weight = self.weight(f"{self.name()}_w", channels, channels, 1, 1)
        gate = self.node("Sigmoid", [self.node("Conv", [mean, weight], self.name(), kernel_shape=[1, 1])], self.name())
        self.add("Mul", [tensor, gate], channels, side)

    def pad(self) -> None:
        tensor, channels, side = self.any()
        if self.opset >= 11:
            amounts = self.constant(self.name(), [0, 0, 1, 1, 0, 0, 1, 1])
            self.add("Pad", [tensor, amounts], channels, side + 2)
        else:
            self.add("Pad", [tensor], channels, side + 2, pads=[0, 0, 1, 1, 0, 0, 1, 1])

    def end(self) -> str:
        """A head of one of the usual kinds."""
        tensor, channels, side = self.tensors[-1]
        if self.draw(st.booleans()):
            tensor, side = self.node("GlobalAveragePool", [tensor], self.name()), 1
        count = channels * side * side
        if self.draw(st.booleans()):
            flat = self.node("Reshape", [tensor, self.constant("flat_shape", [1, count])], "flat")
        else:
            flat = self.node("Flatten", [tensor], "flat", axis=1)
        if self.draw(st.booleans()):
            head = [flat, self.weight("fc_w", CLASSES, count), self.weight("fc_b", CLASSES)]
            answer = self.node("Gemm", head, "fc", transB=1)
        else:
            product = self.node("MatMul", [flat, self.weight("fc_w", count, CLASSES)], "product")
            answer = self.node("Add", [product, self.weight("fc_b", CLASSES)], "fc")
        return self.node("Softmax", [answer], "prob", axis=1) if self.draw(st.booleans()) else answer


@st.composite
def networks(draw: Any) -> onnx.ModelProto:
    opset = draw(st.sampled_from([7, 9, 11, 13, 17, 20]))
    net = Net(draw, opset)
    net.convolution()
    for _ in range(draw(st.integers(2, 9))):
        net.grow()
    old = opset < 9
    model = net.model(
        [1, 3, 16, 16], {net.end(): [1, CLASSES]}, opset=opset, ir_version=3 if old else 8, weights_are_inputs=old
    )
    if opset > 9 and draw(st.integers(0, 3)) == 0:
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT:
                half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
                tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    return model


@pytest.fixture
def quick_simplifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """onnxsim takes two seconds to import, for every network: graphs stay as they are, which is the harder case."""
    monkeypatch.setattr(export.module, "Simplifier", lambda: Simplifier("raise SystemExit(1)"))
    yield


@settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES < 50,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(networks())
def test_it_is_built_and_both_engines_agree(quick_simplifier: None, model: onnx.ModelProto) -> None:
    note("\n".join(map(onnx.printer.to_text, model.graph.node)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, folder / "net.onnx")
        found = open_onnx(folder / "net.onnx", True, Told())
        pixels = np.random.default_rng(0).integers(0, 256, (16, *found.spec.image_shape), np.uint8)
        source = Source(
            found,
            ArrayDataset("noise", pixels, None),
            CalibrationOptions(16, "minmax"),
            BatchRange(1, 1, 4),
            True,
            None,
        )
        exported = export_fp32(source, pixels[:4], folder / "fp32.onnx", SilentProgress())
        try:
            made = make_graphs(source, exported.path, ("int8", "int8-fp16"), SilentProgress())
        except ModelError as error:
            assert "no layer" in error.message  # of this network can be quantized
            return
        for precision, graph in made.by_precision.items():
            options = EngineOptions(precision, BatchRange(1, 1, 4), reduced_range=True)
            answers = []
            for backend in ("onnxruntime", "openvino"):
                with session_on(backend, EngineFile(graph.path, {}, None), found.spec, options) as session:
                    answers.append(session.run(pixels[:8]))
            assert distance(answers[1], answers[0]) < max(LIMITS[precision], 0.02), precision
