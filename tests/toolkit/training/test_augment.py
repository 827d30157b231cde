"""Random variation of images: each setting does what it says, and a part of a batch is varied as in the whole."""

from __future__ import annotations

import msgspec
import pytest
import torch
from torch import Generator, Tensor

from toolkit.recipe import Augment
from toolkit.training.augment import apply, draw, weights

EVERYTHING = Augment(shift=0.1, rotate=15, scale=0.2, shear=10, elastic=1.0, stroke=0.5, fade=0.5, flip=True)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def square(count: int, channels: int = 1) -> Tensor:
    """A light square of 8 pixels in the middle of 28."""
    images = torch.zeros(count, channels, 28, 28)
    images[:, :, 10:18, 10:18] = 1
    return images


def centre(images: Tensor) -> Tensor:
    """Centre of mass as (N, 2), x and y, in pixels from the middle."""
    places = torch.arange(28) - 13.5
    mass = images.sum((1, 2, 3))
    return torch.stack(((images.sum((1, 2)) * places).sum(1) / mass, (images.sum((1, 3)) * places).sum(1) / mass), 1)


def varied(images: Tensor, seed: int = 0, **settings: object) -> Tensor:
    return apply(images, draw(len(images), msgspec.convert(settings, Augment), seeded(seed)))


def test_off_by_default() -> None:
    images = torch.rand(4, 1, 28, 28, generator=seeded())
    torch.testing.assert_close(varied(images), images)


