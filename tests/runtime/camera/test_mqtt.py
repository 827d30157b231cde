"""Changes of numbers, published to a real broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.camera.frame import State
from runtime.camera.outputs import mqtt
from runtime.camera.outputs.broker import parse_broker
from runtime.camera.outputs.mqtt import MqttPublisher
from runtime.errors import MissingPackageError
from tests.runtime.camera.brokers import Listener, Mosquitto, program, until
from tests.runtime.camera.numbered import seen
from tests.runtime.camera.streams import PATIENCE_S, free_port

ROOT = Path(__file__).parents[3]
OPEN = "allow_anonymous true"
STATUS, STATE, NUMBERS = "home/status", "home/drawn/state", "home/drawn/numbers"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, OPEN) as running:
        yield running


def publisher_to(port: int, *sources: str, login: str = "") -> MqttPublisher:
    return MqttPublisher(parse_broker(f"mqtt://{login}127.0.0.1:{port}/home"), sources or ("drawn",))


def show(publisher: MqttPublisher, at: float, *texts: str, source: str = "drawn") -> None:
    """Numbers that stand there long enough from a time on."""
    publisher.show(source, seen(at, *texts))
    publisher.show(source, seen(at + 0.5, *texts))


def texts(payload: str) -> list[str]:
    return [number["text"] for number in json.loads(payload)["numbers"]]


def test_a_change_is_published_once(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port)
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
        assert (texts(listener.last(NUMBERS)), listener.last(STATE)) == ([], "connecting")
        publisher.set_state("drawn", State.STREAMING)
        for index in range(100):
            publisher.show("drawn", seen(1 + index / 30, "407", "12", probability=0.95))
        until(lambda: texts(listener.last(NUMBERS)) == ["407", "12"])
        publisher.close(PATIENCE_S)
        until(lambda: listener.last(STATUS) == "offline")
    assert json.loads(listener.last(NUMBERS)) == {
        "source": "drawn",
        "utc": "1970-01-01T00:00:01.000000Z",
        "frame": 100,
        "numbers": [{"text": "407", "probability": 0.92}, {"text": "12", "probability": 0.9}],
    }
    assert [texts(payload) for payload in listener.of(NUMBERS)] == [[], ["407", "12"]]
    assert listener.of(STATE) == ["connecting", "streaming", "ended"]
    assert publisher.reconnects == 0


def test_whoever_comes_later_has_the_latest_messages(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port)
    show(publisher, 1, "407")
    publisher.close(PATIENCE_S)
    with Listener(broker.port) as listener:
        until(lambda: len(listener.heard) == 3)
    assert all(retained for _, _, retained in listener.heard)
    assert (listener.last(STATUS), listener.last(STATE)) == ("offline", "ended")
    assert texts(listener.last(NUMBERS)) == ["407"]


def test_numbers_of_an_earlier_run_do_not_stand_for_now(broker: Mosquitto) -> None:
    first = publisher_to(broker.port)
    show(first, 1, "407")
    first.close(PATIENCE_S)
    second = publisher_to(broker.port)
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
        assert json.loads(listener.last(NUMBERS))["frame"] is None
        assert texts(listener.last(NUMBERS)) == []
    second.close()


def test_numbers_that_have_not_settled_are_published_in_the_end(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port)
    publisher.show("drawn", seen(1, "7"))
    publisher.close(PATIENCE_S)
    with Listener(broker.port) as listener:
        until(lambda: texts(listener.last(NUMBERS) or '{"numbers": []}') == ["7"])


def test_sources_have_topics_of_their_own(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port, "0", "rtsp://user:secret@door/main")
    show(publisher, 1, "1", source="0")
    show(publisher, 1, "2", source="rtsp://user:secret@door/main")
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
        topics = {topic for topic, _, _ in listener.heard}
        until(lambda: texts(listener.last("home/0/numbers")) == ["1"])
        (other,) = (topic for topic in topics if topic.endswith("/numbers") and "/0/" not in topic)
        until(lambda: texts(listener.last(other)) == ["2"])
    publisher.close()
    assert "secret" not in str(listener.heard)


def test_a_broker_is_told_by_itself_when_the_process_is_killed(broker: Mosquitto) -> None:
    code = (
        "import time\n"
        "from runtime.camera.outputs.broker import parse_broker\n"
        "from runtime.camera.outputs.mqtt import MqttPublisher\n"
        f"MqttPublisher(parse_broker('mqtt://127.0.0.1:{broker.port}/home'), ['drawn'])\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        with Listener(broker.port) as listener:
            until(lambda: listener.last(STATUS) == "online")
            process.send_signal(signal.SIGKILL)
            until(lambda: listener.last(STATUS) == "offline")
    finally:
        process.kill()
        process.wait()


def test_what_a_broker_says_late_of_an_earlier_run_is_put_right(broker: Mosquitto) -> None:
    """The connection of a device that lost its power ends for the broker when the device has long been back."""
    with Listener(broker.port, "nothing") as earlier:
        earlier.client.disconnect()
        earlier.client.loop_stop()
        earlier.client.will_set(STATUS, "offline", qos=1, retain=True)
        earlier.client.connect("127.0.0.1", broker.port)
        earlier.client.loop_start()
        until(earlier.client.is_connected)
        publisher = publisher_to(broker.port)
        with Listener(broker.port) as listener:
            until(lambda: listener.last(STATUS) == "online")
            connection = earlier.client.socket()
            assert connection
            connection.shutdown(socket.SHUT_RDWR)
            until(lambda: listener.of(STATUS)[-2:] == ["offline", "online"])
            publisher.close(PATIENCE_S)
            until(lambda: listener.of(STATUS)[-2:] == ["online", "offline"])


def test_of_two_publishers_with_one_prefix_the_other_stays_online(broker: Mosquitto) -> None:
    with Listener(broker.port) as listener:
        one, other = publisher_to(broker.port, "1"), publisher_to(broker.port, "2")
        until(lambda: listener.of(STATUS) == ["online", "online"])
        one.close(PATIENCE_S)
        until(lambda: listener.of(STATUS)[-2:] == ["offline", "online"])
        other.close(PATIENCE_S)
        until(lambda: listener.last(STATUS) == "offline")


def test_a_broker_that_comes_back_is_told_everything_again(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port)
    show(publisher, 1, "1")
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
    assert publisher.status == f"connected to mqtt://127.0.0.1:{broker.port}"
    broker.kill()
    until(lambda: not publisher.connected and publisher.status)
    assert "trying again" in publisher.status
    show(publisher, 2, "2")
    show(publisher, 3, "3")
    broker.start()
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
        assert [texts(payload) for payload in listener.of(NUMBERS)] == [["3"]]
    assert publisher.reconnects == 1
    assert publisher.status == f"connected to mqtt://127.0.0.1:{broker.port} again (1)"
    publisher.close()


def test_a_broker_may_come_after_the_publisher(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, OPEN)
    publisher = publisher_to(broker.port)
    show(publisher, 1, "407")
    until(lambda: publisher.status)
    assert publisher.status == f"mqtt://127.0.0.1:{broker.port}: Connection refused; trying again"
    with broker, Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
        assert texts(listener.last(NUMBERS)) == ["407"]
        assert publisher.reconnects == 0
        publisher.close()


def test_while_the_broker_is_away_only_the_latest_messages_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "FIRST_PAUSE_S", 0.01)
    publisher = publisher_to(free_port())
    until(lambda: publisher.status)
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for index in range(2000):
        show(publisher, index, str(index))
        publisher.set_state("drawn", State.LOST)
    assert len(publisher._latest) == 3
    assert texts(publisher._latest[NUMBERS].decode()) == ["1999"]
    if files:
        assert len(os.listdir("/proc/self/fd")) <= files + 3  # of the attempt that is under way
    start = time.monotonic()
    publisher.close(PATIENCE_S)
    assert time.monotonic() - start < 30 and not publisher._thread.is_alive()


def test_a_broker_that_is_slow_gets_the_latest_and_memory_does_not_grow(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port)
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
        broker.hang()
        for index in range(2000):
            show(publisher, index, str(index))
            if index % 100 == 0:
                time.sleep(0.01)
        broker.go_on()
        until(lambda: texts(listener.last(NUMBERS)) == ["1999"])
        assert len(listener.of(NUMBERS)) < 10
    publisher.close()


def test_a_wrong_password_is_told_once_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "FIRST_PAUSE_S", 0.01)
    users = tmp_path / "users"
    subprocess.run([program("mosquitto_passwd"), "-b", "-c", str(users), "me", "right"], check=True)
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {users}") as broker:
        wrong = publisher_to(broker.port, login="me:hunter2@")
        until(lambda: wrong.status)
        statuses = {wrong.status}
        end = time.monotonic() + 1
        while time.monotonic() < end:
            statuses.add(wrong.status)
        assert statuses == {f"mqtt://127.0.0.1:{broker.port}: it refuses: Not authorized; trying again"}
        show(wrong, 1, "666")
        right = publisher_to(broker.port, login="me:right@")
        with Listener(broker.port, login=("me", "right")) as listener:
            until(lambda: listener.last(STATUS) == "online")
            assert texts(listener.last(NUMBERS)) == []
        right.close()
        wrong.close()
    assert not wrong.connected


def certificates(folder: Path) -> tuple[Path, list[str]]:
    """An authority, and the settings of a broker with a certificate of it for 127.0.0.1."""
    openssl, authority, key = program("openssl"), folder / "ca.pem", folder / "broker.key"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(authority)]
    subprocess.run(make, check=True, capture_output=True)
    return authority, [OPEN, f"certfile {authority}", f"keyfile {key}"]


def test_tls_trusts_the_authority_that_is_given_and_no_other(tmp_path: Path) -> None:
    authority, settings = certificates(tmp_path)
    unencrypted = free_port()
    with (
        Mosquitto(tmp_path, *settings, f"listener {unencrypted} 127.0.0.1") as broker,
        Listener(unencrypted) as listener,
    ):
        address = f"mqtts://127.0.0.1:{broker.port}/home"
        wary = MqttPublisher(parse_broker(address), ["drawn"])
        trusting = MqttPublisher(parse_broker(f"{address}?ca={authority}"), ["drawn"])
        show(trusting, 1, "407")
        until(lambda: listener.last(STATUS) == "online")
        until(lambda: "its certificate is not trusted: self" in wary.status)
        assert not wary.connected
        # One that speaks no TLS to it is told so in its own words, whatever those are, and goes on.
        plain = publisher_to(broker.port)
        until(lambda: plain.status)
        assert "trying again" in plain.status
        for publisher in (wary, trusting, plain):
            publisher.close(PATIENCE_S)
        until(lambda: listener.last(STATUS) == "offline")
    assert texts(listener.last(NUMBERS)) == ["407"]
    assert listener.of(STATUS) == ["online", "offline"]


def test_what_is_no_broker_is_told_and_tried_again() -> None:
    """It answers with what is no MQTT."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        publisher = publisher_to(server.getsockname()[1])
        until(lambda: publisher.status)
        assert "trying again" in publisher.status and not publisher.connected
        assert publisher._thread.is_alive()
        publisher.close()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def test_of_a_packet_that_no_broker_has_to_send_nothing_is_kept() -> None:
    """It accepts the client, then begins a message of 256 MB."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connections.append(connection)
            connection.recv(4096)
            connection.sendall(b"\x20\x02\0\0" + b"\x30\xff\xff\xff\x7f" + b"\0\x05hello" + bytes(1_000_000))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        publisher = publisher_to(server.getsockname()[1])
        until(lambda: "trying again" in publisher.status)
        assert publisher.status.endswith("it sends a packet of 268,435,455 bytes; trying again")
        publisher.close()
        thread.join(30)
    for connection in connections:
        connection.close()


def test_it_closes_in_time_though_the_broker_hangs(broker: Mosquitto) -> None:
    publisher = publisher_to(broker.port)
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "online")
    broker.hang()
    show(publisher, 1, "407")
    start = time.monotonic()
    publisher.close(1.0)
    assert time.monotonic() - start < 30  # and not until the broker is given up, or for ever
    publisher._thread.join(30)
    assert not publisher._thread.is_alive()
    publisher.close(1.0)
    broker.go_on()  # what it was sent is there for it
    with Listener(broker.port) as listener:
        until(lambda: listener.last(STATUS) == "offline")


def test_a_broker_that_accepts_nothing_holds_nobody(tmp_path: Path) -> None:
    """It is there, and does not answer from the start."""
    with Mosquitto(tmp_path, OPEN) as broker:
        broker.hang()
        publisher = publisher_to(broker.port)
        start = time.monotonic()
        for index in range(1000):
            show(publisher, index, str(index))
        publisher.close(0.5)
        assert time.monotonic() - start < 30
        publisher._thread.join(30)
        assert not publisher._thread.is_alive()


def test_without_the_package_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = {"paho": None, "paho.mqtt": None, "paho.mqtt.enums": None}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(MissingPackageError, match="paho-mqtt") as caught:
        publisher_to(1883)
    assert caught.value.hint == "pip install 'paho-mqtt>=2.0'"
