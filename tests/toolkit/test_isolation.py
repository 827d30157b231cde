"""A build and what follows write where they were told to and into the cache folder, and touch no network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.command import ROOT, TOOLKIT, environment

PACKAGES = ("toolkit", "export", "calibration", "runtime")
LIBRARIES = ("onnx", "onnxruntime", "onnxscript", "onnxsim", "openvino", "torch")
IMAGE = ROOT / "examples" / "digits" / "3-dark-on-light.png"
WATCHED = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "TMPDIR")
CACHE = "edge-deployment-toolkit"

# Python imports this as it starts, in every process that a command starts too. Each process leaves a file in REPORTS,
# and removes it when it ends well: one that was killed, and what was refused, stay to be seen.
GUARD = r"""
import atexit, ctypes, os, platform, socket, struct, sys

allowed = tuple(os.environ["ALLOWED"].split(os.pathsep))
refused = []

def start():
    # In a forked child again: it reports for itself.
    global report, pid
    pid = os.getpid()
    report = os.path.join(os.environ["REPORTS"], str(pid))
    refused.clear()
    flush("started: " + " ".join(sys.orig_argv))

def flush(text):
    with open(report, "a") as file:
        file.write(text + "\n")

def refuse(event, arguments):
    flush(f"{event} {arguments}")
    refused.append(event)
    raise PermissionError(f"refused: {event} {arguments}")

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")

def hook(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        refuse(event, arguments)
    if event == "socket.__new__" and arguments[1] != socket.AF_UNIX:
        refuse(event, arguments)
    if event in CHANGING or event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        path = arguments[0]
        if not isinstance(path, int) and not os.path.abspath(os.fsdecode(path)).startswith(allowed):
            refuse(event, arguments)

def end():
    if os.getpid() == pid and not refused:
        os.unlink(report)

# What native code does, Python's hooks do not see: the kernel ends a process that asks for any socket but a local one.
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000
SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]

def instruction(code, true, false, value):
    return struct.pack("HBBI", code, true, false, value)

def no_sockets():
    program = b"".join([
        instruction(LOAD, 0, 0, 0),  # the number of the system call
        instruction(JUMP_IF_EQUAL, 0, 3, SOCKET),
        instruction(LOAD, 0, 0, 16),  # its first argument, the family
        instruction(JUMP_IF_EQUAL, 1, 0, socket.AF_UNIX),
        instruction(RETURN, 0, 0, KILL_PROCESS),
        instruction(RETURN, 0, 0, ALLOW),
    ])
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp here")

