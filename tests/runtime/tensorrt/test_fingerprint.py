"""A plan runs where it was built for, and elsewhere says what that was, what this is, and what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime import nvidia
from runtime.backends.tensorrt.fingerprint import Here, make_fingerprint, mismatch, require_match
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.backends.tensorrt.product import RTX, TENSORRT
from runtime.errors import BackendError

ORIN = Here("tensorrt", "10.3.0", "8.7", "Orin", "540.4.0", "12.6", "JetPack 6.1", "linux aarch64")
DESKTOP = Here("tensorrt", "10.16.1", "8.6", "RTX 3060", "580.65", "13.0", "", "linux x86_64")


def test_it_says_all_that_is_known_and_nothing_else() -> None:
    assert make_fingerprint(ORIN, TensorRtOptions()) == {
        "module": "tensorrt",
        "version": "10.3.0",
        "compute_capability": "8.7",
        "gpu": "Orin",
        "driver": "540.4.0",
        "cuda": "12.6",
        "jetpack": "JetPack 6.1",
        "platform": "linux aarch64",
    }
    without = Here("tensorrt_rtx", "1.7.1", platform="linux x86_64")
    made = make_fingerprint(without, TensorRtOptions(compute_capabilities=("8.6", "8.9")))
    assert made["compute_capability"] == "8.6,8.9" and "gpu" not in made


@pytest.mark.parametrize(
    ("changes", "options", "why"),
    [
        ({}, {}, ""),
        ({"gpu": "RTX 3070", "driver": "590.1", "cuda": "13.1"}, {}, ""),
        ({"module": "tensorrt_rtx"}, {}, "another library"),
        ({"platform": "windows amd64"}, {}, "another system"),
        ({"version": "10.16.2"}, {}, "another version"),
        ({"version": "10.16.2"}, {"version_compatible": True}, ""),
        ({"version": "10.16.0"}, {"version_compatible": True}, "same and newer versions"),
        ({"version": "11.0.0"}, {"version_compatible": True}, ""),
        ({"version": "12.0.0"}, {"version_compatible": True}, "up to those of the next major one"),
        ({"compute_capability": "8.9"}, {}, "another GPU"),
        ({"compute_capability": ""}, {}, "another GPU"),
        ({"compute_capability": "8.9"}, {"hardware_compatible": "same-cc"}, "another GPU"),
        ({"compute_capability": "12.0"}, {"hardware_compatible": "ampere+"}, ""),
        ({"compute_capability": "7.5"}, {"hardware_compatible": "ampere+"}, "8.0 or newer"),
        ({"compute_capability": "8.9"}, {"compute_capabilities": ("8.6", "8.9")}, ""),
    ],
)
def test_where_it_may_run(changes: dict, options: dict, why: str) -> None:
    built = make_fingerprint(DESKTOP, TensorRtOptions(**options))
    said = mismatch(built, replace(DESKTOP, **changes))
    assert (why in said) if why else said == ""


def test_the_message_names_both_sides_and_the_command(tmp_path: Path) -> None:
    plan = tmp_path / "lenet-int8" / "engine.plan"
    with pytest.raises(BackendError) as caught:
        require_match(make_fingerprint(DESKTOP, TensorRtOptions()), ORIN, TENSORRT, plan)
    for words in ("10.16.1", "RTX 3060", "8.6", "x86_64", "this is tensorrt 10.3.0, Orin (8.7), linux aarch64"):
        assert words in caught.value.message
    assert caught.value.hint == f"build it here: toolkit build {plan.parent} --target tensorrt -o NEW"
    require_match(make_fingerprint(ORIN, TensorRtOptions()), ORIN, TENSORRT, plan)
    with pytest.raises(BackendError, match=r"was built for ; this is .*another library"):
        require_match({}, ORIN, RTX, plan)


def test_a_jetson_says_its_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nvidia, "TEGRA_RELEASE", tmp_path / "release")
    assert nvidia.jetson_linux() == ""
    (tmp_path / "release").write_text("# R36 (release), REVISION: 4.3, GCID: 3\nmore\n")
    assert nvidia.jetson_linux() == "R36 (release), REVISION: 4.3, GCID: 3"


def test_memory_that_the_system_caches_is_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nvidia, "MEMORY", tmp_path / "meminfo")
    assert nvidia.available_memory() == 0
    (tmp_path / "meminfo").write_text("MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable:    6000 kB\n")
    assert nvidia.available_memory() == 6000 * 1024
