"""A scene that lies still while camera and light move: drawn once, then seen frame by frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.backdrop import backdrop
from runtime.camera.synthetic.lens import Lens, Path, canvas_size
from runtime.camera.synthetic.light import Light
from runtime.camera.synthetic.noise import chance, floats, pick
from runtime.camera.synthetic.numbers import write_digits
from runtime.camera.synthetic.others import lay_things, mark_edges, print_text, write_others
from runtime.camera.synthetic.sheets import rectangle
from runtime.camera.synthetic.stage import Stage
from runtime.camera.synthetic.traces import add_traces
from runtime.camera.synthetic.truth import Truth

DIFFICULTIES = ("clean", "uneven", "desk")
MAX_DIGITS = 60
LEAST_HEIGHT = 18.0  # of a digit, in pixels of the frame
OTHERS = {"clean": 0.5, "uneven": 0.9, "desk": 7.0}  # what is written and no digit, on average


class Scene:
    """Handwritten digits as a camera sees them, with the truth beside each frame.

    Everything follows from the arguments: the same frame is the same picture, in whatever order frames are asked for.
    Another release of NumPy or OpenCV may draw it a little differently.

    Args:
        digits: uint8 (N, 28, 28), light on dark, as MNIST has them.
        labels: (N,), 0..9.
        difficulty: "clean" paper; "uneven" light, blur and noise; or a "desk" with shadows, lines, chalk, and much
            that is no digit.
        seed: of everything that is drawn by chance, 0 or more.
        size: width and height of the frames.
        count: of digits, at most `MAX_DIGITS`, all on every frame; None draws 3 to 14, and cuts some.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        digits: NDArray[np.uint8],
        labels: NDArray[np.integer],
        *,
        difficulty: str,
        seed: int,
        size: tuple[int, int] = (640, 480),
        count: int | None = None,
    ) -> None:
        if difficulty not in DIFFICULTIES:
            raise ValueError(f"difficulty {difficulty!r} is none of {', '.join(DIFFICULTIES)}")
        if count is not None and not 0 <= count <= MAX_DIGITS:
            raise ValueError(f"{count} digits: 0 to {MAX_DIGITS} are possible")
        self.size, self.entropy = size, (seed, DIFFICULTIES.index(difficulty))
        rng = np.random.default_rng(self.entropy)
        desk = difficulty == "desk"
        self.path = Path(rng, difficulty, size)
        zoom = float(np.sqrt(abs(np.linalg.det(self.path.matrix(None)[:2, :2]))))
        inset = self.path.slack + 3
        if count is None:  # some digits leave the frame at times, or are never wholly on it
            inset = self.path.slack * 0.3 if chance(rng, 0.75) else -0.05 * size[0]
        many = int(rng.integers(3, 15)) if count is None else count
        height = typical_height(rng, size, many) / zoom
        canvas, surfaces, dark = backdrop(rng, difficulty, canvas_size(size), height)
        stage = Stage(canvas, surfaces, self.seen(inset))
        if desk:
            add_traces(rng, stage)
            lay_things(rng, stage)
        weakest = write_digits(
            rng,
            stage,
            digits,
            labels,
            count=many,
            height=height,
            least=LEAST_HEIGHT / zoom,
            turn=self.path.turn,
            desk=desk,
        )
        write_others(rng, stage, height, OTHERS[difficulty])
        if desk and chance(rng, 0.3):
            print_text(rng, stage)
        mark_edges(rng, stage)
        self.canvas, self.things = stage.canvas, tuple(stage.things)
        self.lens = Lens(rng, difficulty, weakest.height * zoom, weakest.contrast, dark)
        self.light = Light(rng, difficulty, size, dark, weakest.contrast)

    def seen(self, inset: float) -> NDArray[np.float64]:
        """Corners on the canvas of what the camera sees, less a margin in pixels of the frame; (4, 2)."""
        width, height = self.size
        corners = rectangle(width / 2, height / 2, width - 2 * inset, height - 2 * inset, 0)
        back = np.linalg.inv(self.path.matrix(None))
        return np.asarray(cv2.perspectiveTransform(corners.reshape(-1, 1, 2), back), np.float64).reshape(-1, 2)

    def frame(self, index: int) -> tuple[Picture, tuple[Truth, ...]]:
        """A frame, uint8 (H, W, 3) BGR, and what is on it."""
        rng = np.random.default_rng((*self.entropy, index, 1))
        seen = cv2.warpPerspective(
            self.canvas, self.path.matrix(index), self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        light = self.light.frame(rng, index)
        lit = floats(cv2.multiply(seen, cv2.merge([light] * 3), dtype=cv2.CV_32F))
        if self.light.glare is not None:
            lit += cv2.merge([self.light.glare] * 3)
        return self.lens.frame(rng, lit, self.path.speed(index)), self.truth(index)

    def truth(self, index: int) -> tuple[Truth, ...]:
        """What is on a frame, without drawing it."""
        matrix, found, size = self.path.matrix(index), [], np.array(self.size)
        for number, thing in enumerate(self.things):
            points = np.asarray(cv2.perspectiveTransform(thing.outline.reshape(-1, 1, 2), matrix)).reshape(-1, 2)
            low, high = np.round(points.min(axis=0) + 0.5), np.round(points.max(axis=0) + 0.5)
            first, last = np.clip(low, 0, size).astype(int), np.clip(high, 0, size).astype(int)
            if (last - first < 3).any():
                continue
            cut = bool((low <= 0).any() or (high >= size).any())
            box = (int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1]))
            found.append(Truth(box, thing.label, thing.kind, number, cut, thing.number))
        return tuple(found)


def typical_height(rng: np.random.Generator, size: tuple[int, int], count: int) -> float:
    """Of digits in pixels of the frame: mostly 28 to 90 at 480 rows, at times more or less; fewer pixels for many."""
    low, high = (28, 90) if chance(rng, 0.85) else (20, 150)
    height = float(np.exp(pick(rng, np.log(low), np.log(high)))) * min(size[1] / 480, size[0] / 640)
    room = float(np.sqrt(size[0] * size[1] * 0.16 / max(count, 1)))
    return max(min(height, room), LEAST_HEIGHT)
