"""Drawn scenes, and the camera that shows them."""

import gc
import time
import tracemalloc
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Source, State
from runtime.camera.synthetic.letters import LIKE_DIGITS, spelled
from runtime.camera.synthetic.noise import BLURS, tile
from runtime.camera.synthetic.numbers import compose
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.signs import Written, with_signs, with_word
from runtime.camera.synthetic.source import SCENES_KEPT, open_synthetic, shipped_digits
from runtime.camera.synthetic.strokes import line_mark, thinned
from runtime.errors import SourceError, ToolkitError


def scene(difficulty="desk", seed=0, **options):
    return Scene(*shipped_digits(), difficulty=difficulty, seed=seed, **options)


@cache
def shared(difficulty, seed):
    """A scene that no test changes."""
    return scene(difficulty, seed)


def still(difficulty="clean", seed=0, **options):
    """A scene whose camera adds nothing of its own, so that what is drawn can be measured."""
    drawn = scene(difficulty, seed, **options)
    lens = drawn.lens
    lens.defocus = lens.motion = lens.read = lens.shot = lens.sharpen = 0.0
    lens.quality, lens.grey = 0, False
    drawn.light.frame = lambda rng, index: np.ones((drawn.size[1], drawn.size[0]), np.float32)
    return drawn


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_same_frame_is_drawn_again_in_whatever_order(difficulty):
    first, second = scene(difficulty, 5), scene(difficulty, 5)
    forwards = [first.frame(index) for index in (0, 1, 40)]
    backwards = [second.frame(index) for index in (40, 1, 0)][::-1]
    for (picture, truth), (again, truth_again) in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(picture, again)
        assert truth == truth_again
    assert not np.array_equal(forwards[0][0], forwards[1][0])


def test_seeds_and_difficulties_differ():
    pictures = [shared(difficulty, seed).frame(0)[0] for difficulty in DIFFICULTIES for seed in (0, 1)]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_frames_are_bgr_pictures_with_digits_and_boxes_inside(difficulty):
    for seed in range(6):
        picture, truth = shared(difficulty, seed).frame(3)
        assert picture.shape == (480, 640, 3) and picture.dtype == np.uint8 and picture.flags.c_contiguous
        digits = [one for one in truth if one.kind == "digit"]
        assert digits and all(one.label in range(10) and one.number is not None for one in digits)
        for one in truth:
            x, y, width, height = one.box
            assert 0 <= x < x + width <= 640 and 0 <= y < y + height <= 480
            assert one.kind == "digit" or (one.label is None and one.number is None)
        assert len({one.id for one in truth}) == len(truth)


@pytest.mark.parametrize("size", [(160, 120), (320, 480), (1280, 720), (1920, 1080)])
def test_any_size_is_drawn(size):
    for difficulty in DIFFICULTIES if size[0] < 1000 else ("desk",):
        picture, truth = scene(difficulty, 1, size=size).frame(0)
        assert picture.shape == (size[1], size[0], 3)
        assert any(one.kind == "digit" for one in truth)


@pytest.mark.parametrize("count", [0, 1, 10, 25])
def test_an_exact_number_of_digits_is_on_every_frame(count):
    for difficulty, seed in zip(DIFFICULTIES, (3, 4, 5), strict=True):
        drawn = scene(difficulty, seed, count=count)
        for index in (0, 50, 333):
            digits = [one for one in drawn.truth(index) if one.kind == "digit"]
            assert len(digits) == count and not any(one.cut for one in digits)


