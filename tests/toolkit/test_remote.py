"""`--on ssh://HOST` against a real ssh server: what it does there, what it says, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from runtime.bundle import Bundle
from runtime.progress import SilentProgress
from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit
from tests.device import Device, until
from tests.tiny import LABELS, make_images
from toolkit.remote.address import Address
from toolkit.remote.device import require_toolkit
from toolkit.remote.session import Remote, at_work
from toolkit.remote.ssh import Connection
from toolkit.schemas import read_schema

ON = ("--on", "ssh://device")
QUICK = ("--seconds", "0.05")


@pytest.fixture(autouse=True)
def clean(device: Device) -> Iterator[None]:
    """No test leaves a work folder or a process on the device."""
    yield
    left = device.working()
    for folder in left:
        shutil.rmtree(folder)
    running = device.processes("toolkit-work-")
    assert (left, [process.name for process in running if b"bench" in read(process)]) == ([], [])


def read(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def on_device(
    device: Device, folder: Path, *arguments: object, retry: float = 20, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run the toolkit with `device` as a host that ssh knows; `changes` are of ssh's configuration."""
    env = device.client(folder, **changes)
    return toolkit(*arguments, *ON, cwd=folder, fresh=True, TOOLKIT_SSH_RETRY=str(retry), **env)


