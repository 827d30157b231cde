"""What Linux says of a machine, in files below a root: another root than `/` is a tree that was recorded elsewhere.

Nothing here fails: a file that is missing, forbidden or strange counts as not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from runtime.nvidia import read_text

CPUS = "sys/devices/system/cpu"
POSSIBLE_C = (-30.0, 150.0)  # sensors that are not connected say anything
SLOWED_BY = re.compile(r"cpufreq|devfreq|^Processor$")  # cooling devices that lower clocks; others are fans
# Clocks capped, throttled, near the limit: https://www.raspberrypi.com/documentation/computers/os.html
PI_SLOWED = 0b1110


def find(root: Path, *patterns: str) -> tuple[Path, ...]:
    """Files by patterns below the root."""
    found: list[Path] = []
    for pattern in patterns:
        try:
            found += sorted(root.glob(pattern))
        except OSError:
            continue
    return tuple(found)


def read_number(path: Path) -> float | None:
    """The number that a file holds."""
    try:
        return float(read_text(path))
    except ValueError:
        return None


def read_numbers(paths: Iterable[Path]) -> list[float]:
    """Those of the files that hold one."""
    return [number for number in map(read_number, paths) if number is not None]


def read_governor(root: Path) -> str:
    """Of the CPU's clock; several with commas, empty where there is none."""
    files = find(root, f"{CPUS}/cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(sorted({text for file in files if (text := read_text(file).strip())}))


def read_power_mode(root: Path) -> str:
    """That nvpmodel set on a Jetson, by its name; empty elsewhere."""
    mode = re.search(r"pmode:0*(\d+)", read_text(root / "var/lib/nvpmodel/status"))
    if mode is None:
        return ""
    name = re.search(rf"<\s*POWER_MODEL\s+ID={mode[1]}\s+NAME=(\S+?)\s*>", read_text(root / "etc/nvpmodel.conf"))
    return name[1] if name else f"mode {mode[1]}"


def clock_files(root: Path) -> tuple[Path, ...]:
    """What holds the clock of each core, in kHz."""
    return find(root, f"{CPUS}/cpu[0-9]*/cpufreq/scaling_cur_freq")


def read_clock(root: Path, files: Iterable[Path]) -> float | None:
    """The mean over cores, in MHz."""
    clocks = [khz / 1e3 for khz in read_numbers(files)]
    if not clocks:
        clocks = [float(mhz) for mhz in re.findall(r"^cpu MHz\s*: ([\d.]+)", read_text(root / "proc/cpuinfo"), re.M)]
    return sum(clocks) / len(clocks) if clocks else None


def temperature_files(root: Path) -> tuple[Path, ...]:
    """What holds a temperature, in thousandths of a degree."""
    return find(root, "sys/class/thermal/thermal_zone*/temp", "sys/class/hwmon/hwmon*/temp*_input")


def read_temperature(files: Iterable[Path]) -> float | None:
    """The highest."""
    degrees = [number / 1e3 for number in read_numbers(files)]
    return max((degree for degree in degrees if POSSIBLE_C[0] < degree < POSSIBLE_C[1]), default=None)


def throttle_counters(root: Path) -> tuple[Path, ...]:
    """What counts how often something was slowed down: x86 by core and package, a Jetson by over-current."""
    return find(root, f"{CPUS}/cpu[0-9]*/thermal_throttle/*_throttle_count", "sys/class/hwmon/hwmon*/oc*_event_cnt")


def throttle_states(root: Path) -> tuple[Path, ...]:
    """What is above 0 while something is slowed down."""
    cooling = find(root, "sys/class/thermal/cooling_device*/cur_state")
    return tuple(file for file in cooling if SLOWED_BY.search(read_text(file.with_name("type")).strip()))


def pi_states(root: Path) -> tuple[Path, ...]:
    """A Raspberry Pi's own word for it: bits, in hexadecimal."""
    return find(root, "sys/devices/platform/soc*/soc*:firmware/get_throttled")


def is_slowed(states: Iterable[Path], pi: Iterable[Path]) -> bool:
    """Whether one of them says so now."""
    bits = [text for file in pi if re.fullmatch(r"(0x)?[0-9a-f]+", text := read_text(file).strip())]
    return any(state > 0 for state in read_numbers(states)) or any(int(text, 16) & PI_SLOWED for text in bits)


def read_load(root: Path) -> float | None:
    """Processes that wanted to run, on average in the last minute."""
    try:
        return float(read_text(root / "proc/loadavg").split()[0])
    except (IndexError, ValueError):
        return None


def read_cpu_ticks(root: Path) -> tuple[int, int, int] | None:
    """Of the machine since it started, over all cores: busy, stolen by other virtual machines, all together."""
    first = read_text(root / "proc/stat").partition("\n")[0].split()
    try:
        user, nice, system, idle, waiting, interrupts, soft, stolen = map(int, first[1:9])
    except ValueError:
        return None
    busy = user + nice + system + interrupts + soft
    return busy, stolen, busy + stolen + idle + waiting
