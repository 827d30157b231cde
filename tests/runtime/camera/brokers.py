"""A real broker on loopback, mosquitto, and somebody who listens to it."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.runtime.camera.streams import PATIENCE_S, free_port

paho = pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")
WHERE = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def program(name: str) -> str:
    """A program of mosquitto or OpenSSL; a test that needs it is skipped without."""
    found = shutil.which(name, path=WHERE)
    if not found:
        pytest.skip(f"needs {name}, which is not installed")
    return found


def until(wanted: Callable[[], object], what: str = "") -> None:
    """Wait for what has to be so some time."""
    end = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end, f"not in {PATIENCE_S:.0f} s: {what or wanted}"
        time.sleep(0.01)


def takes_connections(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Mosquitto:
    """A broker that forgets everything when it ends.

    Args:
        folder: for its files.
        settings: lines of its configuration, below its port.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self.program, self.port = program("mosquitto"), free_port()
        self.config = folder / "mosquitto.conf"
        lines = [f"user {getpass.getuser()}", "persistence false", f"listener {self.port} 127.0.0.1", *settings]
        self.config.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.answers, "mosquitto is there")

    def answers(self) -> bool:
        assert self.process and self.process.poll() is None, "mosquitto has ended"
        return takes_connections(self.port)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """It stays there, and does nothing more."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Listener:
    """Hears every message.

    Attributes:
        heard: topic, payload and whether it was retained from before, in order.

    Args:
        port: of the broker.
        topics: to listen to.
        login: user and password.
    """

    def __init__(self, port: int, topics: str = "#", login: tuple[str, str] | None = None) -> None:
        self.heard: list[tuple[str, str, bool]] = []
        self.ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if login:
            self.client.username_pw_set(*login)
        self.client.on_connect = lambda client, *_: client.subscribe(topics, 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.hear
        until(lambda: takes_connections(port), "the broker listens there")  # it opens one port after the other
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE_S)

    def hear(self, client: object, userdata: object, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload.decode(), message.retain))

    def of(self, topic: str) -> list[str]:
        """What was heard of a topic."""
        return [payload for heard, payload, _ in list(self.heard) if heard == topic]

    def last(self, topic: str) -> str:
        return (self.of(topic) or [""])[-1]

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()
