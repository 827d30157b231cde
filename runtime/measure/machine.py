"""The machine that is measured on, and a watch over its state meanwhile, with warnings in words."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from msgspec import structs

from runtime.backend import available_cores
from runtime.cpu import cpu_name
from runtime.jetson import MODEL_FILE, parse_jetson
from runtime.measure import system
from runtime.measure.result import Conditions, Interval, Machine
from runtime.nvidia import TEGRA_RELEASE, read_text
from runtime.progress import Progress, Stage

PACKAGES = (
    "numpy",
    "opencv-python",
    "openvino",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "cuda-python",
)
BUSY_PERCENT = 5.0  # of the machine, for others
STOLEN_PERCENT = 1.0
HOT_C = 95.0
STEADY_GOVERNORS = ("performance", "")


def describe_machine(root: Path = Path("/")) -> Machine:
    """What this is.

    Args:
        root: where its files are.
    """
    cores = re.findall(r"^(\S[^:\n]*?)\s*:[ \t]*(.*)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", read_text(root / "proc/meminfo"), re.MULTILINE)
    jetson = parse_jetson(read_text(below(root, TEGRA_RELEASE)), read_text(below(root, MODEL_FILE)))
    gpus = [read_text(file) for file in system.find(root, "proc/driver/nvidia/gpus/*/information")]
    return Machine(
        name=platform.node(),
        system=f"{name_system(root)}, {platform.system()} {platform.release()}",
        python=platform.python_version(),
        cpu=cpu_name(dict(reversed(cores))) or platform.machine(),
        cores=available_cores(),
        memory_bytes=1024 * int(memory[1]) if memory else None,
        board=f"{jetson.model or 'Jetson'} ({jetson.jetpack})" if jetson else "",
        gpus=tuple(found[1] for text in gpus if (found := re.search(r"^Model:\s*(.*\S)", text, re.MULTILINE))),
        packages={name: version for name in PACKAGES if (version := package_version(name))},
    )


def below(root: Path, path: Path) -> Path:
    """An absolute path, below another root."""
    return root / path.relative_to("/")


def name_system(root: Path) -> str:
    """The distribution."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', read_text(root / "etc/os-release"), re.MULTILINE)
    return found[1] if found else platform.system()


def package_version(name: str) -> str:
    """Of a library that is installed; empty where it is not."""
    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return ""


def own_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Watch:
    """Looks at the machine's state when it is told to, never by a thread of its own: that would show up in latencies.

    Args:
        root: where the machine's files are.
        own: CPU seconds of what is measured, which is not others'.
    """

    def __init__(self, root: Path = Path("/"), own: Callable[[], float] = own_seconds) -> None:
        self.root, self.own = root, own
        self.clocks: list[float] = []
        self.temperatures: list[float] = []
        self.slowed = False
        self.files = (system.clock_files(root), system.temperature_files(root))
        self.counters, self.states = system.throttle_counters(root), system.throttle_states(root)
        self.pi = system.pi_states(root)
        self.load = system.read_load(root)
        self.counted = system.read_numbers(self.counters)
        self.ticks, self.own_before = system.read_cpu_ticks(root), own()

    def sample(self) -> None:
        """Look, which takes some microseconds for each file."""
        clock, temperature = system.read_clock(self.root, self.files[0]), system.read_temperature(self.files[1])
        self.clocks += [] if clock is None else [clock]
        self.temperatures += [] if temperature is None else [temperature]
        self.slowed = self.slowed or system.is_slowed(self.states, self.pi)

    def conditions(self, *warnings: str) -> Conditions:
        """What was seen since the beginning; `warnings` are others' that belong there."""
        self.sample()
        others, stolen = self.shares()
        throttled = None
        if self.counters or self.states or self.pi:
            throttled = self.slowed or system.read_numbers(self.counters) != self.counted
        seen = Conditions(
            governor=system.read_governor(self.root),
            power_mode=system.read_power_mode(self.root),
            clock_mhz=Interval(round(min(self.clocks), 1), round(max(self.clocks), 1)) if self.clocks else None,
            temperature_c=max(self.temperatures, default=None),
            throttled=throttled,
            load_before=self.load,
            others_percent=others,
            stolen_percent=stolen,
            warnings=(),
        )
        return structs.replace(seen, warnings=(*warn(seen), *warnings))

    def shares(self) -> tuple[float | None, float | None]:
        """Of the machine's CPU time: what others took, and what a virtual machine did not get; in percent."""
        now = system.read_cpu_ticks(self.root)
        if self.ticks is None or now is None or now[2] <= self.ticks[2]:
            return None, None
        busy, stolen, whole = (after - before for after, before in zip(now, self.ticks, strict=True))
        own = (self.own() - self.own_before) * os.sysconf("SC_CLK_TCK")
        return percent((busy - own) / whole), percent(stolen / whole)


def percent(share: float) -> float:
    """In 0..100: counters of the kernel are rounded, each in its own way."""
    return round(100 * min(max(share, 0.0), 1.0), 2)


def warn(seen: Conditions) -> Iterator[str]:
    """Why figures should be taken with care, and what to do."""
    if seen.others_percent is not None and seen.others_percent >= BUSY_PERCENT:
        yield (
            f"other processes took {seen.others_percent:.0f} % of the CPU: stop them and measure again; until then "
            "trust ratios, not milliseconds"
        )
    if seen.stolen_percent is not None and seen.stolen_percent >= STOLEN_PERCENT:
        yield (
            f"this virtual machine did not get {seen.stolen_percent:.0f} % of the CPU time that it asked for: measure "
            "again, or on a machine of its own"
        )
    if seen.throttled:
        yield "the CPU or GPU slowed itself down: let it cool, look after fan and power supply, and measure again"
    elif seen.temperature_c is not None and seen.temperature_c >= HOT_C:
        yield f"it became {seen.temperature_c:.0f} degrees hot: it will slow down before long"
    if seen.governor not in STEADY_GOVERNORS:
        command = "sudo jetson_clocks" if seen.power_mode else "sudo cpupower frequency-set -g performance"
        yield (
            f"the CPU's clock follows the load (governor {seen.governor}), as in everyday use; for figures that "
            f"repeat: {command}"
        )


class WatchedProgress:
    """Another display, at every advance of which a watch looks: between turns, never within one."""

    def __init__(self, shown: Progress, watch: Watch) -> None:
        self.shown, self.watch = shown, watch

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        with self.shown.stage(name, total) as stage:
            yield WatchedStage(stage, self.watch)


class WatchedStage:
    """A stage of `WatchedProgress`."""

    def __init__(self, shown: Stage, watch: Watch) -> None:
        self.shown, self.watch = shown, watch

    def advance(self, n: int = 1) -> bool:
        self.watch.sample()
        return self.shown.advance(n)

    def note(self, text: str) -> None:
        self.shown.note(text)
