"""Takes the light out of a frame: how far each pixel is darker, or lighter, than the ground about it.

A grey-level closing takes away what is dark and narrower than its square, and leaves everything else as it is, the
hard edge of a shadow included: it shows the paper as if nothing were written on it. What is left of a pixel after
division by that is ink, in any light (Serra, "Image analysis and mathematical morphology", 1982). An opening does the
same for chalk. Where a shadow is a narrow bar, a smaller disc takes the square's place (`runtime.camera.reading.bars`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.bars import find_bars, ground_of
from runtime.preprocess import as_image

HAZE = 12  # grey levels added before dividing: in the dark, noise would be contrast
KERNEL = 13  # pixels of a level: strokes are thinner than that, and shadows thicker, but for bars
SQUARE = np.ones((KERNEL, KERNEL), np.uint8)
CELL = 4  # pixels of a level
WINDOW = (15, 15)  # cells about a pixel over which paper and board are told apart
SQUARE_OF_CELLS = np.ones(WINDOW, np.uint8)
DARK_INK, LIGHT_INK = 90, 165  # of 255: the ground about dark ink leans to the light by more, about light ink by less
SOME_PAPER, SOME_BOARD = 145, 110  # as those, of a part of the frame: with none, that kind of ink is not looked for
FAINTEST = (11, 28)  # contrast of ink, without and with noise
LEAST_GROUND = 50  # cells: less is no paper and no board, but the inside of a stroke
MARGIN = 4  # a quarter of a box on every side is what is about it
GREENER = 0.3  # of green in place of so much of all colours
FLAT = 40  # of 255: where light and dark are nearer than that, all is taken for paper
STOPS = np.rint(255 * np.log2(np.maximum(np.arange(256), HAZE) / HAZE) / np.log2(255 / HAZE)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Level:
    """A frame at one size, without its light, for ink that is darker than its ground or for ink that is lighter.

    Attributes:
        reduction: pixels of the frame along the side of a pixel of this level.
        heights: in pixels of the level, of the digits that are looked for on it.
        light_ink: whether it shows what is lighter.
        gray: the light, and `HAZE` added, uint8 (H, W).
        ground: the same of the surface without the ink.
        contrast: 0..255, uint8 (H, W): how much of the light dark ink takes away, or how much of light ink's the
            ground lacks.
        faintest: contrast from which ink stands out of the ground's noise, and bars.
        stops: of light, 0..255, each pixel the mean of `CELL` x `CELL` of the level.
        frame: the light of the frame itself, where it has more pixels and small digits are looked for, uint8.
        barred: whether bars were taken for ground; strokes of digits that are too high for it may be among them.
        origin: of it, x and y, in pixels of the frame, of which it may be a part.
    """

    reduction: int
    heights: tuple[float, float]
    light_ink: bool
    gray: Picture
    ground: Picture
    contrast: Picture
    faintest: float
    stops: Picture
    frame: Picture | None = None
    barred: bool = False
    origin: tuple[int, int] = (0, 0)

    def on_frame(self, box: Box) -> Box:
        """A box, in pixels of the frame."""
        x, y, width, height = (side * self.reduction for side in box)
        return (self.origin[0] + x, self.origin[1] + y, width, height)


def light_of(image: Picture) -> Picture:
    """The light of a frame, and `HAZE` added, uint8 (H, W): more of green than the eye takes, less of red and blue.

    Red ink and blue ink take most from green, and noise and compression spoil it least. Green alone has more noise than
    the three together, where each has its own.

    Args:
        image: uint8 (H, W, 3) BGR, or (H, W).
    """
    if image.ndim == 2:
        return as_image(cv2.convertScaleAbs(image, beta=HAZE))
    green = cv2.extractChannel(image, 1)
    return as_image(cv2.addWeighted(reduce(image, 1), 1 - GREENER, green, GREENER, HAZE))


def reduce(image: Picture, reduction: int) -> Picture:
    """Grey (H / reduction, W / reduction), each pixel the mean of those it stands for; what is left over is cut off."""
    height, width = image.shape[:2]
    if reduction > 1:
        size = (max(1, width // reduction), max(1, height // reduction))
        whole = image[: max(size[1] * reduction, 1), : max(size[0] * reduction, 1)]
        image = as_image(cv2.resize(whole, size, interpolation=cv2.INTER_AREA))
    return image if image.ndim == 2 else as_image(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def take_light_out(
    gray: Picture,
    reduction: int,
    heights: tuple[float, float],
    frame: Picture | None = None,
    origin: tuple[int, int] = (0, 0),
) -> list[Level]:
    """A level of a frame for each kind of ground that is on it.

    Args:
        gray: uint8 (H, W).
        reduction: of that against the frame.
        heights: of the digits to look for, in pixels of the level.
        frame: as in `Level`.
        origin: the same.
    """
    stops = as_image(cv2.LUT(in_cells(gray), STOPS))
    lean = lean_of(stops)
    levels = []
    for light_ink, ground in ((False, lean > SOME_PAPER), (True, lean < SOME_BOARD)):
        if np.count_nonzero(ground) >= LEAST_GROUND:
            operation = cv2.MORPH_OPEN if light_ink else cv2.MORPH_CLOSE
            surface = as_image(cv2.morphologyEx(gray, operation, SQUARE))
            contrast = contrast_of(gray, surface, light_ink)
            faintest = faintest_of(contrast)
            bars = find_bars(contrast, faintest, heights[1])
            barred = bars is not None
            if bars is not None:
                surface = np.where(bars, ground_of(gray, light_ink), surface)
                contrast = contrast_of(gray, surface, light_ink)
            levels.append(
                Level(reduction, heights, light_ink, gray, surface, contrast, faintest, stops, frame, barred, origin)
            )
    return levels


def in_cells(picture: Picture) -> Picture:
    """The mean of each `CELL` x `CELL` pixels, uint8: by halves, which is the fastest."""
    rows, columns = picture.shape
    for times in (2, CELL):
        size = (max(1, columns // times), max(1, rows // times))
        picture = as_image(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    return picture


def contrast_of(gray: Picture, ground: Picture, light_ink: bool) -> Picture:
    """`Level.contrast`: of ink against its ground, both hazy, uint8 (H, W) each."""
    darker, lighter = (ground, gray) if light_ink else (gray, ground)
    return as_image(cv2.bitwise_not(cv2.divide(darker, lighter, scale=255)))


def faintest_of(contrast: Picture) -> float:
    """`Level.faintest`."""
    some = np.sort(contrast[::16, ::8], axis=None)
    return float(min(max(2 * int(some[some.size // 2]) + 6, FAINTEST[0]), FAINTEST[1]))


def lean_of(stops: Picture) -> Picture:
    """Whether things lie on something light, 255, or on something dark, 0, about each pixel: uint8.

    It is where the mean lies between the darkest and the lightest.
    """
    mean, top, bottom = cv2.blur(stops, WINDOW), cv2.dilate(stops, SQUARE_OF_CELLS), cv2.erode(stops, SQUARE_OF_CELLS)
    darker = cv2.divide(cv2.subtract(top, mean), np.maximum(cv2.subtract(top, bottom), FLAT), scale=255)
    return as_image(cv2.bitwise_not(darker))


def may_hold(level: Level, box: Box) -> bool:
    """Whether the ground about a box, in pixels of the level, may be what the level's ink is on."""
    x, y, width, height = box
    across, down = width // MARGIN + CELL, height // MARGIN + CELL
    about = level.stops[
        max(0, y - down) // CELL : (y + height + down) // CELL + 1,
        max(0, x - across) // CELL : (x + width + across) // CELL + 1,
    ]
    bottom, top, _, _ = cv2.minMaxLoc(about)
    lean = 255 * (cv2.mean(about)[0] - bottom) / max(top - bottom, 1)
    return lean < LIGHT_INK if level.light_ink else lean > DARK_INK
