"""NVIDIA Model Optimizer's quantization of ONNX graphs, on the CPU. It has no weights of 7 bits."""

from __future__ import annotations

import onnx
from common import Images, main
from modelopt.onnx.quantization import quantize as modelopt_quantize

BATCH = 32


def quantize(fp32: str, images: Images, out: str, method: str) -> None:
    given = onnx.load(fp32).graph.input[0]
    shape = "x".join(str(side) for side in (BATCH, *images.shape[1:]))
    modelopt_quantize(
        fp32,
        quantize_mode="int8",
        calibration_data=images[:],
        calibration_method=method,
        calibration_shapes=f"{given.name}:{shape}",
        calibration_eps=["cpu"],
        output_path=out,
        high_precision_dtype="fp32",
        log_level="WARNING",
    )


CONFIGURATIONS = {f"{method}-8": {"method": method} for method in ("max", "entropy")}

if __name__ == "__main__":
    main(CONFIGURATIONS, quantize)
