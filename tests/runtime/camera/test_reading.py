"""From a frame to what may be digits on it: light, sizes, polarity and rules."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.camera.reading.apart import Cutter
from runtime.camera.reading.boxes import overlap
from runtime.camera.reading.cut import cut as cut_shapes
from runtime.camera.reading.reader import find_all_shapes, find_candidates
from runtime.camera.reading.rules import find_rules
from tests.runtime.camera.mnist import DIGITS, cut
from tests.runtime.camera.paper import every, frame, missed, page


@pytest.mark.parametrize(
    ("size", "height"), [((320, 240), 30), ((640, 480), 24), ((640, 480), 120), ((1920, 1080), 60)]
)
def test_digits_are_found_at_any_size(size: tuple[int, int], height: float) -> None:
    picture, boxes = page(size, height)
    assert missed(frame(picture), boxes) == []


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("share", [0.5, 0.68])
def test_a_digit_that_all_but_fills_the_frame_is_found(size: tuple[int, int], share: float) -> None:
    lost = 0
    for place in range(20):
        drawn = cut(DIGITS.image(place))
        scale = share * size[1] / max(drawn.shape)
        drawn = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        x, y = (size[0] - drawn.shape[1]) // 2, (size[1] - drawn.shape[0]) // 2
        picture = np.full(size[::-1], 210, np.float64)
        picture[y : y + drawn.shape[0], x : x + drawn.shape[1]] -= 170 * (drawn / 255.0)
        left, top, width, height = cv2.boundingRect((drawn > 100).astype(np.uint8))
        lost += bool(missed(frame(picture, noise=3), [((x + left, y + top, width, height), place)]))
    assert lost <= 1


@pytest.mark.parametrize(("paper", "ink"), [(250, 10), (210, 150), (120, 60), (50, 20), (20, 180), (60, 110)])
def test_digits_are_found_dark_on_light_and_light_on_dark(paper: float, ink: float) -> None:
    picture, boxes = page(paper=paper, ink=ink)
    assert missed(frame(picture, noise=2), boxes) == []


def test_red_ink_is_found_that_is_hardly_darker_than_its_paper() -> None:
    """It takes most from green, and gives back in red what would make it dark."""
    picture, boxes = page(paper=0, ink=1)
    red = 150 + picture[:, :, None] * (np.array([135, 105, 185]) - 150)
    assert missed(np.rint(red).astype(np.uint8), boxes) == []


def test_faint_digits_are_found_among_strong_ink() -> None:
    """What surrounds them is ink, and no texture out of which they would have to stand."""
    picture, boxes = page(paper=200, ink=140)
    for (x, y, width, height), _ in boxes:
        for margin in (12, 24):
            cv2.rectangle(picture, (x - margin, y - margin), (x + width + margin, y + height + margin), 20, 6)
    assert missed(frame(picture, noise=2), boxes) == []


def test_a_frame_may_hold_paper_and_a_board() -> None:
    picture, boxes = page()
    picture[240:] = 255 - picture[240:]
    assert missed(frame(picture, noise=2), boxes) == []


def test_the_inside_of_a_thick_stroke_is_no_board() -> None:
    picture, _ = page(count=0)
    cv2.circle(picture, (320, 240), 56, 30, -1)
    cv2.circle(picture, (320, 240), 8, 210, -1)  # its hole is not written with chalk
    assert {shape.level.light_ink for shape in find_all_shapes(frame(picture))} == {False}
    cv2.rectangle(picture, (20, 40), (200, 440), 30, -1)  # a dark card with chalk on it
    cv2.line(picture, (100, 150), (110, 220), 220, 6)
    assert {shape.level.light_ink for shape in find_all_shapes(frame(picture))} == {False, True}


def test_uneven_light_and_the_hard_edge_of_a_shadow_do_no_harm() -> None:
    picture, boxes = page()
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    light = (0.35 + 0.65 * x / picture.shape[1]) * np.where(x + 0.7 * y > 500, 0.4, 1.0)
    image = frame(picture * light, noise=2)
    assert missed(image, boxes) == []
    edge = [c for c in every(image) if not any(overlap(c.box, box) > 0.2 for box, _ in boxes)]
    assert len(edge) < 10


@pytest.mark.parametrize(("angle", "darkness", "most"), [(0, 0.4, 0), (0, 0.9, 2), (4, 0.9, 1), (17, 0.7, 1)])
def test_digits_stand_out_of_squared_paper(angle: float, darkness: float, most: int) -> None:
    picture, boxes = page(height=64)
    rules = np.zeros((1200, 1200), np.uint8)
    rules[::30] = rules[:, ::30] = 255
    rules[1::30] = rules[:, 1::30] = 255
    turn = cv2.getRotationMatrix2D((600, 600), angle, 1)
    rules = cv2.warpAffine(rules, turn, (1200, 1200))[300:780, 300:940]
    ruled = np.minimum(picture, 210 - rules / 255 * darkness * 170)
    lost = missed(frame(ruled, noise=2), boxes, least=0.6)
    assert len(lost) <= most, lost


@pytest.mark.parametrize(("ink", "rule"), [(160, 192), (150, 188)])
def test_faint_digits_stand_out_of_rules_that_the_lens_bends(ink: float, rule: float) -> None:
    """No straight line takes the rules out, and of the digits little is as strong as ink of its own."""
    picture, boxes = page(ink=ink)
    rules = picture.copy()
    x = np.arange(640)
    for top in range(-60, 480, 36):
        bent = np.stack([x, top + 40 * ((x - 250) / 320) ** 2], 1)
        cv2.polylines(rules, [np.rint(bent).astype(np.int32)], False, rule, 2, cv2.LINE_AA)
    assert missed(frame(np.minimum(picture, rules), noise=2), boxes) == []


def test_what_the_border_cuts_is_dropped() -> None:
    picture, boxes = page(height=100)
    x, _, width, _ = boxes[0][0]
    image = frame(picture)[:, x + width // 2 :]
    assert all(c.box[0] > 0 for c in every(image))
    assert missed(frame(picture), boxes) == []


def test_a_digit_whose_soft_edge_reaches_the_border_is_whole() -> None:
    picture, boxes = page(height=60)
    x, y, width, height = boxes[0][0]
    image = cv2.GaussianBlur(frame(picture)[:, x - 1 :], (5, 5), 0)
    assert missed(image, [((1, y, width, height), 0)]) == []


def test_a_digit_in_pieces_is_one_candidate() -> None:
    picture = np.full((480, 640), 210, np.float64)
    cv2.line(picture, (300, 206), (340, 204), 40, 6)  # the top of a 5, apart from the rest
    cv2.ellipse(picture, (315, 245), (22, 24), 0, -110, 140, 40, 6)
    whole = (293, 201, 50, 71)
    assert missed(frame(picture), [(whole, 5)]) == []


def test_strokes_far_apart_are_one_candidate_and_two() -> None:
    picture = np.full((480, 640), 210, np.float64)
    cv2.line(picture, (310, 220), (360, 218), 40, 6)  # the top of a large 5
    cv2.ellipse(picture, (315, 275), (28, 34), 0, -120, 140, 40, 6)
    bowl, whole = (291, 238, 55, 74), (291, 215, 73, 97)
    (found,) = (candidate for candidate in every(frame(picture)) if candidate.joined)
    assert overlap(found.box, whole) > 0.9
    assert found.image[:8].any() and found.image[14:].any()  # the model sees both strokes
    assert missed(frame(picture), [(bowl, 5)]) == []


def test_neighbours_are_not_put_together() -> None:
    picture, _ = page(count=0)
    for number in range(5):  # nearer to each other than strokes of a digit may be
        drawn = cv2.resize(cut(DIGITS.image(number)), (40, 60), interpolation=cv2.INTER_CUBIC)
        picture[200:260, 200 + 43 * number : 240 + 43 * number] -= 170 * (drawn / 255.0)
    assert not [c for c in every(frame(picture)) if c.shape is not None and len(c.shape.contours) > 1]


@pytest.mark.parametrize("hole", [False, True])
def test_faint_ink_that_the_border_cuts_is_dropped_whatever_is_beside_it(hole: bool) -> None:
    picture = np.full((240, 320), 210, np.float64)
    cv2.ellipse(picture, (20, 120), (35, 55), 0, 0, 360, 150, 7)
    if hole:
        cv2.line(picture, (14, 100), (18, 140), 20, 6)
    assert not [c for c in every(frame(picture)) if c.box[3] > 60]


@pytest.mark.parametrize("darkness", [20, 40, 60])
def test_strokes_are_put_together_on_squares_that_reach_the_border(darkness: float) -> None:
    picture = np.full((480, 640), 210, np.float64)
    picture[::60] = picture[:, ::60] = 210 - darkness
    cv2.line(picture, (310, 200), (360, 198), 40, 6)
    cv2.ellipse(picture, (315, 255), (28, 34), 0, -120, 140, 40, 6)
    assert [c for c in every(frame(picture)) if c.joined and overlap(c.box, (291, 195, 73, 97)) > 0.7]


def test_faint_ink_beside_strong_ink_is_looked_at_by_itself() -> None:
    picture, _ = page(count=0)
    boxes = []
    for number, (top, ink) in enumerate(((180, 170.0), (236, 60.0))):  # as near to each other as pieces of one digit
        drawn = cv2.resize(cut(DIGITS.image(number)), (40, 60), interpolation=cv2.INTER_CUBIC)
        picture[top : top + 60, 300:340] -= ink * (drawn / 255.0)
        boxes.append((300, top, 40, 60))
    image = frame(picture)
    (first_looks,) = Cutter().cut_out([find_all_shapes(image)])
    assert all(max(overlap(box, c.box) for c in first_looks) > 0.6 for box in boxes)


def test_digits_that_touch_are_cut_apart() -> None:
    picture, _ = page(count=0)
    seven, three = cut(DIGITS.image(0)), cut(DIGITS.image(1))
    boxes, x = [], 250
    for number, drawn in enumerate((seven, three)):
        drawn = cv2.resize(drawn, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        picture[200 : 200 + drawn.shape[0], x : x + drawn.shape[1]] -= 170 * (drawn / 255.0)
        boxes.append(((x, 200, drawn.shape[1], drawn.shape[0]), number))
        x += drawn.shape[1] - 3
    assert missed(frame(picture), boxes, least=0.6) == []


@pytest.mark.parametrize(("lean", "least"), [(-0.3, 0.65), (0.3, 0.65), (0.6, 0.8)])
def test_slanted_digits_that_touch_are_cut_along_their_slant(lean: float, least: float) -> None:
    ellipses = np.zeros((2, 200, 300), np.float32)
    for x, ink in zip((120, 157), ellipses, strict=True):
        cv2.ellipse(ink, (x, 100), (16, 45), 0, 0, 360, 255, 7)
    shear = np.array([[1, -lean, lean * 100], [0, 1, 0]])
    ellipses = np.stack([cv2.warpAffine(ink, shear, (300, 200)) for ink in ellipses])
    picture, _ = page(count=0)
    picture[100:300, 200:500] -= 170 * ellipses.max(0) / 255
    boxes = []
    for ink in ellipses:
        x, y, width, height = cv2.boundingRect((ink > 100).astype(np.uint8))
        boxes.append(((200 + x, 100 + y, width, height), 0))
    assert missed(frame(picture), boxes, least=least) == []


def test_digits_as_near_as_pieces_of_one_are_looked_at_one_by_one() -> None:
    """A 1 and a 0 beside each other are a 6 for the model, once they are taken for one shape."""
    picture, _ = page(count=0)
    cv2.line(picture, (294, 200), (290, 240), 40, 6)
    cv2.ellipse(picture, (322, 220), (17, 19), 0, 0, 360, 40, 6)
    whole, apart = (287, 197, 55, 47), [((287, 197, 11, 47), 1), ((302, 198, 40, 44), 0)]
    image = frame(picture)
    (root,) = find_candidates(image)
    assert overlap(root.box, whole) > 0.8 and root.joined
    assert missed(image, apart) == []


def test_a_small_digit_in_the_bend_of_a_large_one_is_looked_at_by_itself_and_so_is_that() -> None:
    picture, _ = page(count=0)
    cv2.polylines(picture, [np.array([(262, 170), (320, 170), (320, 270), (262, 270)])], False, 40, 6)
    cv2.ellipse(picture, (296, 220), (12, 16), 0, 0, 360, 40, 4)
    root = find_candidates(frame(picture))[0]
    assert root.joined
    (parts,) = root.parts
    assert sorted(round(overlap(part.box, root.box), 1) for part in parts) == [0.2, 1.0]


def test_a_digit_that_ends_at_the_border_is_whole_and_its_box_within() -> None:
    picture = np.full((240, 320), 210, np.float64)
    cv2.ellipse(picture, (160, 29), (18, 24), 0, 0, 360, 40, 5)
    image = cv2.GaussianBlur(frame(picture)[1:], (3, 3), 0)
    found = find_candidates(image)
    assert found and all(candidate.box[1] >= 0 for candidate in found)
    assert overlap(found[0].box, (139, 1, 42, 55)) > 0.85
    assert find_candidates(image[2:]) == []  # its stroke is cut


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (719, 1279)])
def test_boxes_lie_where_the_ink_is_whatever_the_size_of_the_frame(height: int, width: int) -> None:
    picture = np.full((height, width), 210, np.float64)
    places = [(100, 110), (width - 100, height - 110)]
    for place in places:
        cv2.ellipse(picture, place, (50, 80), 0, 0, 360, 40, 10)
    found = [candidate.box for candidate in find_candidates(frame(picture))]
    for x, y in places:
        whole = (x - 55, y - 85, 111, 171)
        left, top, wide, high = max(found, key=lambda box: overlap(box, whole))  # it may be seen at two sizes
        assert abs(left + wide / 2 - x - 0.5) <= 1.5 and abs(top + high / 2 - y - 0.5) <= 1.5
        assert abs(wide - 111) <= 7 and abs(high - 171) <= 7  # it is seen with 26 pixels
    assert all(max(overlap(box, (x - 55, y - 85, 111, 171)) for x, y in places) > 0.85 for box in found)


@pytest.mark.parametrize(("gap", "found"), [(1, True), (4, False)])
def test_a_rule_may_be_broken_but_what_runs_along_a_row_of_strokes_is_none(gap: int, found: bool) -> None:
    ink = np.zeros((200, 300), np.uint8)
    for x in range(20, 280, 3 + gap):
        ink[100, x : x + 3] = 255
    assert (len(find_rules(ink)) > 0) == found


def test_a_large_digit_that_noise_hides_on_the_finest_level_is_found_on_the_next() -> None:
    picture = np.full((480, 640), 200, np.float64)
    cv2.ellipse(picture, (320, 240), (40, 65), 0, 0, 360, 168, 14)
    found = find_candidates(frame(picture, noise=28))
    assert any(overlap(candidate.box, (273, 168, 95, 145)) > 0.8 for candidate in found)


@pytest.mark.parametrize("ink", ["line", "dot"])
def test_ink_of_a_pixel_is_no_candidate(ink: str) -> None:
    """What is strong of it is less than a pixel of the square in which it is seen."""
    picture = np.full((480, 640), 210, np.float64)
    cv2.ellipse(picture, (320, 240), (60, 80), 0, 0, 360, 190, 4)
    if ink == "line":
        picture[230:248, 318:319] = 10
    else:
        cv2.circle(picture, (320, 160), 6, 0, -1)
    for candidate in every(frame(picture)):
        assert candidate.box[2] > 0 and candidate.box[3] >= 13


def test_dark_and_light_ink_are_cut_together_as_they_are_alone() -> None:
    picture, _ = page()
    picture[240:] = 255 - picture[240:]
    shapes = find_all_shapes(frame(picture, noise=2))
    assert {shape.level.light_ink for shape in shapes} == {True, False}
    together = cut_shapes(shapes)
    assert len(together) >= 10
    for shape, candidate in together.items():
        alone = cut_shapes([shape])[shape]
        assert (alone.box, alone.light_ink, alone.strength) == (candidate.box, candidate.light_ink, candidate.strength)
        assert np.array_equal(alone.image, candidate.image)


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 500), (500, 1), (7, 9), (33, 2000)])
def test_frames_too_small_for_a_digit_have_none(shape: tuple[int, int]) -> None:
    assert every(np.full((*shape, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_frame_has_nothing(value: int) -> None:
    assert every(np.full((480, 640, 3), value, np.uint8)) == []


def test_a_grey_frame_is_as_good_as_a_colored_one() -> None:
    image = frame(page()[0], noise=3)
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert [c.box for c in every(gray)] == [c.box for c in every(image)]


def test_noise_alone_makes_few_candidates() -> None:
    noise = np.random.default_rng(0).normal(120, 30, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    assert len(every(noise)) < 60


def test_the_frame_is_not_changed() -> None:
    image = frame(page()[0], noise=3)
    before = image.copy()
    every(image)
    assert np.array_equal(image, before)
