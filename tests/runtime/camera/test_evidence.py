"""What is round a shape, and what else is on the frame, and what both say about whether it is a digit."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.answer import Answer
from runtime.camera.reading.evidence import FACTORS, measure, weigh
from runtime.camera.reading.reader import THRESHOLD
from runtime.camera.reading.surroundings import look_around
from runtime.preprocess import as_image
from tests.runtime.camera.candidates import on, said

UPRIGHT = ((100, 60), (100, 110))


def paper(value: int = 200) -> Picture:
    return np.full((200, 200, 3), value, np.uint8)


def stroke(
    frame: Picture, ends: tuple[tuple[int, int], tuple[int, int]], ink: tuple[int, int, int] = (40, 40, 40)
) -> tuple[Box, Picture]:
    """A stroke on a frame, with its box and its ink."""
    mask = np.zeros(frame.shape[:2], np.uint8)
    cv2.line(mask, *ends, 255, 5, cv2.LINE_AA)
    share = mask[:, :, None] / 255.0
    frame[:] = np.rint(frame * (1 - share) + np.array(ink) * share).astype(np.uint8)
    x, y, wide, high = cv2.boundingRect((mask > 100).astype(np.uint8))
    return (x, y, wide, high), mask[y : y + high, x : x + wide]


def of(frame: Picture, box: Box, ink: Picture, light: bool = False) -> tuple[float, float]:
    around = look_around(frame, [on(frame, box, ink, light)])
    return float(around.uneven[0]), float(around.like_ink[0])


@pytest.mark.parametrize("ends", [UPRIGHT, ((115, 60), (95, 110)), ((70, 62), (130, 108))])
@pytest.mark.parametrize("light", [False, True])
def test_ink_has_one_ground_on_all_sides(ends: tuple[tuple[int, int], tuple[int, int]], light: bool) -> None:
    frame = paper(40 if light else 200)
    uneven, like_ink = of(frame, *stroke(frame, ends, ink=(220,) * 3 if light else (40,) * 3), light)
    assert uneven < 0.15
    assert like_ink < 0.05


def test_the_edge_of_a_sheet_has_two() -> None:
    frame = paper()
    frame[:, 103:] = 45
    uneven, like_ink = of(frame, *stroke(frame, UPRIGHT))
    assert uneven > 0.4
    assert like_ink > 0.35


def test_a_piece_of_a_longer_line_goes_on_at_its_end() -> None:
    frame = paper()
    alone = of(frame, *stroke(frame, UPRIGHT))
    box, image = stroke(frame, UPRIGHT)
    stroke(frame, ((100, 20), (100, 190)))
    uneven, like_ink = of(frame, box, image)
    assert uneven > alone[0] + 0.1
    assert like_ink > alone[1] + 0.05


def test_grey_frames_and_any_size_and_place_are_measured() -> None:
    frame = paper()
    box, image = stroke(frame, UPRIGHT)
    assert of(frame[:, :, 0], box, image) == pytest.approx(of(frame, box, image), abs=0.02)
    large = cv2.resize(frame, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert of(large, tuple(4 * side for side in box), image) == pytest.approx(of(frame, box, image), abs=0.1)
    for x, y in ((0, 0), (1, 140), (190, 3), (193, 149)):
        cornered = of(frame, (x, y, 7, 51), image)
        assert all(np.isfinite(cornered))


@pytest.mark.parametrize("x", [3, 100, 101, 102, 196])
def test_the_color_is_that_of_the_ink_wherever_it_lies(x: int) -> None:
    frame = paper()
    red, blue = (
        stroke(frame, ((50, 60), (50, 110)), ink=(30, 30, 180)),
        stroke(frame, ((x, 60), (x, 110)), (180, 30, 30)),
    )
    color = look_around(frame, [on(frame, *red), on(frame, *blue)]).color
    assert color[0, 0] > 150  # a* of red
    assert color[1, 1] < 90  # b* of blue


def answers(frame: Picture, count: int = 4, **changes: object) -> list[Answer]:
    """Digits in a row of which the last is another one."""
    result = []
    for place in range(count):
        x = 20 + 45 * place
        result.append(Answer(on(frame, *stroke(frame, ((x, 60), (x + 8, 100)))), *said(7, 0.99)))
    for name, value in changes.items():
        setattr(result[-1] if hasattr(result[-1], name) else result[-1].candidate, name, value)
    return result


def factors(given: list[Answer], frame: Picture) -> dict[str, float]:
    return dict(zip(FACTORS, measure(frame, given, given)[-1].tolist(), strict=True))


def test_a_digit_like_the_others_has_nothing_against_it() -> None:
    frame = paper()
    seen = factors(answers(frame), frame)
    for name in set(FACTORS[FACTORS.index("lower") : FACTORS.index("high")]) - {
        "company",
        "beside",
        "flanked",
        "misfits",
    }:
        assert seen[name] == pytest.approx(0, abs=0.7 if name == "other_color" else 1e-6), name
    assert seen["leans"] == pytest.approx(-8 / 40, abs=0.02)  # to the left, as all do
    assert seen["company"] == pytest.approx(3.5 / 4)  # three of four are other ones
    assert seen["beside"] == pytest.approx(np.exp(-32 / 44), abs=0.06)  # its neighbour is as far away, both as high


def test_what_stands_next_to_it_counts_whether_it_may_be_a_digit_or_not() -> None:
    frame = paper()
    given = answers(frame)
    letter = replace(given[2], probability=0.2)
    for things, doubt in (([*given], 0.01), ([*given[:2], letter, given[3]], 0.8)):
        seen = dict(zip(FACTORS, measure(frame, given[3:], things)[0].tolist(), strict=True))
        assert seen["misfits"] == pytest.approx(doubt * seen["flanked"])
    letter.ways = [[given[0], given[1]]]  # two digits that touch are no letter
    seen = dict(zip(FACTORS, measure(frame, given[3:], [letter])[0].tolist(), strict=True))
    assert seen["misfits"] == pytest.approx(0.01 * seen["flanked"])


def test_what_is_three_times_as_high_is_not_beside_it() -> None:
    frame = paper()
    given = answers(frame)
    for answer in given[:-1]:
        x, y, width, height = answer.candidate.box
        answer.candidate.box = (x, y - height, width, 3 * height)
    assert factors(given, frame)["beside"] == 0


def test_a_digit_of_another_line_is_not_beside_it() -> None:
    frame = paper()
    given = answers(frame)
    for answer in given[:-1]:
        x, y, width, height = answer.candidate.box
        answer.candidate.box = (x, y + height, width, height)
    assert factors(given, frame)["beside"] == 0


def test_what_is_unlike_the_others_is_seen() -> None:
    frame = paper()
    given = answers(frame, strength=50.0, light_ink=True)
    x, y, width, height = given[-1].box
    given[-1].candidate.box = (x, y, width, height // 2)
    seen = factors(given, frame)
    assert seen["fainter"] == pytest.approx(np.log(3), abs=0.01)
    assert seen["lower"] == pytest.approx(np.log(2), abs=0.05)
    assert seen["other_ink"] == 0.75


@pytest.mark.parametrize(("thick", "factor"), [(3, "thinner"), (10, "thicker")])
def test_strokes_of_another_pen_are_known(thick: int, factor: str) -> None:
    frame = paper()
    given = answers(frame, 3)
    mask = np.zeros(frame.shape[:2], np.uint8)
    cv2.line(mask, (155, 60), (163, 100), 255, thick, cv2.LINE_AA)
    frame[mask > 100] = 40
    x, y, wide, high = cv2.boundingRect((mask > 100).astype(np.uint8))
    given.append(Answer(on(frame, (x, y, wide, high), mask[y : y + high, x : x + wide]), *said(7, 0.99)))
    seen = factors(given, frame)
    assert 0.15 < seen[factor] < abs(np.log(thick / 5)) + 0.1  # a stroke has a soft edge, which is no less than it is
    assert seen["thinner" if factor == "thicker" else "thicker"] == 0


@pytest.mark.parametrize("size", [1, 3])
def test_a_slash_leans_and_stands_out_of_its_line(size: int) -> None:
    frame = paper()
    given = answers(frame, 3)
    given.append(Answer(on(frame, *stroke(frame, ((176, 50), (154, 106)))), *said(1, 0.9)))
    for answer in given:
        answer.candidate.square.step *= size
        answer.candidate.box = tuple(size * side for side in answer.box)  # type: ignore[assignment]
    seen = factors(given, as_image(cv2.resize(frame, None, fx=size, fy=size)))
    assert seen["leans"] == pytest.approx(22 / 56, abs=0.05)
    assert seen["leaning"] == pytest.approx(22 / 56 + 8 / 40, abs=0.05)
    assert seen["above"] == pytest.approx(10 / 44, abs=0.03)
    assert seen["below"] == pytest.approx(6 / 44, abs=0.03)
    assert seen["thinner"] + seen["thicker"] < 0.15


def test_what_was_cut_out_of_a_longer_shape_is_known() -> None:
    frame = paper()
    given = answers(frame)
    shape = given[-1].candidate.shape
    assert shape is not None
    x, y, width, height = shape.box
    shape.part_of = (x, y, width, 4 * height), shape.threshold
    seen = factors(given, frame)
    assert (seen["cut_out"], seen["freed"]) == pytest.approx((0, np.log(4)))  # a rule or what is near joins it to that
    shape.part_of = (x, y, width, 4 * height), shape.threshold / 2
    seen = factors(given, frame)
    assert (seen["cut_out"], seen["freed"]) == pytest.approx((np.log(4), 0))
    shape.part_of = (x, y, 100 * width, height), shape.threshold / 2
    assert factors(given, frame)["cut_out"] == pytest.approx(np.log(8))
    shape.part_of = (x, y, width, height - 1), shape.threshold / 2
    assert factors(given, frame)["cut_out"] == 0


def test_what_a_digit_is_by_itself_is_known() -> None:
    frame = paper()
    given = answers(frame, strength=50.0, light_ink=True)
    _, _, width, height = given[-1].box
    seen = factors(given, frame)
    assert seen["high"] == pytest.approx(np.log(height / 200))
    assert seen["wide"] == pytest.approx(np.log(width / height))
    assert seen["strong"] == pytest.approx(np.log(50))
    assert seen["light_ink"] == 1
    assert 5 / 44 < seen["inked"] < 8 / 44  # a stroke of 5 pixels, and its soft edge, all along a square of 44
    assert seen["answers"] == pytest.approx(np.log(4))
    assert seen["sure_ones"] == pytest.approx(np.log(5))
    half = as_image(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    scaled = factors([Answer(on(half, (10, 30, 7, 22), np.full((22, 7), 255, np.uint8)), *said(7, 0.99))], half)
    assert scaled["high"] == pytest.approx(seen["high"], abs=0.1)  # of the frame, whatever its size


def test_what_the_model_says_of_each_digit_is_a_factor() -> None:
    frame = paper()
    given, usual = answers(frame), factors(answers(frame), frame)
    given[-1].number, given[-1].probability, given[-1].probabilities = said(3, 0.99)
    seen = factors(given, frame)
    changed = {name for name in FACTORS if seen[name] != usual[name]}
    assert changed == {"3", "7", "like_3", "like_7"}
    assert (seen["3"], seen["7"]) == (1, 0)
    assert seen["like_3"] == pytest.approx(np.log(0.99), abs=1e-6)
    assert seen["like_7"] == pytest.approx(np.log(0.01 / 9))
    given[-1].probabilities[8] = 0
    assert factors(given, frame)["like_8"] == pytest.approx(np.log(1e-6))


def test_a_digit_alone_is_compared_with_none() -> None:
    frame = paper()
    seen = factors(answers(frame, 1), frame)
    compared = ("lower", "higher", "fainter", "other_color", "other_ink", "beside", "thinner", "thicker", "leaning",
                "above", "below")  # fmt: skip
    assert all(seen[name] == 0 for name in compared)


def test_an_edge_that_looks_like_a_1_is_not_sure_to_be_one() -> None:
    sureness = []
    for edge in (False, True):
        frame = paper()
        if edge:
            frame[:, 103:] = 45
        box, image = stroke(frame, UPRIGHT)
        given = [Answer(on(frame, box, image), *said(1, 0.999))]
        weigh(frame, given, given)
        sureness.append(given[0].sureness)
    assert sureness[1] < THRESHOLD < 0.9 < sureness[0]


def test_nothing_seen_is_nothing_to_weigh() -> None:
    frame = paper()
    given = answers(frame, 1)
    weigh(frame, [], [])
    assert given[0].sureness == 0  # of what was not weighed
    weigh(frame, given, given)
    assert 0 < given[0].sureness < 1
