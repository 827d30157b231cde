"""What a variant of the full-size AlexNet costs: milliseconds per image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from toolkit.zoo import get_zoo_model

ROUNDS = 15


def milliseconds(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The median time of one image on one thread, the variants in turn in each round.

    Args:
        variants: options of `alexnet` by label.
    """
    torch.set_num_threads(1)
    modules = {label: get_zoo_model("alexnet").with_options(given).make().eval() for label, given in variants.items()}
    image = torch.rand(1, 3, 227, 227)
    times: dict[str, list[float]] = {label: [] for label in modules}
    with torch.inference_mode():
        for number in range(ROUNDS + 2):
            for label, module in modules.items():
                start = time.perf_counter()
                module(image)
                if number >= 2:  # the first ones warm up
                    times[label].append(1000 * (time.perf_counter() - start))
    return {label: statistics.median(values) for label, values in times.items()}


def parameters(given: Mapping[str, Any]) -> int:
    """Of the full-size AlexNet with these options."""
    module = get_zoo_model("alexnet").with_options(given).make()
    return sum(parameter.numel() for parameter in module.parameters())
