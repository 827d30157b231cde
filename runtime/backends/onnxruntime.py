"""ONNX Runtime on the CPU: the reference that measures accuracy, and the fastest engine for small float models."""

from __future__ import annotations

import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.backend import Availability, EngineFile, EngineOptions, why_absent
from runtime.cpu import saturates
from runtime.errors import BackendError
from runtime.progress import Progress
from runtime.spec import ModelSpec

if TYPE_CHECKING:
    import onnxruntime as ort

# They move or convert values, and compute none: in float16 too, on a CPU that computes in float32.
MOVING_OPERATORS = frozenset(
    {"Cast", "Concat", "DequantizeLinear", "Flatten", "Gather", "Identity", "QuantizeLinear", "Reshape", "Transpose"}
)
TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"
QUANTIZED_OPERATORS = ("QLinear", "QGemm", "MatMulInteger", "ConvInteger", "DynamicQuantize")
# What ONNX Runtime adds to a layer's name: fused with its activation, with the Add behind it, with the Q/DQ around it.
FUSION_PREFIX = "fused "
FUSION_SUFFIXES = ("_kernel_time", "_quant", "/MatMulAddFusion")


@cache
def onnxruntime() -> Any:
    """The package, imported without its telemetry, which leaves a file in the temporary folder and may call home."""
    os.environ.setdefault(TELEMETRY_SWITCH, "1")
    import onnxruntime as module

    return module


class OnnxRuntimeEngine:
    """A session with one input and one output; a call binds nothing and copies the answer once."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self.session = session
        self.input = session.get_inputs()[0].name
        self.outputs = [session.get_outputs()[0].name]

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        out[...] = self.session.run(self.outputs, {self.input: batch})[0]

    def close(self) -> None:
        del self.session


class OnnxRuntimeBackend:
    """Runs model.onnx itself; compiling writes nothing."""

    def available(self) -> Availability:
        absent = why_absent("onnxruntime", onnxruntime)
        return absent or Availability(True, onnxruntime().__version__, "CPU", ("CPU",))

    def overflows(self) -> str:
        return ""  # it runs them in float here

    def refuse(self, options: EngineOptions) -> None:
        return None

    def why_not_here(self, engine_file: EngineFile, options: EngineOptions) -> str:
        return ""

    def compile(
        self, onnx_path: Path, out_dir: Path, spec: ModelSpec, options: EngineOptions, progress: Progress
    ) -> EngineFile:
        return EngineFile(onnx_path, {}, self.executed_types(onnx_path, spec, options))

    def load(self, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions) -> OnnxRuntimeEngine:
        return OnnxRuntimeEngine(open_model(engine_file.path, session_options(options), spec, options.device))

    def executed_types(self, onnx_path: Path, spec: ModelSpec, options: EngineOptions) -> dict[str, str]:
        """The type of each layer, from a profile of one run: the only place that tells what was really executed.

        Without the last optimizations, those of layout: they change no type, but call a convolution by its activation.
        """
        with tempfile.TemporaryDirectory() as folder:
            settings = session_options(options)
            settings.graph_optimization_level = onnxruntime().GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(folder) / "profile")
            session = open_model(onnx_path, settings, spec, options.device)
            name = session.get_inputs()[0].name
            session.run(None, {name: np.zeros((options.batch.smallest, *spec.image_shape), np.uint8)})
            profile = Path(session.end_profiling())
            try:
                events = json.loads(profile.read_bytes())
            except ValueError as error:
                raise BackendError(
                    f"ONNX Runtime's profile {profile} is cut off",
                    "there may be no space left for temporary files: free some, or set TMPDIR to another folder",
                ) from error
        types: dict[str, str] = {}
        for event in events:
            arguments = event.get("args", {})
            if event.get("cat") == "Node" and arguments.get("op_name") not in (None, *MOVING_OPERATORS):
                layer = event["name"].removeprefix(FUSION_PREFIX)
                for suffix in FUSION_SUFFIXES:
                    layer = layer.removesuffix(suffix)
                types[layer] = executed_type(arguments)
        return types


def executed_type(arguments: dict[str, Any]) -> str:
    """What a node of a profile ran in, by its operator and the types of its inputs."""
    if arguments["op_name"].startswith(QUANTIZED_OPERATORS):
        return "int8"
    return "fp16" if any("float16" in entry for entry in arguments.get("input_type_shape", ())) else "fp32"


def session_options(options: EngineOptions) -> ort.SessionOptions:
    """Threads, and a log that is silent below errors."""
    settings = onnxruntime().SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    overflows = "int8" in options.precision and not options.reduced_range and saturates()
    # With float16 scales it quantizes biases by their product, which float16 may not hold: the answers are then wrong
    # (seen with 1.32).
    if overflows or options.precision == "int8-fp16":
        settings.add_session_config_entry("session.disable_quant_qdq", "1")  # slower, and right
    return settings


def open_model(path: Path, settings: ort.SessionOptions, spec: ModelSpec, device: str | None) -> ort.InferenceSession:
    """Open an ONNX file on the CPU.

    Raises:
        BackendError: ONNX Runtime refuses it, the spec says otherwise, or another device than the CPU is asked for.
    """
    if device not in (None, "CPU"):
        raise BackendError(f"onnxruntime has no device '{device}' here", "leave --device out, or give CPU")
    named = os.fsencode(path) == str(path).encode(errors="replace")  # it takes names in UTF-8 alone
    try:
        session = onnxruntime().InferenceSession(
            str(path) if named else path.read_bytes(), settings, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # its exceptions have no common base but Exception
        raise BackendError(f"ONNX Runtime cannot load {path}: {error}", "build the bundle again") from error
    ends = [(end.type, list(end.shape)[1:]) for end in (*session.get_inputs(), *session.get_outputs())]
    if ends != [("tensor(uint8)", list(spec.image_shape)), ("tensor(float)", [spec.classes])]:
        raise BackendError(f"{path} does not take and give what {spec.name} does: {ends}", "build the bundle again")
    return session
