"""What this machine's CPU is and can do, as far as it changes answers."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

CPUINFO = "/proc/cpuinfo"
# Those lines of it that are the same for every processor of a kind, on x86 and on ARM.
FACTS = frozenset(
    {
        *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
    }
)
X86 = ("x86_64", "AMD64")
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
# ARM's /proc/cpuinfo may name a core by numbers alone: (implementer, part).
ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd83"): "Neoverse-V3AE",
}


@cache
def cpu_identity() -> dict[str, str]:
    """What tells kinds of processors apart: their names in a virtual machine do not."""
    facts = {"machine": platform.machine()}
    with suppress(OSError), open(CPUINFO, encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = (part.strip() for part in line.partition(":"))
            if not name:
                break  # the end of the first processor
            if name in FACTS:
                facts[name] = value
    return facts


def cpu_name(facts: Mapping[str, str]) -> str:
    """What to call it, by the lines of a processor in /proc/cpuinfo; empty where they do not say."""
    core = ARM_CORES.get((facts.get("CPU implementer", ""), facts.get("CPU part", "")))
    return core or facts.get("model name", "")


def cpu_features() -> frozenset[str]:
    """The features that Linux names, in its words. Empty where it does not tell."""
    facts = cpu_identity()
    return frozenset((facts.get("flags") or facts.get("Features") or "").split())


def saturates() -> bool:
    """Whether INT8 products are added in pairs in 16 bits that saturate: on x86 without VNNI.

    Two products of a uint8 activation and an int8 weight reach 64,770 there, and 16 bits end at 32,767. Weights of at
    most 64 (7 bits, the "reduced range") keep every pair in range.
    """
    return cpu_identity()["machine"] in X86 and not VNNI & cpu_features()