@pytest.mark.parametrize("seed", range(8))
def test_boxes_are_tight_round_the_ink(seed):
    drawn = still(seed=seed)
    blank = still(seed=seed)
    picture, truth = drawn.frame(7)
    blank.canvas = np.full_like(drawn.canvas, np.median(drawn.canvas, axis=(0, 1)).astype(np.uint8))
    difference = np.abs(picture.astype(int) - blank.frame(7)[0]).max(axis=2)
    for one in truth:
        if one.cut or one.kind != "digit":
            continue
        x, y, width, height = one.box
        inside = difference[y : y + height, x : x + width]
        ink = inside > inside.max() * 0.3
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert max(rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1]) <= 3


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_digits_stand_out_from_their_ground(difficulty):
    weak = 0
    total = 0
    for seed in range(12):
        picture, truth = shared(difficulty, seed).frame(0)
        grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1.0).astype(int)
        for one in truth:
            if one.kind == "digit" and not one.cut:
                x, y, width, height = one.box
                inside = grey[y : y + height, x : x + width]
                weak += np.percentile(inside, 95) - np.percentile(inside, 5) < 15
                total += 1
    assert weak <= total * 0.02


def test_what_reaches_the_border_is_cut_and_nothing_else_is():
    seen = set()
    for difficulty in DIFFICULTIES:
        for seed in range(12):
            drawn = shared(difficulty, seed)
            for one in (one for index in (0, 9) for one in drawn.truth(index)):
                x, y, width, height = one.box
                at_border = x == 0 or y == 0 or x + width == drawn.size[0] or y + height == drawn.size[1]
                assert one.cut is at_border
                seen.add(one.cut)
    assert seen == {True, False}


def test_objects_keep_their_ids_and_move_gently():
    drawn = shared("desk", 2)
    before = {one.id: one for one in drawn.truth(0)}
    for index in range(1, 30):
        now = {one.id: one for one in drawn.truth(index)}
        for name in before.keys() & now.keys():
            assert (before[name].label, before[name].kind) == (now[name].label, now[name].kind)
            if not before[name].cut and not now[name].cut:
                assert np.abs(np.subtract(before[name].box, now[name].box)).max() <= 12
        before = now


def test_no_digit_lies_on_another_object():
    for seed in range(20):
        truth = shared("desk", seed).truth(0)
        digits = [one for one in truth if one.kind == "digit"]
        others = [one for one in truth if one.kind in ("letter", "scribble", "sign", "doodle", "coin", "word")]
        for one in digits:
            for other in others:
                x = min(one.box[0] + one.box[2], other.box[0] + other.box[2]) - max(one.box[0], other.box[0])
                y = min(one.box[1] + one.box[3], other.box[1] + other.box[3]) - max(one.box[1], other.box[1])
                assert max(x, 0) * max(y, 0) < 0.5 * one.box[2] * one.box[3]


def test_desks_have_what_is_no_digit():
    kinds = {one.kind for seed in range(25) for one in shared("desk", seed).truth(0)}
    assert {"letter", "scribble", "sign", "doodle", "word", "text", "hand", "edge"} <= kinds


def test_numbers_are_digits_side_by_side():
    rows = {}
    for seed in range(12):
        for one in shared("clean", seed).truth(0):
            rows.setdefault((seed, one.number), []).append(one)
    numbers = [row for (_, number), row in rows.items() if number is not None and len(row) > 1]
    assert numbers
    for row in numbers:
        lefts = [one.box[0] for one in row]
        assert lefts == sorted(lefts)
        tall = max(one.box[3] for one in row)
        for one, following in pairwise(row):
            assert following.box[0] - one.box[0] - one.box[2] < tall


def test_signs_stand_among_the_digits_of_a_number():
    images, labels = shipped_digits()
    lines, rng = [], np.random.default_rng(0)
    for many in (1, 2, 5):
        digits = [Written(image, int(label)) for image, label in zip(images[:many], labels[:many], strict=True)]
        for _ in range(40):
            line = with_signs(rng, digits)
            assert [one for one in line if one.label is not None] == digits
            signs = [one for one in line if one.label is None]
            assert 1 <= len(signs) <= 2
            assert all(sign.image.shape == (28, 28) and sign.image.max() > 150 for sign in signs)
            lines.append(line)
    assert {line[0].label is None for line in lines} == {line[-1].label is None for line in lines} == {True, False}


