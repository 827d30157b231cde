"""When numbers count as changed."""

from __future__ import annotations

from runtime.camera.outputs.seen import Seen
from runtime.camera.outputs.settling import LONGEST_S, STABLE_S, Settling
from tests.runtime.camera.numbered import START_NS, seen


def told(settling: Settling, frames: list[Seen]) -> list[list[str]]:
    """The numbers of each message."""
    messages = [settling.take(frame) for frame in frames]
    return [[number.text for number in message.numbers] for message in messages if message]


def test_numbers_are_told_once_they_have_stood_for_a_while() -> None:
    settling = Settling("drawn")
    assert settling.take(seen(0.0)) is None
    assert settling.take(seen(1.0, "407")) is None
    assert settling.take(seen(1.0 + STABLE_S - 0.01, "407")) is None
    message = settling.take(seen(1.0 + STABLE_S + 0.01, "407"))
    assert message
    assert [(number.text, number.probability) for number in message.numbers] == [("407", 0.87)]
    assert (message.source, message.frame, message.utc) == ("drawn", 100, "1970-01-01T00:00:01.000000Z")
    assert settling.take(seen(9.0, "407")) is None and settling.changing is None


def test_a_number_that_comes_into_view_in_pieces_is_told_once() -> None:
    pieces = [seen(0.0, "4"), seen(0.1, "40"), seen(0.2, "407"), seen(0.4, "407"), seen(0.6, "407"), seen(0.8, "407")]
    assert told(Settling("drawn"), pieces) == [["407"]]


def test_numbers_that_go_and_come_back_at_once_are_not_told_again() -> None:
    settling = Settling("drawn")
    assert told(settling, [seen(0.0, "7"), seen(0.4, "7")]) == [["7"]]
    flicker = [seen(1 + 0.1 * index, *(["7"] if index % 3 else [])) for index in range(100)]
    assert told(settling, flicker) == []


def test_numbers_that_have_gone_are_told_too() -> None:
    assert told(Settling("drawn"), [seen(0.0, "7"), seen(0.4, "7"), seen(1.0), seen(1.4)]) == [["7"], []]


def test_their_order_does_not_matter_and_how_often_each_is_there_does() -> None:
    frames = [seen(0.0, "7", "12"), seen(0.4, "7", "12"), seen(0.5, "12", "7"), seen(0.9, "12", "7")]
    frames += [seen(1.0, "12", "7", "7"), seen(1.4, "7", "12", "7")]
    assert told(Settling("drawn"), frames) == [["7", "12"], ["7", "12", "7"]]


def test_a_number_that_flickers_does_not_hold_back_another_for_ever() -> None:
    """Two numbers, of which one is there on every second frame: never the same for long, and never none."""
    flicker = [seen(0.1 * index, *(["407", "1"] if index % 2 else ["407"])) for index in range(200)]
    assert told(Settling("drawn"), flicker) in ([["407"]], [["407", "1"]])
    settling = Settling("drawn")
    before = [frame for frame in flicker if frame.frame.monotonic_ns < START_NS + (LONGEST_S - 0.05) * 1e9]
    assert told(settling, before) == []


def test_what_is_left_in_the_end_can_be_told() -> None:
    settling = Settling("drawn")
    assert settling.settle() is None
    settling.take(seen(0.0, "7"))
    message = settling.settle()
    assert message and [number.text for number in message.numbers] == ["7"]
    assert settling.settle() is None and settling.take(seen(0.1, "7")) is None
