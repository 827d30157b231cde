"""Lines of a pen that say nothing: scribbles, doodles, joined-up words. In a unit square, y downwards."""

from __future__ import annotations

import numpy as np

from runtime.camera.synthetic.letters import LETTERS, Line, handwritten, rounded
from runtime.camera.synthetic.noise import pick


def scribble(rng: np.random.Generator) -> list[Line]:
    """Back and forth, round and round, or at random."""
    kind = str(rng.choice(("zigzag", "loops", "tangle", "hatch", "spiral", "cross out")))
    if kind == "zigzag":
        count = int(rng.integers(6, 16))
        x = np.linspace(0, 1, count) + rng.normal(0, 0.03, count)
        y = (np.arange(count) % 2) * pick(rng, 0.5, 1.0) + rng.normal(0, 0.08, count)
        return [rounded(np.stack((x, y), 1), int(rng.integers(0, 3)))]
    if kind in ("loops", "spiral"):
        turns = pick(rng, 3, 8)
        t = np.linspace(0, turns * 2 * np.pi, int(turns * 24))
        spiral = kind == "spiral"
        grow = t / t[-1] * 0.5 if spiral else np.full_like(t, pick(rng, 0.15, 0.3))
        x = (0.0 if spiral else 1.0) * t / t[-1] + grow * np.cos(t)
        y = 0.5 + grow * np.sin(t) * pick(rng, 0.7, 1.3)
        return [np.stack((x, y), 1) + np.cumsum(rng.normal(0, 0.006, (len(t), 2)), 0)]
    if kind == "tangle":
        return [rounded(rng.uniform(0, 1, (int(rng.integers(9, 22)), 2)), 3)]
    if kind == "hatch":
        count = int(rng.integers(5, 12))
        lean = pick(rng, -0.4, 0.4)
        return [
            np.array(((i / count, 0.0), (i / count + lean, 1.0))) + rng.normal(0, 0.04, (2, 2)) for i in range(count)
        ]
    lines = handwritten(rng, LETTERS[str(rng.choice(list("AEHKMNRWX")))])
    for _ in range(int(rng.integers(2, 5))):
        at = pick(rng, 0.2, 0.8)
        ends = np.array(((-0.2, at), (0.4, at + pick(rng, -0.2, 0.2)), (1.2, at + pick(rng, -0.3, 0.3))))
        lines.append(rounded(ends, 2))
    return lines


def doodle(rng: np.random.Generator) -> list[Line]:
    """A flower, a face, a sun, a heart, waves."""
    kind = str(rng.choice(("flower", "face", "sun", "heart", "waves", "star", "cube", "cloud", "stick man")))
    t = np.linspace(0, 2 * np.pi, 60)
    ring = np.stack((np.cos(t), np.sin(t)), 1)
    if kind == "flower":
        petals = int(rng.integers(4, 8))
        radius = 0.28 + 0.2 * np.abs(np.cos(t * petals / 2))
        return [0.5 + ring * radius[:, None], 0.5 + ring * 0.1]
    if kind == "face":
        smile = np.stack((np.linspace(0.3, 0.7, 12), 0.65 + 0.12 * np.sin(np.linspace(0, np.pi, 12))), 1)
        eyes = [np.array(((x, 0.35), (x, 0.42))) for x in (0.35, 0.65)]
        hair = [np.array(((x, 0.02), (x + pick(rng, -0.1, 0.1), -0.2))) for x in (0.3, 0.4, 0.5, 0.6, 0.7)]
        return [0.5 + ring * 0.5, smile, *eyes, *hair]
    if kind == "sun":
        rays = [0.5 + np.array((d * 0.34, d * 0.55)) for d in ring[:: int(rng.integers(5, 9))]]
        return [0.5 + ring * 0.25, *rays]
    if kind == "heart":
        x, y = 16 * np.sin(t) ** 3, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
        inner = np.stack((x, y), 1) / 34 + 0.5
        return [inner, np.array(((-0.1, 0.9), (1.1, 0.0)))]
    if kind == "waves":
        x = np.linspace(0, 2.5, 50)
        return [np.stack((x, 0.15 * np.sin(x * 9) + row), 1) for row in (0.2, 0.5, 0.8)[: int(rng.integers(2, 4))]]
    if kind == "star":
        spikes = int(rng.integers(5, 9))
        turn = np.arange(2 * spikes + 1) * np.pi / spikes
        radius = np.where(np.arange(2 * spikes + 1) % 2, 0.22, 0.5)
        return [0.5 + np.stack((np.cos(turn), np.sin(turn)), 1) * radius[:, None]]
    if kind == "cube":
        front = np.array(((0, 0.3), (0.7, 0.3), (0.7, 1), (0, 1), (0, 0.3)))
        back = front + np.array((0.3, -0.3))
        return [front, back, *(np.stack((front[i], back[i])) for i in range(4))]
    if kind == "cloud":
        radius = 0.36 + 0.1 * np.abs(np.sin(t * 3.5))
        rain = [np.array(((x, 0.85), (x - 0.1, 1.15))) for x in (0.25, 0.45, 0.65, 0.85)]
        return [0.5 + ring * radius[:, None] * (1.3, 0.7), *rain]
    body = [np.array(p) for p in (((0.5, 0.4), (0.5, 0.8)), ((0.2, 0.45), (0.8, 0.45)), ((0.2, 1.2), (0.5, 0.8)))]
    return [0.5 + ring * 0.14 + (0, -0.25), *body, np.array(((0.8, 1.2), (0.5, 0.8)))]


def cursive(rng: np.random.Generator) -> list[Line]:
    """A joined-up word that says nothing: many humps."""
    count = int(rng.integers(8, 24))
    x = np.cumsum(rng.uniform(0.12, 0.3, count))
    y = 0.55 + 0.22 * np.where(np.arange(count) % 2, 1, -1) * rng.uniform(0.5, 1.2, count)
    tall = rng.random(count) < 0.12
    y = np.where(tall & (np.arange(count) % 2 == 0), 0.0, y)
    return [rounded(np.stack((x, y), 1), 3)]
