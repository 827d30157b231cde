"""mypy over code that uses TensorRT, with the stubs of one release.

Such code gets the module at hand as a value, which mypy cannot see through, and asks by `hasattr` for what not every
release has. So mypy reads a copy of it, with the same lines, in which

- `trt` is no parameter, variable or attribute but the stubs' module: whatever binds the name binds `trt_` instead, and
  `import tensorrt as trt` stands at the end;
- `hasattr` comes from a stub that answers Literal[True] or Literal[False] by what the type has. mypy leaves out what
  stands behind a check that fails in this release, and checks the rest.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.runtime.tensorrt.stubs import Api, write_stubs

HOLDER = """
class _With_{name}(Protocol):
    @property
    def {name}(self) -> Any: ...
"""
ANSWERS = """
@overload
def hasattr(holder: _With_{name}, name: Literal["{name}"], /) -> Literal[True]: ...
@overload
def hasattr(holder: object, name: Literal["{name}"], /) -> Literal[False]: ...
"""
ANY_ANSWER = """
@overload
def hasattr(holder: object, name: str, /) -> bool: ...
@overload
def hasattr(holder: object, name: bytes, /) -> bool: ...
"""
OPTIONS = (
    "--config-file=",
    f"--cache-dir={os.devnull}",  # a run takes about as long with a cache
    "--no-site-packages",  # with --follow-imports: nothing but TensorRT's types and Python's own
    "--follow-imports=skip",
    "--ignore-missing-imports",
    "--explicit-package-bases",
    "--check-untyped-defs",
    "--hide-error-context",
    "--no-error-summary",
    "--no-pretty",
)


def errors_with(api: Api, sources: dict[str, str], folder: Path) -> list[str]:
    """What mypy says about the sources with the stubs of a release.

    Args:
        api: what the release has.
        sources: path of each file, as Python imports it, and its text.
        folder: an empty one, to write into.

    Returns:
        a line for each error, "path:line: error: ...".
    """
    code, stubs = folder / "code", folder / "stubs"
    write_stubs(stubs, api)
    write_features(stubs / "_features.pyi", {name for text in sources.values() for name in features(text)})
    for path, text in sources.items():
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).write_text(visible(text), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *OPTIONS, *sources],
        cwd=code,
        env=os.environ | {"MYPYPATH": os.pathsep.join(map(str, (code, stubs)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stdout + done.stderr  # 2: mypy could not do its work
    lines = [line for line in done.stdout.splitlines() if " error: " in line and line.split(":")[0] in sources]
    return [line for line in lines if '"__init_subclass__" of "object"' not in line]  # msgspec's, which is not read


def write_features(path: Path, names: Iterable[str]) -> None:
    """Write the stub whose `hasattr` knows the answer for these names."""
    parts = ["from typing import Any, Literal, Protocol, overload\n"]
    parts += [part.format(name=name) for part in (HOLDER, ANSWERS) for name in sorted(names)]
    path.write_text("".join([*parts, ANY_ANSWER]), encoding="utf-8")


def features(source: str) -> set[str]:
    """The names that a source asks for with `hasattr(..., "name")`."""
    return {
        call.args[1].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "hasattr"
        if isinstance(call.args[1], ast.Constant) and isinstance(call.args[1].value, str)
    }


def visible(source: str) -> str:
    """The source as mypy sees through it, with the same lines."""
    lines = source.encode().splitlines(keepends=True)  # ast counts bytes
    for line, start, end, text in sorted(changes(ast.parse(source)), reverse=True):
        lines[line - 1] = lines[line - 1][:start] + text + lines[line - 1][end:]
    return b"".join(lines).decode() + "\nimport tensorrt as trt\nfrom _features import hasattr\n"


def changes(tree: ast.AST) -> Iterable[tuple[int, int, int, bytes]]:
    """Line, first column, last column and new text of each place to change."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg="trt") | ast.keyword(arg="trt") | ast.Name(id="trt", ctx=ast.Store() | ast.Del()):
                yield node.lineno, node.col_offset, node.col_offset + len("trt"), b"trt_"
            case ast.Attribute(attr="trt" | "_trt", ctx=ast.Load()) if node.lineno == node.end_lineno:  # self.trt
                yield node.lineno, node.col_offset, node.end_col_offset or 0, b"trt"
            case ast.Attribute(attr="trt") if node.end_lineno and node.end_col_offset:
                yield node.end_lineno, node.end_col_offset - len("trt"), node.end_col_offset, b"trt_"
