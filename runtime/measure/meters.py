"""Sensors of energy: RAPL's counters of an x86 CPU, and a Jetson's power monitors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runtime.measure.system import find, read_number
from runtime.nvidia import read_text
from runtime.text import counted

RAPL = "sys/class/powercap/intel-rapl:[0-9]*/energy_uj"
JETSON = "sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*/in[0-9]*_label"
WHOLE_BOARD = ("VDD_IN", "VIN")  # of the sensors, where one measures all of the module
PARTS_OF_OTHERS = ("VDDQ_VDD2_1V8AO", "NC", "sum of shunt voltages")  # counted by another one, or not connected
NO_SENSOR = "no sensor that can be read: neither RAPL's counters of an x86 CPU nor a Jetson's INA3221"
FORBIDDEN = (
    "only root may read {path}: run this as root, or have an administrator let your group read it by a line for "
    "tmpfiles.d (docs/bench.md)"
)

Clock = Callable[[], float]


class Meter(Protocol):
    """A sensor."""

    @property
    def source(self) -> str:
        """In words."""
        ...

    @property
    def of_cpu(self) -> bool:
        """Whether it counts the CPU alone."""
        ...

    def start(self) -> None:
        """Count from now on."""
        ...

    def look(self) -> None:
        """Read the sensor, often enough."""
        ...

    def joules(self) -> float:
        """Since the start."""
        ...


@dataclass
class Counter:
    """A counter of energy that wraps around.

    Attributes:
        path: in microjoules.
        most: at which it begins anew.
    """

    path: Path
    most: float
    last: float = 0.0
    total: float = 0.0

    def look(self) -> None:
        now = read_number(self.path)
        if now is not None:
            self.total += now - self.last + (self.most if now < self.last else 0)
            self.last = now


@dataclass
class Rapl:
    """RAPL of every CPU package, Intel's and AMD's."""

    counters: list[Counter]
    of_cpu = True

    @property
    def source(self) -> str:
        return f"RAPL, {counted(len(self.counters), 'CPU package')}"

    def start(self) -> None:
        self.look()
        for counter in self.counters:
            counter.total = 0.0

    def look(self) -> None:
        for counter in self.counters:
            counter.look()

    def joules(self) -> float:
        return sum(counter.total for counter in self.counters) / 1e6


@dataclass
class Ina3221:
    """A Jetson's power monitors, whose readings are added up over time.

    Attributes:
        rails: the files of voltage (mV) and current (mA) of each.
        source: in words.
        clock: seconds.
    """

    rails: list[tuple[Path, Path]]
    source: str
    clock: Clock = time.perf_counter
    of_cpu = False
    last: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    total: float = field(default=0.0, init=False)

    def start(self) -> None:
        self.last, self.total = (self.clock(), self.watts()), 0.0

    def look(self) -> None:
        now, watts = self.clock(), self.watts()
        self.total += (now - self.last[0]) * (watts + self.last[1]) / 2
        self.last = (now, watts)

    def joules(self) -> float:
        return self.total

    def watts(self) -> float:
        """Now."""
        return sum((read_number(volts) or 0) * (read_number(amperes) or 0) / 1e6 for volts, amperes in self.rails)


def find_meter(root: Path = Path("/")) -> Meter | str:
    """The sensor of this machine, or why there is none."""
    return find_ina3221(root) or find_rapl(root) or NO_SENSOR


def find_ina3221(root: Path) -> Ina3221 | None:
    """A Jetson's: the one of the whole module, or those that together are."""
    rails = {}
    for label in find(root, JETSON):
        name, number = read_text(label).strip(), label.name.removeprefix("in").removesuffix("_label")
        rail = (label.with_name(f"in{number}_input"), label.with_name(f"curr{number}_input"))
        if name not in PARTS_OF_OTHERS and all(read_number(file) is not None for file in rail):
            rails[name] = rail
    whole = next((name for name in WHOLE_BOARD if name in rails), None)
    names = [whole] if whole else list(rails)
    return Ina3221([rails[name] for name in names], f"INA3221, {' + '.join(names)}") if rails else None


def find_rapl(root: Path) -> Rapl | str:
    """Counters of CPU packages, or why there are none; of those within a package and of the platform, nothing."""
    counters = []
    for path in find(root, RAPL):
        if ":" in path.parent.name.removeprefix("intel-rapl:"):
            continue
        if not read_text(path.with_name("name")).startswith("package"):
            continue
        energy, most = read_number(path), read_number(path.with_name("max_energy_range_uj"))
        if energy is None:
            return FORBIDDEN.format(path=path) if not os.access(path, os.R_OK) else ""
        counters.append(Counter(path, most or 0.0))
    return Rapl(counters) if counters else ""
