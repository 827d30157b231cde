"""Where a plan may run: what it was built by and for, against what is here."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.backends.tensorrt.plan import HOST_CODE, NEEDED, STRIPPED, WEIGHTS, rebuild
from runtime.backends.tensorrt.product import Product
from runtime.errors import BackendError

AMPERE = (8, 0)


@dataclass(frozen=True)
class Here:
    """This machine, as far as plans are concerned.

    Attributes:
        module: `tensorrt` or `tensorrt_rtx`.
        version: of it.
        compute_capability: of the GPU, such as 8.6; empty where there is none.
        gpu: its name.
        driver: its version.
        cuda: the newest CUDA that the driver serves.
        jetpack: of a Jetson; empty elsewhere.
        platform: system and machine.
    """

    module: str
    version: str
    compute_capability: str = ""
    gpu: str = ""
    driver: str = ""
    cuda: str = ""
    jetpack: str = ""
    platform: str = ""

    def __str__(self) -> str:
        gpu = f"{self.gpu or 'a GPU'} ({self.compute_capability})" if self.compute_capability else "no GPU"
        return f"{self.module} {self.version}, {gpu}, {self.platform}"


def this_platform() -> str:
    """Such as linux x86_64."""
    return f"{platform.system().lower()} {platform.machine()}"


def make_fingerprint(here: Here, options: TensorRtOptions) -> dict[str, str]:
    """What the manifest says of a plan; what is not known, or not asked for, is left out."""
    built_for = ",".join(options.compute_capabilities) or here.compute_capability
    found = {
        "module": here.module,
        "version": here.version,
        "compute_capability": built_for,
        "gpu": here.gpu,
        "driver": here.driver,
        "cuda": here.cuda,
        "jetpack": here.jetpack,
        "platform": here.platform,
        "hardware_compatible": options.hardware_compatible or "",
        HOST_CODE: NEEDED if options.version_compatible else "",
        WEIGHTS: STRIPPED if options.strip_weights else "",
    }
    return {name: value for name, value in found.items() if value}


def require_match(fingerprint: Mapping[str, str], here: Here, product: Product, plan: Path) -> None:
    """Refuse a plan that was built for something else.

    Raises:
        BackendError: what it was built for, what this is, and the command that builds it here.
    """
    why = mismatch(fingerprint, here)
    if not why:
        return
    built = ", ".join(
        fingerprint[name]
        for name in ("module", "version", "gpu", "compute_capability", "platform")
        if name in fingerprint
    )
    raise BackendError(
        f"{plan} was built for {built}; this is {here}: {why}",
        rebuild(plan, fingerprint, product.name),
    )


def mismatch(fingerprint: Mapping[str, str], here: Here) -> str:
    """Why a plan cannot run here; empty where nothing speaks against it."""
    get = fingerprint.get
    if get("module") != here.module:
        return "another library"
    if get("platform", here.platform) != here.platform:
        return "another system"
    built, version = get("version", ""), here.version
    if get(HOST_CODE) == NEEDED:
        next_major = tuple(number + 1 for number in numbers(built)[:1])
        if numbers(built) > numbers(version) or numbers(version)[:1] > next_major:
            return "a version-compatible plan runs on the same and newer versions, up to those of the next major one"
    elif built != version:
        return "another version"
    wanted = get("compute_capability", "").split(",")
    if get("hardware_compatible") == "ampere+":
        return "" if numbers(here.compute_capability) >= AMPERE else "it needs a GPU of compute capability 8.0 or newer"
    return "" if here.compute_capability in wanted else "another GPU"


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparing."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
