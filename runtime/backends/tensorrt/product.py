"""The two products: TensorRT, and TensorRT for RTX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Product:
    """A library with TensorRT's API.

    Attributes:
        name: of the backend.
        module: that is imported.
        package: that pip installs.
        title: for people.
        oldest: release that has all that is asked of it here.
    """

    name: str
    module: str
    package: str
    title: str
    oldest: str


TENSORRT = Product("tensorrt", "tensorrt", "tensorrt", "TensorRT", "10.3")
RTX = Product("tensorrt-rtx", "tensorrt_rtx", "tensorrt-rtx", "TensorRT for RTX", "1.7")
PRODUCTS = {product.name: product for product in (TENSORRT, RTX)}


@cache
def load_module(product: Product) -> Any:
    """The module, imported on first use: it loads hundreds of megabytes.

    Raises:
        ImportError: it, or a library under it, is not here.
    """
    return import_module(product.module)
