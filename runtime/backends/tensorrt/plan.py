"""A plan on the device: deserialized, with its weights, and checked against what the session expects of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.backend import EngineFile, EngineOptions
from runtime.backends.tensorrt.failures import construct, failed
from runtime.errors import BackendError
from runtime.spec import BatchRange, ModelSpec

if TYPE_CHECKING:
    import tensorrt as trt

# In `EngineFile.fingerprint`, written where the plan is built.
WEIGHTS, STRIPPED = "weights", "stripped"
HOST_CODE, NEEDED = "host_code", "needed"
PROFILE = 0  # a plan of ours has one


def rebuild(plan: Path, fingerprint: Mapping[str, str], target: str = "") -> str:
    """The command that builds a bundle for this machine, for the product that its plan is of or for another one."""
    name = target or fingerprint.get("module", "tensorrt").replace("_", "-")
    return f"build it here: toolkit build {shlex.quote(str(plan.parent))} --target {name} -o NEW"


def runs_host_code(engine_file: EngineFile, options: EngineOptions) -> bool:
    """Whether a plan is version-compatible, and so brings a runtime of its own."""
    return options.tensorrt.version_compatible or engine_file.fingerprint.get(HOST_CODE) == NEEDED


def is_stripped(engine_file: EngineFile, options: EngineOptions) -> bool:
    """Whether a plan lacks its weights."""
    return options.tensorrt.strip_weights or engine_file.fingerprint.get(WEIGHTS) == STRIPPED


def require_trust(engine_file: EngineFile, options: EngineOptions) -> None:
    """Refuse a plan that runs code of its own, unless that is allowed.

    Raises:
        BackendError: it does, and it is not.
    """
    if runs_host_code(engine_file, options) and not options.trust:
        raise BackendError(
            f"{engine_file.path} is version-compatible: loading it runs program code from the file on this machine, "
            "with all the rights that you have",
            "where you know who built it, give --trust (trust=True in Python): that it is whole does not say who",
        )


def load_plan(
    trt: Any, engine_file: EngineFile, data: bytes, spec: ModelSpec, options: EngineOptions, log: Any
) -> trt.ICudaEngine:
    """Deserialize a plan, give it its weights, and check it.

    Args:
        trt: the module.
        engine_file: where the plan comes from.
        data: the plan.
        spec: what it has to take and give.
        options: the batch sizes that it has to serve, and whether to trust it.
        log: TensorRT's, an `ErrorLog`.

    Raises:
        BackendError: TensorRT refuses it, or it is another model's or for other batch sizes.
    """
    again = rebuild(engine_file.path, engine_file.fingerprint)
    runtime = construct(log, trt.Runtime, log)
    if options.trust and runs_host_code(engine_file, options):  # else TensorRT refuses such a plan
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise failed(log, f"TensorRT cannot load {engine_file.path}", again)
    if is_stripped(engine_file, options):
        refit(trt, engine, engine_file.model, log, again)
    check_tensors(trt, engine, spec, engine_file.path, again)
    check_range(engine, spec, options.batch, engine_file.path)
    return engine


def refit(trt: Any, engine: trt.ICudaEngine, model: Path | None, log: Any, again: str) -> None:
    """Give a plan that was built without its weights those of its ONNX model.

    Raises:
        BackendError: there is no model, or it is not the one that the plan was made from.
    """
    if model is None:
        raise BackendError("the plan has no weights, and no ONNX model to take them from", again)
    refitter = construct(log, trt.Refitter, engine, log)
    parser = construct(log, trt.OnnxParserRefitter, refitter, log)
    if not parser.refit_from_file(str(model)):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise failed(log, "; ".join([f"TensorRT cannot take the plan's weights from {model}", *reasons]), again)
    if not refitter.refit_cuda_engine():
        raise failed(log, f"TensorRT cannot give the plan the weights of {model}", again)


def check_tensors(trt: Any, engine: trt.ICudaEngine, spec: ModelSpec, path: Path, again: str) -> None:
    """Refuse a plan with other tensors than the spec's: names, directions, types, sizes, and rows without gaps.

    Raises:
        BackendError: it has others.
    """
    taken, given, linear = trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT, trt.TensorFormat.LINEAR
    image, answer = spec.inputs[0].name, spec.output.name
    want = {
        image: (taken, trt.DataType.UINT8, spec.image_shape, linear),
        answer: (given, trt.DataType.FLOAT, (spec.classes,), linear),
    }
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {
        name: (
            engine.get_tensor_mode(name),
            engine.get_tensor_dtype(name),
            tuple(engine.get_tensor_shape(name))[1:],
            engine.get_tensor_format(name),
        )
        for name in names
    }
    if found != want:
        raise BackendError(f"{path} does not take and give what {spec.name} does: {describe(found)}", again)


def describe(tensors: dict[str, tuple[Any, ...]]) -> str:
    """Tensors for people."""
    return ", ".join(" ".join([name, *(str(value) for value in values)]) for name, values in tensors.items())


def check_range(engine: trt.ICudaEngine, spec: ModelSpec, batch: BatchRange, path: Path) -> None:
    """Refuse a plan that does not serve every batch size.

    Raises:
        BackendError: it does not.
    """
    name = spec.inputs[0].name
    size = engine.get_tensor_shape(name)[0]
    low = high = size
    if size < 0:
        low, _, high = (shape[0] for shape in engine.get_tensor_profile_shape(name, PROFILE))
    if batch.smallest < low or batch.largest > high:
        raise BackendError(
            f"{path} serves batches of {low} to {high}, not of {batch.smallest} to {batch.largest}",
            f"build it again with --batch {batch}",
        )
