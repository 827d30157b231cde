"""OpenVINO on the CPU: runs INT8 graphs in INT8, and convolutions in float32 where that is faster."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime import canonical
from runtime.backend import Availability, EngineFile, EngineOptions, why_absent
from runtime.backends.openvino_layers import executed_types
from runtime.backends.openvino_products import products_as_convolutions
from runtime.backends.openvino_quantizers import fuse_quantizers
from runtime.backends.openvino_winograd import use_winograd
from runtime.cache import read_entry, write_entry
from runtime.cpu import cpu_identity, saturates
from runtime.errors import BackendError
from runtime.progress import Progress
from runtime.spec import ModelSpec

if TYPE_CHECKING:
    import openvino as ov

# Larger models are compiled as fast as they are read from the cache: see docs/measurements.md.
LARGEST_KEPT = 64 << 20
LOADING = Lock()


@cache
def openvino() -> Any:
    """The package, imported without its telemetry, which would look up a host and write into the user's home."""
    name = "openvino_telemetry"
    kept = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino as module
    finally:
        if kept is None:
            del sys.modules[name]
        else:
            sys.modules[name] = kept
    return module


@cache
def make_core() -> Any:
    """For `core` alone, which lets in one thread at a time."""
    return openvino().Core()


def core() -> Any:
    """The one of this process, which is never dropped.

    The CPU plugin sets a signal stack in the thread that loads it and unmaps it in the thread that drops it. Where that
    is another one, the next signal that Python handles, such as Ctrl-C, ends the process with a segmentation fault.
    """
    with LOADING:
        return make_core()


class StaticEngine:
    """One request whose input and output are arrays of ours, bound once: `infer()` alone costs 90 us less a call."""

    def __init__(self, compiled: ov.CompiledModel, shape: tuple[int, ...], classes: int) -> None:
        tensor = openvino().Tensor
        self.request = compiled.create_infer_request()
        self.image = np.zeros(shape, np.uint8)
        self.answer = np.zeros((shape[0], classes), np.float32)
        self.request.set_input_tensor(tensor(self.image, shared_memory=True))
        self.request.set_output_tensor(tensor(self.answer, shared_memory=True))

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        np.copyto(self.image, batch)
        self.request.infer()
        np.copyto(out, self.answer)


