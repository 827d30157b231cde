"""A device: an ssh server on the loopback interface that takes one key alone, and a virtual environment of its own.

It runs without privileges. Where the tests run as root, it gets an account for as long as they run; that account may
read every file, since the Python of the tests may lie where only root can look, but writes only what is its own.
"""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.command import ROOT

NEEDED = ("ssh", "ssh-keygen", "sshd", "tar", "setsid")
NEEDED_AS_ROOT = ("setpriv", "useradd", "userdel")
SBIN = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
LIMIT_S = 60.0

SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
MaxStartups 100
AcceptEnv TMPDIR TRICK
SetEnv "HOME={home}" "PATH=/usr/bin:/bin" "XDG_CACHE_HOME={home}/cache"
"""
CLIENT = """
Host device
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {key}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    SetEnv "TMPDIR={temporary}" {more}
"""


def missing() -> str:
    """What a device needs and this machine lacks; empty where it has all."""
    needed = NEEDED if os.getuid() else (*NEEDED, *NEEDED_AS_ROOT)
    lacking = [name for name in needed if shutil.which(name, path=SBIN) is None]
    return f"no {', '.join(lacking)} here (apt install openssh-server)" if lacking else ""


class Device:
    """The server and what belongs to it.

    Attributes:
        folder: everything; its owner is the device's user.
        home: of that user, with the virtual environment in .venv.
        temporary: where work folders come to be.
    """

    def __init__(self, folder: Path, user: str) -> None:
        self.folder, self.user = folder, user
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.port = 0
        self.server: subprocess.Popen[bytes] | None = None

    @property
    def toolkit(self) -> Path:
        return self.home / ".venv" / "bin" / "toolkit"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        config = self.folder / "sshd_config"
        config.write_text(SERVER.format(port=self.port, folder=self.folder, home=self.home))
        sshd = shutil.which("sshd", path=SBIN)
        assert sshd
        with (self.folder / "sshd.log").open("ab") as log:
            self.server = subprocess.Popen(
                [*self.become(), sshd, "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PATH": SBIN},
                start_new_session=True,
            )
        until(self.answers, "the ssh server to answer")

    def become(self) -> list[str]:
        """What makes a server end with these tests, and be no root's."""
        setpriv = shutil.which("setpriv", path=SBIN)
        dies_with_us = [setpriv, "--pdeathsig=KILL"] if setpriv else []
        if os.getuid():
            return dies_with_us
        read_all = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return [*dies_with_us, f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", *read_all]

    def answers(self) -> bool:
        assert self.server and self.server.poll() is None, (self.folder / "sshd.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def stop(self) -> None:
        """End the server, and all connections."""
        if self.server:
            self.server.terminate()
            self.server.wait()
            self.drop()
        self.server = None

    def drop(self) -> None:
        """End all connections, as a cable does that is pulled; what runs stays."""
        for process in self.processes():
            with suppress(OSError):
                is_server = self.server is not None and process.name == str(self.server.pid)
                if (process / "comm").read_text().startswith("sshd") and not is_server:
                    os.kill(int(process.name), signal.SIGKILL)

    def processes(self, word: str = "") -> list[Path]:
        """Those of the device, in /proc: everything that has its home, or a word in its command line."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                ours = str(self.folder) in command or f"sshd: {self.user}" in command
                if ours and word in command:
                    found.append(process)
        return found

    def working(self) -> list[Path]:
        """The work folders that there are."""
        return sorted(self.temporary.glob("toolkit-work-*"))

    def client(self, folder: Path, **changes: str) -> dict[str, str]:
        """The environment with which `ssh device` reaches it.

        Args:
            folder: for the configuration.
            changes: of what is in it.
        """
        values = {
            "port": str(self.port),
            "user": self.user,
            "key": str(self.folder / "key"),
            "hosts": str(self.folder / "known_hosts"),
            "temporary": str(self.temporary),
            "more": "",
        }
        config = folder / "ssh_config"
        config.write_text(CLIENT.format(**{**values, **changes}))
        return {"TOOLKIT_SSH": f"ssh -F '{config}'"}


@contextmanager
def a_device() -> Iterator[Device]:
    """A device for the length of a `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="toolkit-device-"))  # not below pytest's, where only its own user may look
    folder.chmod(0o755)
    with an_account(folder / "home") as user:
        device = Device(folder, user)
        make_keys(folder)
        make_environment(device)
        for made in (device.home, device.home / "cache", device.temporary):
            made.mkdir(exist_ok=True)
            own(made, user)
        own(folder / "host_key", user)
        try:
            device.start()
            known = f"[127.0.0.1]:{device.port} {(folder / 'host_key.pub').read_text()}"
            (folder / "known_hosts").write_text(known)
            yield device
        finally:
            device.stop()
            for process in device.processes():
                with suppress(OSError):
                    os.kill(int(process.name), signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def an_account(home: Path) -> Iterator[str]:
    """The user that the server runs as: ourselves, or one that is made for it."""
    if os.getuid():
        yield getpass.getuser()
        return
    name, path = f"toolkit-{os.getpid()}", {**os.environ, "PATH": SBIN}
    for other in pwd.getpwall():  # tests that were killed could not remove theirs
        if re.fullmatch(r"toolkit-\d+", other.pw_name) and not os.path.exists(f"/proc/{other.pw_name[8:]}"):
            subprocess.run(["userdel", "--force", other.pw_name], env=path, capture_output=True)
    options = ["--system", "--user-group", "--no-create-home", f"--home-dir={home}", "--shell=/bin/sh", "--password=*"]
    subprocess.run(["useradd", *options, name], env=path, check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(["userdel", "--force", name], env=path, capture_output=True)


def own(path: Path, user: str) -> None:
    if not os.getuid():
        shutil.chown(path, user, user)


def make_keys(folder: Path) -> None:
    """The host's key, the user's, and another that is not taken."""
    for name in ("host_key", "key", "other_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized_keys")


def make_environment(device: Device) -> None:
    """A virtual environment that sees our packages and this repository."""
    environment = device.home / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "ours.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    device.toolkit.write_text(f"#!{environment}/bin/python3\nfrom toolkit.cli import main\nmain()\n")
    device.toolkit.chmod(0o755)


def until(true: Callable[[], object], what: str, limit: float = LIMIT_S) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)
