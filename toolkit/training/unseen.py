"""Kinds of shapes that no training sees: they measure whether what is new is refused."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from runtime.camera.reading.normalize import SIDE
from toolkit.training.drawing import CANVAS, Image, blank, lean, normalize, thickness
from toolkit.training.shapes import Digits

PRINTED = "AEFHKMNPRUVWXkmnx#%@"


def printed_letter(rng: Generator, digits: Digits) -> Image:
    """Letters of the fonts that come with OpenCV."""
    picture = blank()
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
    character = str(rng.choice(list(PRINTED)))
    cv2.putText(picture, character, (20, 85), font, 2.2, 255, int(rng.integers(4, 9)), cv2.LINE_AA)
    return normalize(lean(picture, rng))


def dots(rng: Generator, digits: Digits) -> Image:
    """Scattered dots, five to twelve."""
    picture = blank()
    for _ in range(rng.integers(5, 13)):
        cv2.circle(picture, rng.integers(10, CANVAS - 10, 2).tolist(), int(rng.integers(4, 10)), 255, -1, cv2.LINE_AA)
    return normalize(picture)


def clock(rng: Generator, digits: Digits) -> Image:
    """The face of a clock: two hands, and marks or none."""
    picture = blank()
    width = int(rng.integers(4, 9))
    cv2.circle(picture, (56, 56), 46, 255, width, cv2.LINE_AA)
    for length in (22, 36):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (round(56 + length * np.sin(angle)), round(56 - length * np.cos(angle)))
        cv2.line(picture, (56, 56), tip, 255, width, cv2.LINE_AA)
    if rng.random() < 0.5:
        for angle in np.arange(12) * np.pi / 6:
            ends = np.round([[56 + r * np.sin(angle), 56 - r * np.cos(angle)] for r in (36, 44)]).astype(np.int32)
            cv2.polylines(picture, [ends], False, 255, max(2, width // 2), cv2.LINE_AA)
    return normalize(lean(picture, rng))


def zigzag(rng: Generator, digits: Digits) -> Image:
    """A line up and down, six to nine times."""
    picture = blank()
    turns = int(rng.integers(7, 11))
    across = np.linspace(8, CANVAS - 8, turns) + rng.normal(0, 2, turns)
    along = 56 + np.where(np.arange(turns) % 2, 1, -1) * rng.uniform(18, 44, turns)
    line = np.round(np.stack((across, along), 1)).astype(np.int32)
    cv2.polylines(picture, [line], False, 255, int(rng.integers(4, 9)), cv2.LINE_AA)
    return normalize(lean(picture, rng, 90))


def net(rng: Generator, digits: Digits) -> Image:
    """Six to eight places round a middle, most of them joined."""
    picture = blank()
    angles = np.linspace(0, 2 * np.pi, int(rng.integers(6, 9)), endpoint=False) + rng.uniform(-0.3, 0.3)
    radius = rng.uniform(34, 50, len(angles))
    places = 56 + np.stack((radius * np.cos(angles), radius * np.sin(angles)), 1)
    width = int(rng.integers(3, 6))
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            if rng.random() < 0.7:
                cv2.polylines(picture, [np.round([one, other]).astype(np.int32)], False, 255, width, cv2.LINE_AA)
    return normalize(picture)


def leaf(rng: Generator, digits: Digits) -> Image:
    """The outline of a leaf with its veins."""
    picture = blank()
    width, half = int(rng.integers(3, 7)), rng.uniform(16, 34)
    along = np.linspace(0, np.pi, 20)
    for side in (-1, 1):
        edge = np.stack((56 + side * half * np.sin(along), 8 + 80 * along / np.pi), 1)
        cv2.polylines(picture, [np.round(edge).astype(np.int32)], False, 255, width, cv2.LINE_AA)
        for y in range(28, 80, 16):
            tip = (round(56 + side * 0.7 * half * np.sin(np.pi * (y - 18) / 80)), y - 10)
            cv2.line(picture, (56, y), tip, 255, width, cv2.LINE_AA)
    cv2.line(picture, (56, 8), (56, 108), 255, width, cv2.LINE_AA)
    return normalize(lean(picture, rng, 60))


def crossed(rng: Generator, digits: Digits) -> Image:
    """Straight lines across each other, three to six, as where something is struck out."""
    picture = blank()
    width, turn = thickness(rng), rng.uniform(0, np.pi)
    for angle in turn + np.arange(count := int(rng.integers(3, 7))) * np.pi / count + rng.normal(0, 0.1, count):
        along, middle = 48 * np.array([np.cos(angle), np.sin(angle)]), 56 + rng.uniform(-12, 12, 2)
        ends = np.round([middle - along, middle + along]).astype(np.int32)
        cv2.polylines(picture, [ends], False, 255, width, cv2.LINE_AA)
    return normalize(picture)


def hand(rng: Generator, digits: Digits) -> Image:
    """A palm with four or five fingers spread."""
    picture = blank()
    cv2.ellipse(picture, (56, 70), (int(rng.integers(18, 24)), 22), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for angle in np.linspace(-1.1, 0.7, int(rng.integers(4, 6))) + rng.normal(0, 0.06):
        length = rng.uniform(48, 64)
        tip = (round(56 + length * np.sin(angle)), round(72 - length * np.cos(angle)))
        cv2.line(picture, (56, 70), tip, 255, int(rng.integers(8, 12)), cv2.LINE_AA)
    return normalize(lean(picture, rng, 30))


def wave(rng: Generator, digits: Digits) -> Image:
    """Stripes that swell and fade, along one direction or two."""
    y, x = np.mgrid[:SIDE, :SIDE]
    first, second = rng.uniform(0.6, 1.6, 2)
    angle, phase = rng.uniform(0, np.pi, 2)
    waves = np.sin(first * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    if rng.random() < 0.5:
        waves = waves * np.sin(second * (y * np.cos(angle) - x * np.sin(angle)))
    return np.asarray((waves + 1) / 2 * rng.uniform(120, 255), np.uint8)