class Started:
    """A command that works on the device, and is held there in the midst of it."""

    def __init__(self, device: Device, folder: Path, *arguments: object, retry: float = 20, ssh: str = "") -> None:
        self.device, self.errors = device, folder / "errors"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*TOOLKIT, *map(str, arguments), *ON],
                cwd=folder,
                env=environment(TOOLKIT_SSH=device.client(folder)["TOOLKIT_SSH"] + ssh, TOOLKIT_SSH_RETRY=str(retry)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        until(self.workers, "the command on the device")
        for worker in self.workers():
            os.kill(int(worker.name), signal.SIGSTOP)

    def workers(self) -> list[Path]:
        """The toolkit's own processes on the device."""
        return [process for process in self.device.processes("toolkit\0bench") if b"sh\0-c" not in read(process)]

    def go_on(self) -> None:
        for worker in self.workers():
            os.kill(int(worker.name), signal.SIGCONT)

    def said(self) -> str:
        return self.errors.read_text()

    def end(self) -> tuple[int, str]:
        """Its exit code and its standard output."""
        try:
            out, _ = self.process.communicate(timeout=60)
        finally:
            self.process.kill()
        return self.process.returncode, out


def test_bundles_are_timed_there_and_named_as_here(
    device: Device, tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path
) -> None:
    options = ("--threads", "1", "--batch", "100", "--gate", "p50_ms<=0.000001", "--json")
    done = on_device(device, tmp_path, "bench", tiny_bundle, tiny_int8_bundle, *QUICK, *options)
    assert done.returncode == 3, done.stderr
    rows = json.loads(done.stdout)
    assert [row["bundle"] for row in rows] == [str(tiny_bundle), str(tiny_int8_bundle)]
    assert {row["threads"] for row in rows} == {1}
    assert [row["gates"][0]["passed"] for row in rows] == [False, False]
    assert f"gate {tiny_bundle}: p50_ms<=1e-06 missed" in done.stderr
    assert "device: measure latency" in done.stderr
    assert any(f"{tiny_bundle} serves" in warning for warning in rows[0]["conditions"]["warnings"])
    assert "/in/" not in done.stderr + done.stdout


def test_a_report_is_measured_there_and_written_here(
    device: Device, tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    for index, pixels in enumerate(make_images(8)):
        place = images / LABELS[index % len(LABELS)] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(bytes(cv2.imencode(".png", pixels[:, :, 0])[1]))
    options = ("--data", images, "--quick", *QUICK, "--max-size-mib", "1e-9", "--json")
    done = on_device(device, tmp_path, "report", tiny_bundle, tiny_int8_bundle, *options)
    assert done.returncode == 3, done.stderr  # gates are judged here
    report = json.loads(done.stdout)
    assert [engine["name"] for engine in report["engines"]] == [tiny_bundle.name, tiny_int8_bundle.name]
    assert [engine["bundle"] for engine in report["engines"]] == [str(tiny_bundle), str(tiny_int8_bundle)]
    assert report["reference"] == tiny_bundle.name
    assert (report["images"], report["data"]) == (8, str(images))
    assert report["engines"][1]["accuracy"]["pairing"]["agreement"] > 0
    assert any("8 images are few" in warning for warning in report["warnings"])
    assert "engine0" not in done.stdout
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_bundle_is_built_verified_and_timed_there(device: Device, tiny_int8_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("build", tiny_int8_bundle, "--target", "onnxruntime", "--batch", "1:2:4", "-o", out, "--json")
    done = on_device(device, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["bundle"], result["target"], result["latency_batch"]) == (str(out), "onnxruntime", 2)
    built, source = Bundle.open(out), Bundle.open(tiny_int8_bundle)
    assert built.manifest.target == "onnxruntime"
    assert built.manifest.latency_ms is not None
    assert built.manifest.files["model.onnx"] == source.manifest.files["model.onnx"]
    assert "verified on ssh://device" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "ssh_config"]


def test_names_that_a_shell_could_misread(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "-rf $(touch pwned) `touch pwned` 'a\" ; b\n&\t\x1b[31m ü"
    shutil.copytree(tiny_bundle, hostile)
    output = tmp_path / "$(touch pwned) '; out"
    done = on_device(device, tmp_path, "build", f"./{hostile.name}", "--target=onnxruntime", "-o", output, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bundle"] == str(output)
    assert "\x1b" not in done.stderr
    assert Bundle.open(output).spec == Bundle.open(tiny_bundle).spec
    assert not [path for place in (tmp_path, device.folder) for path in place.rglob("pwned")]


def test_words_reach_the_other_side_as_they_are(near: Connection) -> None:
    words = ["", "-n", "a b", "'", '"', "$(touch pwned)", "`id`", "\\", "a\nb", "*", "~", "!!", "ü", "%s", "\x1b[0m"]
    script = 'for word; do printf "%s\\0" "$word"; done'
    assert near.run(script, *words).out.decode().split("\0") == [*words, ""]


def test_a_failure_there_is_a_failure_here(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    done = on_device(device, tmp_path, "build", tiny_bundle, "--device", "nowhere", "-o", "out")
    assert_clean_failure(done, "device: error:", "toolkit build ended with exit code 1 on ssh://device")
    assert not (tmp_path / "out").exists()


def test_the_output_is_looked_at_before_anything_is_sent(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = on_device(device, tmp_path, "build", tiny_bundle, "-o", "out", key="/nowhere")
    assert_clean_failure(done, "out is there already")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "OTHER"}, ("it takes none of the keys", "ssh-copy-id")),
        ({"hosts": "/dev/null"}, ("its host key is not known here",)),
        ({"hosts": "CHANGED"}, ("it has another host key than it had", "ssh-keygen -R")),
        ({"port": "1"}, ("no ssh server answers at that port",)),
        ({"temporary": "/proc"}, ("cannot make a work folder on ssh://device", "set TMPDIR there")),
        ({"temporary": "FOREIGN"}, ("cannot make a work folder on ssh://device: it may not be written there",)),
    ],
)
def test_what_is_in_the_way_is_said_with_what_to_do(
    device: Device, tiny_bundle: Path, tmp_path: Path, changes: dict[str, str], words: tuple[str, ...]
) -> None:
    changed = tmp_path / "changed"
    changed.write_text(f"[127.0.0.1]:{device.port} {(device.folder / 'other_key.pub').read_text()}")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    foreign.chmod(0o555)
    places = {"OTHER": device.folder / "other_key", "CHANGED": changed, "FOREIGN": foreign}
    tmp_path.chmod(0o755)
    changes = {name: str(places.get(value, value)) for name, value in changes.items()}
    done = on_device(device, tmp_path, "bench", tiny_bundle, **changes)
    assert_clean_failure(done, *words)


def test_a_host_that_nobody_knows(tiny_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("bench", tiny_bundle, "--on", "ssh://nowhere.invalid", cwd=tmp_path, fresh=True)
    assert_clean_failure(done, "no connection to ssh://nowhere.invalid: no such host")


def test_ssh_that_is_not_there(tiny_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("bench", tiny_bundle, *ON, cwd=tmp_path, fresh=True, TOOLKIT_SSH="no-such-ssh")
    assert_clean_failure(done, "there is no no-such-ssh here", "openssh-client")


@pytest.fixture
def other_toolkit(device: Device) -> Iterator[Path]:
    """A place for another script than the toolkit of the device."""
    aside = device.toolkit.with_name("aside")
    device.toolkit.rename(aside)
    yield device.toolkit
    aside.rename(device.toolkit)


@pytest.fixture
def near(
    device: Device, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    """A connection of this process."""
    for name, value in device.client(tmp_path_factory.mktemp("near")).items():
        monkeypatch.setenv(name, value)
    connection = Connection(Address("device"))
    connection.open()
    yield connection
    connection.close()


def write_script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_no_toolkit_there(device: Device, other_toolkit: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    done = on_device(device, tmp_path, "bench", tiny_bundle)
    assert_clean_failure(done, "there is no toolkit on ssh://device", "--remote-wheel")
    done = on_device(device, tmp_path, "bench", tiny_bundle, "--remote-toolkit", "/no where/toolkit")
    assert_clean_failure(done, "ssh://device has no /no where/toolkit")


def test_another_version_there(device: Device, other_toolkit: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    write_script(other_toolkit, "echo toolkit 9.9")
    done = on_device(device, tmp_path, "bench", tiny_bundle)
    assert_clean_failure(done, "has version 9.9, this one", "--remote-wheel")
    write_script(other_toolkit, "echo something else entirely")
    assert_clean_failure(on_device(device, tmp_path, "bench", tiny_bundle), "does not work", "something else entirely")


def test_a_toolkit_at_another_place(device: Device, other_toolkit: Path, near: Connection) -> None:
    place = device.home / "an 'odd $place"
    place.symlink_to(other_toolkit.with_name("aside"))
    for text in (str(place), f"~/{place.name}"):
        assert require_toolkit(near, text) == [str(place)]
    place.unlink()


def test_a_wheel_is_sent_along(device: Device, other_toolkit: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """Its packages alone, without a line of pip: the device's Python has what they need."""
    from toolkit import DISTRIBUTION, toolkit_version

    wheel = tmp_path / "toolkit.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for package in ("toolkit", "export", "calibration", "runtime"):
            for module in (ROOT / package).rglob("*.py"):
                file.write(module, module.relative_to(ROOT))
        metadata = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {toolkit_version()}\n"
        file.writestr(f"edge_deployment_toolkit-{toolkit_version()}.dist-info/METADATA", metadata)
    write_script(other_toolkit, "echo toolkit 0.0.1")
    done = on_device(device, tmp_path, "bench", tiny_bundle, *QUICK, "--remote-wheel", wheel)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("another/__main__.py", "")
    done = on_device(device, tmp_path, "bench", tiny_bundle, "--remote-wheel", wheel)
    assert_clean_failure(done, "is not a wheel of the toolkit")


def test_what_a_hostile_device_sends_is_not_taken(
    device: Device, other_toolkit: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    aside = other_toolkit.with_name("aside")
    spoil = 'for word; do case "$word" in --output=*) ln -s /etc/passwd "${word#*=}/$TRICK" ;; esac; done'
    verified = """[ "$1" != verify ] || { echo '{"ok": true}'; exit; }"""
    write_script(other_toolkit, f'{verified}\n"{aside}" "$@" || exit\ncase "$1" in build) {spoil} ;; esac')
    done = on_device(device, tmp_path, "build", tiny_bundle, "--target=onnxruntime", "-o", "out", more="TRICK=link")
    assert_clean_failure(done, "the other machine sends", "link", "not a plain file")
    assert not (tmp_path / "out").exists()
    write_script(other_toolkit, f'case "$1" in bench) echo "[]]" ;; *) exec "{aside}" "$@" ;; esac')
    done = on_device(device, tmp_path, "bench", tiny_bundle)
    assert_clean_failure(done, "what toolkit bench printed on ssh://device is not understood")


def test_an_engine_that_answers_wrongly_is_not_brought_back(
    device: Device, other_toolkit: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    answer = '{"bundle": "b", "ok": false, "error": "e", "hint": "h"}'
    aside = other_toolkit.with_name("aside")
    write_script(other_toolkit, f'case "$1" in verify) echo \'{answer}\'; exit 1 ;; *) exec "{aside}" "$@" ;; esac')
    done = on_device(device, tmp_path, "build", tiny_bundle, "--target=onnxruntime", "-o", "out")
    assert_clean_failure(done, "does not answer as it should; it is not brought back")
    assert not (tmp_path / "out").exists()


def test_a_chatty_login_does_not_matter(device: Device, near: Connection, tiny_bundle: Path, tmp_path: Path) -> None:
    """sshd runs this before every command, on the command's own output."""
    (device.home / ".ssh").mkdir(exist_ok=True)
    (device.home / ".ssh" / "rc").write_text("echo Welcome to the device\nprintf 'no line end'\n")
    with at_work(Remote(Address("device")), SilentProgress()) as work:
        sent = work.send("bundle", tiny_bundle)
        assert work.run("schema", "schema", "bench").out.decode() == read_schema("bench")
        assert work.connection.run('cp -r "$1" "$2"', sent, work.place("copy", "copy")).code == 0
        work.bring("copy", tmp_path)
    (device.home / ".ssh" / "rc").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "ssh_config"} == {
        path.name: path.read_bytes() for path in tiny_bundle.iterdir()
    }


def test_a_connection_that_breaks_off_is_taken_up_again(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    started = Started(device, tmp_path, "bench", tiny_bundle, *QUICK, "--json")
    device.drop()
    until(lambda: "connected to ssh://device again" in started.said(), "the connection to come back")
    started.go_on()
    code, out = started.end()
    assert code == 0, started.said()
    assert json.loads(out)[0]["bundle"] == str(tiny_bundle)
    assert started.said().count("device: measure latency") == 1


def test_a_peer_that_falls_silent_counts_as_lost(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    alive = " -o ServerAliveInterval=1 -o ServerAliveCountMax=1"
    started = Started(device, tmp_path, "bench", tiny_bundle, *QUICK, ssh=alive)
    silent = device.processes(f"sshd: {device.user}")
    for process in silent:
        os.kill(int(process.name), signal.SIGSTOP)
    until(lambda: "connected to ssh://device again" in started.said(), "the connection to come back")
    started.go_on()
    code, _ = started.end()
    for process in silent:
        os.kill(int(process.name), signal.SIGKILL)
    assert code == 0, started.said()


def test_what_a_lost_connection_left_can_be_taken_up(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    started = Started(device, tmp_path, "bench", tiny_bundle, *QUICK, "--json", retry=0.1)
    device.stop()
    code, out = started.end()
    assert (code, out) == (1, ""), started.said()
    assert "was lost and did not come back" in started.said()
    folder = re.search(r"--remote-resume (\S+) takes it up", started.said())
    assert folder
    assert [folder[1]] == [str(path) for path in device.working()]
    worker = started.workers()[0].name  # it outlived the connection
    device.start()
    other = on_device(device, tmp_path, "bench", tiny_bundle, "--remote-resume", device.temporary)
    assert_clean_failure(other, "is no work folder of this toolkit")
    other = on_device(device, tmp_path, "bench", tiny_bundle, "--seconds=9", "--remote-resume", folder[1])
    assert_clean_failure(other, "is of another command: toolkit bench")
    (tmp_path / "again").mkdir()
    again = Started(device, tmp_path / "again", "bench", tiny_bundle, *QUICK, "--json", "--remote-resume", folder[1])
    assert worker in [process.name for process in again.workers()]
    again.go_on()
    code, out = again.end()
    assert code == 0, again.said()
    assert json.loads(out)[0]["bundle"] == str(tiny_bundle)
    assert "send to" not in again.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_there(
    device: Device, tiny_bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    started = Started(device, tmp_path, "bench", tiny_bundle, "--seconds", "100")
    started.go_on()
    started.process.send_signal(number)
    code, out = started.end()
    assert (code, out) == ({signal.SIGINT: 130, signal.SIGTERM: 143}[number], ""), started.said()
    assert "interrupted" in started.said()
    assert started.workers() == []


def test_a_killed_command_leaves_no_connection(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    started = Started(device, tmp_path, "bench", tiny_bundle, *QUICK)
    started.process.kill()
    started.end()
    until(lambda: not device.processes(f"sshd: {device.user}"), "the connection to end")
    started.go_on()
    until(lambda: list(device.working()[0].glob("run-bench/code")), "the work to end")
    shutil.rmtree(device.working()[0])


def test_a_command_that_is_killed_there(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    started = Started(device, tmp_path, "bench", tiny_bundle, *QUICK)
    leader = int((device.working()[0] / "run-bench" / "pid").read_text())
    os.killpg(leader, signal.SIGKILL)
    code, out = started.end()
    assert (code, out) == (1, "")
    assert "toolkit bench on ssh://device was ended without a word" in started.said()


def test_a_full_disk(device: Device, tiny_bundle: Path, tmp_path: Path) -> None:
    full = device.folder / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "tmpfs", str(full)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system takes the right to mount one")
    large = tmp_path / "large"
    shutil.copytree(tiny_bundle, large)
    images = tmp_path / "images"
    images.mkdir()
    (images / "large").write_bytes(bytes(1 << 20))
    try:
        done = on_device(device, tmp_path, "build", large, "-o", "out", "--eval-data", images, temporary=str(full))
        left = list(full.iterdir())
    finally:
        subprocess.run(["umount", str(full)], check=True)
    assert_clean_failure(done, "no space is left there")
    assert left == []
    assert not (tmp_path / "out").exists()
