"""The workflow in examples/ci: it is one, and its gates do what its README says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import ROOT, environment, require_documented

FOLDER = ROOT / "examples" / "ci"
WORKFLOW = FOLDER / "quality-gate.yml"
PARSED: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = PARSED["jobs"]["gate"]["steps"]


def test_it_is_a_workflow_by_the_schema_of_workflows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_explains_every_variable_and_names_every_step_of_its_own() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    variables = {*PARSED["env"], *re.findall(r"vars\.(\w+)", WORKFLOW.read_text(encoding="utf-8"))}
    assert {name for name in variables if f"`{name}`" not in readme} == set()
    steps = [step["name"] for step in STEPS if "toolkit" in step.get("run", "") and "pip" not in step["run"]]
    assert len(steps) == 3
    assert [name for name in [*steps, "Keep the figures"] if f"| {name} |" not in readme] == []


def test_no_script_takes_text_from_an_expression() -> None:
    """What is put into a script by GitHub is run, whatever a branch is called: scripts read variables."""
    assert [step for step in STEPS if "${{" in step.get("run", "")] == []


class Runner:
    """A folder with what the steps before have made, where scripts are run as GitHub does."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        for name in ("head", "base", "results", "bundles", "bin"):
            (folder / name).mkdir()
        (folder / "bundles" / "base").symlink_to(model)
        command = folder / "bin" / "toolkit"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m toolkit "$@"\n')
        command.chmod(0o755)
        self.variables = {**PARSED["env"], "MODEL": str(model), "BUILD_OPTIONS": "", "BENCH_SECONDS": "0.1"}

    def run(self, step_id: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (step,) = (step for step in STEPS if step.get("id") == step_id)
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=self.folder / step.get("working-directory", "."),
            env=environment(**{**self.variables, **variables}, PATH=path),
            capture_output=True,
            text=True,
            timeout=300,
        )

    def result(self, name: str) -> Any:
        text = (self.folder / "results" / f"{name}.json").read_text(encoding="utf-8")
        require_documented(name, text)
        return json.loads(text)


def test_its_gates_pass_and_miss_by_exit_code(lenet_bundle: Path, tmp_path: Path) -> None:
    """From a bundle, which takes seconds: the gates on accuracy hold what was measured with it."""
    runner = Runner(tmp_path, lenet_bundle)
    done = runner.run("accuracy")
    assert done.returncode == 0, done.stderr
    assert [gate["passed"] for gate in runner.result("build")["gates"]] == [True, True]
    done = runner.run("latency", MAX_TIME_RATIO="1e6")
    assert done.returncode == 0, done.stderr
    assert [len(row["gates"]) for row in runner.result("bench")] == [0, 1]

    done = runner.run("latency", MAX_TIME_RATIO="0")
    assert done.returncode == 3
    assert "time_ratio<=0 missed" in done.stderr
    assert runner.result("bench")[1]["gates"][0]["passed"] is False
    done = runner.run("accuracy", MAX_DROP_POINTS="-100", BUILD_OPTIONS="--target onnxruntime --force")
    assert done.returncode == 3
    assert "top1>=99 passed" in done.stderr and "drop_points<=-100 missed" in done.stderr
    assert (tmp_path / "bundles" / "head" / "manifest.json").is_file()


@pytest.mark.parametrize("step", ["accuracy", "latency"])
def test_a_limit_that_is_no_number_is_wrong_usage(tiny_bundle: Path, tmp_path: Path, step: str) -> None:
    done = Runner(tmp_path, tiny_bundle).run(step, MAX_DROP_POINTS="low", MAX_TIME_RATIO="low")
    assert done.returncode == 2, done.stderr
