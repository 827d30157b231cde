"""A few of timm's and torchvision's classifiers, small ones; tests/benchmarks/other_models.py builds many."""

from __future__ import annotations

import pytest

from tests.benchmarks.other_models import build_module, open_file


@pytest.mark.parametrize(
    ("name", "size", "attention"),
    [("torchvision/squeezenet1_1", 64, 0), ("timm/test_efficientnet", 64, 0), ("timm/test_vit", 160, 2 * 6)],
)
def test_a_module_is_built_in_int8_for_both_engines(name: str, size: int, attention: int) -> None:
    """Every layer is in INT8 but the products of attention, which have no weight."""
    figures = build_module(name, size)
    assert not figures["against"] and figures["quantizable"] - figures["quantized"] == attention, figures
    assert set(figures["p50_ms"]) == {
        f"{kind} {target}" for kind in ("fp32", "int8") for target in ("openvino", "onnxruntime")
    }
    assert figures["logits_sqnr_db"] > 10


@pytest.mark.parametrize(
    ("name", "size"), [("torchvision/shufflenet_v2_x0_5", 64), ("timm/test_convnext", 64), ("timm/test_vit", 160)]
)
def test_a_file_for_one_image_takes_any_number(name: str, size: int) -> None:
    """As PyTorch's older exporter writes it."""
    figures = open_file(name, size)
    assert figures["max_error"] < 1e-4 and figures["warnings"] == []
