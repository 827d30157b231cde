"""Random variation of training images, a whole batch at a time.

What is random is drawn apart from where it is applied: every worker of a distributed training draws for the global
batch from the same generator and applies its own part, and so sees what a single process would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from toolkit.recipe import Augment

REFERENCE_SIDE = 28  # of the pixels in which `Augment` measures the elastic displacement
PATCHES = 8  # along each axis, that strokes fade in


@dataclass(frozen=True)
class Variations:
    """What was drawn for N images.

    Attributes:
        matrix: from places in the result to places in the image, both relative to the centre, float32 (N, 2, 2).
        offset: added to those, in half sides, float32 (N, 2), x first.
        control: displacements of K x K control points, in half sides, float32 (N, 2, K, K); None without elastic.
        stroke: -1 (thinner by a pixel) to 1 (thicker by a pixel), float32 (N,); None where strokes are left alone.
        light: what stays of the light in each patch of the image, 0..1, float32 (N, 1, PATCHES, PATCHES); None where
            no strokes fade.
        border: as in `Augment`.
    """

    matrix: Tensor
    offset: Tensor
    control: Tensor | None
    stroke: Tensor | None
    light: Tensor | None
    border: str

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, part: slice | Tensor) -> Variations:
        """Those of some of the images."""
        return Variations(
            self.matrix[part],
            self.offset[part],
            None if self.control is None else self.control[part],
            None if self.stroke is None else self.stroke[part],
            None if self.light is None else self.light[part],
            self.border,
        )


def draw(count: int, settings: Augment, generator: Generator) -> Variations:
    """Draw for `count` images; the same generator state gives the same. On the CPU, whatever trains."""

    def uniform(limit: float, *shape: int) -> Tensor:
        return limit * (2 * torch.rand(count, *shape, generator=generator) - 1)

    angle = torch.deg2rad(uniform(settings.rotate))
    slant = torch.tan(torch.deg2rad(uniform(settings.shear)))
    size = 1 + uniform(settings.scale, 2)
    mirror = 1 - 2 * (torch.rand(count, generator=generator) < 0.5).float() if settings.flip else torch.ones(count)
    offset = uniform(2 * settings.shift, 2)

    cos, sin = torch.cos(angle), torch.sin(angle)
    one, zero = torch.ones(count), torch.zeros(count)
    turn = torch.stack((cos, -sin, sin, cos), 1).view(count, 2, 2)
    shear = torch.stack((one, slant, zero, one), 1).view(count, 2, 2)
    matrix = turn @ shear / size[:, :, None]  # dividing: where the result's pixel lies in a smaller image
    matrix = matrix * torch.stack((mirror, one), 1)[:, None, :]

    control = stroke = light = None
    if settings.elastic > 0:
        points = 3 + math.ceil(REFERENCE_SIDE / settings.smoothness)
        noise = torch.randn(count, 2, points, points, generator=generator)
        control = noise * (settings.elastic * 2 / REFERENCE_SIDE)
    if settings.stroke > 0:
        chosen = torch.rand(count, generator=generator) < settings.stroke
        stroke = uniform(1.0) * chosen
    if settings.fade > 0:
        chosen = torch.rand(count, 1, 1, 1, generator=generator) < settings.fade
        depth, spread, bias = torch.rand(3, count, 1, 1, 1, generator=generator)
        # In few patches or many, softly or all at once: so different are pens.
        lost = torch.randn(count, 1, PATCHES, PATCHES, generator=generator) * (0.7 + 1.3 * spread) + 1.5 * bias - 1
        light = 1 - chosen * (0.3 + 0.7 * depth) * lost.clamp(0, 1)
    return Variations(matrix, offset, control, stroke, light, settings.border)


def apply(images: Tensor, variations: Variations) -> Tensor:
    """The varied images; the originals stay.

    Args:
        images: float32 (N, C, H, W) in 0..1, before any normalisation, with N the number of variations.
        variations: from `draw`, or the part of them that belongs to these images.

    Returns:
        The same shape and range, on the images' device.

    Raises:
        ValueError: another number of images than of variations.
    """
    if len(images) != len(variations):
        raise ValueError(f"{len(images)} images, but variations of {len(variations)}")
    height, width = images.shape[-2:]
    device = images.device
    if variations.stroke is not None:
        images = change_strokes(images, variations.stroke.to(device))
    if variations.light is not None:
        images = fade(images, variations.light.to(device))

    # Turned in pixels: one half side is shorter along one axis where the image is no square.
    aspect = torch.tensor([[1.0, height / width], [width / height, 1.0]])
    theta = torch.cat((variations.matrix * aspect, variations.offset[:, :, None]), 2)
    grid = functional.affine_grid(theta.to(device), list(images.shape), align_corners=False)
    if variations.control is not None:
        grid = grid + displacement(variations.control.to(device), height, width)
    padding = "zeros" if variations.border == "black" else "border"
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def displacement(control: Tensor, height: int, width: int) -> Tensor:
    """A smooth random field (N, height, width, 2) from independent control points (N, 2, K, K).

    Noise smoothed by a Gaussian, as in Simard, Steinkraus and Platt, "Best practices for convolutional neural networks
    applied to visual document analysis", 2003, but from points as far apart as the Gaussian is wide: two small
    matrix products instead of a large convolution.
    """
    points = control.shape[-1]
    rows, columns = (weights(side, points).to(control.device) for side in (height, width))
    return (rows @ control @ columns.T).permute(0, 2, 3, 1)


def weights(side: int, points: int) -> Tensor:
    """What each of the control points contributes to each pixel along one axis, (side, points).

    The points reach one beyond both ends. The squares of a row add up to 1, so that a field keeps the standard
    deviation of its control points.
    """
    pixels = (torch.arange(side) + 0.5) / side * (points - 3) + 1
    gaussian = torch.exp(-0.5 * (pixels[:, None] - torch.arange(points)) ** 2)
    return gaussian / gaussian.square().sum(1, keepdim=True).sqrt()


def change_strokes(images: Tensor, stroke: Tensor) -> Tensor:
    """Light strokes up to a pixel thicker (stroke > 0) or thinner (< 0): blended with the dilated or eroded image."""
    padded = functional.pad(images, (0, 1, 0, 1), mode="replicate")
    thicker, thinner = over_square(padded, torch.maximum), over_square(padded, torch.minimum)
    amount = stroke[:, None, None, None]
    return torch.where(amount > 0, torch.lerp(images, thicker, amount), torch.lerp(images, thinner, -amount))


def fade(images: Tensor, light: Tensor) -> Tensor:
    """Images that keep the given share of their light in each patch, and how bright their brightest pixel is.

    The camera's reader evens ink in the same way: by the strongest of each shape.
    """
    faded = images * functional.interpolate(light, images.shape[-2:], mode="bilinear")
    before, after = (each.amax((1, 2, 3), keepdim=True) for each in (images, faded))
    return faded * (before / after.clamp(min=1e-3)).clamp(min=1)


def over_square(images: Tensor, choose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The largest or smallest of every 2x2 pixels, at stride 1: one row and column less. Faster than pooling."""
    rows = choose(images[:, :, 1:], images[:, :, :-1])
    return choose(rows[..., 1:], rows[..., :-1])
