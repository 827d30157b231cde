"""The process that is sent ahead: it does what may kill it, and says so before and after each task.

Run by `toolkit.doctor.probe` with a file descriptor and tasks as arguments. Answers are lines of JSON on that
descriptor: standard output belongs to whatever the packages print.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def import_package(name: str) -> str:
    """Import it, and give its version, as far as it has one."""
    return str(getattr(import_module(name), "__version__", ""))


def count_cores() -> int:
    """The cores that this process may use, as the engines count them."""
    from runtime.backend import available_cores

    return available_cores()


def ask_backend(name: str) -> dict[str, Any]:
    """What a backend says of itself."""
    from dataclasses import asdict

    from runtime.backend import get_backend

    backend = get_backend(name)
    return {**asdict(backend.available()), "overflows": backend.overflows()}


def read_opencv_build() -> str:
    """How OpenCV was built, in its own words."""
    return str(import_module("cv2").getBuildInformation())


def read_newest_onnx() -> int:
    """Let ONNX Runtime open the newest kind of file that the package onnx writes.

    Returns:
        The version of that format.

    Raises:
        Exception: ONNX Runtime does not read it.
    """
    onnx, onnxruntime = import_module("onnx"), import_module("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", ends[:1], ends[1:])
    model = helper.make_model(
        graph,
        ir_version=onnx.IR_VERSION,
        opset_imports=[helper.make_opsetid("", onnx.defs.onnx_opset_version())],
    )
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return int(onnx.IR_VERSION)


def ask_driver() -> dict[str, Any]:
    """What NVIDIA's driver says of itself and its GPUs."""
    from toolkit.doctor.cuda_driver import read_driver

    return read_driver()


TASKS: dict[str, Callable[..., Any]] = {
    "import": import_package,
    "cores": count_cores,
    "backend": ask_backend,
    "opencv": read_opencv_build,
    "onnx": read_newest_onnx,
    "driver": ask_driver,
}


def main() -> None:
    """Do the tasks in order."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would look up a host and write a file
    out = int(sys.argv[1])

    def tell(**values: Any) -> None:
        os.write(out, json.dumps(values).encode() + b"\n")

    for task in sys.argv[2:]:
        tell(task=task)
        kind, *arguments = task.split()
        try:
            tell(task=task, value=TASKS[kind](*arguments))
        except BaseException as error:  # a package may raise anything, SystemExit too
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            tell(task=task, error=reason(error), missing=missing or "")
    os._exit(0)  # whatever threads and exit handlers the packages left


def reason(error: BaseException) -> str:
    """The first line that says something, short enough for a table."""
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    first = text.splitlines()[0].strip() if text else ""
    name = type(error).__name__
    return (f"{name}: {first}" if first else name)[:200]
