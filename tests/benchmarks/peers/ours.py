"""The toolkit's own calibration, run as its peers are: as it is by default, and one method with nothing fitted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from common import Images, main

from calibration.calibration import CalibrationRequest, calibrate
from calibration.options import CalibrationOptions
from calibration.placement import plan
from calibration.quantize import at_precision
from runtime.backends.onnxruntime import onnxruntime
from runtime.progress import SilentProgress
from runtime.spec import Preprocess, classifier_spec


class Pictures:
    """The images as a data set."""

    name, labels = "images", None

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> np.ndarray:
        (image,) = self.images[index : index + 1]
        return image[..., 0] if image.shape[-1] == 1 else image

    def image_name(self, index: int) -> str:
        return f"image {index}"

    def image_digest(self, index: int) -> bytes:
        return hashlib.sha256(self.image(index).tobytes()).digest()

    def digest(self) -> str:
        return ""


def quantize(fp32: str, images: Images, out: str, options: CalibrationOptions, reduced: bool) -> None:
    _, height, width, channels = images.shape
    color = "gray" if channels == 1 else "rgb"
    ready = Preprocess(color, (), (0.0,) * channels, (1.0,) * channels)  # images are at the model's size already
    spec = classifier_spec("model", height=height, width=width, classes=10, preprocess=ready)
    model = onnx.load(fp32)
    planned = plan(model)
    request = CalibrationRequest(Path(fp32), planned, Pictures(images), spec, reduced, options)
    quantized, _ = at_precision(model, "int8", calibrate(request, SilentProgress()), {})
    Path(out).write_bytes(quantized.SerializeToString(deterministic=True))


PLAIN = CalibrationOptions(method="percentile", rounding="nearest", correct_biases=False)
CONFIGURATIONS = {
    f"{name}-{7 if reduced else 8}": {"options": options, "reduced": reduced}
    for name, options in (("auto", CalibrationOptions()), ("percentile", PLAIN))
    for reduced in (False, True)
}

if __name__ == "__main__":
    onnxruntime()  # imported on first use
    main(CONFIGURATIONS, quantize)
