"""The camera: where it stands and how its hand shakes, blur, noise, exposure and compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.noise import Field, chance, floats, pick, texture

SCALE = 1.2  # pixels of the canvas per pixel of the frame
MARGIN = 1.2  # how much larger than the frame the canvas is


def canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the canvas for a frame's."""
    return round(size[0] * SCALE * MARGIN), round(size[1] * SCALE * MARGIN)


class Path:
    """Where the camera is at each frame.

    Args:
        rng: what is drawn by chance.
        difficulty: of the scene.
        size: width and height of the frame.
    """

    def __init__(self, rng: np.random.Generator, difficulty: str, size: tuple[int, int]) -> None:
        tilt, turn = {"clean": (0.05, 0.05), "uneven": (0.18, 0.1), "desk": (0.22, 0.14)}[difficulty]
        self.size = size
        self.tilt = rng.uniform(-tilt, tilt, 2) / max(size)
        self.turn = pick(rng, -turn, turn)
        self.zoom = pick(rng, 1.0, 1.12) + 0.5 * float(np.abs(self.tilt).sum()) * max(size) / 2
        unit = size[0] / 640
        self.shake = pick(rng, 0.3, 2.0) * unit
        pan = pick(rng, 0, 0.03) * size[0] if chance(rng, 0.7) else 0.0
        self.reach = np.array((pan, pan * pick(rng, 0.2, 1), pick(rng, 0, 0.02), pick(rng, 0, 0.03)))
        self.pace = rng.uniform(0.005, 0.04, 4)
        self.phase = rng.uniform(0, 2 * np.pi, 4)
        self.tremor = rng.uniform(0.2, 0.9, (2, 3))
        self.tremor_phase = rng.uniform(0, 2 * np.pi, (2, 3))

    @property
    def slack(self) -> float:
        """Pixels of the frame by which its content moves at most, about."""
        width, height = self.size
        turned = self.reach[2] + self.reach[3]
        return float(self.shake * 1.5 + np.hypot(*self.reach[:2]) + turned * np.hypot(width, height) / 2)

    def matrix(self, index: float | None) -> NDArray[np.float64]:
        """From the canvas to a frame, (3, 3); of the middle of all frames where `index` is None."""
        width, height = self.size
        shift = np.zeros(4)
        if index is not None:
            shift = self.reach * np.sin(self.pace * index + self.phase)
            shift[:2] += self.shake * 0.5 * np.sin(self.tremor * index + self.tremor_phase).sum(axis=1)
        x, y = (side / 2 for side in canvas_size(self.size))
        zoom, turn = self.zoom * (1 + shift[3]) / SCALE, self.turn + shift[2]
        cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
        similar = np.array(((cos, -sin, 0), (sin, cos, 0), (0, 0, 1))) @ np.array(((1, 0, -x), (0, 1, -y), (0, 0, 1)))
        tilted = np.array(((1, 0, 0), (0, 1, 0), (self.tilt[0], self.tilt[1], 1))) @ similar
        centred = np.array(((1, 0, width / 2 + shift[0]), (0, 1, height / 2 + shift[1]), (0, 0, 1)))
        return np.asarray(centred @ tilted, np.float64)

    def speed(self, index: int) -> NDArray[np.float64]:
        """Pixels that the middle of the frame moves by to the next frame, x and y."""
        here, there = self.matrix(index), self.matrix(index + 1)
        middle = np.array((*(side / 2 for side in canvas_size(self.size)), 1.0))
        first, second = here @ middle, there @ middle
        return np.asarray(second[:2] / second[2] - first[:2] / first[2])


