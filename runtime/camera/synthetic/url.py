"""Texts such as "synthetic://desk?seed=3&size=640x480", and what they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl, urlsplit

from runtime.camera.synthetic.scene import DIFFICULTIES, MAX_DIGITS
from runtime.errors import SourceError

SCHEME = "synthetic"
EXAMPLE = "synthetic://desk?seed=3&size=640x480&fps=30&digits=10&seconds=20&scene=4"
SMALLEST, LARGEST = (160, 120), (1920, 1080)


@dataclass(frozen=True)
class Wish:
    """What a URL asks for.

    Attributes:
        difficulty: of all scenes; None takes turns.
        seed: of the first scene; others follow from it.
        size: width and height in pixels.
        fps: frames per second.
        digits: on each frame; None leaves it to chance.
        seconds: until the source ends; None goes on.
        scene: seconds until the next scene.
    """

    difficulty: str | None = None
    seed: int = 0
    size: tuple[int, int] = (640, 480)
    fps: float = 30.0
    digits: int | None = None
    seconds: float | None = None
    scene: float = 8.0


def parse(text: str) -> Wish:
    """Read a URL.

    Raises:
        SourceError: it is no such URL, or a part of it is unknown, repeated or out of range.
    """
    try:
        parts = urlsplit(text)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise SourceError(f"{text}: {error}", f"write it like {EXAMPLE}") from error
    if parts.scheme != SCHEME or parts.path.strip("/") or parts.fragment:
        raise SourceError(f"{text} is no drawn camera", f"write it like {EXAMPLE}")
    names = [name for name, _ in options]
    known = [field.name for field in fields(Wish) if field.name != "difficulty"]
    for name in names:
        if name not in known:
            raise SourceError(f"{text}: there is no option {name!r}", f"options are {', '.join(known)}")
        if names.count(name) > 1:
            raise SourceError(f"{text}: {name} is given twice", f"give {name} once")
    difficulty = parts.netloc or None
    if difficulty is not None and difficulty not in DIFFICULTIES:
        raise SourceError(
            f"{text}: there is no difficulty {difficulty!r}",
            f"difficulties are {', '.join(DIFFICULTIES)}; without one, scenes take turns",
        )
    given = dict(options)
    return Wish(
        difficulty,
        seed=int(number(text, given, "seed", 0, 0, 2**31 - 1, whole=True)),
        size=size_of(text, given.get("size", "640x480")),
        fps=number(text, given, "fps", 30, 0.1, 240),
        digits=int(number(text, given, "digits", 0, 0, MAX_DIGITS, whole=True)) if "digits" in given else None,
        seconds=number(text, given, "seconds", 0, 0.01, 1e7) if "seconds" in given else None,
        scene=number(text, given, "scene", 8, 0.01, 1e7),
    )


def number(
    text: str, given: dict[str, str], name: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    """An option's value within its bounds."""
    value = given.get(name, str(default))
    pattern = r"\d{1,12}" if whole else r"\d{1,12}(\.\d{1,9})?"
    if re.fullmatch(pattern, value, re.ASCII) and low <= float(value) <= high:
        return float(value)
    kind = "a whole number" if whole else "a number"
    raise SourceError(f"{text}: {name}={value} is not allowed", f"{name} is {kind} from {low:g} to {high:.10g}")


def size_of(text: str, value: str) -> tuple[int, int]:
    """Width and height."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value, re.ASCII)
    if match:
        size = (int(match[1]), int(match[2]))
        if all(low <= side <= high for low, side, high in zip(SMALLEST, size, LARGEST, strict=True)):
            return size
    bounds = " to ".join(f"{width}x{height}" for width, height in (SMALLEST, LARGEST))
    raise SourceError(f"{text}: size={value} is not allowed", f"size is WIDTHxHEIGHT, from {bounds}")
