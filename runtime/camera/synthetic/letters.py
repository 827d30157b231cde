"""Letters that nobody reads as digits, words of them, and signs: as lines of a pen in a unit square, y downwards."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.noise import chance, floats, pick
from runtime.camera.synthetic.strokes import Mark

Line = NDArray[np.float64]

#: Corners of each stroke as pairs of digits: tenths of the square, x then y; "~" before a stroke that is round.
LETTERS = {
    "A": "0A50AA 2676",
    "E": "A000 000A 0AAA 0575",
    "F": "A000 000A 0575",
    "H": "000A A0AA 05A5",
    "K": "000A A005 05AA",
    "M": "0A00 0058 58A0 A0AA",
    "N": "0A00 00AA AAA0",
    "P": "000A ~0070A2A37505",
    "R": "000A ~0070A2A37505 35AA",
    "U": "~0006184A6A94A6A0",
    "V": "005AA0",
    "W": "002A527AA0",
    "X": "00AA A00A",
    "k": "000A 7304 047A",
    "m": "030A ~0623334A ~4A636475A383A4AA",
    "n": "020A ~0533537375AA",
    "x": "13AA A30A",
    "v": "035AA3",
    "u": "~03083A6AA7 A3AA",
    "r": "030A ~0633637384",
    "Zh": "505A 00557A A0553A 0A55 AA55",
    "Sh": "000A 505A A0AA 0AAA",
    "I2": "000A 0AA0 A0AA",
    "Pi": "02A2 222A 828A",
    "De": "0A50AA0A",
    "Ps": "505A ~00041757A9A4A0",
    "Ya": "A0AA ~A03002033565A5 350A",
    "Ga": "0A00A0",
    "Xi": "00A0 2585 0AAA",
    "Ho": "03A3 505A 261A 868A",
    "Tee": "1090 03A3 ~53572A",
    "Ki": "1383 2686 405A",
    "tree": "03A3 505A 530A 53AA",
    "big": "03A3 500A 54AA",
    "man": "500A 53AA",
    "T": "00A0 505A",
    "Y": "0055 A055 555A",
    "C": "~A1501205185AA9",
    "L": "000AAA",
    "J": "~60676A3A0A08 3090",
    "f": "~906032303A 0474",
    "t": "~50586A9A 2474",
    "h": "000A ~05447385858A",
    "e": "~05959362320408196AA8",
}
SIMPLE = ("T", "Y", "C", "L", "J", "h", "e", "man", "Ga")  # nearer to digits than the others: drawn less often
SERIF = np.array(((-0.12, 0.0), (0.12, 0.0)))
#: Those that alone may be read as digits, and in words are not.
LIKE_DIGITS = {
    "a": "~A3632306295A8AA8 A3AA",
    "b": "000A ~0433639597693A08",
    "c": "~A4532406295A9AA9",
    "d": "~A4632306295A8AA8 A0AA",
    "g": "~A2512113244675A4 ~A1A68A5A29",
    "o": "~532306295A8AA8A58353",
    "p": "020A ~0232638695672706",
    "s": "~946334255687997A3A19",
    "y": "0356 A31A",
}
#: How often letters are written in English, in percent: without those that are a 1 anywhere, as l, or rare.
FREQUENCIES = {
    "a": 8.2, "b": 1.5, "c": 2.8, "d": 4.3, "e": 12.7, "f": 2.2, "g": 2.0, "h": 6.1, "k": 0.8, "m": 2.4,
    "n": 6.7, "o": 7.5, "p": 1.9, "r": 6.0, "s": 6.3, "t": 9.1, "u": 2.8, "v": 1.0, "x": 0.2, "y": 2.0,
}  # fmt: skip

SIGNS = {
    "plus": "505A 05A5",
    "equals": "03A3 07A7",
    "hash": "302A 807A 03A3 07A7",
    "arrow": "05A5 72A578",
    "double arrow": "05A5 72A578 320538",
    "times": "11AA A11A",
    "star": "502A 508A 03A3",
    "asterisk": "505A 1288 1883",
    "tilde": "~0513355779A5",
    "divide": "05A5 5152 5859",
    "pentagram": "2A508A04A42A",
    "house": "0A0450A4AA0A 3A36666A",
    "tree": "505A 5025 5085 5328 5378",
    "grid": "303A 707A 03A3 07A7",
    "brackets": "30000A3A 70A0AA7A",
    "envelope": "02A2A80802 0255A2",
    "sigma": "A000550AAA",
    "fence": "000A 303A 606A 909A 04A4",
}
ROUND_BRACKETS = ("~7022287A", "~3082883A")
SLASH = "A00A"

HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
PRINTED = "AEFHKMNPRUVWXkmnwx"  # none that could be a digit


def number_of(sign: str) -> float:
    """A tenth: "0".."9", "A" for 10."""
    return int(sign, 16) / 10


def strokes_of(code: str) -> list[tuple[bool, Line]]:
    """Each stroke with whether it is round; (N, 2) corners."""
    result = []
    for word in code.split():
        curved, digits = word.startswith("~"), word.lstrip("~")
        places = [(number_of(x), number_of(y)) for x, y in zip(digits[::2], digits[1::2], strict=True)]
        result.append((curved, np.array(places)))
    return result


def handwritten(rng: np.random.Generator, code: str) -> list[Line]:
    """A glyph as a hand would write it: no stroke quite where or as it should be."""
    wobble, rounder = pick(rng, 0.01, 0.07), chance(rng, 0.35)
    lines = []
    for curved, places in strokes_of(code):
        moved = places + rng.normal(0, wobble, places.shape)
        if len(moved) == 2:  # bent a little
            bow = (moved[1] - moved[0])[::-1] * (1, -1) * rng.normal(0, 0.06)
            moved = np.stack((moved[0], moved.mean(axis=0) + bow, moved[1]))
            lines.append(rounded(moved, 3))
        else:
            lines.append(rounded(moved, 3 if curved else (2 if rounder else 0)))
    return lines


def rounded(places: Line, times: int) -> Line:
    """Corners cut off, again and again, ends kept (Chaikin's curve)."""
    for _ in range(times):
        first, second = places[:-1] * 0.75 + places[1:] * 0.25, places[:-1] * 0.25 + places[1:] * 0.75
        inner = np.stack((first, second), 1).reshape(-1, 2)[1:-1]
        places = np.concatenate((places[:1], inner, places[-1:]))
    return places


def printed(rng: np.random.Generator, code: str) -> list[Line]:
    """A glyph with straight strokes where they should be, at times with serifs."""
    lines = [rounded(places, 3 if curved else 0) for curved, places in strokes_of(code)]
    if chance(rng, 0.4):
        for line in list(lines):
            ends = [end for end in (line[0], line[-1]) if end[1] in (0.0, 1.0)]
            lines += [end + SERIF for end in ends]
    return lines


def letter(rng: np.random.Generator) -> list[Line]:
    """One letter, mostly by hand."""
    names = [name for name in LETTERS if name not in SIMPLE or chance(rng, 0.35)]
    code = LETTERS[names[int(rng.integers(len(names)))]]
    return printed(rng, code) if chance(rng, 0.15) else handwritten(rng, code)


def word(rng: np.random.Generator) -> list[Line]:
    """Some letters side by side."""
    lines: list[Line] = []
    for place, name in enumerate(spelled(rng, int(rng.integers(3, 9)))):
        lines += [line * (0.8, 1) + (place, 0) for line in small_letter(rng, name)]
    return lines


def small_letter(rng: np.random.Generator, name: str) -> list[Line]:
    """One of those that words are spelled with."""
    return handwritten(rng, LIKE_DIGITS.get(name) or LETTERS[name])


def spelled(rng: np.random.Generator, count: int) -> str:
    """As many letters as asked for, at least one of which does not look like a digit."""
    weights = np.array(list(FREQUENCIES.values()))
    while True:
        text = "".join(rng.choice(list(FREQUENCIES), count, p=weights / weights.sum()))
        if any(name not in LIKE_DIGITS for name in text):
            return text


def sign(rng: np.random.Generator) -> list[Line]:
    """One sign."""
    names = list(SIGNS)
    return handwritten(rng, SIGNS[names[int(rng.integers(len(names)))]])


def round_bracket(rng: np.random.Generator) -> list[Line]:
    """One that opens or one that closes."""
    return handwritten(rng, ROUND_BRACKETS[int(rng.integers(2))])


def slash(rng: np.random.Generator) -> list[Line]:
    """A stroke from the lower left to the upper right."""
    return handwritten(rng, SLASH)


def typed(rng: np.random.Generator, text: str, height: float, thickness: float) -> NDArray[np.float32]:
    """Printed text, cut tight: coverage 0..1, `height` pixels tall, of some font of lines."""
    font = HERSHEY[int(rng.integers(len(HERSHEY)))] | (cv2.FONT_ITALIC if chance(rng, 0.2) else 0)
    line = max(1, round(thickness * 40 / max(height, 8.0)))
    (width, tall), below = cv2.getTextSize(text, font, 2.0, line)
    page = np.zeros((tall + below + 60, width + 60), np.uint8)
    cv2.putText(page, text, (30, tall + 30), font, 2.0, 255, line, cv2.LINE_AA)
    rows, columns = np.flatnonzero(page.any(axis=1)), np.flatnonzero(page.any(axis=0))
    tight = page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = (max(3, round(tight.shape[1] * height / tight.shape[0])), max(3, round(height)))
    return floats(cv2.resize(tight, size, interpolation=cv2.INTER_AREA)) / np.float32(255)


def turned(rng: np.random.Generator, cover: NDArray[np.float32], angle: float, at: NDArray[np.float64]) -> Mark:
    """A picture of ink laid about a place, turned by an angle, its lines bent a little."""
    height, width = cover.shape
    cos, sin = np.cos(angle), np.sin(angle)
    shear = pick(rng, -0.25, 0.25)
    matrix = np.array(((cos, -sin + shear * cos), (sin, cos + shear * sin)))
    corners = (np.array(((0, 0), (width, 0), (0, height), (width, height))) - (width / 2, height / 2)) @ matrix.T + at
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    move = at - matrix @ (width / 2, height / 2) - (left, top)
    full = np.concatenate((matrix, move[:, None]), 1)
    warped = cv2.warpAffine(cover, full, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    return Mark(floats(warped), int(left), int(top))
