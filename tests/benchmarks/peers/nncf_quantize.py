"""NNCF's `quantize` on the ONNX graph, with its fast bias correction and with the accurate one."""

from __future__ import annotations

import common
import nncf
import onnx
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix


def quantize(fp32: str, images: common.Images, out: str, fast: bool, reduced: bool) -> None:
    model = onnx.load(fp32)
    name = model.graph.input[0].name
    data = nncf.Dataset(range(len(images)), lambda index: {name: images[index : index + 1]})
    quantized = nncf.quantize(
        model,
        data,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        fast_bias_correction=fast,
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.ENABLE if reduced else OverflowFix.DISABLE
        ),
    )
    onnx.save(quantized, out)


CONFIGURATIONS = {
    f"{'fast' if fast else 'accurate'}-{7 if reduced else 8}": {"fast": fast, "reduced": reduced}
    for fast in (True, False)
    for reduced in (False, True)
}

if __name__ == "__main__":
    common.main(CONFIGURATIONS, quantize)
