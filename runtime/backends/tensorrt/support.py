"""Which options each product takes: the others are refused before anything is built, with the reason."""

from __future__ import annotations

from typing import Any

from runtime.backends.cuda import Device
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.backends.tensorrt.product import RTX, TENSORRT, Product
from runtime.errors import BackendError
from runtime.nvidia import jetson_linux
from runtime.spec import Precision

OLDEST_COMPATIBLE = 8.0  # Ampere
NO_GEMM = "7.5"  # TensorRT for RTX multiplies no float32 matrices there

#: By product and option: why it is refused, and what to do; what is not in here is taken.
REFUSED: dict[Product, dict[str, tuple[str, str]]] = {
    TENSORRT: {
        "compute_capabilities": (
            "it builds for the GPU that it runs on",
            "build on the device: toolkit build BUNDLE --target tensorrt; or give --hardware-compatible ampere+",
        ),
    },
    RTX: {
        "version_compatible": (
            "its plans run on the version that built them",
            "leave it out, and build the bundle again after an update of TensorRT for RTX",
        ),
        "hardware_compatible": ("it ignores that", "name the GPUs instead: --compute-capability 8.6,8.9"),
    },
}


def refuse(product: Product, options: TensorRtOptions) -> None:
    """Refuse what a product does not take, before it is imported.

    Raises:
        BackendError: the option, the reason, and what to do.
    """
    for name, (reason, hint) in REFUSED[product].items():
        if getattr(options, name):
            raise refused(product, name, reason, hint)


def refuse_here(
    trt: Any, product: Product, options: TensorRtOptions, precision: Precision, device: Device | None
) -> None:
    """Refuse what the release that is here does not take, or not without a GPU.

    Args:
        trt: the module.
        product: which one it is.
        options: what is asked of it.
        precision: of the graph.
        device: the GPU; None where there is none.

    Raises:
        BackendError: the option, the reason, and what to do.
    """
    level = trt.HardwareCompatibilityLevel
    if options.hardware_compatible == "same-cc" and not hasattr(level, "SAME_COMPUTE_CAPABILITY"):
        raise refused(
            product, "hardware_compatible", f"{trt.__version__} knows ampere+ alone", "give ampere+, or leave it out"
        )
    if options.hardware_compatible and jetson_linux():
        raise refused(product, "hardware_compatible", "NVIDIA does not support it on JetPack", "build on each Jetson")
    capability = device.compute_capability if device else ""
    if options.hardware_compatible == "ampere+" and capability and float(capability) < OLDEST_COMPATIBLE:
        raise refused(product, "hardware_compatible", f"this GPU, of {capability}, is before Ampere", "leave it out")
    if options.strip_weights and product is RTX and device is None:
        raise refused(product, "strip_weights", "it needs a GPU for that, and none is here", "leave it out")
    known = capabilities(trt)
    for name in options.compute_capabilities:
        if name not in known:
            raise refused(
                product, "compute_capabilities", f"it does not know {name}", f"it builds for {', '.join(known)}"
            )
    if NO_GEMM in options.compute_capabilities and "fp16" not in precision:
        raise refused(
            product,
            "compute_capabilities",
            f"it multiplies no float32 matrices on {NO_GEMM}, and the {precision} graph has some",
            "build --fp16 or --int8 --fp16 for that GPU",
        )


def capabilities(trt: Any) -> tuple[str, ...]:
    """Those that a release builds for without a GPU, such as 8.6; none where it builds for the GPU that is here."""
    if not hasattr(trt, "ComputeCapability"):
        return ()
    names = (name.removeprefix("SM") for name in trt.ComputeCapability.__members__ if name.startswith("SM"))
    return tuple(f"{name[:-1]}.{name[-1]}" for name in names)


def refused(product: Product, option: str, reason: str, hint: str) -> BackendError:
    """The error, with the option as it is called on the command line."""
    flag = "--compute-capability" if option == "compute_capabilities" else "--" + option.replace("_", "-")
    return BackendError(f"{product.title} does not take {flag}: {reason}", hint)
