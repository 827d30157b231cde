"""Rehearses the GPU tests on stand-ins, which finds mistakes in the tests themselves and proves nothing of a GPU.

`REHEARSE_GPU=1 pytest -m gpu tests/gpu` runs them so. In place of the driver and of both products are the stand-ins of
`tests/runtime/tensorrt`; their plans hold the ONNX model itself.
"""

from __future__ import annotations

import sys
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime as ort

import tests.command
from runtime.backends.cuda import Context
from runtime.backends.tensorrt import backend
from runtime.backends.tensorrt.build import Built
from runtime.backends.tensorrt.events import Request, Success
from runtime.backends.tensorrt.product import RTX, Product
from runtime.progress import Progress
from tests.runtime.tensorrt import stand_in
from tests.runtime.tensorrt.stand_in import Plan, make_trt
from tests.runtime.tensorrt.stand_in_cuda import StandInCuda

VERSION = "99.0.0"


def begin() -> None:
    """Rehearse in this process, and in every `toolkit` that it runs."""
    install()
    tests.command.TOOLKIT[:] = [sys.executable, "-m", "tests.gpu.rehearsed_toolkit"]


def install() -> None:
    """Put the stand-ins in place."""
    changes: dict[str, Any] = {
        "find_spec": lambda name: object(),
        "installed_version": lambda product: VERSION,
        "open_cuda": lambda: View(driver()),
        "load_module": module,
        "build_plan": build_plan,
    }
    for name, value in changes.items():
        assert hasattr(backend, name)
        setattr(backend, name, value)
    stand_in.open_session = open_session
    forgive(stand_in.Runtime, "deserialize_cuda_engine", None)
    forgive(stand_in.RuntimeCache, "deserialize", False)


@cache
def driver() -> StandInCuda:
    """The one of this process."""
    return StandInCuda()


class View:
    """The driver, as each that opens it gets it: with the real ones' form of a context's handle."""

    has_graphs = True

    def __init__(self, cuda: StandInCuda) -> None:
        self.cuda = cuda

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cuda, name)

    def retain(self, device: int) -> Context:
        context = Context(device, (device, 1000 + device))
        self.cuda.retain(device)
        self.cuda.holds[-1] = context
        return context


@cache
def module(product: Product) -> Any:
    """The stand-in for a product, with what a build asks of it."""
    trt = make_trt(driver(), rtx=product is RTX)
    trt.__version__ = VERSION
    trt.HardwareCompatibilityLevel = Enum("HardwareCompatibilityLevel", ["AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"])
    if product is RTX:
        trt.ComputeCapability = Enum("ComputeCapability", ["SM75", "SM86"])
    return trt


class Every(dict):
    """A type for whatever layer is asked for."""

    def get(self, name: str, default: Any = None) -> Any:
        return self["every layer"]


def build_plan(request: Request, progress: Progress, *, note: str = "", verbose: bool = False) -> Built:
    """In place of the child process that builds a plan."""
    with progress.stage("build with a stand-in", 1) as stage:
        stage.advance(1)
    model, plan = Path(request.model), Path(request.plan)
    classes = open_session(model.read_bytes()).get_outputs()[0].shape[1]
    low, _, high = request.batch
    settings = {"host_code": request.options.version_compatible, "stripped": request.options.strip_weights}
    Plan(low, high, image_shape=request.image_shape, classes=classes, **settings).write(model, plan)
    if request.timing_cache:
        Path(request.timing_cache).write_bytes(b"measured")
    kind = "int8" if "int8" in plan.stem else plan.stem
    return Built(Success(VERSION, Every({"every layer": kind}), 0), request)


def open_session(model: bytes) -> ort.InferenceSession:
    """As the reference does: INT8 in float, which no CPU gets wrong."""
    settings = ort.SessionOptions()
    settings.add_session_config_entry("session.disable_quant_qdq", "1")
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def forgive(kind: Any, name: str, failure: Any) -> None:
    """Let a method give what TensorRT gives for what it cannot read, where the stand-in raises."""
    method = getattr(kind, name)

    def careful(self: Any, data: bytes) -> Any:
        try:
            return method(self, data)
        except (ValueError, ort.capi.onnxruntime_pybind11_state.InvalidProtobuf) as error:
            self.refuse(str(error))
            return failure

    setattr(kind, name, careful)
