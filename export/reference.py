"""ONNX Runtime as the reference that answers for a graph, any of its tensors included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from export.graph import value_info
from export.skeleton import infer
from runtime.backends.onnxruntime import onnxruntime

if TYPE_CHECKING:
    import onnxruntime as ort


def open_reference(
    model: onnx.ModelProto | Path, outputs: Sequence[str] | None = None, threads: int = 1
) -> ort.InferenceSession:
    """Open a graph on ONNX Runtime's CPU provider, its own optimizations left on.

    Args:
        model: the graph, or its file.
        outputs: float32 or float16 tensors to give as outputs, in this order; None keeps the graph's own.
        threads: one makes answers repeatable to the last bit.
    """
    if isinstance(model, Path):
        model = onnx.load(model)
    if outputs is not None:
        types = {name: found.elem_type for name, found in infer(model).items()}
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        del exposed.graph.output[:]
        exposed.graph.output.extend(value_info(name, types.get(name)) for name in outputs)
        model = exposed
    options = onnxruntime().SessionOptions()
    # Q/DQ as it is defined, in float: INT8 kernels would overflow where a CPU has no VNNI (runtime/cpu.py).
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    return onnxruntime().InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def reference_version() -> str:
    """ONNX Runtime's."""
    return str(onnxruntime().__version__)
