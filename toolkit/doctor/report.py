"""All sections, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from runtime.camera.opencv import OpenCvBuild, parse_build
from toolkit import DISTRIBUTION
from toolkit.doctor import cache, nvidia, packages, system
from toolkit.doctor.backends import BackendState, read_state
from toolkit.doctor.cache import Cache
from toolkit.doctor.clashes import find_clashes
from toolkit.doctor.finding import Finding
from toolkit.doctor.installed import Installed
from toolkit.doctor.matching import explained_modules, find_mismatches
from toolkit.doctor.nvidia import Nvidia
from toolkit.doctor.packages import Package
from toolkit.doctor.probe import Answer, ask
from toolkit.doctor.system import System

# Light first: what a heavy one breaks is then known already. onnxsim is the slowest by far.
ORDER = ("numpy", "cv2", "onnxruntime", "openvino", "onnx", "torch")


@dataclass(frozen=True)
class Report:
    """What `toolkit doctor` found.

    Attributes:
        ok: a backend runs here, and nothing is broken.
        toolkit: its version; empty where it is not installed.
        system: the machine.
        packages: the dependencies.
        clashes: between packages.
        opencv: how it was built; None where it cannot be asked.
        nvidia: GPUs and packages.
        backends: the engines.
        cache: the cache folder.
        next: what to do, in order.
    """

    ok: bool
    toolkit: str
    system: System
    packages: Sequence[Package]
    clashes: Sequence[Finding]
    opencv: OpenCvBuild | None
    nvidia: Nvidia
    backends: Sequence[BackendState]
    cache: Cache
    next: Sequence[Finding]


def examine(backend_names: Sequence[str], timeout_s: float) -> Report:
    """Look at everything.

    Args:
        backend_names: of the runtime.
        timeout_s: for importing one package, in seconds.
    """
    installed = Installed()
    try:
        requires, extras = packages.read_requirements()
    except metadata.PackageNotFoundError:
        requires, extras = [], []
    wanted = packages.wanted_packages(requires, extras)
    modules = sorted(
        {package.module for package in wanted} - {""} | set(packages.SAME_MODULE),
        key=lambda module: (ORDER.index(module) if module in ORDER else len(ORDER), module),
    )
    tasks = [f"import {module}" for module in modules]
    others = ["cores", "opencv", "onnx", "driver", *(f"backend {name}" for name in backend_names)]
    answers = ask([*tasks, *others], timeout_s)
    imported = {module: answers[f"import {module}"] for module in modules} | {"onnx file": answers["onnx"]}

    machine = system.look(answers["cores"].value)
    judged = [packages.judge(package, installed, imported) for package in wanted]
    clashes = find_clashes(installed, imported, machine.jetson.cuda_major if machine.jetson else None)
    backends = [read_state(name, answers[f"backend {name}"]) for name in backend_names]
    runs = any(backend.ok for backend in backends)
    build: Answer = answers["opencv"]

    gpus = nvidia.look(installed, answers["driver"], imported)
    mismatches = find_mismatches(gpus, machine)
    explained = frozenset(module for clash in (*clashes, *mismatches) for module in clash.modules)
    explained |= explained_modules(imported, machine.jetson)
    todo = [
        *(clash.finding for clash in (*clashes, *mismatches)),
        *packages.findings(judged, packages.suggested_extras(requires), runs=runs, explained=explained),
    ]
    if not requires:
        todo.insert(0, Finding(True, f"{DISTRIBUTION} is not installed: in a clone of it", "pip install '.[cpu]'"))
    if machine.externally_managed and any(finding.command.startswith("pip") for finding in todo):
        todo.insert(0, system.virtual_environment_first(machine))
    todo = sorted([*todo, *system.findings(machine)], key=lambda finding: not finding.broken)
    todo = list(once(todo))
    return Report(
        ok=runs and not any(finding.broken for finding in todo),
        toolkit=metadata.version(DISTRIBUTION) if requires else "",
        system=machine,
        packages=judged,
        clashes=[clash.finding for clash in clashes],
        opencv=parse_build(build.value) if build.value else None,
        nvidia=gpus,
        backends=backends,
        cache=cache.look(),
        next=todo,
    )


def once(todo: Sequence[Finding]) -> Iterator[Finding]:
    """Of findings with the same command, the first: one problem may show in several places."""
    seen: set[str] = set()
    for finding in todo:
        if not finding.command or finding.command not in seen:
            seen.add(finding.command)
            yield finding
