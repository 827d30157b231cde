"""How a scene is lit: falling off, in spots, through blinds, past a hand; gently changing from frame to frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.noise import Field, chance, floats, pick, smooth

Mask: TypeAlias = NDArray[np.uint8]  # 0 in the light, 255 in the shadow
GLARE = {"clean": 0.0, "uneven": 0.15, "desk": 0.12}  # how often something mirrors
READABLE = (0.1, 0.2)  # of white, by which the weakest ink is to stand out at least, in the darkest scene and others
COARSE = 8  # the soft part of the light is computed on every eighth pixel


@dataclass(frozen=True)
class Shadow:
    """A hard-edged shadow.

    Attributes:
        mask: float32 (H, W), 0 in the light, 1 in the shadow; wider than the frame by a margin all round.
        depth: 0..1, of light that it takes.
        speed: pixels per frame that it wanders, x and y.
        reach: pixels that it wanders at most, to either side.
    """

    mask: Field
    depth: float
    speed: tuple[float, float]
    reach: int


class Light:
    """The light on each frame, as what a white sheet would send back.

    Args:
        rng: what is drawn by chance.
        difficulty: of the scene.
        size: width and height of the frame.
        dark: whether the ground is dark, so that cameras expose it longer.
        contrast: of the weakest ink to its ground, 0..1: what is lit stays readable.
    """

    def __init__(
        self, rng: np.random.Generator, difficulty: str, size: tuple[int, int], dark: bool, contrast: float
    ) -> None:
        self.size = size
        width, height = size
        rows, columns = max(2, height // COARSE), max(2, width // COARSE)
        self.soft = np.ones((rows, columns), np.float32)
        level, self.flicker, self.bands = pick(rng, 0.8, 1.02), pick(rng, 0, 0.01), 0.0
        if difficulty == "clean":
            self.soft += slope(rng, rows, columns) * np.float32(pick(rng, 0, 0.08))
        elif difficulty == "uneven" or chance(rng, 0.6):
            self.soft = uneven(rng, rows, columns, 1.0 if difficulty == "uneven" else 0.6)
            self.flicker = pick(rng, 0, 0.05)
            level = pick(rng, 0.45, 1.12) if chance(rng, 0.6) else pick(rng, 0.85, 1.05)
            if chance(rng, 0.3):
                self.bands = pick(rng, 0.02, 0.1)
        self.soft *= np.float32(level / np.percentile(self.soft, 85))
        if dark:
            self.soft *= np.float32(pick(rng, 0.9, 1.35))
        readable = pick(rng, *READABLE)
        least = readable / max(contrast, readable)
        most = 1.6 if dark else 0.88 / max(0.96 - contrast, 0.55)
        self.soft = np.clip(self.soft, max(0.22, least), max(most, least))
        self.drift = pick(rng, 0, 0.06) * (slope(rng, rows, columns))
        self.pace, self.phase = pick(rng, 0.01, 0.08), pick(rng, 0, 2 * np.pi)
        self.band_height, self.band_speed = pick(rng, 0.15, 0.8) * height, pick(rng, -0.4, 0.4)
        many = (0, 1, 2) if difficulty == "desk" else (0, 1)
        shares = (0.35, 0.5, 0.15) if difficulty == "desk" else ((1.0, 0.0) if difficulty == "clean" else (0.9, 0.1))
        self.shadows = [hard_shadow(rng, size) for _ in range(int(rng.choice(many, p=shares)))]
        self.least = max(0.1, least * 0.75)
        self.glare = (
            gleam(rng, size, 0.5 * (contrast - 0.4)) if contrast > 0.5 and chance(rng, GLARE[difficulty]) else None
        )

    def frame(self, rng: np.random.Generator, index: int) -> Field:
        """The light on a frame, float32 (H, W): 1 is a white sheet exposed well."""
        width, height = self.size
        wave = np.sin(index * self.pace + self.phase)
        soft = self.soft * np.float32(1 + self.flicker * rng.uniform(-1, 1)) + self.drift * np.float32(wave)
        if self.bands:
            rows = np.arange(soft.shape[0], dtype=np.float32) * COARSE
            roll = np.sin(2 * np.pi * (rows / self.band_height + index * self.band_speed))
            soft = soft * (1 + np.float32(self.bands) * roll[:, None].astype(np.float32))
        light = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
        for shadow in self.shadows:
            x, y = (shadow.reach + round(wander(index * speed, shadow.reach)) for speed in shadow.speed)
            light -= light * (shadow.mask[y : y + height, x : x + width] * np.float32(shadow.depth))
        return np.maximum(light, np.float32(self.least)) if self.shadows else np.asarray(light, np.float32)


def wander(distance: float, reach: int) -> float:
    """Back and forth between -reach and reach."""
    return abs((distance + reach) % (4 * reach) - 2 * reach) - reach


def slope(rng: np.random.Generator, rows: int, columns: int) -> Field:
    """Light that falls off to one side, -1..1."""
    angle = pick(rng, 0, 2 * np.pi)
    x, y = np.linspace(-1, 1, columns, dtype=np.float32), np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    field = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    return np.asarray(field / np.abs(field).max(), np.float32)


def uneven(rng: np.random.Generator, rows: int, columns: int, strength: float) -> Field:
    """Slopes, spots of lamps, dark corners, clouds: some of them."""
    field = np.ones((rows, columns), np.float32)
    x, y = np.linspace(-1, 1, columns, dtype=np.float32), np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    if chance(rng, 0.6):
        field *= 1 + slope(rng, rows, columns) * np.float32(strength * pick(rng, 0.1, 0.55))
    if chance(rng, 0.45):
        spot = np.exp(-(((x - pick(rng, -1, 1)) ** 2 + (y - pick(rng, -1, 1)) ** 2) / np.float32(pick(rng, 0.2, 1.5))))
        field *= 1 - strength * pick(rng, 0.2, 0.65) * (1 - spot)
    if chance(rng, 0.4):
        field *= 1 - strength * pick(rng, 0.1, 0.5) * np.clip((x**2 + y**2) / 2, 0, 1) ** np.float32(pick(rng, 0.7, 2))
    if chance(rng, 0.35):
        field *= np.exp(smooth(rng, rows, columns, pick(rng, 1, 4)) * np.float32(strength * pick(rng, 0.05, 0.25)))
    return field.astype(np.float32)


def gleam(rng: np.random.Generator, size: tuple[int, int], most: float) -> Field:
    """A lamp that mirrors in what is glossy: light that is added, float32 (H, W), up to `most` of white's 255."""
    width, height = size
    mask = np.zeros((height // COARSE, width // COARSE), np.uint8)
    at = spot_in(rng, mask)
    axes = [int(pick(rng, 0.05, 0.3) * mask.shape[1]) for _ in range(2)]
    cv2.ellipse(mask, (int(at[0]), int(at[1])), axes, pick(rng, 0, 180), 0, 360, 255, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), pick(rng, 0.5, 6)).astype(np.float32)
    return floats(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR)) * np.float32(pick(rng, 0.3, 1) * most)


