"""What the README shows works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_runs(block: str, lenet_bundle: Path) -> None:
    assert "build/lenet-int8" in block
    script = block.replace("build/lenet-int8", str(lenet_bundle))
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3\n"


def test_there_is_a_python_block() -> None:
    assert len(BLOCKS) == 1


def test_every_option_that_is_mentioned_exists() -> None:
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")  # that of the commands: test_docs
    known = set(re.findall(r"--[a-z][a-z0-9-]+", reference))
    mentioned = set(re.findall(r"[`\s](--[a-z][a-z0-9-]+)(?=[`\s,;])", README))
    assert {"--int8", "--json", "--target"} <= mentioned
    assert mentioned <= known


def test_the_output_shown_is_that_of_the_demo() -> None:
    shown = re.search(r"<!-- demo -->\n```\n(.*?)```", README, re.DOTALL)
    assert shown
    for word in (
        "top-1, drop and agreement in %",
        "int8    openvino",
        "chosen: int8 on openvino",
        "wrote build/lenet-int8",
        "9-dark-on-light.png",
    ):
        assert word in shown[1]
