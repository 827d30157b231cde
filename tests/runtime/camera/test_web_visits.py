"""Visitors with a camera of their own: each gets the answers to its own pictures, and nobody else's."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from runtime.camera.web.messages import MOST_VISITORS
from runtime.camera.web.process import Served
from runtime.camera.web.visits import MOST_SCANS
from tests.runtime.camera.page import Gate, Running, Talk, jpeg_of_square, live, running, until

FRAMES = 6


@pytest.fixture(scope="module")
def page() -> Iterator[Running]:
    """For visitors alone."""
    with running(served=Served(visitors=True)) as it:
        yield it


def answer_to(visitor: Talk, picture: bytes) -> dict[str, Any]:
    visitor.send(picture)
    return visitor.receive()


def enter(page: Running) -> tuple[Talk, int]:
    """A visitor and its number."""
    visitor = page.visit()
    ready = visitor.receive()
    assert (ready["type"], ready["largest_bytes"], ready["largest_side"]) == ("ready", 1_000_000, 1280)
    return visitor, ready["visitor"]


def test_a_visitor_gets_the_answer_to_each_picture(page: Running) -> None:
    visitor, _ = enter(page)
    with visitor:
        for frame, size in enumerate([(160, 120), (320, 200), (160, 120), (1280, 1280), (64, 64)]):
            answer = answer_to(visitor, jpeg_of_square(20 + frame, size))
            assert (answer["type"], answer["frame"]) == ("answer", frame)
            assert (answer["width"], answer["height"]) == size
            (digit,) = answer["digits"]
            assert abs(digit["box"][0] - 20 - frame) <= 2
            assert (digit["label"], digit["track"]) == ("7", frame + 1)  # one tracker follows all of them
            assert answer["numbers"][0]["text"] == "7"
            assert answer["age_ms"] >= 0
        assert visitor.connection.protocol is not None


def test_each_of_several_visitors_has_its_own_answers_and_its_own_tracker() -> None:
    def be(page: Running, place: int) -> None:
        visitor, _ = enter(page)
        with visitor:
            for frame in range(FRAMES):
                answer = answer_to(visitor, jpeg_of_square(10 + 15 * place, (160, 100 + place)))
                assert (answer["type"], answer["frame"], answer["height"]) == ("answer", frame, 100 + place)
                (digit,) = answer["digits"]
                assert abs(digit["box"][0] - 10 - 15 * place) <= 2
                assert digit["track"] == frame + 1

    with running(live("own"), served=Served(visitors=True)) as page, ThreadPoolExecutor(MOST_VISITORS) as crowd:
        for done in [crowd.submit(be, page, place) for place in range(MOST_VISITORS)]:
            done.result()
        until(lambda: "toolkit_camera_visitors 0.0" in page.ask("/metrics").text)
        with page.view() as viewer:  # they are counted as one, and nobody can watch them
            stats = viewer.stats(lambda stats: stats["sources"][-1]["frames"] == MOST_VISITORS * FRAMES)
            assert [source["viewable"] for source in stats["sources"]] == [True, False]
            assert (stats["sources"][1]["name"], stats["sources"][1]["index"]) == ("browser://", -1)
            viewer.say("watch", source=1)
            assert "no such source" in viewer.until("error")["message"]
        assert page.ask("/snapshot.png?source=1").status == 404


def test_where_there_are_visitors_alone_nothing_is_to_be_watched(page: Running) -> None:
    answer = page.ask("/")
    assert (answer.status, answer.headers["Location"]) == (303, "/visit")
    assert json.loads(page.ask("/sources.json").text) == {"sources": [], "browser": True}
    assert page.ask("/snapshot.png").status == 404
    until(lambda: page.ask("/readyz").status == 200)
    with page.view() as viewer:
        viewer.say("next")
        assert viewer.until("stats")["sources"][0]["name"] == "browser://"
        viewer.say("next")
        viewer.until("stats")


def claiming(width: int, height: int) -> bytes:
    """A JPEG whose header says it has this size."""
    data = bytearray(jpeg_of_square(20))
    place = re.search(rb"\xff\xc0..\x08", bytes(data), re.DOTALL)
    assert place
    struct.pack_into(">HH", data, place.end(), height, width)
    return bytes(data)


def of_many_scans() -> bytes:
    """A progressive JPEG that is small, and takes long to decode."""
    data = jpeg_of_square(20)
    scan = data.index(b"\xff\xda")
    return data[:scan] + data[scan:-2] * (MOST_SCANS + 1) + b"\xff\xd9"


def png() -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1])


WRONG = {
    "nothing": b"",
    "text": b"hello",
    "a PNG": png(),
    "a JPEG's beginning": b"\xff\xd8",
    "cut off": jpeg_of_square(20)[:200],
    "garbage in a JPEG": b"\xff\xd8\xff\xe0" + os.urandom(500),
    "a bomb": claiming(60_000, 60_000),
    "as many pixels as a bomb may have": claiming(65_500, 25),
    "too wide": jpeg_of_square(20, (1281, 64)),
    "too high": jpeg_of_square(20, (64, 1281)),
    "no rows": claiming(160, 0),
    "many scans": of_many_scans(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_picture_is_dropped_with_a_reason_and_the_next_one_is_read(kind: str, page: Running) -> None:
    visitor, _ = enter(page)
    with visitor:
        answer = answer_to(visitor, WRONG[kind])
        assert (answer["type"], answer["frame"]) == ("dropped", 0)
        assert answer["reason"].startswith("a frame ")
        answer = answer_to(visitor, jpeg_of_square(30))
        assert (answer["type"], answer["frame"], answer["digits"][0]["track"]) == ("answer", 1, 1)


def test_who_sends_nothing_else_is_sent_away(page: Running) -> None:
    visitor, _ = enter(page)
    with visitor:
        for _ in range(20):
            assert answer_to(visitor, b"no picture")["type"] == "dropped"
        visitor.send("text")
        assert visitor.ended() == 1008
    visitor, _ = enter(page)
    with visitor:
        visitor.send(b"\xff\xd8" + bytes(1_000_000))
        assert visitor.ended() in (1009, None)


def test_of_two_pictures_at_once_one_is_answered() -> None:
    gate = Gate()
    with running(served=Served(visitors=True), reader=gate) as page:
        visitor, _ = enter(page)
        with visitor:
            gate.open.clear()
            visitor.send(jpeg_of_square(20))
            for _ in range(3):
                visitor.send(jpeg_of_square(90))
            visitor.settle()
            gate.open.set()
            answer = visitor.receive()
            assert (answer["frame"], answer["digits"][0]["box"][0]) == (0, 20)
            assert answer_to(visitor, jpeg_of_square(60))["frame"] == 1


def test_while_there_are_as_many_as_there_may_be_another_waits(page: Running) -> None:
    visitors = [enter(page)[0] for _ in range(MOST_VISITORS)]
    with page.visit() as late:
        assert late.ended() == 4429
    visitors.pop().close()
    until(lambda: "toolkit_camera_visitors 7.0" in page.ask("/metrics").text)
    visitors.append(enter(page)[0])
    assert answer_to(visitors[-1], jpeg_of_square(20))["type"] == "answer"
    for visitor in visitors:
        visitor.close()
    until(lambda: page.feed.channels == [], "all have left")


def test_who_comes_in_the_place_of_another_gets_nothing_of_it() -> None:
    gate = Gate()
    with running(served=Served(visitors=True), reader=gate) as page:
        others = [enter(page)[0] for _ in range(MOST_VISITORS - 1)]  # one memory is left
        for round_ in range(4):
            leaving, number = enter(page)
            gate.open.clear()
            leaving.send(jpeg_of_square(20))
            until(lambda: gate.waiting, "its picture is being read")
            leaving.close()
            until(lambda number=number: number not in page.page.visitors, "it has left")
            coming, _ = enter(page)
            coming.send(jpeg_of_square(100, (160, 130 + round_)))
            gate.open.set()
            answer = coming.receive()
            assert (answer["type"], answer["frame"], answer["height"]) == ("answer", 0, 130 + round_)
            assert (answer["digits"][0]["box"][0], answer["digits"][0]["track"]) == (100, 1)
            coming.close()
            until(lambda: len(page.page.visitors) == MOST_VISITORS - 1)
        for other in others:
            other.close()


def test_visitors_that_come_and_go_while_it_is_paused_leave_nothing() -> None:
    with running(served=Served(visitors=True)) as page:
        page.page.controls.paused = True
        for _ in range(30):
            visitor, _ = enter(page)
            visitor.send(jpeg_of_square(20))
            visitor.close()
        visitor, _ = enter(page)
        with visitor:
            until(lambda: len(page.page.visitors) == 1)
            page.page.controls.paused = False
            assert answer_to(visitor, jpeg_of_square(20))["type"] == "answer"
            until(lambda: len(page.feed.channels) == 1, "all others have left")
            assert page.frames == 1


def test_a_picture_that_waited_too_long_is_dropped_and_said_to_be() -> None:
    gate = Gate()
    with running(served=Served(visitors=True), reader=gate, max_age_s=0.5) as page:
        (visitor, number), (other, _) = enter(page), enter(page)
        with visitor, other:
            assert answer_to(visitor, jpeg_of_square(20))["type"] == "answer"
            gate.open.clear()
            other.send(jpeg_of_square(20))
            until(lambda: gate.waiting)
            visitor.send(jpeg_of_square(20))
            until(lambda: page.page.visitors[number].index == 2, "the picture has come")
            time.sleep(0.6)
            gate.open.set()
            assert visitor.receive() == {"type": "dropped", "frame": 1, "reason": "it came too late"}
            assert answer_to(visitor, jpeg_of_square(20))["type"] == "answer"


def test_a_visitor_that_is_cut_off_in_the_middle_of_a_picture_makes_room(page: Running) -> None:
    visitor, _ = enter(page)
    stream = visitor.connection.protocol.stream
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.send(bytes([0x82, 0xFE, 0xFF, 0xFF, 0, 0, 0, 0]) + bytes(1000))  # of 65,535
    stream.close()
    visitor.close()
    until(lambda: "toolkit_camera_visitors 0.0" in page.ask("/metrics").text)
    until(lambda: page.feed.channels == [])