def hard_shadow(rng: np.random.Generator, size: tuple[int, int]) -> Shadow:
    """A shadow of some kind, its edge between razor-sharp and soft."""
    width, height = size
    reach = max(4, width // 20)
    wide, tall = width + 2 * reach, height + 2 * reach
    mask = np.zeros((tall, wide), np.uint8)
    draw = SHADOWS[int(rng.integers(len(SHADOWS)))]
    draw(rng, mask)
    if draw is not arm and chance(rng, 0.2):
        mask = 255 - mask
    edge = float(np.exp(pick(rng, np.log(0.5), np.log(0.012 * width))))
    field = floats(cv2.GaussianBlur(mask, (0, 0), edge)) / np.float32(255)
    speed = tuple(float(rng.choice((0.0, 1.0))) * pick(rng, -0.5, 0.5) for _ in range(2))
    return Shadow(field, pick(rng, 0.25, 0.68), (speed[0], speed[1]), reach)


def spot_in(rng: np.random.Generator, mask: Mask, low: float = 0.1, high: float = 0.9) -> NDArray[np.float64]:
    """A place on a mask."""
    return np.array((pick(rng, low, high) * mask.shape[1], pick(rng, low, high) * mask.shape[0]))


def fill(mask: Mask, points: NDArray[np.float64]) -> None:
    """A polygon."""
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 255, cv2.LINE_AA)


def half(rng: np.random.Generator, mask: Mask) -> None:
    """One side of a line."""
    angle, far = pick(rng, 0, 2 * np.pi), 3.0 * max(mask.shape)
    at, along = spot_in(rng, mask, 0.2, 0.8), np.array((np.cos(angle), np.sin(angle)))
    across = np.array((-along[1], along[0]))
    fill(mask, np.array((at - along * far, at + along * far, at + (along + across) * far, at - (along - across) * far)))