def test_a_sign_ends_a_number(monkeypatch):
    def everywhere(rng, line):
        return [part for one in line for part in (one, Written(one.image, None))][:-1]

    monkeypatch.setattr("runtime.camera.synthetic.numbers.SIGNED", 1.0)
    monkeypatch.setattr("runtime.camera.synthetic.numbers.with_signs", everywhere)
    for seed in range(5):
        truth = scene("desk", seed).truth(0)
        numbers = [one.number for one in truth if one.kind == "digit"]
        assert len(numbers) == len(set(numbers)) > 0
    assert any(one.kind == "sign" for one in truth)


def test_a_word_stands_beside_a_number():
    images, labels = shipped_digits()
    digits = [Written(image, int(label)) for image, label in zip(images[:2], labels[:2], strict=True)]
    before, rng = set(), np.random.default_rng(0)
    for _ in range(40):
        line = with_word(rng, digits)
        number = [one for one in line if one.label is not None]
        assert [(one.label, one.image is other.image) for one, other in zip(number, digits, strict=True)] == [
            (one.label, True) for one in digits
        ]
        assert {one.kind for one in line if one.label is None} == {"word"}
        (last_of_first,) = (one for one in line if one.space)
        assert (last_of_first.label is None) == (line[0].label is None)
        before.add(line[0].label is None)
    assert before == {True, False}


def test_a_hand_may_write_its_zeros_lower():
    images, labels = shipped_digits()
    line = compose(np.random.default_rng(0), images, labels, 0.6, False)
    assert {one.height for one in line if one.label == 0} == {0.6}
    assert {one.height for one in line if one.label} == {1.0}
    assert [one.label for one in line] == labels.tolist()


def test_a_word_has_a_letter_that_does_not_look_like_a_digit():
    rng = np.random.default_rng(0)
    words = [spelled(rng, 2) for _ in range(200)]
    assert {len(text) for text in words} == {2}
    assert not any(set(text) <= set(LIKE_DIGITS) for text in words)
    assert any(set(text) & set(LIKE_DIGITS) for text in words)


def test_impossible_scenes_are_refused():
    with pytest.raises(ValueError, match="none of clean, uneven, desk"):
        scene("dirty")
    with pytest.raises(ValueError, match="61 digits"):
        scene(count=61)


