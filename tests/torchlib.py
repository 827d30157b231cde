"""Makes exports of PyTorch cheaper, which translates its library of operators for ONNX anew in each: two seconds."""

from __future__ import annotations

from contextlib import suppress
from functools import cache


def keep() -> None:
    """Translate it once in this process. Nothing is changed where this PyTorch has no such library, or none is here."""
    with suppress(ImportError, AttributeError):
        from torch.onnx._internal._lazy_import import onnxscript_apis

        onnxscript_apis.get_torchlib_ops = cache(onnxscript_apis.get_torchlib_ops)