def curved(rng: np.random.Generator, mask: Mask) -> None:
    """A large round thing beside the desk."""
    radius = pick(rng, 0.3, 1.2) * mask.shape[1]
    angle = pick(rng, 0, 2 * np.pi)
    at = spot_in(rng, mask, 0.25, 0.75) + radius * np.array((np.cos(angle), np.sin(angle)))
    axes = (int(radius), int(radius * pick(rng, 0.5, 1)))
    cv2.ellipse(mask, (int(at[0]), int(at[1])), axes, pick(rng, 0, 180), 0, 360, 255, -1, cv2.LINE_AA)


def blinds(rng: np.random.Generator, mask: Mask) -> None:
    """Slats."""
    angle, step = pick(rng, -0.7, 0.7) + float(rng.choice((0, np.pi / 2))), pick(rng, 0.05, 0.25) * mask.shape[1]
    along = np.array((np.cos(angle), np.sin(angle)))
    across, middle, far = np.array((-along[1], along[0])), spot_in(rng, mask), 2.0 * max(mask.shape)
    share = pick(rng, 0.25, 0.65) * step
    for i in range(-int(far / step), int(far / step) + 1):
        at = middle + across * (i * step)
        fill(mask, np.array((at - along * far, at + along * far, at + along * far + across * share,
                             at - along * far + across * share)))  # fmt: skip


def window(rng: np.random.Generator, mask: Mask) -> None:
    """The cross of a window's frame."""
    at, angle, far = spot_in(rng, mask, 0.2, 0.8), pick(rng, -0.6, 0.6), 2.0 * max(mask.shape)
    for turn in (angle, angle + np.pi / 2 + pick(rng, -0.3, 0.3)):
        along = np.array((np.cos(turn), np.sin(turn))) * far
        ends = [tuple(int(v) for v in at + along * side) for side in (-1, 1)]
        cv2.line(mask, ends[0], ends[1], 255, int(pick(rng, 0.02, 0.12) * mask.shape[1]), cv2.LINE_AA)


def arm(rng: np.random.Generator, mask: Mask) -> None:
    """A hand with its arm, from the border."""
    scale = mask.shape[1] * pick(rng, 0.7, 1.3)
    angle = pick(rng, 0, 2 * np.pi)
    out = np.array((np.cos(angle), np.sin(angle)))
    palm = spot_in(rng, mask, 0.2, 0.8)
    ends = [palm, palm + out * 2 * scale]
    cv2.line(mask, *(tuple(int(v) for v in end) for end in ends), 255, int(0.12 * scale), cv2.LINE_AA)  # type: ignore[call-overload]
    cv2.circle(mask, (int(palm[0]), int(palm[1])), int(0.085 * scale), 255, -1, cv2.LINE_AA)
    spread = pick(rng, 0.1, 0.35)
    for finger in range(int(rng.integers(1, 6))):
        turn = angle + np.pi + (finger - 2) * spread + pick(rng, -0.05, 0.05)
        tip = palm + np.array((np.cos(turn), np.sin(turn))) * scale * pick(rng, 0.15, 0.24)
        root = (int(palm[0]), int(palm[1]))
        cv2.line(mask, root, (int(tip[0]), int(tip[1])), 255, int(0.035 * scale), cv2.LINE_AA)


def leaves(rng: np.random.Generator, mask: Mask) -> None:
    """Light through a tree."""
    field = smooth(rng, mask.shape[0], mask.shape[1], pick(rng, 4, 14))
    mask[field > pick(rng, -0.3, 0.6)] = 255


def corner(rng: np.random.Generator, mask: Mask) -> None:
    """A wedge or box: a book, a monitor, a wall's corner."""
    count = int(rng.integers(3, 6))
    turns = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = rng.uniform(0.25, 0.9, count) * mask.shape[1]
    fill(mask, spot_in(rng, mask, 0, 1) + np.stack((np.cos(turns), np.sin(turns)), 1) * radius[:, None])


SHADOWS: tuple[Callable[[np.random.Generator, Mask], None], ...] = (
    *(half,) * 3, *(arm,) * 3, *(curved,) * 2, *(blinds,) * 2, *(corner,) * 2, window, leaves,
)  # fmt: skip