def test_thinning_leaves_lines_that_hang_together():
    mask = np.zeros((40, 40), np.uint8)
    cv2.circle(mask, (20, 20), 12, 1, 6)
    line = thinned(mask)
    shapes, family = cv2.findContours(line, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    assert len(shapes) == 2 and (family[0, :, 3] >= 0).sum() == 1  # one line round one hole
    assert line.sum() < 100


def test_a_fast_source_gives_every_frame_with_its_truth():
    source: Source = open_synthetic("synthetic://clean?seed=3&size=320x240&fps=10&seconds=0.5", fast=True)
    frames = []
    while (frame := source.read(1.0)) is not None:
        frames.append(frame)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert source.state is State.ENDED and source.dropped == 0 and not source.live
    assert source.size == (320, 240) and source.fps == 10 and frames[0].image.shape == (240, 320, 3)
    assert source.truth(2) != () and "320x240" in source.status
    again = open_synthetic("synthetic://clean?seed=3&size=320x240&fps=10&seconds=0.5", fast=True)
    np.testing.assert_array_equal(again.read(0).image, frames[0].image)


def test_scenes_follow_one_another_and_difficulties_take_turns():
    source = open_synthetic("synthetic://?size=160x120&fps=2&scene=1", fast=True)
    truths = [source.truth(source.read(0).index) for _ in range(6)]
    labels = [[one.label for one in truth] for truth in truths]
    assert labels[0] == labels[1] or len(labels[0]) != len(labels[1])  # one scene, of which a digit may have left
    assert labels[1] != labels[2] and labels[3] != labels[4]


def test_no_frame_is_kept():
    """Once the noise that all scenes share is there, 24 frames of 8 scenes leave less behind than one of them takes."""
    for kind in BLURS:
        tile(kind)
    assert tile.cache_info().maxsize == len(BLURS)
    source = open_synthetic("synthetic://?size=160x120&fps=30&scene=0.1", fast=True)

    def held():
        """Bytes, once scenes are let go."""
        source.scenes.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        for _ in range(9):  # a scene of each difficulty: what is imported or made once
            source.read(0)
        before = held()
        for _ in range(24):
            size = source.read(0).image.nbytes
            assert len(source.scenes) <= SCENES_KEPT
        assert held() - before < size
    finally:
        tracemalloc.stop()


def test_a_live_source_drops_what_is_not_taken_in_time():
    source = open_synthetic("synthetic://clean?size=160x120&fps=50")
    first = source.read(5.0)
    time.sleep(0.5)
    second = source.read(5.0)
    assert second.index >= first.index + 20
    assert source.dropped == second.index - 1  # all but those two
    assert second.monotonic_ns - first.monotonic_ns == pytest.approx((second.index - first.index) * 2e7, abs=1000)


def test_a_live_source_waits_no_longer_than_it_may():
    source = open_synthetic("synthetic://clean?size=160x120&fps=0.1")
    assert source.read(5.0).index == 0
    assert source.read(0.01) is None and source.state is State.STREAMING


def test_a_live_source_ends_and_counts_the_frames_nobody_took():
    source = open_synthetic("synthetic://clean?size=160x120&fps=50&seconds=0.1")
    time.sleep(0.3)
    assert source.read(1.0) is None
    assert source.state is State.ENDED and source.dropped == 5


def test_a_closed_source_gives_nothing_and_closes_twice():
    source = open_synthetic("synthetic://clean?size=160x120", fast=True)
    source.close()
    source.close()
    assert source.read(0.1) is None and source.state is State.ENDED


@pytest.mark.parametrize(
    "url, words",
    [
        ("synthetic://dirty", "no difficulty 'dirty'"),
        ("synthetic://desk?sed=3", "no option 'sed'"),
        ("synthetic://desk?seed=-1", "seed=-1"),
        ("synthetic://desk?seed=1e3", "seed=1e3"),
        ("synthetic://desk?seed=1&seed=2", "twice"),
        ("synthetic://desk?seed", "write it like"),
        ("synthetic://desk?size=640", "size=640"),
        ("synthetic://desk?size=10x10", "from 160x120 to 1920x1080"),
        ("synthetic://desk?size=99999x480", "size=99999x480"),
        ("synthetic://desk?fps=0", "fps=0"),
        ("synthetic://desk?fps=nan", "fps=nan"),
        ("synthetic://desk?digits=61", "digits is a whole number from 0 to 60"),
        ("synthetic://desk?digits=2.5", "digits=2.5"),
        ("synthetic://desk?seconds=0", "seconds=0"),
        ("synthetic://desk?scene=-4", "scene=-4"),
        ("synthetic://desk/path", "no drawn camera"),
        ("synthetic://desk#part", "no drawn camera"),
        ("http://desk", "no drawn camera"),
        ("synthetic://[", "write it like"),
    ],
)
def test_bad_urls_say_what_is_wrong_and_allowed(url, words):
    with pytest.raises(SourceError) as caught:
        open_synthetic(url)
    assert words in str(caught.value) and isinstance(caught.value, ToolkitError) and caught.value.hint


def test_a_digit_is_not_redrawn_along_the_middle_of_a_blot() -> None:
    image, matrix = np.zeros((28, 28), np.uint8), np.array([[2.0, 0, 0], [0, 2.0, 0]])
    image[4:24, 13:16] = 255
    assert line_mark(image, matrix, 2.0, 1.0) is not None
    image[14:24, 8:20] = 255  # a loop that is filled
    assert line_mark(image, matrix, 2.0, 1.0) is None
