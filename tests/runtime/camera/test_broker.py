"""Addresses of MQTT brokers, and the topics of sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.camera.outputs.broker import LONGEST_LEVEL, PREFIX, Broker, levels_of, parse_broker
from runtime.errors import ToolkitError

SECRET = "hunter2"


def test_an_address_says_everything() -> None:
    broker = parse_broker("mqtt://me%40home:p%40ss%2Fw%23rd@broker.local:1884/kitchen/door/?client_id=door%201")
    assert broker == Broker("broker.local", 1884, "kitchen/door", "door 1", "me@home", "p@ss/w#rd")
    assert broker.name == "mqtt://broker.local:1884"


@pytest.mark.parametrize("text", ["mqtt://broker", "mqtt://broker/", "mqtt://broker:1883", "MQTT://Broker"])
def test_most_of_it_can_be_left_out(text: str) -> None:
    assert parse_broker(text) == Broker("broker", 1883, PREFIX)


def test_an_address_of_ipv6_is_understood() -> None:
    broker = parse_broker("mqtts://[::1]/a")
    assert (broker.host, broker.port, broker.prefix, broker.name) == ("::1", 8883, "a", "mqtts://[::1]:8883")
    assert broker.tls and broker.tls.check_hostname


def test_a_user_needs_no_password() -> None:
    broker = parse_broker("mqtt://token@broker")
    assert (broker.username, broker.password) == ("token", None)


def test_a_password_is_not_in_what_a_program_prints_of_a_broker() -> None:
    assert SECRET not in repr(parse_broker(f"mqtt://user:{SECRET}@broker"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begin with mqtt://"),
        ("broker", "begin with mqtt://"),
        ("http://broker", "begin with mqtt://"),
        ("mqtt:broker", "names no host"),
        ("mqtt://", "names no host"),
        ("mqtt:///prefix", "names no host"),
        ("mqtt://:1883", "names no host"),
        ("mqtt://broker:port", "valid host and port"),
        ("mqtt://broker:99999", "valid host and port"),
        ("mqtt://broker:0", "port 0"),
        ("mqtt://[::1", "valid host and port"),
        ("mqtt://a..b", "valid host and port"),
        (f"mqtt://{'a' * 70}.org", "valid host and port"),
        ("mqtt://broker\udcff", "valid host and port"),
        ("mqtt://broker/a+b", "prefix"),
        ("mqtt://broker/a%23b", "prefix"),
        ("mqtt://broker/%2B", "prefix"),
        ("mqtt://broker/$SYS/a", "prefix"),
        ("mqtt://broker/a#b", "has a #"),
        ("mqtt://broker/a%00b", "control characters"),
        ("mqtt://broker/a%0Ab", "control characters"),
        ("mqtt://us%00er@broker", "control characters"),
        ("mqtt://broker?client_id=a%00", "control characters"),
        (f"mqtt://broker/{'a/' * 150}", "longer than"),
        ("mqtt://broker?qos=2", "another option"),
        ("mqtt://broker?ca=/etc/ca.pem", "mqtts:// alone"),
        ("mqtts://broker?ca=", "without a file"),
        ("mqtts://broker?ca=/no/such/file", "/no/such/file: No such file"),
        (f"mqtts://broker?ca={__file__}", "holds no certificate"),
        ("mqtts://broker?ca=a%00b", "cannot be read"),
        (f"mqtt://:{SECRET}@broker", "without a user"),
        (f"mqtt://user:{SECRET}", "valid host and port"),
        (f"mqtt://user:{SECRET}/x@broker", "valid host and port"),
        (f"mqtt://user:{SECRET}#x@broker", "valid host and port"),
        (f"mqtt://user:{SECRET}?x@broker", "valid host and port"),
        (f"mqtt://me@mail.org:{SECRET}@broker:x", "valid host and port"),
        (f"mqtt://us er:{SECRET}@broker:x", "valid host and port"),
        (f"mqtt://user:12/{SECRET}@broker", "an @ after the host"),
        (f"mqtt://user:12?{SECRET}@broker", "an @ after the host"),
        (f"mqtt://user:12#{SECRET}@broker", "has a #"),
        (f"mqtt://user:{SECRET}@", "names no host"),
        (f"htp://user:{SECRET}@broker", "begin with mqtt://"),
    ],
)
def test_a_bad_address_is_refused_and_not_shown(text: str, why: str) -> None:
    with pytest.raises(ToolkitError) as caught:
        parse_broker(text)
    assert why in caught.value.message
    assert caught.value.hint
    assert SECRET not in str(caught.value)


def test_authorities_of_ones_own_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="Is a directory"):
        parse_broker(f"mqtts://broker?ca={tmp_path}")


def test_topics_have_the_names_of_sources() -> None:
    assert levels_of(["0", "/dev/video1", "rtsp://door.local:554/main", "Küche"]) == {
        "0": "0",
        "/dev/video1": "dev-video1",
        "rtsp://door.local:554/main": "rtsp-door.local-554-main",
        "Küche": "Küche",
    }


def test_whatever_a_source_is_called_its_topic_is_one_level() -> None:
    names = ["a/b", "+", "#", "a\0b", "$SYS", "a\nb", "v4l2src ! appsink", "\udcff", "", "x" * 500, "é" * 500, "/"]
    levels = levels_of(names)
    assert len(set(levels.values())) == len(names)
    for level in levels.values():
        assert 0 < len(level) <= LONGEST_LEVEL
        assert not set("/+#$\0\n !") & set(level)
        level.encode()


def test_names_that_look_alike_have_topics_of_their_own_the_same_in_every_run() -> None:
    one, other = levels_of(["a/b", "a b"]).values()
    assert one != other
    assert list(levels_of(["a b", "a/b"]).values()) == [other, one]
    assert one.startswith("a-b-")


def test_a_topic_holds_no_password() -> None:
    names = [f"rtsp://user:{SECRET}@door/main", f"http://door/mjpg?user=a&pwd={SECRET}"]
    assert SECRET not in "".join(levels_of(names).values())
