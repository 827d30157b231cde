"""Every dependency: the range that is wanted, the version that is there, and whether it can be imported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from toolkit import DISTRIBUTION
from toolkit.doctor.finding import Finding
from toolkit.doctor.installed import Installed
from toolkit.doctor.probe import Answer

State = Literal["ok", "missing", "too old", "cannot be imported", "not checked"]

DEVELOPER_EXTRAS = {"bench", "browser", "dev", "docs", "experiments", "models", "test"}
PURPOSES = {
    "cpu": "to run bundles on this machine",
    "export": "to build from PyTorch models",
    "train": "to train models of the zoo",
    "report": "to draw pictures of comparisons, and to write reports",
    "camera": "to show a camera on a page and to record it",
    "mqtt": "to publish the numbers that a camera reads",
    "tensorrt": "to build and run with TensorRT on an NVIDIA GPU",
    "rtx": "to build with TensorRT for RTX, and to run on a GPU that it supports",
    "cuda": "to run on an NVIDIA GPU",
    "pycuda": "to run on an NVIDIA GPU with pycuda in place of cuda-python",
}
# Distributions that bring one and the same module: one of them is enough, and two write the same files.
SAME_MODULE: dict[str, tuple[str, ...]] = {
    "cv2": (
        "opencv-python",
        "opencv-contrib-python",
        "opencv-python-headless",
        "opencv-contrib-python-headless",
    ),
    "onnxruntime": (
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-directml",
        "onnxruntime-qnn",
        "onnxruntime-migraphx",
        "onnxruntime-rocm",
    ),
    "openvino": ("openvino", "openvino-nightly"),
}
# What brings the same module without a clash (a package, and the one that it is made of), or one of another name.
PROVIDERS = SAME_MODULE | {
    "cuda.bindings": ("cuda-python", "cuda-bindings"),
    "paho.mqtt": ("paho-mqtt",),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "tensorrt_rtx": ("tensorrt-rtx", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13"),
}
MODULES = {name: module for module, names in PROVIDERS.items() for name in names}


@dataclass(frozen=True)
class Package:
    """A dependency.

    Attributes:
        name: the distribution that is asked for.
        module: what is imported; empty where only developers need it, and it is not tried.
        wanted: the range of versions.
        extras: that want it; empty for the base install.
        provider: the installed distribution that serves; empty for a module without metadata, as JetPack's OpenCV.
        version: that is there; empty where none is.
        state: whether it can be used.
        reason: the first line of why not.
    """

    name: str
    module: str
    wanted: str
    extras: tuple[str, ...]
    provider: str = ""
    version: str = ""
    state: State = "missing"
    reason: str = ""

    @property
    def for_developers(self) -> bool:
        """Only those who change the toolkit need it."""
        return bool(self.extras) and DEVELOPER_EXTRAS.issuperset(self.extras)


def wanted_packages(requires: Sequence[str], extras: Sequence[str]) -> list[Package]:
    """The dependencies, each once, with the extras that want it.

    Args:
        requires: lines of `Requires-Dist`. Those for other versions of Python are left out.
        extras: lines of `Provides-Extra`.
    """
    found: dict[str, Package] = {}
    for line in requires:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name == DISTRIBUTION:
            continue  # an extra made of others
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            by: tuple[str, ...] = ()
        else:
            by = tuple(extra for extra in extras if requirement.marker.evaluate({"extra": extra}))
            if not by:
                continue
        known = found.get(name)
        if known is None:
            module = MODULES.get(name, name.replace("-", "_"))
            found[name] = Package(name, module, str(requirement.specifier), by)
        else:
            found[name] = replace(known, extras=(*known.extras, *by) if known.extras and by else ())
    return [replace(package, module="") if package.for_developers else package for package in found.values()]


def read_requirements() -> tuple[list[str], list[str]]:
    """`Requires-Dist` and `Provides-Extra` of the toolkit itself.

    Raises:
        PackageNotFoundError: it is not installed, only lies there.
    """
    distribution = metadata.distribution(DISTRIBUTION)
    return distribution.requires or [], distribution.metadata.get_all("Provides-Extra") or []


def suggested_extras(requires: Sequence[str]) -> list[str]:
    """The extras that the extra `all` is made of: what installs anywhere."""
    for line in requires:
        requirement = Requirement(line)
        own = canonicalize_name(requirement.name) == DISTRIBUTION
        if own and requirement.marker and requirement.marker.evaluate({"extra": "all"}):
            return [extra for extra in PURPOSES if extra in requirement.extras] + sorted(
                requirement.extras - set(PURPOSES)
            )
    return []


def judge(package: Package, installed: Installed, imported: Mapping[str, Answer]) -> Package:
    """Say how a dependency stands.

    Args:
        package: as wanted.
        installed: the metadata that is there.
        imported: what came of importing each module, by module.
    """
    names = (package.name, *(name for name in PROVIDERS.get(package.module, ()) if name != package.name))
    provider = next((name for name in names if installed.has(name)), "")
    version = installed.version(provider) if provider else ""
    answer = imported.get(package.module)
    if answer is None:
        state: State = "ok" if provider else "missing"
        return judge_version(replace(package, provider=provider, version=version, state=state))
    absent = answer.missing in (package.module, package.module.partition(".")[0]) and bool(answer.missing)
    if absent and not provider:
        return package
    package = replace(package, provider=provider, version=version or str(answer.value or ""))
    if not answer.tried:
        return replace(package, state="not checked", reason=answer.error)
    by_version = judge_version(replace(package, state="ok"))
    if answer.error and by_version.state == "ok":  # one that is too old may well lack the module
        gone = f"its files are gone, only its metadata is left ({answer.error})"
        reason = gone if absent else answer.error
        return replace(package, state="cannot be imported", reason=reason)
    return by_version


def judge_version(package: Package) -> Package:
    """Too old, where its version is outside the range that is wanted."""
    version = parse_version(package.version)
    if package.state != "ok" or version is None or SpecifierSet(package.wanted).contains(version, prereleases=True):
        return package
    return replace(package, state="too old", reason=f"{package.version} is installed, {package.wanted} is needed")


def parse_version(text: str) -> Version | None:
    """A version, or the numbers that one begins with: `5.0.0-dirty` is how some builds of OpenCV call themselves."""
    try:
        return Version(text)
    except InvalidVersion:
        numbers = re.match(r"\d+(\.\d+)*", text)
        return Version(numbers[0]) if numbers else None


def findings(
    packages: Sequence[Package], suggested: Sequence[str], *, runs: bool, explained: frozenset[str] = frozenset()
) -> list[Finding]:
    """What to install and to mend, the broken first.

    Args:
        packages: judged.
        suggested: extras to propose, in order.
        runs: a backend does.
        explained: modules whose failure a clash explains, with a better command.
    """
    numpy_fails = any(package.name == "numpy" and package.state != "ok" for package in packages)
    found = [
        finding
        for package in packages
        if package.module not in explained
        # Where numpy fails, nearly all others fail with it: what is left of that shows in the next run.
        and not (numpy_fails and package.name != "numpy" and package.state == "cannot be imported")
        for finding in mend(package)
    ]
    covered: set[str] = set()
    for extra in suggested:
        missing = {package.name for package in packages if package.state == "missing" and extra in package.extras}
        if missing - covered:
            covered |= missing
            needed = extra == "cpu" and not runs
            purpose = "no engine runs here: missing" if needed else f"missing {PURPOSES.get(extra, f'for {extra}')}"
            what = f"{purpose}: {', '.join(sorted(missing))}; in a clone of {DISTRIBUTION}:"
            found.append(Finding(needed, what, f"pip install '.[{extra}]'"))
    return found


def mend(package: Package) -> list[Finding]:
    """What is broken about a package, and the command against it."""
    wanted = f"{package.provider or package.name}{package.wanted}"
    if package.state == "missing" and not package.extras:
        return [Finding(True, f"{package.name} is not installed, and everything needs it", f"pip install '{wanted}'")]
    if package.state == "too old":
        return [Finding(True, f"{package.name} is too old: {package.reason}", f"pip install --upgrade '{wanted}'")]
    if package.state == "cannot be imported":
        return [Finding(True, f"{package.name} cannot be imported: {package.reason}", reinstall(package))]
    return []


def reinstall(package: Package) -> str:
    """The command against a package that cannot be imported."""
    name = package.provider or package.name
    if re.search(r"lib(GL|gthread-2\.0|glib-2\.0)\.so", package.reason):
        return "sudo apt install libgl1 libglib2.0-0"
    if "still not done" in package.reason:
        return "toolkit doctor --timeout 120"
    missing = re.match(r"ModuleNotFoundError: No module named '(\w+)", package.reason)
    if missing and missing[1] != package.module:
        return f"pip install --upgrade '{name}{package.wanted}'"  # one of its own dependencies
    public = package.version.partition("+")[0]  # 2.13.0+cpu is only where PyTorch keeps its own builds
    exact = f"{name}=={public}" if package.provider and public else f"'{name}{package.wanted}'"
    parts = "" if package.module.startswith("tensorrt") else "--no-deps "  # TensorRT's files are in others
    return f"pip install --force-reinstall {parts}{exact}"
