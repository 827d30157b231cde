"""ONNX Runtime's `quantize_static`, Q/DQ placed as the toolkit places them: on the inputs of layers.

With its defaults it quantizes the outputs of lenet's last layers and the softmax too, which costs it 25 dB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from common import Images, main
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

LAYERS = ["Conv", "Gemm", "MatMul"]
BATCH = 32


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Full batches alone: histograms cannot be collected from one that is not."""

    def __init__(self, name: str, images: Images) -> None:
        size = BATCH if len(images) % BATCH == 0 else 1
        self.feeds: Iterator[dict[str, np.ndarray]] = (
            {name: images[start : start + size]} for start in range(0, len(images), size)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def quantize(fp32: str, images: Images, out: str, method: CalibrationMethod, reduced: bool) -> None:
    name = onnx.load(fp32).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        prepared = str(Path(folder) / "prepared.onnx")
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            out,
            Reader(name, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=LAYERS,
            per_channel=True,
            reduce_range=reduced,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=method,
            extra_options={"OpTypesToExcludeOutputQuantization": LAYERS},
        )


CONFIGURATIONS = {
    f"{method.name.lower()}-{7 if reduced else 8}": {"method": method, "reduced": reduced}
    for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile, CalibrationMethod.Entropy)
    for reduced in (False, True)
}

if __name__ == "__main__":
    main(CONFIGURATIONS, quantize)
