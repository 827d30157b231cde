"""Shapes that are no digit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from toolkit.training.drawing import blank, normalize
from toolkit.training.outliers import HELD_OUT, KINDS, TRAINED, generate
from toolkit.training.shapes import NO_DIGIT_HALVES, Digits
from toolkit.training.unseen import PRINTED


def digit(size: tuple[int, int] = (20, 14)) -> np.ndarray:
    """A ring, as a 0."""
    image = np.zeros((28, 28), np.uint8)
    cv2.ellipse(image, (14, 14), (size[1] // 2, size[0] // 2), 0, 0, 360, 255, 2)
    return image


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits(np.stack([digit()] * 10), np.arange(10))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_pictures_that_differ(kind: str, digits: Digits) -> None:
    images = generate(kind, 30, digits, np.random.default_rng(3))
    assert images.shape == (30, 28, 28) and images.dtype == np.uint8
    # Halves of the fixture's single digit are cut in a few ways only.
    assert len({image.tobytes() for image in images}) >= (3 if kind in ("halves", "neighbours") else 25)
    assert all(image.max() > 60 and image.min() < image.max() for image in images)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_state_gives_the_same(kind: str, digits: Digits) -> None:
    first, again, other = (generate(kind, 5, digits, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_held_out_kinds_are_not_trained_with() -> None:
    assert TRAINED and HELD_OUT and not set(TRAINED) & set(HELD_OUT)
    assert not set(TRAINED.values()) & set(HELD_OUT.values())
    assert set(KINDS) == set(TRAINED) | set(HELD_OUT)


@pytest.mark.parametrize("kind", ["letters", "printed letters", "brackets", "scribbles", "crossed lines", "hands"])
def test_shapes_are_normalized_like_mnist(kind: str, digits: Digits) -> None:
    for image in generate(kind, 30, digits, np.random.default_rng(4)):
        _, _, width, height = cv2.boundingRect(image)
        assert 18 <= max(width, height) <= 20
        assert image[0].max() == image[-1].max() == image[:, 0].max() == image[:, -1].max() == 0


def test_normalize_centres_the_mass_and_not_the_box() -> None:
    picture = blank()
    picture[10:90, 10:50] = 60
    picture[60:90, 10:50] = 255
    image = normalize(picture)
    mass = cv2.moments(image)
    assert mass["m10"] / mass["m00"] == pytest.approx(14, abs=0.5)
    assert mass["m01"] / mass["m00"] == pytest.approx(14, abs=0.5)
    top = cv2.boundingRect(image)[1]
    assert top != 4  # where the box itself would be centred


def test_normalize_pushes_nothing_out() -> None:
    picture = blank()
    picture[5, 5:105] = 40
    picture[5:105, 5] = 255
    image = normalize(picture)
    assert cv2.boundingRect(image)[2:] == (20, 20)


def test_nothing_to_normalize() -> None:
    assert not normalize(blank()).any()


def test_what_looks_like_a_digit_is_left_out() -> None:
    assert not set(PRINTED) & set("OoQDCcGIiLlJjZzSsBbgqdpTtyYareh")
    kept = {side: set(labels) for side, labels in NO_DIGIT_HALVES.items()}
    assert 8 not in set().union(*kept.values())  # its halves are a 0 and a 3
    assert 1 not in set().union(*kept.values())  # half of it is as much of a 1


@pytest.mark.parametrize(("label", "side"), [(label, side) for side, kept in NO_DIGIT_HALVES.items() for label in kept])
def test_halves_keep_one_side(label: int, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.training.shapes.NO_DIGIT_HALVES", {side: (label,)})
    whole = digit()
    digits = Digits(whole[None], np.array([label]))
    cut = [
        i for i in generate("halves", 20, digits, np.random.default_rng(0)) if np.array_equal(i, whole & i) and i.any()
    ]
    assert cut, "about half are left where they were"
    light = {"left": whole[:, :13], "top": whole[:13], "bottom": whole[16:]}[side]
    assert cut[0].sum() < 0.7 * whole.sum()
    kept = {"left": cut[0][:, :13], "top": cut[0][:13], "bottom": cut[0][16:]}[side]
    assert np.array_equal(kept, light)


def test_none_of_a_kind(digits: Digits) -> None:
    assert generate("blobs", 0, digits, np.random.default_rng(0)).shape == (0, 28, 28)


def test_an_unknown_kind(digits: Digits) -> None:
    with pytest.raises(KeyError, match="clouds"):
        generate("clouds", 1, digits, np.random.default_rng(0))
