"""The runtime is light: what it imports, and what it does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment

WALK = """
import importlib, pkgutil, runtime
names = [module.name for module in pkgutil.walk_packages(runtime.__path__, "runtime.")]
assert {"runtime.session", "runtime.race", "runtime.backends.openvino"} <= set(names), names
for name in names:
    importlib.import_module(name)
"""
OPEN = """
import numpy as np
from runtime import open_session
for backend in sys.argv[2:]:
    with open_session(sys.argv[1], backend=backend, threads=1, self_check=True) as session:
        answer = session.run(np.zeros((3, 8, 8, 1), np.uint8))
        assert abs(answer.sum(axis=1) - 1).max() < 1e-5
"""
WATCH = """
import os, sys
seen = []
def hook(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        seen.append((event, str(arguments)))
    if event == "subprocess.Popen" or event.startswith("os.exec") or event == "os.posix_spawn":
        seen.append((event, str(arguments)))
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append((event, str(arguments)))
    if event in ("os.mkdir", "os.rename", "os.remove"):
        seen.append((event, str(arguments)))
sys.addaudithook(hook)
"""


def python(code: str, *arguments: object, **extra: str) -> str:
    """Run a script in a process of its own; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import sys\n" + code, *map(str, arguments)],
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocked(*names: str) -> str:
    """Code after which importing any of `names` fails."""
    return f"sys.modules.update(dict.fromkeys({names!r}))\n"


def test_importing_the_runtime_loads_nothing_heavy() -> None:
    loaded = python("import runtime\nprint(*{name.split('.')[0] for name in sys.modules})").split()
    assert "runtime" in loaded
    heavy = {"torch", "onnx", "onnxruntime", "openvino", "onnxscript", "onnxsim", "click", "rich", "numpy", "cv2"}
    assert heavy.isdisjoint(loaded)
    assert {"export", "calibration", "toolkit"}.isdisjoint(loaded)


def test_the_public_names_are_there_without_being_loaded_first() -> None:
    import runtime
    from runtime.session import Session, open_session

    assert (runtime.Session, runtime.open_session) == (Session, open_session)
    with pytest.raises(AttributeError, match="nonsense"):
        runtime.nonsense  # noqa: B018


def test_no_module_of_the_runtime_loads_anything_heavy() -> None:
    loaded = python(WALK + "from runtime import *\nprint(*{name.split('.')[0] for name in sys.modules})").split()
    heavy = {"torch", "onnx", "onnxruntime", "openvino", "onnxscript", "onnxsim", "click"}
    assert heavy.isdisjoint(loaded)
    assert {"export", "calibration", "toolkit"}.isdisjoint(loaded)


def test_a_bundle_opens_and_runs_without_torch_onnx_and_click(tiny_bundle: Path) -> None:
    pytest.importorskip("openvino")
    without = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxsim", "click", "export", "calibration", "toolkit")
    python(blocked(*without) + WALK + OPEN, tiny_bundle, "onnxruntime", "openvino")


@pytest.mark.parametrize("missing, used", [("openvino", "onnxruntime"), ("onnxruntime", "openvino")])
def test_one_inference_library_is_enough(tiny_bundle: Path, missing: str, used: str) -> None:
    pytest.importorskip(used)
    check = "from runtime.backend import installed_backends\nassert installed_backends() == sys.argv[2:]\n"
    python(blocked(missing) + WALK + check + OPEN, tiny_bundle, used)


def test_openvino_leaves_the_home_and_the_network_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    """Python's own audit events; its telemetry would look up a host and write an id into the home.

    What is written, goes into the cache folder.
    """
    pytest.importorskip("openvino")
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    report = (
        "import time; time.sleep(0.2)\n"  # a thread that was started would be seen by now
        "assert sys.modules.get('openvino_telemetry') is None\n"
        "print(*seen, sep='\\n')"
    )
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "XDG_CONFIG_HOME": str(home / "config")}
    seen = python(WATCH + OPEN + report, tiny_bundle, "openvino", **places).split("\n")
    assert [line for line in seen if "socket" in line or "Popen" in line or "exec" in line or "spawn" in line] == []
    assert [line for line in seen if str(home) in line] == []
    assert list(home.iterdir()) == []
    assert [path.name for path in cache.iterdir()] == ["edge-deployment-toolkit"]


def test_the_watch_over_home_and_network_would_see_something(tmp_path: Path) -> None:
    code = "import socket\nsocket.socket().close()\nopen(sys.argv[1] + '/x', 'w').close()\nprint(*seen, sep='\\n')"
    seen = python(WATCH + code, tmp_path)
    assert "socket" in seen
    assert str(tmp_path) in seen
