"""The GPU tests run over stand-ins, so that a mistake in a test is found where there is no GPU."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import zygote
from tests.command import ROOT, environment
from tests.gpu.gate import REHEARSE, REQUIRE

#: What a test says that is for one of the two products, or needs a program of NVIDIA's.
MAY_SKIP = (
    "TensorRT compiles its kernels while it builds",
    "TensorRT for RTX measures nothing while it builds",
    "TensorRT for RTX does not take --version-compatible",
    "TensorRT for RTX does not take --hardware-compatible",
    "is not on the PATH",
)


@pytest.mark.slow
def test_every_gpu_test_passes_over_stand_ins(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    variables = environment(PATH="/usr/bin:/bin", **{REHEARSE: "1", REQUIRE: ""})
    # For both products only where they differ: the rest would be said twice.
    arguments = ["-m", "gpu", "tests/gpu", "-k", "not rtx or test_cache"]
    arguments += ["-p", "no:cacheprovider", f"--junitxml={report}", f"--basetemp={tmp_path / 'work'}"]
    done = zygote.run("pytest", arguments, ROOT, variables)
    assert done.code == 0, done.out[-10_000:] + done.err[-2000:]
    cases = list(ElementTree.parse(report).iter("testcase"))
    reasons = [skipped.get("message", "") for case in cases for skipped in case.iter("skipped")]
    assert [reason for reason in reasons if not any(known in reason for known in MAY_SKIP)] == []
    # Each test runs for one product at least.
    ran = {case.get("name", "").replace("tensorrt-rtx", "tensorrt") for case in cases if not case.findall("skipped")}
    every = {case.get("name", "").replace("tensorrt-rtx", "tensorrt") for case in cases}
    assert every - ran == {"test_nvidia_s_own_program_loads_a_plan_as_it_is[tensorrt]"}
