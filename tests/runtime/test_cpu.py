"""What the CPU is: read from Linux's own words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import cpu

EPYC = (
    "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 {}\n\n"
    "processor\t: 1\nflags\t\t: none\n"
)
ORIN = "processor\t: 0\nBogoMIPS\t: 62.50\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cpu.cpu_identity.cache_clear()
    yield
    cpu.cpu_identity.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str, machine: str) -> None:
    (folder / "cpuinfo").write_text(text)
    monkeypatch.setattr(cpu, "CPUINFO", str(folder / "cpuinfo"))
    monkeypatch.setattr("platform.machine", lambda: machine)


@pytest.mark.parametrize(
    ("text", "machine", "saturates"),
    [
        (EPYC.format(""), "x86_64", True),
        (EPYC.format("avx512f avx512_vnni"), "x86_64", False),
        (EPYC.format("avx_vnni"), "x86_64", False),
        (ORIN, "aarch64", False),
        ("", "x86_64", True),  # nobody tells: the careful answer
    ],
)
def test_int8_saturates_on_x86_without_vnni(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, machine: str, saturates: bool
) -> None:
    pretend(monkeypatch, tmp_path, text, machine)
    assert cpu.saturates() is saturates


def test_the_first_processor_speaks_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path, EPYC.format("sse4_2"), "x86_64")
    assert cpu.cpu_features() == {"fpu", "avx2", "sse4_2"}
    assert cpu.cpu_identity()["model name"] == "AMD EPYC"
    pretend(monkeypatch, tmp_path, ORIN, "aarch64")
    cpu.cpu_identity.cache_clear()
    assert cpu.cpu_features() == {"fp", "asimd", "asimddp"}
    assert "BogoMIPS" not in cpu.cpu_identity()


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cpu, "CPUINFO", str(tmp_path / "gone"))
    assert set(cpu.cpu_identity()) == {"machine"}
    assert cpu.cpu_features() == frozenset()