def test_the_generator_decides() -> None:
    images = torch.rand(8, 1, 28, 28, generator=seeded())
    first, again, other = (apply(images, draw(8, EVERYTHING, seeded(seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_torchs_own_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(8, EVERYTHING, seeded())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("border", ["black", "edge"])
def test_a_worker_varies_its_part_as_one_process_would(border: str) -> None:
    images = torch.rand(12, 3, 20, 28, generator=seeded())
    variations = draw(12, msgspec.structs.replace(EVERYTHING, border=border), seeded())
    whole = apply(images, variations)
    parts = [apply(images[rank::3], variations[rank::3]) for rank in range(3)]
    for rank, part in enumerate(parts):
        torch.testing.assert_close(part, whole[rank::3])


def test_the_range_is_kept_and_the_original_stays() -> None:
    images = torch.rand(16, 1, 28, 28, generator=seeded())
    before = images.clone()
    result = apply(images, draw(16, EVERYTHING, seeded()))
    assert result.shape == images.shape and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1 + 1e-6
    assert torch.equal(images, before)


def test_shift_reaches_its_limit_and_not_beyond() -> None:
    moved = centre(varied(square(500), shift=0.1)).abs()
    assert 2.6 < moved.max() <= 2.8 + 1e-4  # 0.1 of 28
    assert moved.mean() == pytest.approx(1.4, abs=0.15)


def test_scale_changes_width_and_height_each_within_its_limit() -> None:
    images = varied(square(500), scale=0.25)
    area = images.sum((1, 2, 3)) / 64
    assert 0.75**2 - 0.05 < area.min() < 0.65 and 1.45 < area.max() < 1.25**2 + 0.05
    torch.testing.assert_close(centre(images), torch.zeros(500, 2), atol=1e-3, rtol=0)
    width, height = images[:, 0].amax(1).sum(1), images[:, 0].amax(2).sum(1)
    assert (width - height).abs().max() > 1.5


def angles(images: Tensor) -> Tensor:
    """Direction of a bar's main axis, in degrees from upright."""
    y, x = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    xx, yy, xy = ((images[:, 0] * term).sum((1, 2)) for term in (x * x, y * y, x * y))
    return torch.rad2deg(0.5 * torch.atan2(2 * xy, yy - xx))


@pytest.mark.parametrize("setting", ["rotate", "shear"])
def test_a_bar_leans_up_to_the_limit(setting: str) -> None:
    bar = torch.zeros(400, 1, 28, 28)
    bar[:, :, 4:24, 13:15] = 1
    leaning = angles(varied(bar, **{setting: 20.0}))
    assert 17 < leaning.abs().max() < 21.5
    assert leaning.min() < -15 and leaning.max() > 15


def test_a_turn_keeps_the_shape_of_a_photo_that_is_no_square() -> None:
    disc = torch.zeros(40, 1, 30, 60)
    y, x = torch.meshgrid(torch.arange(30) - 14.5, torch.arange(60) - 29.5, indexing="ij")
    disc[:] = (x**2 + y**2 < 100).float()
    assert (varied(disc, rotate=40.0) - disc).abs().mean() < 0.02


def test_flip_mirrors_about_half() -> None:
    images = torch.rand(200, 1, 28, 28, generator=seeded())
    result = varied(images, flip=True)
    mirrored = torch.isclose(result, images.flip(3), atol=1e-4).flatten(1).all(1)
    untouched = torch.isclose(result, images, atol=1e-4).flatten(1).all(1)
    assert torch.all(mirrored ^ untouched)
    assert 70 < int(mirrored.sum()) < 130


def test_stroke_thickens_and_thins_by_at_most_a_pixel() -> None:
    images = varied(square(400), stroke=1.0)
    area = images.sum((1, 2, 3))
    assert 49 <= area.min() < 51 and 79 < area.max() <= 81  # 7 x 7 and 9 x 9
    half = varied(square(400), stroke=0.5).sum((1, 2, 3))
    assert 150 < int(torch.isclose(half, torch.tensor(64.0)).sum()) < 250


def test_strokes_fade_in_patches_and_keep_their_brightest_pixel() -> None:
    images = (0.5 + 0.5 * torch.rand(400, 1, 28, 28, generator=seeded())) * torch.linspace(0.2, 1, 400).view(
        -1, 1, 1, 1
    )
    faded = varied(images, fade=1.0)
    torch.testing.assert_close(faded.amax((1, 2, 3)), images.amax((1, 2, 3)))
    kept = faded.sum((1, 2, 3)) / images.sum((1, 2, 3))
    assert kept.min() < 0.6 and kept.quantile(0.9) > 0.85
    share = faded / images
    step = (share[..., 1:] - share[..., :-1]).abs().amax((1, 2, 3))
    spread = share.amax((1, 2, 3)) - share.amin((1, 2, 3))
    assert (step < 0.35 * spread + 1e-3).all()  # from one patch to the next in three pixels
    untouched = torch.isclose(varied(images, fade=0.3), images, atol=1e-5).flatten(1).all(1)
    assert 230 < int(untouched.sum()) < 340


def test_a_black_image_does_not_fade() -> None:
    black = torch.zeros(8, 1, 28, 28)
    assert torch.equal(varied(black, fade=1.0), black)


def test_elastic_has_the_stated_strength_at_any_size() -> None:
    for side in (28, 56):
        ramp = torch.linspace(0, 1, side).expand(300, 1, side, side)
        moved = (varied(ramp, elastic=1.5, smoothness=6.0, border="edge") - ramp) * (side - 1) * 28 / side
        inner = moved[..., side // 4 : -side // 4, side // 4 : -side // 4]
        assert inner.std() == pytest.approx(1.5, rel=0.1)


def test_elastic_is_smooth() -> None:
    ramp = torch.linspace(0, 1, 28).expand(300, 1, 28, 28)
    moved = varied(ramp, elastic=1.0, smoothness=6.0, border="edge") - ramp
    middle, next_row, far = moved[:, 0, 10, 14], moved[:, 0, 11, 14], moved[:, 0, 26, 14]
    assert torch.corrcoef(torch.stack((middle, next_row)))[0, 1] > 0.95
    assert abs(torch.corrcoef(torch.stack((middle, far)))[0, 1]) < 0.3


def test_weights_keep_the_standard_deviation() -> None:
    torch.testing.assert_close(weights(28, 8).square().sum(1), torch.ones(28))


def test_border() -> None:
    white = torch.ones(50, 3, 28, 28)
    assert torch.all(varied(white, shift=0.2, border="edge") > 0.999)
    assert varied(white, shift=0.2).amin() == 0


def test_another_number_of_images() -> None:
    with pytest.raises(ValueError, match="3 images, but variations of 4"):
        apply(torch.zeros(3, 1, 28, 28), draw(4, EVERYTHING, seeded()))


@pytest.mark.parametrize("wrong", [{"shifts": 0.1}, {"border": "blue"}, {"rotate": "much"}])
def test_settings_that_do_not_exist(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Augment)
