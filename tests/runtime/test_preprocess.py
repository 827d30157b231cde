"""Geometry on uint8 images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError
from runtime.preprocess import apply, describe, image_for
from runtime.spec import AnyStep, CenterCrop, Pad, PadToSquare, Polarity, Preprocess, Resize
from tests.tiny import make_spec

Image = NDArray[np.uint8]


def description(color: Any, *steps: AnyStep) -> Preprocess:
    channels = 1 if color == "gray" else 3
    return Preprocess(color, steps, (0.0,) * channels, (1.0,) * channels)


def random_image(*shape: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("color, channels", [("gray", 1), ("rgb", 3), ("bgr", 3)])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_any_image_gets_the_models_channels(color: str, channels: int, shape: tuple[int, ...]) -> None:
    out = apply(description(color), random_image(*shape))
    assert (out.dtype, out.shape, out.flags.c_contiguous) == (np.uint8, (5, 7, channels), True)


def test_channels_are_in_the_order_that_the_model_takes() -> None:
    image = np.zeros((1, 1, 3), np.uint8)
    image[0, 0] = (200, 100, 50)
    assert apply(description("rgb"), image)[0, 0].tolist() == [200, 100, 50]
    assert apply(description("bgr"), image)[0, 0].tolist() == [50, 100, 200]
    assert apply(description("gray"), image)[0, 0, 0] == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1)
    assert apply(description("rgb"), np.full((1, 1), 9, np.uint8))[0, 0].tolist() == [9, 9, 9]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), bool),
        np.zeros((4,), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        [[0, 255], [255, 0]],
        "image.png",
        None,
    ],
    ids=describe,
)
def test_what_is_no_image_is_refused(image: Any) -> None:
    with pytest.raises(InputError, match="uint8") as caught:
        apply(description("gray", Resize(8, 8)), image)
    assert caught.value.hint


def test_the_image_that_is_given_stays_as_it_was() -> None:
    image = random_image(6, 6)
    image.flags.writeable = False
    before = image.copy()
    apply(description("gray", Polarity(), Pad(1, 1, 1, 1), Resize(3, 3)), image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "area", "bicubic"])
@pytest.mark.parametrize("shape", [(3, 5), (40, 20), (40, 20, 3), (1, 1), (8, 9)])
def test_an_exact_resize_gives_this_very_size(interpolation: Any, shape: tuple[int, ...]) -> None:
    out = apply(description("rgb", Resize(8, 9, interpolation=interpolation)), random_image(*shape))
    assert out.shape == (8, 9, 3)
    flat = apply(description("gray", Resize(8, 9, interpolation=interpolation)), np.full(shape[:2], 77, np.uint8))
    assert (flat == 77).all()


def test_a_resize_to_the_same_size_changes_nothing() -> None:
    image = random_image(8, 9)
    np.testing.assert_array_equal(apply(description("gray", Resize(8, 9)), image)[..., 0], image)


def test_an_area_resize_averages_and_enlarges_smoothly() -> None:
    image = np.array([[0, 100], [50, 250]], np.uint8)
    assert apply(description("gray", Resize(1, 1, interpolation="area")), image).item() == 100
    large = apply(description("gray", Resize(2, 20, interpolation="area")), np.array([[0, 200]], np.uint8))[0, :, 0]
    assert len(set(large.tolist())) > 2
    assert (np.diff(large.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    "shape, size", [((20, 40), (8, 16)), ((40, 20), (16, 8)), ((8, 8), (8, 8)), ((4, 2), (16, 8)), ((30, 31), (8, 8))]
)
def test_a_shorter_resize_keeps_the_aspect_and_covers(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert apply(description("gray", Resize(8, 8, mode="shorter")), random_image(*shape)).shape == (*size, 1)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_a_shorter_resize_then_a_crop_always_fits(height: int, width: int, to_height: int, to_width: int) -> None:
    steps = (Resize(to_height, to_width, mode="shorter"), CenterCrop(to_height, to_width))
    assert apply(description("gray", *steps), random_image(height, width)).shape == (to_height, to_width, 1)


def test_a_centre_crop_takes_the_middle() -> None:
    image = np.arange(25, dtype=np.uint8).reshape(5, 5)
    cropped = apply(description("gray", CenterCrop(3, 1)), image)
    assert cropped[..., 0].tolist() == [[7], [12], [17]]
    assert cropped.flags.c_contiguous


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_a_crop_from_too_small_an_image_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="too small") as caught:
        apply(description("gray", CenterCrop(5, 5)), random_image(*shape))
    assert caught.value.hint


def test_a_pad_adds_its_fill_on_each_side() -> None:
    out = apply(description("rgb", Pad(1, 2, 3, 4, fill=9)), random_image(5, 6, 3))
    assert out.shape == (8, 13, 3)
    np.testing.assert_array_equal(out[1:-2, 3:-4], random_image(5, 6, 3))
    assert (out[0] == 9).all() and (out[-2:] == 9).all() and (out[:, :3] == 9).all() and (out[:, -4:] == 9).all()


@given(st.integers(1, 30), st.integers(1, 30))
def test_padding_to_a_square_keeps_the_picture_in_the_middle(height: int, width: int) -> None:
    image = np.full((height, width), 200, np.uint8)
    out = apply(description("gray", PadToSquare(fill=3)), image)[..., 0]
    assert out.shape == (max(height, width),) * 2
    rows, columns = np.nonzero(out == 200)
    assert len(rows) == height * width
    for before, size in ((rows.min(), height), (columns.min(), width)):
        assert before == (max(height, width) - size) // 2


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1)])
@pytest.mark.parametrize("step", [PadToSquare(), Resize(256, 256, mode="shorter")])
def test_a_line_is_refused_where_a_step_would_make_gigabytes_of_it(shape: tuple[int, int], step: AnyStep) -> None:
    with pytest.raises(ImageError, match="too large") as caught:
        apply(description("gray", step), np.zeros(shape, np.uint8))
    assert caught.value.hint


def polarity(image: Image, mode: Any = "auto") -> Image:
    return apply(description("gray", Polarity(mode)), image)[..., 0]


def drawing(background: int, ink: int) -> Image:
    image = np.full((9, 9), background, np.uint8)
    image[3:6, 3:6] = ink
    return image


@pytest.mark.parametrize("background, ink", [(255, 0), (240, 20), (200, 90), (0, 255), (0, 40), (30, 230)])
def test_polarity_makes_any_drawing_light_on_black(background: int, ink: int) -> None:
    turned = polarity(drawing(background, ink))
    contrast = abs(background - ink)
    room = 255 - min(background, 255 - background) if background else 255
    assert (turned[0] == 0).all() and (turned[:3] == 0).all()
    assert turned[4, 4] == pytest.approx(contrast * 255 / room, abs=1)
    assert set(np.unique(turned)) == {0, turned[4, 4]}


def test_polarity_leaves_light_on_black_and_keep_leaves_everything() -> None:
    digit = drawing(0, 255)
    digit[4, 3:6] = (60, 130, 200)
    np.testing.assert_array_equal(polarity(digit), digit)
    np.testing.assert_array_equal(polarity(255 - digit), digit)
    for image in (255 - digit, drawing(240, 20), drawing(30, 230)):
        np.testing.assert_array_equal(polarity(image, "keep"), image)


def test_polarity_goes_by_most_of_the_border() -> None:
    paper = drawing(250, 10)
    paper[0, :3] = 10  # a stroke that runs out of the picture
    assert polarity(paper)[0].tolist() == [polarity(paper)[4, 4]] * 3 + [0] * 6


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 255))
def test_polarity_takes_an_image_of_one_value_for_background(height: int, width: int, value: int) -> None:
    assert not polarity(np.full((height, width), value, np.uint8)).any()


@given(st.integers(2, 5), st.integers(2, 5), st.binary(min_size=25, max_size=25))
def test_polarity_makes_half_of_the_border_black_and_keeps_or_turns_the_order(
    height: int, width: int, data: bytes
) -> None:
    image = np.frombuffer(data, np.uint8)[: height * width].reshape(height, width)
    out = polarity(image)
    inside = np.zeros(out.shape, bool)
    inside[1:-1, 1:-1] = True
    assert 2 * np.count_nonzero(out[~inside] == 0) >= np.count_nonzero(~inside)
    steps = np.diff(out.flat[np.argsort(image, axis=None)].astype(int))
    assert (steps >= 0).all() or (steps <= 0).all()


@given(st.integers(1, 5), st.integers(1, 5))
def test_polarity_takes_images_of_any_size(height: int, width: int) -> None:
    assert polarity(random_image(height, width)).shape == (height, width)


def test_steps_run_in_their_order() -> None:
    image = random_image(4, 8)
    assert apply(description("gray", CenterCrop(2, 2), Pad(1, 1, 1, 1)), image).shape == (4, 4, 1)
    assert apply(description("gray", Pad(1, 1, 1, 1), CenterCrop(2, 2)), image).shape == (2, 2, 1)


def test_steps_that_do_not_lead_to_the_models_size_are_refused() -> None:
    spec = make_spec(preprocess=description("gray", Resize(8, 8, mode="shorter")))
    assert image_for(spec, random_image(20, 20)).shape == (8, 8, 1)
    with pytest.raises(InputError, match="tiny takes") as caught:
        image_for(spec, random_image(20, 40))
    assert caught.value.hint
