"""What an inference library has to offer: two small contracts, and the table of those that exist.

A backend author writes one file in `runtime/backends/` with a class that meets `Backend` and one that meets `Engine`,
and adds a line to `BACKENDS`. `runtime.session.Session` does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.errors import BackendError, BackendUnavailableError
from runtime.progress import Progress
from runtime.spec import BatchRange, ModelSpec, Precision

BACKENDS: dict[str, str] = {
    "openvino": "runtime.backends.openvino:OpenVinoBackend",
    "onnxruntime": "runtime.backends.onnxruntime:OnnxRuntimeBackend",
    "tensorrt": "runtime.backends.tensorrt.backend:TensorRtBackend",
    "tensorrt-rtx": "runtime.backends.tensorrt.backend:TensorRtRtxBackend",
}
#: It runs every graph as it is defined, so that an engine that cannot run here is measured by it.
REFERENCE = "onnxruntime"
#: The type of a convolution in float32 that takes fewer products: `runtime.backends.openvino_winograd`.
WINOGRAD = "fp32-winograd"


@dataclass(frozen=True)
class Availability:
    """Whether a backend runs here.

    Attributes:
        ok: it does.
        version: of the library.
        device: what it would run on.
        devices: the names that `EngineOptions.device` may take here.
        reason: why it does not.
        command: the exact next command that would mend that.
        builds: it does not run here, but makes engines that run elsewhere.
    """

    ok: bool
    version: str = ""
    device: str = ""
    devices: tuple[str, ...] = ()
    reason: str = ""
    command: str = ""
    builds: bool = False


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class EngineOptions:
    """How an engine is made and run.

    Attributes:
        precision: what the graph holds; what is neither INT8 nor float16 in it runs in float32.
        batch: the sizes to serve.
        device: the backend's name of a device; None is its usual one.
        threads: for a CPU.
        cache_dir: a folder for what the machine makes for itself (`runtime.cache.cache_folder`); None keeps nothing.
        reduced_range: the graph's INT8 weights use 7 of their 8 bits.
        tensorrt: for TensorRT alone.
        trust: allow engine files that run code of their own when they are loaded.
    """

    precision: Precision = "fp32"
    batch: BatchRange = field(default_factory=BatchRange)
    device: str | None = None
    threads: int = field(default_factory=available_cores)
    cache_dir: Path | None = None
    reduced_range: bool = False
    tensorrt: TensorRtOptions = field(default_factory=TensorRtOptions)
    trust: bool = False


@dataclass(frozen=True)
class EngineFile:
    """What a backend loads.

    Attributes:
        path: a plan, or the ONNX model where the backend runs that itself.
        fingerprint: where it may run; empty for one that runs anywhere.
        layers: the data type that each layer executes in, by layer name; None where nothing can tell.
        model: the ONNX model that a plan was made from; None where `path` is that.
    """

    path: Path
    fingerprint: Mapping[str, str]
    layers: Mapping[str, str] | None
    model: Path | None = None


@dataclass(frozen=True)
class Parts:
    """What a call spends its time on, in milliseconds.

    Attributes:
        host_to_device_ms, compute_ms, device_to_host_ms: on the device; without copies the first and last are about 0.
        enqueue_ms: of the CPU, to queue the network.
        host_ms: the whole call.
    """

    host_to_device_ms: float
    compute_ms: float
    device_to_host_ms: float
    enqueue_ms: float
    host_ms: float


class Engine(Protocol):
    """A loaded model."""

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Answer one batch.

        Args:
            batch: (n, height, width, channels), C contiguous, n within the engine's batch range.
            out: (n, classes), C contiguous, written in place.
        """
        ...

    def close(self) -> None:
        """Give everything back. Called once."""
        ...


class Backend(Protocol):
    """An inference library."""

    def available(self) -> Availability: ...

    def overflows(self) -> str:
        """Why INT8 weights that use all 8 bits would give wrong answers here; empty where they do not."""
        ...

    def refuse(self, options: EngineOptions) -> None:
        """Refuse, before any work, what `compile` would not take."""
        ...

    def why_not_here(self, engine_file: EngineFile, options: EngineOptions) -> str:
        """Why an engine that `compile` made cannot run on this machine; empty where it can."""
        ...

    def compile(
        self, onnx_path: Path, out_dir: Path, spec: ModelSpec, options: EngineOptions, progress: Progress
    ) -> EngineFile:
        """Make what `load` takes, in `out_dir` if it is a file of its own."""
        ...

    def load(self, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions) -> Engine: ...


@runtime_checkable
class TimedEngine(Protocol):
    """An engine that can tell what a call spends its time on."""

    def time_parts(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> Parts:
        """`Engine.run`, timed."""
        ...


def why_absent(package: str, load: Callable[[], object]) -> Availability | None:
    """Why a library does not run here, as far as its package goes; None where that can be imported.

    Args:
        package: its name, for pip and for Python.
        load: imports it.
    """
    if find_spec(package) is None:
        return Availability(False, reason=f"the package {package} is not installed", command=f"pip install {package}")
    try:
        load()
    except Exception as error:  # whatever a broken library raises
        reason = f"the package {package} is installed but cannot be imported: {error}"
        return Availability(False, reason=reason, command=f"pip install --force-reinstall {package}")
    return None


def get_backend(name: str) -> Backend:
    """A backend by name, whether it runs here or not.

    Raises:
        BackendError: there is none of that name.
    """
    if name not in BACKENDS:
        raise BackendError(f"no backend '{name}'", f"there are: {', '.join(BACKENDS)}")
    module, cls = BACKENDS[name].split(":")
    backend: Backend = getattr(import_module(module), cls)()
    return backend


def require_backend(name: str, *, to_build: bool = False) -> Backend:
    """A backend that runs here; `to_build`: or one that only builds here.

    Raises:
        BackendError: there is none of that name.
        BackendUnavailableError: it does not run here; the hint is the next command.
    """
    backend = get_backend(name)
    availability = backend.available()
    if not availability.ok and not (to_build and availability.builds):
        raise BackendUnavailableError(f"{name} does not run here: {availability.reason}", availability.command)
    return backend


def installed_backends() -> list[str]:
    """The names of those that run here, in the table's order."""
    return [name for name in BACKENDS if get_backend(name).available().ok]
