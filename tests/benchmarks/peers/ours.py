"""The toolkit's own calibration, run as its peers are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from common import main
from msgspec import structs

from calibration.calibration import CalibrationRequest, calibrate
from calibration.placement import plan
from calibration.quantize import at_precision
from runtime.datasets import ArrayDataset
from runtime.progress import SilentProgress
from runtime.spec import Preprocess, classifier_spec


def quantize(fp32: str, images: np.ndarray, out: str, reduced: bool) -> None:
    _, height, width, channels = images.shape
    color = "gray" if channels == 1 else "rgb"
    ready = Preprocess(color, (), (0.0,) * channels, (1.0,) * channels)  # images are at the model's size already
    spec = classifier_spec("model", height=height, width=width, classes=10, preprocess=ready)
    data = ArrayDataset("images", images[..., 0] if channels == 1 else images, None)
    model = onnx.load(fp32)
    planned = plan(model)
    request = CalibrationRequest(Path(fp32), planned, data, structs.replace(spec), reduced)
    quantized, _ = at_precision(model, "int8", calibrate(request, SilentProgress()), {})
    Path(out).write_bytes(quantized.SerializeToString(deterministic=True))


CONFIGURATIONS = {f"auto-{7 if reduced else 8}": {"reduced": reduced} for reduced in (False, True)}

if __name__ == "__main__":
    main(CONFIGURATIONS, quantize)
