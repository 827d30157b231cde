"""A small real classifier, made without PyTorch: 8x8 grey pixels to four classes by one matrix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from runtime import canonical
from runtime.bundle import write_bundle
from runtime.folder import draft
from runtime.manifest import Coverage, LayerEntry, Manifest, ProbeResult
from runtime.probe import LIMITS, Probe
from runtime.spec import BatchRange, ModelSpec, Preprocess, Resize, classifier_spec

SIDE = 8
CLASSES = 4
LABELS = ("ant", "bee", "cow", "dög")


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


def expected_answers(images: NDArray[np.uint8], seed: int = 0) -> NDArray[np.float32]:
    """What the model gives, by numpy: float32 (n, classes)."""
    weights, biases = make_weights(seed)
    logits = (images.reshape(len(images), SIDE * SIDE).astype(np.float64) - 128) @ weights + biases
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)


def write_model(path: Path, seed: int = 0) -> None:
    """The graph: uint8 NHWC `image` to `probabilities`."""
    weights, biases = make_weights(seed)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["nchw", "middle"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], name="fc"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [
            numpy_helper.from_array(np.array(128, np.float32), "middle"),
            numpy_helper.from_array(weights, "fc.weight"),
            numpy_helper.from_array(biases, "fc.bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def make_probe(model: Path) -> Probe:
    """Four inputs with ONNX Runtime's answers."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    images = make_images(4, seed=2)
    answers = ort.InferenceSession(str(model), settings).run(None, {"image": images})[0]
    return Probe(images, answers, answers)


def make_manifest(spec: ModelSpec, **changes: Any) -> Manifest:
    """A truthful manifest, not sealed."""
    settings: dict[str, Any] = {
        "schema_version": 1,
        "toolkit_version": "0.1.0",
        "spec": spec,
        "files": {},
        "precision": "fp32",
        "target": "onnxruntime",
        "backend_version": ort.__version__,
        "threads": 1,
        "batch": BatchRange(),
        "layers": (LayerEntry("fc", SIDE * SIDE * CLASSES, "fp32", "fp32", "fp32 was asked for"),),
        "coverage": Coverage(0, 1, 0.0, ({"layer": "fc", "reason": "fp32 was asked for"},)),
        "calibration_digest": None,
        "accuracy": None,
        "accuracy_reason": "no evaluation data",
        "latency_ms": None,
        "latency_reason": "not measured",
        "fingerprint": {},
        "probe": ProbeResult(LIMITS["fp32"], 0.0),
    }
    return Manifest(**{**settings, **changes})


def write_tiny_bundle(target: Path, *, force: bool = False, seed: int = 0, **changes: Any) -> Path:
    """Build the bundle; `changes` go to the manifest."""
    with draft(target, force=force) as folder:
        write_model(folder.path / "model.onnx", seed)
        make_probe(folder.path / "model.onnx").write(folder.path / "probe.npz")
        write_bundle(folder, make_manifest(changes.pop("spec", make_spec()), **changes))
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
