"""What is no digit: letters, words, signs, scribbles, and what lies or is seen on a desk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime.camera.synthetic.doodles import cursive, doodle, scribble
from runtime.camera.synthetic.hand import hand
from runtime.camera.synthetic.ink import Pen
from runtime.camera.synthetic.letters import (
    PRINTED,
    Line,
    letter,
    round_bracket,
    sign,
    slash,
    spelled,
    turned,
    typed,
    word,
)
from runtime.camera.synthetic.noise import chance, pick
from runtime.camera.synthetic.stage import Stage
from runtime.camera.synthetic.stencil import unit
from runtime.camera.synthetic.strokes import drawn_mark
from runtime.camera.synthetic.things import THINGS

#: How often each kind of writing is drawn.
KINDS = {
    "letter": 0.42,
    "printed letter": 0.10,
    "scribble": 0.15,
    "doodle": 0.08,
    "sign": 0.09,
    "round bracket": 0.05,
    "slash": 0.04,
    "word": 0.07,
    "printed word": 0.04,
    "cursive": 0.06,
}
DRAWN: dict[str, Callable[[np.random.Generator], list[Line]]] = {
    "letter": letter,
    "scribble": scribble,
    "doodle": doodle,
    "sign": sign,
    "round bracket": round_bracket,
    "slash": slash,
    "word": word,
    "cursive": cursive,
}
NAMES = {
    "printed letter": "letter",
    "printed word": "word",
    "cursive": "word",
    "round bracket": "sign",
    "slash": "sign",
}


def lay_things(rng: np.random.Generator, stage: Stage) -> None:
    """A hand, coins, a cup, pens, where no digits are yet."""
    height, width = stage.canvas.shape[:2]
    if chance(rng, 0.3):
        along, side = pick(rng, 0.15, 0.85), int(rng.integers(4))
        inwards = (np.pi / 2, np.pi, -np.pi / 2, 0.0)[side] + pick(rng, -0.5, 0.5)
        edge = np.array(((along, 0.08), (0.92, along), (along, 0.92), (0.08, along))[side])
        size = pick(rng, 0.2, 0.42) * width
        wrist = edge * (width, height) + unit(inwards) * size * pick(rng, -0.1, 0.5)
        stage.add(hand(rng, stage.canvas, wrist, inwards, size).outline(), "hand", 8)
    for _ in range(int(rng.choice((0, 1, 2, 3), p=(0.45, 0.3, 0.15, 0.1)))):
        kind = str(rng.choice(list(THINGS)))
        draw, least, most = THINGS[kind]
        radius = pick(rng, least, most) * width
        at = stage.find(rng, np.array((-0.9, -0.9, 0.9, 0.9))[None] * radius, None)
        if at is not None:
            stage.add(draw(rng, stage.canvas, at, radius).outline(), kind, 8)


def mark_edges(rng: np.random.Generator, stage: Stage) -> None:
    """Remember pieces of the sheets' sides and corners, where they are seen."""
    for number, surface in enumerate(stage.surfaces):
        if surface.whole:
            continue
        hidden = np.zeros(stage.shape, np.bool_)
        for other in stage.surfaces[number + 1 :]:
            hidden |= stage.filled(other.corners)
        inside = stage.open & ~hidden
        for side in range(4):
            first, last = surface.corners[side], surface.corners[(side + 1) % 4]
            long = float(np.hypot(*(last - first)))
            along, reach = (last - first) / long, pick(rng, 20, 60)
            for share in (0.0, pick(rng, 0.2, 0.8)):
                at = first + along * long * share
                ends = np.array((at - along * reach * (share > 0), at + along * reach))
                across = np.array((-along[1], along[0])) * 2
                piece = np.concatenate((ends - across, ends[::-1] + across)).astype(np.float32)
                cells = stage.filled(piece)
                if cells.any() and inside[cells].mean() > 0.6:
                    stage.add(piece, "edge", taken=False)


def write_others(rng: np.random.Generator, stage: Stage, height: float, rate: float) -> None:
    """Letters, signs, scribbles, words.

    Args:
        rng: what is drawn by chance.
        stage: to write on.
        height: of digits, in pixels of the canvas.
        rate: how many, on average.
    """
    pens = [surface.pen(rng) for surface in stage.surfaces]
    shares = np.array(list(KINDS.values()))
    for _ in range(int(rng.poisson(rate))):
        kind = str(rng.choice(list(KINDS), p=shares / shares.sum()))
        surface = stage.surface(rng)
        pen = pens[surface] if chance(rng, 0.6) else stage.surfaces[surface].pen(rng)
        tall = max(14.0, height * float(np.exp(rng.normal(0, 0.3))))
        if kind.startswith("printed"):
            several = kind.endswith("word")
            text = spelled(rng, int(rng.integers(3, 9))) if several else str(rng.choice(list(PRINTED)))
            text = text.upper() if several and chance(rng, 0.25) else text
            type_text(rng, stage, surface, pen, text, tall * (0.5 if several else 1), NAMES[kind])
        else:
            draw_lines(rng, stage, surface, pen, kind, tall)


def type_text(
    rng: np.random.Generator, stage: Stage, surface: int, pen: Pen, text: str, tall: float, kind: str
) -> None:
    """Print text somewhere."""
    cover = typed(rng, text, tall, pick(rng, 1, 5))
    angle = stage.surfaces[surface].angle + (0.0 if kind == "text" else pick(rng, -0.2, 0.2))
    half = np.array((cover.shape[1], cover.shape[0])) / 2 * 1.1 + 3
    at = stage.find(rng, np.concatenate((-half, half))[None], surface)
    if at is not None:
        stage.try_mark(rng, turned(rng, cover, angle, at), pen, kind)


def draw_lines(rng: np.random.Generator, stage: Stage, surface: int, pen: Pen, kind: str, tall: float) -> None:
    """Draw something by hand somewhere."""
    lines, angle = DRAWN[kind](rng), stage.surfaces[surface].angle + pick(rng, -0.25, 0.25)
    if kind in ("scribble", "doodle"):
        tall *= pick(rng, 0.5, 1.6) if chance(rng, 0.7) else pick(rng, 1.6, 4.0)
    elif kind in ("word", "cursive"):
        tall *= pick(rng, 0.5, 1.1)
    wide = tall * (pick(rng, 0.85, 1.2) if kind == "slash" else pick(rng, 0.55, 1.1))  # a steep slash is a 1
    points = np.concatenate(lines)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    turn = np.stack((unit(angle), unit(angle + np.pi / 2)))
    laid = [((line - middle) * (wide, tall)) @ turn for line in lines]
    points = np.concatenate(laid)
    box = np.concatenate((points.min(axis=0) - 4, points.max(axis=0) + 4))[None]
    at = stage.find(rng, box, surface)
    if at is not None:
        width = max(1.2, pen.width * tall * pick(rng, 0.6, 1.2))
        stage.try_mark(rng, drawn_mark([line + at for line in laid], width), pen, NAMES.get(kind, kind))


def print_text(rng: np.random.Generator, stage: Stage) -> None:
    """A few lines of small print."""
    surface = stage.surface(rng)
    pen, tall = stage.surfaces[surface].pen(rng), pick(rng, 9, 16)
    for _ in range(int(rng.integers(2, 6))):
        words = (spelled(rng, int(rng.integers(2, 9))) for _ in range(int(rng.integers(1, 6))))
        type_text(rng, stage, surface, pen, " ".join(words), tall, "text")
