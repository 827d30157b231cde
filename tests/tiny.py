"""A small real classifier, made without PyTorch and ONNX: 8x8 grey pixels to four classes by one matrix.

`tests/data/tiny-fp32.onnx` and `tiny-int8.onnx` hold the graphs, with placeholders where the weights go.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from runtime import canonical
from runtime.bundle import write_bundle
from runtime.folder import draft
from runtime.manifest import Coverage, GraphError, LayerEntry, Manifest, ProbeResult
from runtime.probe import LIMITS, Probe
from runtime.spec import BatchRange, ModelSpec, Preprocess, Resize, classifier_spec

Precision = Literal["fp32", "int8"]

DATA = Path(__file__).parent / "data"
SIDE = 8
CLASSES = 4
LABELS = ("ant", "bee", "cow", "dög")
PIXELS = SIDE * SIDE

# By precision and initializer: values that the graphs in DATA hold in place of weights, each a run of bytes of its own.
PLACEHOLDERS: dict[Precision, dict[str, NDArray[Any]]] = {
    "fp32": {
        "fc.weight": np.arange(PIXELS * CLASSES, dtype=np.float32).reshape(PIXELS, CLASSES),
        "fc.bias": np.full(CLASSES, -1, np.float32),
    },
    "int8": {
        "fc.weight": np.arange(-128, PIXELS * CLASSES - 128).astype(np.int8).reshape(PIXELS, CLASSES),
        "fc.weight.scale": np.full(CLASSES, -2, np.float32),
        "fc.bias": np.full(CLASSES, -1, np.float32),
    },
}


def make_spec(**changes: Any) -> ModelSpec:
    """The model's spec; `changes` go to `classifier_spec`."""
    settings: dict[str, Any] = {
        "height": SIDE,
        "width": SIDE,
        "classes": CLASSES,
        "preprocess": Preprocess("gray", (Resize(SIDE, SIDE),), (0.0,), (1.0,)),
        "labels": LABELS,
    }
    return classifier_spec("tiny", **{**settings, **changes})


def make_weights(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (64, classes) and biases (classes,) whose answers to random pixels differ clearly."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.005, (SIDE * SIDE, CLASSES)).astype(np.float32)
    return weights, rng.normal(0, 0.5, CLASSES).astype(np.float32)


def make_images(count: int, seed: int = 1) -> NDArray[np.uint8]:
    """Random pixels, uint8 (count, 8, 8, 1)."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)


def make_initializers(seed: int = 0, precision: Precision = "fp32") -> dict[str, NDArray[Any]]:
    """The weights as the graph holds them, by name; in INT8 per output channel, symmetric.

    INT8 weights keep to 7 bits: on a CPU without VNNI, OpenVINO adds two products of a pixel and a weight in 16 bits,
    and what is above 32767 is cut off there.
    """
    weights, biases = make_weights(seed)
    if precision == "fp32":
        return {"fc.weight": weights, "fc.bias": biases}
    scale = np.abs(weights).max(axis=0) / np.float32(63)
    return {"fc.weight": np.rint(weights / scale).astype(np.int8), "fc.weight.scale": scale, "fc.bias": biases}


def expected_answers(images: NDArray[np.uint8], seed: int = 0, precision: Precision = "fp32") -> NDArray[np.float32]:
    """What the model gives, by numpy: float32 (n, classes)."""
    values = make_initializers(seed, precision)
    weights = values["fc.weight"].astype(np.float64) * values.get("fc.weight.scale", 1)
    logits = (images.reshape(len(images), PIXELS).astype(np.float64) - 128) @ weights + values["fc.bias"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)


def write_model(path: Path, seed: int = 0, precision: Precision = "fp32") -> None:
    """The graph: uint8 NHWC `image` to `probabilities`; in INT8, Q/DQ stand where a build puts them."""
    data = (DATA / f"tiny-{precision}.onnx").read_bytes()
    for name, values in make_initializers(seed, precision).items():
        placeholder = PLACEHOLDERS[precision][name]
        assert (values.dtype, values.shape) == (placeholder.dtype, placeholder.shape)
        assert data.count(placeholder.tobytes()) == 1
        data = data.replace(placeholder.tobytes(), values.tobytes())
    path.write_bytes(data)


def make_probe(model: Path) -> Probe:
    """Four inputs with ONNX Runtime's answers."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    images = make_images(4, seed=2)
    answers = ort.InferenceSession(str(model), settings).run(None, {"image": images})[0]
    return Probe(images, answers, answers)


def make_manifest(spec: ModelSpec, **changes: Any) -> Manifest:
    """A truthful manifest of the FP32 graph, not sealed."""
    settings: dict[str, Any] = {
        "schema_version": 2,
        "toolkit_version": "0.1.0",
        "spec": spec,
        "files": {},
        "precision": "fp32",
        "reduced_range": False,
        "target": "onnxruntime",
        "backend_version": ort.__version__,
        "threads": 1,
        "batch": BatchRange(),
        "layers": (LayerEntry("fc", PIXELS * CLASSES, "fp32", "fp32", "fp32 was asked for"),),
        "coverage": Coverage(0, 1, 0.0, ({"layer": "fc", "reason": "fp32 was asked for"},)),
        "error": GraphError(None, 0),
        "calibration_digest": None,
        "accuracy": None,
        "accuracy_reason": "no evaluation data",
        "latency_ms": None,
        "latency_reason": "not measured",
        "fingerprint": {},
        "probe": ProbeResult(LIMITS["fp32"], 0.0),
    }
    return Manifest(**{**settings, **changes})


# What else an INT8 bundle has: a file that no command reads, and what the manifest says otherwise.
CALIBRATION = b"{}\n"
INT8: dict[str, Any] = {
    "precision": "int8",
    "reduced_range": True,
    "target": "openvino",  # which runs the layer in INT8
    "layers": (LayerEntry("fc", PIXELS * CLASSES, "int8", "int8", ""),),
    "coverage": Coverage(1, 1, 1.0, ()),
    "calibration_digest": hashlib.sha256(CALIBRATION).hexdigest(),
    "probe": ProbeResult(LIMITS["int8"], 0.0),
}


def write_tiny_bundle(
    target: Path, *, force: bool = False, seed: int = 0, precision: Precision = "fp32", **changes: Any
) -> Path:
    """Build the bundle; `changes` go to the manifest."""
    settings = {**(INT8 if precision == "int8" else {}), **changes}
    with draft(target, force=force) as folder:
        write_model(folder.path / "model.onnx", seed, precision)
        make_probe(folder.path / "model.onnx").write(folder.path / "probe.npz")
        if precision == "int8":
            (folder.path / "calibration.json").write_bytes(CALIBRATION)
        write_bundle(folder, make_manifest(settings.pop("spec", make_spec()), **settings))
    return target


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest's JSON in place and give it the right form and digest, as a forger would."""
    path = folder / "manifest.json"
    values = json.loads(path.read_bytes())
    change(values)
    values["digest"] = ""
    values["digest"] = canonical.digest(values)
    path.write_bytes(canonical.to_bytes(values))


def reseal_file(folder: Path, name: str, data: bytes) -> None:
    """Replace one file and make the manifest agree with it."""
    path = folder / name
    path.write_bytes(data)
    entry = {"sha256": canonical.digest_file(path), "size": len(data)}
    reseal(folder, lambda values: values["files"].update({name: entry}))