class Lens:
    """What a camera makes of the light that comes in.

    Args:
        rng: what is drawn by chance.
        difficulty: of the scene.
        smallest: height of the smallest digit in pixels of the frame: blur leaves it readable.
        contrast: of the weakest ink against its ground, 0..1: so does noise.
        dark: whether the ground is dark: what lies there is not to be pressed down.
    """

    def __init__(self, rng: np.random.Generator, difficulty: str, smallest: float, contrast: float, dark: bool) -> None:
        strong = difficulty == "uneven"
        self.defocus = self.motion = 0.0
        if difficulty == "clean":
            self.defocus = pick(rng, 0, 0.6) if chance(rng, 0.5) else 0.0
            read, shot = pick(rng, 0.3, 2.0), pick(rng, 0, 0.1)
        else:
            if chance(rng, 0.75 if strong else 0.4):
                self.defocus = pick(rng, 0.4, max(0.6, min(0.055 * smallest, 4.0)))
            if chance(rng, 0.4 if strong else 0.2):
                self.motion = pick(rng, 2, max(2.5, min(0.16 * smallest, 12)))
            read, shot = pick(rng, 0.5, 9 if strong else 5), pick(rng, 0, 0.45 if strong else 0.25)
        most = 255 * contrast * 0.3
        self.read, self.shot = min(read, most), min(shot, most / 16)
        self.motion_angle = pick(rng, 0, np.pi)
        self.grain = str(rng.choice(("white", "fine", "tooth"), p=(0.55, 0.35, 0.1)))
        self.grey = chance(rng, 0.06)
        self.coloured = chance(rng, 0.6)
        self.sharpen = pick(rng, 0.2, 1.2) if chance(rng, 0.3) else 0.0
        self.rows = pick(rng, 0.5, 3) if difficulty != "clean" and chance(rng, 0.08) else 0.0
        self.coarse = 1.0
        if difficulty != "clean" and smallest > 24 and chance(rng, 0.15):
            self.coarse = pick(rng, 1.2, min(2.2, smallest / 16))
        self.curve = tone_curves(rng, difficulty, dark)
        self.quality = 0
        if chance(rng, 0.3 if difficulty == "clean" else 0.6):
            self.quality = int(pick(rng, 60, 95)) if difficulty == "clean" else int(pick(rng, 22, 92))

    def frame(self, rng: np.random.Generator, seen: Field, speed: NDArray[np.float64]) -> Picture:
        """A frame, uint8 (H, W, 3), of the light that comes in.

        Args:
            rng: the frame's own.
            seen: float32 (H, W, 3), blue, green, red; 255 is white exposed well.
            speed: pixels of motion of the frame, x and y.
        """
        if self.defocus:
            seen = floats(cv2.GaussianBlur(seen, (0, 0), self.defocus))
        length = float(np.hypot(*speed))
        if self.motion or length > 2.5:
            angle = self.motion_angle if self.motion else float(np.arctan2(speed[1], speed[0]))
            blur = line_kernel(self.motion or length / 2, angle)
            seen = floats(cv2.filter2D(seen, -1, blur))
        height, width = seen.shape[:2]
        if self.shot:
            level = np.sqrt(np.maximum(seen[..., 1], 0) * np.float32(self.shot * 0.5) + np.float32(self.read**2))
        else:
            level = np.full((height, width), self.read, np.float32)
        if self.coloured:
            seen += cv2.merge([texture(rng, self.grain, height, width) * level for _ in range(3)])
        else:
            seen += cv2.merge([texture(rng, self.grain, height, width) * level] * 3)
        if self.rows:
            seen += rng.normal(0, self.rows, (height, 1, 1)).astype(np.float32)
        if self.coarse > 1:  # a camera of fewer pixels, blown up
            small = (round(width / self.coarse), round(height / self.coarse))
            seen = floats(cv2.resize(seen, small, interpolation=cv2.INTER_AREA))
            seen = floats(cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR))
        if self.sharpen:
            soft = cv2.GaussianBlur(seen, (0, 0), 1.0)
            seen = floats(cv2.addWeighted(seen, 1 + self.sharpen, soft, -self.sharpen, 0))
        picture = cv2.LUT(cv2.convertScaleAbs(np.maximum(seen, 0)), self.curve)
        if self.grey:
            picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if self.quality:
            coded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, self.quality))[1]
            return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return np.asarray(picture, np.uint8)


def line_kernel(length: float, angle: float) -> Field:
    """Of motion blur."""
    side = int(length) // 2 * 2 + 3
    kernel = np.zeros((side, side), np.uint8)
    reach = np.array((np.cos(angle), np.sin(angle))) * length / 2
    middle = side // 2
    ends = [tuple(int(v) for v in np.round((middle + reach * way) * 16)) for way in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    return np.asarray(kernel / max(float(kernel.sum()), 1.0), np.float32)


def tone_curves(rng: np.random.Generator, difficulty: str, dark: bool) -> NDArray[np.uint8]:
    """(256, 1, 3) for `cv2.LUT`: white balance, gamma, haze."""
    steps = np.linspace(0, 1, 256)
    cast, bend = (0.03, 0.1) if difficulty == "clean" else (0.14, 0.3)
    gamma, haze = np.exp(pick(rng, -bend, 0 if dark else bend)), 0.0
    if difficulty != "clean" and chance(rng, 0.3):
        haze = pick(rng, 0.03, 0.25)
    warm, tint = pick(rng, -cast, cast), pick(rng, -cast / 3, cast / 3)
    curves = [haze + (1 - haze) * np.clip(steps**gamma * gain, 0, 1) for gain in (1 - warm, 1 + tint, 1 + warm)]
    return np.round(np.stack(curves, 1) * 255).astype(np.uint8).reshape(256, 1, 3)