class OpenVinoEngine:
    """A static model for the best batch size, which is a tenth faster; a dynamic one for others, on first use."""

    def __init__(self, path: Path, spec: ModelSpec, options: EngineOptions) -> None:
        self.path, self.spec, self.options = path, spec, options
        best = options.batch.best
        compiled = load_model(path, spec, options, best)
        self.best_size = best
        self.best = StaticEngine(compiled, (best, *spec.image_shape), spec.classes)
        self.dynamic: Any = None

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        if batch.shape[0] == self.best_size:
            self.best.run(batch, out)
            return
        if self.dynamic is None:
            try:
                self.dynamic = load_model(self.path, self.spec, self.options, None).create_infer_request()
            except BackendError:  # some INT8 graphs it compiles for one size alone
                self.dynamic = self.best
        if self.dynamic is self.best:
            self.run_in_parts(batch, out)
        else:
            np.copyto(out, self.dynamic.infer([batch], share_inputs=True, share_outputs=True)[0])

    def run_in_parts(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        """Another number of images, in as many calls of the best size as it takes."""
        size = self.best_size
        answer = np.empty((size, out.shape[1]), np.float32)
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            self.best.run(np.resize(part, (size, *batch.shape[1:])), answer)
            out[start : start + size] = answer[: len(part)]

    def close(self) -> None:
        del self.best
        self.dynamic = None


class OpenVinoBackend:
    """Runs model.onnx itself; compiling writes nothing."""

    def available(self) -> Availability:
        if absent := why_absent("openvino", openvino):
            return absent
        try:
            name, devices = str(core().get_property("CPU", "FULL_DEVICE_NAME")), tuple(core().available_devices)
        except RuntimeError as error:  # as where a limit on address space leaves no room for its plugin
            reason = f"OpenVINO cannot start on this CPU: {last_line(error)}"
            return Availability(False, reason=reason, command="pip install --force-reinstall openvino")
        return Availability(True, openvino().__version__.split("-")[0], name, devices)

    def overflows(self) -> str:
        return "this CPU has no VNNI, and OpenVINO adds INT8 products in 16 bits on it" if saturates() else ""

    def refuse(self, options: EngineOptions) -> None:
        return None

    def why_not_here(self, engine_file: EngineFile, options: EngineOptions) -> str:
        return ""

    def compile(
        self, onnx_path: Path, out_dir: Path, spec: ModelSpec, options: EngineOptions, progress: Progress
    ) -> EngineFile:
        compiled = compile_model(onnx_path, spec, options, options.batch.best)  # one from the cache has lost some names
        return EngineFile(onnx_path, {}, executed_types(compiled))

    def load(self, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions) -> OpenVinoEngine:
        return OpenVinoEngine(engine_file.path, spec, options)


def load_model(path: Path, spec: ModelSpec, options: EngineOptions, batch: int | None) -> ov.CompiledModel:
    """What `compile_model` gives, from the cache where it is there. It answers the same, bit by bit.

    OpenVINO has a cache of its own (CACHE_DIR), but it runs what was damaged there, and answers wrongly.
    """
    entry = cache_entry(path, spec, options, batch)
    if entry is None:
        return compile_model(path, spec, options, batch)
    kept = read_entry(entry)
    if kept is not None:
        with suppress(RuntimeError):
            return core().import_model(kept, "CPU", properties(options))
    compiled = compile_model(path, spec, options, batch)
    if cache_entry(path, spec, options, batch) == entry:  # nobody replaced the model while it was read
        stream = BytesIO()
        compiled.export_model(stream)
        write_entry(entry, stream.getvalue())
    return compiled


def cache_entry(path: Path, spec: ModelSpec, options: EngineOptions, batch: int | None) -> Path | None:
    """The file for a compiled model, by a digest of all that it depends on; None where it is not to be kept."""
    if options.cache_dir is None or options.device not in (None, "CPU"):
        return None
    try:
        if path.stat().st_size > LARGEST_KEPT:
            return None
        model = canonical.digest_file(path)
    except OSError:
        return None  # `compile_model` says what is wrong
    made_from = {
        "model": model,
        "shape": [batch, *spec.image_shape],
        "best": options.batch.best,  # `rewrite` chooses by it
        "properties": properties(options),
        "openvino": openvino().__version__,
        "form": 6,  # of the graph that is compiled: one more wherever this file changes it
        "cpu": cpu_identity(),
    }
    return options.cache_dir / "openvino" / canonical.digest(made_from)


def properties(options: EngineOptions) -> dict[str, Any]:
    """How models are compiled and run."""
    return {
        # Its default is bf16 where the CPU has it. A CPU without float16 arithmetic runs f16 as f32.
        "INFERENCE_PRECISION_HINT": "f16" if "fp16" in options.precision else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": options.threads,
        "ENABLE_CPU_PINNING": False,  # it binds the sessions of all threads and processes to the same first cores
    }


def compile_model(path: Path, spec: ModelSpec, options: EngineOptions, batch: int | None) -> ov.CompiledModel:
    """Compile an ONNX file for one batch size, or for any (None).

    Raises:
        BackendError: OpenVINO refuses it, has no such device, or would overflow.
    """
    if "int8" in options.precision and not options.reduced_range and saturates():
        raise BackendError(
            f"{spec.name} would overflow on openvino here: its INT8 weights use all 8 bits, this CPU has no VNNI, and "
            "OpenVINO adds INT8 products in 16 bits on it",
            "build the model with --reduce-range; onnxruntime runs it as it is, in float",
        )
    try:
        model = core().read_model(str(path))
        rewrite(model, options)
        ends = [(end.element_type.to_string(), list(end.partial_shape)[1:]) for end in (*model.inputs, *model.outputs)]
        if ends != [("u8", list(spec.image_shape)), ("f32", [spec.classes])]:
            raise BackendError(f"{path} does not take and give what {spec.name} does: {ends}", "build the bundle again")
        if batch is not None:
            model.reshape({model.input(0): [batch, *spec.image_shape]})
        return core().compile_model(model, options.device or "CPU", properties(options))
    except (RuntimeError, UnicodeDecodeError) as error:  # its messages may be anything
        hint = "build the bundle again" if options.device is None else "leave --device out, or give CPU"
        raise BackendError(f"OpenVINO cannot compile {path}: {last_line(error)}", hint) from error


def rewrite(model: ov.Model, options: EngineOptions) -> None:
    """Bring a graph into the form that OpenVINO runs best here."""
    floats: set[str] = set()
    if saturates() and "fp16" not in options.precision:
        floats = use_winograd(openvino(), model, options.batch.best)
    fuse_quantizers(openvino(), model, floats)
    if saturates():
        products_as_convolutions(openvino(), model)


def last_line(error: BaseException) -> str:
    """The line that says what is wrong: OpenVINO puts its own source lines before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