start()
os.register_at_fork(after_in_child=start)
no_sockets()
atexit.register(end)
sys.addaudithook(hook)
"""


@dataclass(frozen=True)
class Guarded:
    """A place where everything that a process writes or asks the network for is seen.

    Attributes:
        root: its folder, with one for each of `WATCHED`, `reports`, and `work`, where commands run.
    """

    root: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in `work`."""
        places = {name: str(self.root / name) for name in WATCHED}
        allowed = [self.root / name for name in ("work", "TMPDIR", "XDG_CACHE_HOME", "reports")]
        return subprocess.run(
            command,
            cwd=self.root / "work",
            env=environment(
                **places,
                PYTHONPATH=f"{self.root / 'guard'}{os.pathsep}{ROOT}",
                PYTHONDONTWRITEBYTECODE="1",
                REPORTS=str(self.root / "reports"),
                ALLOWED=os.pathsep.join([*map(str, allowed), "/dev/null"]),
            ),
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-c", code)

    def reports(self) -> str:
        """What was refused, and which processes were killed."""
        return "".join(path.read_text() for path in sorted((self.root / "reports").iterdir()))

    def names(self, folder: str) -> list[str]:
        """What lies in one of the folders."""
        return sorted(path.name for path in (self.root / folder).iterdir())


def make_guarded(root: Path) -> Guarded:
    for name in (*WATCHED, "reports", "work", "guard"):
        (root / name).mkdir()
    (root / "guard" / "sitecustomize.py").write_text(GUARD)
    return Guarded(root)


def snapshot() -> dict[str, tuple[int, int]]:
    """Size and time of every file of the packages and of the libraries, less what Python itself compiles."""
    folders = [ROOT / name for name in PACKAGES]
    for name in LIBRARIES:
        spec = find_spec(name)
        assert spec is not None and spec.submodule_search_locations
        folders += map(Path, spec.submodule_search_locations)
    found = {}
    for folder in folders:
        for parent, folders_in, names in os.walk(folder):
            folders_in[:] = [name for name in folders_in if name != "__pycache__"]
            for name in names:
                status = os.stat(os.path.join(parent, name))
                found[os.path.join(parent, name)] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return make_guarded(tmp_path)


@pytest.mark.slow
def test_a_build_and_what_follows_stay_where_they_belong_and_off_the_network(
    guarded: Guarded, few_digits: Path
) -> None:
    before, digits = snapshot(), ["--eval-data", str(few_digits)]
    for number, command in enumerate(
        (
            ["build", "lenet", "--int8", "--target", "openvino", "-o", "lenet", *digits],
            ["build", "lenet", "--target", "openvino", "-o", "again", *digits],
            ["classify", "lenet", str(IMAGE)],
            ["classify", "lenet", str(IMAGE), "--backend", "onnxruntime"],
            ["bench", "lenet", "--seconds", "0.05"],
            ["verify", "again"],
        )
    ):
        done = guarded.run(*TOOLKIT, *command)
        assert done.returncode == 0, done.stderr
        assert guarded.reports() == ""
        assert "not simplified" not in done.stderr  # the child process that does it was not refused anything
        assert guarded.names("work") == (["again", "lenet"] if number else ["lenet"])
        for name in WATCHED:
            assert guarded.names(name) == ([CACHE] if name == "XDG_CACHE_HOME" else []), (command, name)
    assert snapshot() == before


def test_with_a_cache_folder_that_is_named_the_users_own_is_left_alone(guarded: Guarded, tiny_bundle: Path) -> None:
    done = guarded.run(*TOOLKIT, "verify", str(tiny_bundle), "--backend", "openvino", "--cache-dir", "kept")
    assert done.returncode == 0, done.stderr
    assert guarded.reports() == ""
    assert guarded.names("work") == ["kept"]
    assert [name for name in WATCHED if guarded.names(name)] == []


# Each of the checks above can fail.


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import socket; socket.gethostbyname('localhost')",
        "import socket; socket.socket(socket.AF_UNIX).connect('/nothing')",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "open('/elsewhere', 'w')",
        "import os; os.mkdir('/elsewhere')",
        "import os; os.open('/elsewhere', os.O_CREAT)",
        "from pathlib import Path; (Path.home() / 'x').touch()",
    ],
)
def test_what_python_code_asks_for_is_refused_and_reported_even_if_it_hides_the_error(
    guarded: Guarded, code: str
) -> None:
    done = guarded.python(f"try:\n    {code}\nexcept Exception as error:\n    print(error)")
    assert "refused" in done.stdout, done.stderr
    assert code.split("(")[0] in guarded.reports()


@pytest.mark.parametrize("family", [2, 10, 16], ids=["IPv4", "IPv6", "netlink"])
@pytest.mark.parametrize("where", ["main thread", "thread", "child"])
def test_native_code_that_asks_for_a_socket_is_ended_by_the_kernel(guarded: Guarded, family: int, where: str) -> None:
    ask = f"import ctypes; ctypes.CDLL(None).socket({family}, 1, 0)"
    code = {
        "main thread": ask,
        "thread": f"import threading; t = threading.Thread(target=exec, args=({ask!r},)); t.start(); t.join()",
        "child": f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ask!r}])",
    }[where]
    done = guarded.python(code)
    assert done.returncode == (0 if where == "child" else -signal.SIGSYS), done.stderr
    assert guarded.reports().count("started") == 1


def test_what_is_allowed_leaves_no_report(guarded: Guarded) -> None:
    done = guarded.python(
        "import ctypes, os, socket, subprocess, sys, tempfile\n"
        "open('here', 'w').close(); tempfile.TemporaryFile().close(); open(os.devnull, 'w').close()\n"
        "socket.socket(socket.AF_UNIX).close()\n"
        "assert ctypes.CDLL(None).socket(1, 1, 0) > 0\n"
        "subprocess.run([sys.executable, '-c', 'pass'], check=True)"
    )
    assert done.returncode == 0, done.stderr
    assert guarded.reports() == ""


def test_a_file_that_native_code_writes_into_the_home_is_seen(guarded: Guarded) -> None:
    done = guarded.python("import ctypes, os; ctypes.CDLL(None).mkdir(os.path.expanduser('~/x').encode(), 0o700)")
    assert done.returncode == 0, done.stderr
    assert guarded.names("HOME") == ["x"]
