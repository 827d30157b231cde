"""Sheets of paper: their colour, fibres, creases, stains, and the lines printed on them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Colour, any_of, jittered, put
from runtime.camera.synthetic.noise import Field, chance, pick, smooth, texture

PAPERS: tuple[Colour, ...] = (
    (0.96, 0.97, 0.97),
    (0.93, 0.94, 0.95),
    (0.86, 0.93, 0.96),
    (0.78, 0.89, 0.95),
    (0.84, 0.84, 0.84),
    (0.76, 0.79, 0.80),
)
TINTS: tuple[Colour, ...] = (
    (0.58, 0.93, 0.98),
    (0.88, 0.82, 0.98),
    (0.97, 0.92, 0.80),
    (0.82, 0.96, 0.84),
    (0.66, 0.84, 0.98),
    (0.50, 0.68, 0.80),
)
LINE_COLOURS: tuple[Colour, ...] = (
    (0.80, 0.55, 0.35),
    (0.85, 0.72, 0.50),
    (0.50, 0.50, 0.50),
    (0.35, 0.35, 0.35),
    (0.60, 0.75, 0.45),
    (0.60, 0.55, 0.85),
    (0.75, 0.50, 0.60),
    (0.45, 0.62, 0.90),
)


def tinted(shade: Field, colour: Colour) -> Picture:
    """A picture of one colour under a field of brightness round 1."""
    return cv2.merge([cv2.convertScaleAbs(shade, alpha=255 * channel) for channel in colour]).astype(
        np.uint8, copy=False
    )


def paper_colour(rng: np.random.Generator, tinted: float) -> Colour:
    """White, cream or grey; tinted with the probability given."""
    return any_of(rng, TINTS if chance(rng, tinted) else PAPERS, 0.02)


def paper(rng: np.random.Generator, height: int, width: int, colour: Colour, wear: float) -> Picture:
    """A sheet's picture, uint8 (height, width, 3).

    Args:
        rng: what is drawn by chance.
        height: in pixels.
        width: in pixels.
        colour: of the sheet.
        wear: 0..1, how creased and stained it may be.
    """
    shade = 1 + texture(rng, "fine", height, width) * np.float32(pick(rng, 0.002, 0.02))
    if chance(rng, 0.4):
        kind = str(rng.choice(("grain", "fibre", "blotch")))
        shade += texture(rng, kind, height, width) * np.float32(pick(rng, 0.003, 0.02))
    if chance(rng, wear):
        shade += smooth(rng, height, width, pick(rng, 2, 7)) * np.float32(pick(rng, 0.005, 0.03))
    if chance(rng, wear * 0.5):
        shade *= creases(rng, height, width)
    picture = tinted(np.minimum(shade, 1 / max(colour)), colour)
    if chance(rng, wear * 0.35):
        stain(rng, picture)
    return picture


def creases(rng: np.random.Generator, height: int, width: int) -> Field:
    """Folds: the light on either side of a line differs, and the fold itself shines or is dark."""
    rows, columns = np.ogrid[:height, :width]
    field = np.ones((height, width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        angle = (
            pick(rng, 0, np.pi) if chance(rng, 0.5) else float(rng.choice((0.0, np.pi / 2))) + pick(rng, -0.05, 0.05)
        )
        offset = pick(rng, 0.15, 0.85)
        normal = np.array((np.cos(angle), np.sin(angle)))
        at = ((columns - width * offset) * normal[0] + (rows - height * offset) * normal[1]).astype(np.float32)
        depth, reach = pick(rng, -0.07, 0.07), pick(rng, 15, 90)
        field += np.float32(depth) * np.sign(at) * np.exp(-np.abs(at) / np.float32(reach))
        field += np.float32(pick(rng, -0.12, 0.06)) * np.exp(-((at / np.float32(pick(rng, 0.8, 2.0))) ** 2))
    return field


def stain(rng: np.random.Generator, picture: Picture) -> None:
    """A blot, or the ring of a cup."""
    height, width = picture.shape[:2]
    radius = int(pick(rng, 0.05, 0.16) * max(height, width)) + 4
    side = 2 * radius + 9
    rows, columns = np.ogrid[:side, :side]
    distance = np.hypot(rows - side // 2, columns - side // 2).astype(np.float32) + smooth(rng, side, side, 5) * 2
    inside = np.clip((radius - distance) / 2 + 0.5, 0, 1)
    rim = np.exp(-(((distance - radius + 4) / np.float32(pick(rng, 1.5, 4))) ** 2))
    cover = inside * np.float32(pick(rng, 0.0, 0.35)) + rim * np.float32(pick(rng, 0.15, 0.6))
    cover *= np.clip(0.6 + 0.4 * smooth(rng, side, side, 3), 0, 1)
    x, y = int(rng.integers(-radius, width - radius)), int(rng.integers(-radius, height - radius))
    put(picture, x, y, cover * np.float32(0.7), jittered(rng, (0.35, 0.52, 0.66), 0.1), False)


def ruled(rng: np.random.Generator, picture: Picture, origin: tuple[float, float], angle: float, pitch: float) -> None:
    """Print lines, squares or dots onto a sheet.

    Args:
        rng: what is drawn by chance.
        picture: the sheet, uint8 (H, W, 3); written to.
        origin: x and y of a place where lines meet.
        angle: of the lines, in radians.
        pitch: between lines, in pixels.
    """
    height, width = picture.shape[:2]
    ground = picture[:: max(1, height // 16), :: max(1, width // 16)].reshape(-1, 3).mean(axis=0)
    tone = np.array(LINE_COLOURS[int(rng.integers(len(LINE_COLOURS)))])
    strength = pick(rng, 0.15, 0.75) ** 1.3 if chance(rng, 0.85) else pick(rng, 0.6, 0.95)
    ink = tuple(float(value) for value in ground * (1 - strength * (1 - tone)))
    style = str(rng.choice(("lines", "squares", "dots", "fine squares"), p=(0.42, 0.4, 0.08, 0.1)))
    thick = 2 if pitch > 24 and chance(rng, 0.3) else 1
    reach = int(np.hypot(height, width) / pitch) + 2
    along, across = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    start = np.array(origin)

    def line(offset: float, one: NDArray[np.float64], other: NDArray[np.float64], colour: tuple[float, ...]) -> None:
        ends = np.array([start + other * offset + one * side * reach * pitch for side in (-1, 1)])
        first, last = (tuple(int(v) for v in np.round(end * 16)) for end in ends)
        cv2.line(picture, first, last, colour, thick, cv2.LINE_AA, 4)

    if style == "dots":
        grid = np.arange(-reach, reach + 1) * pitch
        for i in grid:
            for spot in start + across * i + along * grid[:, None]:
                if -3 < spot[0] < width + 3 and -3 < spot[1] < height + 3:
                    at = (int(spot[0] * 16), int(spot[1] * 16))
                    cv2.circle(picture, at, int(16 * pick(rng, 0.9, 1.2)), ink, -1, cv2.LINE_AA, 4)
        return
    step = pitch / 2 if style == "fine squares" and pitch > 14 else pitch
    faint = tuple(float(value) for value in ground * (1 - 0.45 * strength * (1 - tone)))
    for i in range(-reach, reach + 1):
        line(i * pitch, along, across, ink)
        if style != "lines":
            line(i * pitch, across, along, ink)
        if step != pitch:
            line(i * pitch + step, along, across, faint)
            line(i * pitch + step, across, along, faint)
    if chance(rng, 0.4 if style == "lines" else 0.1):  # the margin
        red = tuple(
            float(value) for value in ground * (1 - min(0.8, strength + 0.2) * (1 - np.array((0.45, 0.4, 0.9))))
        )
        line(pick(rng, 0.05, 0.35) * width * float(rng.choice((-1, 1))), across, along, red)
