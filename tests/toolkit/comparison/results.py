"""Made-up comparisons."""

from __future__ import annotations

from typing import Any

from toolkit.comparison.result import ComparedLayer, Comparison, SideEntry


def make_layer(name: str, sqnr_db: float = 40.0, own_sqnr_db: float | None = 45.0, **changes: Any) -> ComparedLayer:
    values: dict[str, Any] = {
        "name": name,
        "name_b": name,
        "operation": "Conv",
        "shape": (8, 4, 4),
        "sqnr_db": sqnr_db,
        "cosine": 0.99,
        "largest_error": 0.1,
        "relative_error": 0.01,
        "image": 3,
        "input_sqnr_db": 42.0,
        "own_sqnr_db": own_sqnr_db,
    }
    return ComparedLayer(**{**values, **changes})


def make_comparison(*layers: ComparedLayer, **changes: Any) -> Comparison:
    own = {layer.name: layer.own_sqnr_db for layer in layers if layer.own_sqnr_db is not None}
    values: dict[str, Any] = {
        "a": SideEntry("one", "one", "fp32", "pytorch", 1e-7),
        "b": SideEntry("two", "two", "int8", "openvino", 1e-3),
        "data": "pictures",
        "images": 64,
        "equal": False,
        "layers": layers,
        "adds_most_error": min(own, key=lambda name: own[name], default=None),
        "unmatched": (),
        "top1_a": None,
        "top1_b": None,
        "agreement": 98.4375,
        "largest_probability_difference": 0.25,
        "largest_difference_image": 1234,
        "largest_difference_file": None,
        "disagreements": (),
        "warnings": (),
        "picture": None,
        "seconds": 1.0,
    }
    return Comparison(**{**values, **changes})
