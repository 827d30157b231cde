"""Votes over frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from runtime.camera.frame import Box, Digit, Reading
from runtime.camera.tracking import Tracker

FRAME_NS = 33_000_000


def digit(label: str, x: int = 100, y: int = 50, probability: float = 0.9) -> Digit:
    return Digit((x, y, 30, 40), label, probability)


def labels(tracker: Tracker, readings: list[Reading], start: int = 0) -> list[list[tuple[int, str]]]:
    return [
        [(tracked.track, tracked.label) for tracked in tracker.update(reading, (start + number) * FRAME_NS)]
        for number, reading in enumerate(readings)
    ]


def test_a_digit_is_shown_at_once_and_keeps_its_id() -> None:
    assert labels(Tracker(), [Reading((digit("4"),), ())] * 5) == [[(1, "4")]] * 5


def test_one_wrong_answer_among_many_is_outvoted() -> None:
    right, wrong = Reading((digit("4"),), ()), Reading((digit("9", probability=1.0),), ())
    shown = labels(Tracker(), [right] * 5 + [wrong] + [right] * 5)
    assert shown == [[(1, "4")]] * 11


def test_a_label_that_changes_for_good_is_followed() -> None:
    shown = labels(Tracker(), [Reading((digit("4"),), ())] * 30 + [Reading((digit("9"),), ())] * 30)
    assert shown[29] == [(1, "4")]
    assert shown[-1] == [(1, "9")]
    assert sum(one != other for one, other in pairwise(shown)) == 1  # turns once


def test_two_answers_in_turn_do_not_make_the_label_flicker() -> None:
    four, nine = Reading((digit("4", probability=0.6),), ()), Reading((digit("9", probability=0.6),), ())
    shown = labels(Tracker(), [four, nine] * 50)
    assert sum(one != other for one, other in pairwise(shown)) <= 1


def test_what_is_mostly_refused_is_hidden() -> None:
    refused = Reading((), ((100, 50, 30, 40),))
    shown = labels(Tracker(), [refused] * 9 + [Reading((digit("4"),), ())] + [refused] * 9)
    assert shown == [[]] * 19


def test_a_frame_without_the_digit_does_not_hide_it_and_many_do() -> None:
    seen, empty = Reading((digit("4"),), ()), Reading((), ())
    tracker = Tracker()
    assert labels(tracker, [seen] * 6 + [empty, seen]) == [[(1, "4")]] * 8
    assert labels(tracker, [empty] * 4, start=8)[-1] == []


def test_what_was_seen_but_once_is_not_shown_unseen() -> None:
    assert labels(Tracker(), [Reading((digit("4"),), ()), Reading((), ())]) == [[(1, "4")], []]


def test_a_doubtful_digit_waits_for_a_second_frame() -> None:
    doubtful = Reading((digit("4", probability=0.45),), ())
    assert labels(Tracker(), [doubtful] * 3) == [[], [(1, "4")], [(1, "4")]]


def test_a_digit_that_comes_back_soon_has_its_id_and_later_a_new_one() -> None:
    seen, empty = Reading((digit("4"),), ()), Reading((), ())
    tracker = Tracker()
    assert labels(tracker, [seen, *[empty] * 10, seen])[-1] == [(1, "4")]
    assert labels(tracker, [*[empty] * 20, seen], start=12)[-1] == [(2, "4")]


def test_digits_keep_their_ids_while_the_camera_pans() -> None:
    tracker = Tracker()
    for number in range(30):
        boxes = [60 + place * 60 + 12 * number for place in range(4)]
        reading = Reading(tuple(digit(str(place), x=x) for place, x in enumerate(boxes)), ())
        shown = tracker.update(reading, number * FRAME_NS)
        assert [(tracked.track, tracked.label) for tracked in shown] == [(1, "0"), (2, "1"), (3, "2"), (4, "3")]


def test_what_is_not_seen_moves_along_with_the_others() -> None:
    tracker = Tracker()
    for number in range(10):
        boxes = [60 + place * 60 + 6 * number for place in range(4)]
        digits = [digit(str(place), x=x) for place, x in enumerate(boxes)]
        if number == 7:
            del digits[2]
        shown = {
            tracked.label: tracked.box for tracked in tracker.update(Reading(tuple(digits), ()), number * FRAME_NS)
        }
        assert abs(shown["2"][0] - boxes[2]) <= 2


def test_the_probability_is_that_of_the_latest_answers() -> None:
    tracker = Tracker()
    (first,) = tracker.update(Reading((digit("4", probability=0.8),), ()), 0)
    (second,) = tracker.update(Reading((digit("4", probability=1.0),), ()), FRAME_NS)
    assert first.probability == 0.8 < second.probability < 1


def test_tracks_that_are_gone_are_forgotten() -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    for number in range(100):
        boxes: list[Box] = [(int(x), int(y), 20, 30) for x, y in rng.integers(0, 5000, (20, 2))]
        tracker.update(Reading((), tuple(boxes)), number * FRAME_NS)
    assert len(tracker.tracks) <= 20 * 17


def test_boxes_of_a_pixel_are_followed() -> None:
    tracker, reading = Tracker(), Reading((Digit((5, 5, 1, 1), "1", 0.95),), ((500, 5, 1, 1),))
    shown = [tracker.update(reading, number * FRAME_NS) for number in range(3)]
    assert [[digit.track for digit in digits] for digits in shown] == [[1], [1], [1]]
    assert len(tracker.tracks) == 2


def test_of_a_still_picture_a_doubtful_digit_is_shown_at_once() -> None:
    doubtful = Reading((digit("4", probability=0.6),), ())
    assert labels(Tracker(enough=0.0), [doubtful]) == [[(1, "4")]]
