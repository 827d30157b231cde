"""Runs the `toolkit` command, mostly in a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests import zygote
from toolkit.cli import run

ROOT = Path(__file__).resolve().parents[1]
TOOLKIT = [sys.executable, "-m", "toolkit"]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with the repository importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **extra}


def toolkit(
    *arguments: object, cwd: Path, fresh: bool = False, first: Callable[[], None] | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `toolkit ARGUMENTS` in a folder and wait for it. JSON that it prints has to meet the command's schema.

    Args:
        arguments: of `toolkit`.
        cwd: the folder.
        fresh: start Python anew, as a user does, rather than fork a process that has imported everything, which saves
            ten seconds of a build. Whatever changes what Python itself does needs it, and gets it.
        first: what the process calls before all else.
        extra: environment variables.
    """
    command = [*TOOLKIT, *map(str, arguments)]
    if fresh or first or "PYTHONPATH" in extra:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment(**extra),
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
            preexec_fn=first,
        )
    else:
        made = zygote.run(TOOLKIT[-1], command[len(TOOLKIT) :], cwd, environment(**extra))
        done = subprocess.CompletedProcess(command, made.code, made.out, made.err)
    if "--json" in arguments and done.stdout:
        require_documented(str(arguments[0]), done.stdout)
    return done


def call(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run a line of `toolkit`'s arguments in this process: exit code, standard output and standard error."""
    code = run(shlex.split(line))
    out, err = capsys.readouterr()
    return code, out, err


def require_documented(command: str, output: str) -> None:
    """Hold what a command printed with --json to its schema, without fields that the schema does not name."""
    for text in output.splitlines() if command == "classify" else [output]:
        strict_validator(command).validate(json.loads(text))


@cache
def strict_validator(command: str) -> Draft202012Validator:
    """That of the schema that ships, closed: objects have no fields but those that it names."""
    schema: dict[str, Any] = json.loads((ROOT / "toolkit" / "schemas" / f"{command}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    for part in schema["$defs"].values():
        if "properties" in part:
            part["additionalProperties"] = False
    return Draft202012Validator(schema)


def assert_clean_failure(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """A message that holds `words`, with a hint, the right exit code, no traceback, nothing on standard output."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "hint:" in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr, done.stderr


def without_packages(folder: Path, *names: str) -> str:
    """A PYTHONPATH under which importing any of `names` fails as if it were not installed."""
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {names!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    return f"{folder}{os.pathsep}{ROOT}"
