"""A bundle as a model of NVIDIA's Triton Inference Server: its folder in a model repository.

Source of the form: `model_config.proto` of triton-inference-server/common, and the server's user guide.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from runtime.backends.tensorrt.plan import HOST_CODE, NEEDED, STRIPPED, WEIGHTS, rebuild
from runtime.bundle import LABELS, MODEL, PLAN, Bundle
from runtime.errors import ToolkitError
from runtime.folder import write_together

WAIT_US = 500  # that a request may wait for others
NO_PART_OF_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
WARM_UP = "probe"
# What runs a model, by its target. OpenVINO's backend would otherwise refuse batches that are not the largest.
RUN_BY = {
    "plan": ('platform: "tensorrt_plan"',),
    "onnxruntime": ('platform: "onnxruntime_onnx"',),
    "openvino": (
        'backend: "openvino"',
        'default_model_filename: "model.onnx"',
        'parameters {\n  key: "SKIP_OV_DYNAMIC_BATCHSIZE"\n  value { string_value: "YES" }\n}',
    ),
}


def write_model(bundle: Bundle, repository: Path, name: str | None, *, force: bool) -> Path:
    """Write a bundle's engine, or its graph where that is what it runs, into a model repository.

    Args:
        bundle: of any target.
        repository: a folder of models, made if needed.
        name: of the model; None is the bundle's folder's.
        force: replace the files of a model of that name. Others in its folder stay.

    Returns:
        The model's folder.

    Raises:
        ToolkitError: there is such a model, or its engine does not serve single requests, or is none that Triton loads.
        OSError: it cannot be written.
    """
    name = name or NO_PART_OF_NAMES.sub("-", bundle.path.absolute().name)
    if NO_PART_OF_NAMES.search(name) or not name.strip("."):
        raise ToolkitError(f"{name} is no name for a model", "give letters, digits, _, - and . with --name")
    if bundle.manifest.batch.smallest > 1:
        batch = bundle.manifest.batch
        raise ToolkitError(
            f"{bundle.path} serves batches of {batch.smallest} to {batch.largest}, and Triton passes on single images",
            f"build it with --batch 1:{batch.best}:{batch.largest}",
        )
    if bundle.manifest.target == "tensorrt-rtx":  # its plans are of another form than those of TensorRT
        raise ToolkitError(
            f"{bundle.path} is built for tensorrt-rtx, and Triton has no backend for that",
            "build it for another one: toolkit build MODEL --target tensorrt",
        )
    if bundle.manifest.fingerprint.get(WEIGHTS) == STRIPPED:
        raise ToolkitError(
            f"the plan of {bundle.path} has no weights, and Triton does not take them from the model",
            rebuild(bundle.path / PLAN, bundle.manifest.fingerprint, "tensorrt") + ", without --strip-weights",
        )
    folder = repository / name
    if (folder / "config.pbtxt").exists() and not force:
        raise ToolkitError(f"{folder} is there already", "give --force to replace it, or another --name")
    source = PLAN if PLAN in bundle.manifest.files else MODEL
    write_together(
        {
            folder / "1" / ("model.plan" if source == PLAN else MODEL): (bundle.path / source).read_bytes(),
            folder / LABELS: "".join(f"{label}\n" for label in labels(bundle)).encode(),
            folder / "warmup" / WARM_UP: bundle.probe.images[:1].tobytes(),
            folder / "config.pbtxt": config(bundle, name).encode(),
        }
    )
    return folder


def server_command(bundle: Bundle, repository: Path) -> str:
    """What serves the repository; Triton runs code of a plan's own only where it is told to."""
    option = " --backend-config=tensorrt,version-compatible=true"
    return f"tritonserver --model-repository={shlex.quote(str(repository))}" + (
        option if bundle.manifest.fingerprint.get(HOST_CODE) == NEEDED else ""
    )


def labels(bundle: Bundle) -> list[str]:
    """A name for each class, which Triton gives beside the answer when it is asked to classify."""
    return [bundle.spec.label(index) for index in range(bundle.spec.classes)]


def config(bundle: Bundle, name: str) -> str:
    """The text of `config.pbtxt`."""
    manifest, spec = bundle.manifest, bundle.spec
    largest, image = manifest.batch.largest, spec.inputs[0]
    dims = f"dims: [ {', '.join(map(str, spec.image_shape))} ]"
    said = {
        "toolkit.bundle": manifest.digest,
        "toolkit.precision": manifest.precision,
        **{f"toolkit.{key}": value for key, value in sorted(manifest.fingerprint.items()) if PLAN in manifest.files},
    }
    warm_ups = sorted({1, manifest.batch.best, largest})
    parts = [
        f"name: {quoted(name)}",
        *RUN_BY.get("plan" if PLAN in manifest.files else manifest.target, RUN_BY["onnxruntime"]),
        f"max_batch_size: {largest}",
        f"input {{\n  name: {quoted(image.name)}\n  data_type: TYPE_UINT8\n  {dims}\n}}",
        f"output {{\n  name: {quoted(spec.output.name)}\n  data_type: TYPE_FP32\n  dims: [ {spec.classes} ]\n"
        f"  label_filename: {quoted(LABELS)}\n}}",
    ]
    if largest > 1:
        preferred = ", ".join(str(size) for size in sorted({manifest.batch.best, largest} - {1}))
        parts.append(
            f"dynamic_batching {{\n  preferred_batch_size: [ {preferred} ]\n"
            f"  max_queue_delay_microseconds: {WAIT_US}\n}}"
        )
    for size in warm_ups:
        parts.append(
            f'model_warmup {{\n  name: "batch of {size}"\n  batch_size: {size}\n  inputs {{\n'
            f"    key: {quoted(image.name)}\n    value {{\n      data_type: TYPE_UINT8\n"
            f"      {dims}\n      input_data_file: {quoted(WARM_UP)}\n    }}\n  }}\n}}"
        )
    for key, value in said.items():
        parts.append(f"parameters {{\n  key: {quoted(key)}\n  value {{ string_value: {quoted(value)} }}\n}}")
    return "\n".join(parts) + "\n"


def quoted(text: str) -> str:
    """A string of the protobuf text form; what is not ASCII goes as its bytes in UTF-8, in octal."""
    return "".join(
        char if ord(char) < 128 else "".join(f"\\{byte:03o}" for byte in char.encode())
        for char in json.dumps(text, ensure_ascii=False)
    )
