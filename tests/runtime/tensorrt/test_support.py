"""What a product or a release does not take is refused before anything is built, with the reason."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.backends.cuda import Device
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.backends.tensorrt.product import RTX, TENSORRT, Product
from runtime.backends.tensorrt.support import capabilities, refuse, refuse_here
from runtime.errors import BackendError

GPU = Device(0, "a GPU", "8.6", False, 1 << 30)
Level = Enum("Level", "NONE AMPERE_PLUS SAME_COMPUTE_CAPABILITY")
OldLevel = Enum("OldLevel", "NONE AMPERE_PLUS")
Capability = Enum("Capability", "NONE CURRENT SM75 SM86 SM120")


def library(**parts: Any) -> SimpleNamespace:
    return SimpleNamespace(__version__="9.9", HardwareCompatibilityLevel=Level, **parts)


@pytest.mark.parametrize(
    ("product", "options", "words"),
    [
        (TENSORRT, {"compute_capabilities": ("8.6",)}, "TensorRT does not take --compute-capability: it builds for"),
        (RTX, {"version_compatible": True}, "--version-compatible: its plans run on the version that built them"),
        (RTX, {"hardware_compatible": "ampere+"}, "--hardware-compatible: it ignores that"),
    ],
)
def test_a_product_refuses(product: Product, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError) as caught:
        refuse(product, TensorRtOptions(**options))
    assert words in caught.value.message and caught.value.hint


def test_what_a_product_takes_is_not_refused() -> None:
    both = {"workspace_mib": 64, "optimization_level": 5, "strip_weights": True, "verbose": True}
    refuse(TENSORRT, TensorRtOptions(**both, version_compatible=True, hardware_compatible="same-cc"))
    refuse(RTX, TensorRtOptions(**both, compute_capabilities=("8.6",)))
    refuse_here(library(), TENSORRT, TensorRtOptions(**both, hardware_compatible="same-cc"), "int8", GPU)
    refuse_here(library(ComputeCapability=Capability), RTX, TensorRtOptions(**both), "fp32", GPU)


def test_what_is_missing_here_is_refused() -> None:
    rtx = library(ComputeCapability=Capability)
    old = SimpleNamespace(__version__="10.3.0", HardwareCompatibilityLevel=OldLevel)
    for trt, product, options, precision, words in (
        (old, TENSORRT, {"hardware_compatible": "same-cc"}, "fp32", "10.3.0 knows ampere+ alone"),
        (rtx, RTX, {"strip_weights": True}, "fp32", "it needs a GPU for that"),
        (rtx, RTX, {"compute_capabilities": ("8.6", "9.0")}, "fp16", "it does not know 9.0"),
        (rtx, RTX, {"compute_capabilities": ("7.5",)}, "int8", "no float32 matrices on 7.5, and the int8 graph has"),
    ):
        with pytest.raises(BackendError) as caught:
            refuse_here(trt, product, TensorRtOptions(**options), precision, None)  # type: ignore[arg-type]
        assert words in caught.value.message and caught.value.hint


def test_a_plan_for_more_gpus_is_refused_where_nvidia_does(monkeypatch: pytest.MonkeyPatch) -> None:
    ampere = TensorRtOptions(hardware_compatible="ampere+")
    with pytest.raises(BackendError, match=r"this GPU, of 7\.5, is before Ampere"):
        refuse_here(library(), TENSORRT, ampere, "int8", Device(0, "T4", "7.5", False, 1))
    monkeypatch.setattr("runtime.backends.tensorrt.support.jetson_linux", lambda: "R36")
    with pytest.raises(BackendError, match="does not support it on JetPack"):
        refuse_here(library(), TENSORRT, ampere, "int8", GPU)


def test_capabilities_are_those_of_the_release() -> None:
    assert capabilities(library(ComputeCapability=Capability)) == ("7.5", "8.6", "12.0")
    assert capabilities(library()) == ()
