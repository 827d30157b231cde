"""The colours of a report: names for style sheets, light and dark values, and what stands for them in Matplotlib."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.plots import BLUE, GREEN, ORANGE


@dataclass(frozen=True)
class Colour:
    """A colour that follows the page.

    Attributes:
        name: of the CSS custom property, without its dashes.
        light, dark: its values.
        sentinel: what is given to Matplotlib, a colour that nothing else has; `svg` puts the property in its place.
    """

    name: str
    light: str
    dark: str
    sentinel: str


def colours(*rows: tuple[str, str, str]) -> tuple[Colour, ...]:
    """Colours with a sentinel each."""
    return tuple(Colour(name, light, dark, f"#fe01{index:02x}") for index, (name, light, dark) in enumerate(rows))


PALETTE = colours(
    ("paper", "#ffffff", "#15181c"),
    ("ink", "#1b1f24", "#e8eaed"),
    ("quiet", "#59626c", "#a3adb8"),
    ("line", "#d5dae0", "#3a424b"),
    ("shade", "#f3f5f7", "#20252b"),
    ("link", "#005a9c", "#7cc0ff"),
    ("good", "#00694c", "#4fd3a5"),
    ("bad", "#b03a00", "#ffa063"),
    # Engines: the first are told apart by the colour-blind too; numbers beside them tell all.
    ("engine-1", BLUE, "#58b4ea"),
    ("engine-2", ORANGE, "#ff8f45"),
    ("engine-3", GREEN, "#2fc79b"),
    ("engine-4", "#a3447f", "#e59bc8"),
    ("engine-5", "#806000", "#efd95a"),
    ("engine-6", "#4a3fa8", "#b3abff"),
    ("engine-7", "#6b6b6b", "#bdbdbd"),
    ("engine-8", "#7a1f1f", "#ff9a9a"),
)
NAMED = {colour.name: colour for colour in PALETTE}
ENGINES = tuple(colour for colour in PALETTE if colour.name.startswith("engine-"))
INK, QUIET, LINE, GOOD, BAD = (NAMED[name].sentinel for name in ("ink", "quiet", "line", "good", "bad"))


def engine_colour(index: int) -> Colour:
    """That of an engine, counted from 0; they come again after the last."""
    return ENGINES[index % len(ENGINES)]
