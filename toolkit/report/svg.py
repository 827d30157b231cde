"""Matplotlib's figures as SVG that stands inside a page.

Colours follow the page (light, dark, print), words stay words in the page's own font, the same figure gives the same
bytes, and who does not see it is told its figures.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib

matplotlib.use("Agg")  # needs no display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toolkit.console import printable
from toolkit.report.palette import INK, LINE, PALETTE, QUIET

WIDTH = 400.0  # of a picture, in units of which one is a pixel on a page of that width
UNIT = 72.0  # of these make one of Matplotlib's inches
SMALL, MEDIUM = 10.0, 11.0  # letters; on a phone they are shown at four fifths
HREF = "{http://www.w3.org/1999/xlink}href"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may have a $ in it
    "font.size": SMALL,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": SMALL,
    "axes.titlecolor": INK,
    "axes.titlesize": MEDIUM,
    "axes.titlepad": 4.0,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
}


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """The style of all pictures; `name` is what their inner names are made from."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the page's font may have what Matplotlib's has not
        yield


def new_figure(height: float) -> Figure:
    """An empty figure of the width of all, and a height in the same units."""
    return Figure(figsize=(WIDTH / UNIT, height / UNIT), dpi=UNIT, layout="constrained")


def settle(figure: Figure) -> None:
    """Lay out for good, so that places are known and nothing that is added moves them."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def limits(axes: Axes, low: float, high: float, least: float = 0.0) -> None:
    """Let the y axis hold what is between, with some air, and not less than `least` of it."""
    spare = max(least - (high - low), 0.0) / 2
    air = 0.08 * max(high - low, least)
    axes.set_ylim(low - spare - air, high + spare + air)


def to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `svg` element.

    Args:
        figure: drawn inside `drawing(name)`.
        name: letters, digits and dashes; another for every picture of a report.
        title: what it is.
        description: what it shows, with the figures, for those who do not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    name = f"picture-{name}"
    tidy(root)
    rename(root, name)
    for text, tag in ((description, "desc"), (title, "title")):
        child = Element(tag, {"id": f"{name}-{tag}"})
        child.text = printable(text)
        root.insert(0, child)
    labelled = {"role": "img", "aria-labelledby": f"{name}-title", "aria-describedby": f"{name}-desc"}
    root.attrib = {"viewBox": root.attrib["viewBox"], **labelled}
    return ElementTree.tostring(root, encoding="unicode").strip()


def tidy(root: Element) -> None:
    """Take out what says nothing, and let the page's style sheet decide on colours and letters."""
    for element in list(root.iter()):
        element.tag = element.tag.rpartition("}")[2]
        for child in list(element):
            if child.tag.endswith(("metadata", "style")):  # a style would hold for the whole page
                element.remove(child)
        if element.tag != "text":
            element.text = None
        element.tail = None
        if HREF in element.attrib:
            element.attrib["href"] = element.attrib.pop(HREF)
        if element.attrib.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        for key in ("d", "x", "y", "transform"):
            if key in element.attrib:
                element.attrib[key] = shorter(element.attrib[key])
        if "style" in element.attrib:
            element.attrib["style"] = page_style(element.attrib["style"])
    for element in list(root.iter()):
        for child in list(element):
            if child.tag == "path" and child.attrib.get("style") == "fill: none":  # the background, left out
                element.remove(child)


def shorter(text: str) -> str:
    """Numbers to a hundredth of a unit, and no line breaks."""
    rounded = re.sub(r"-?\d+\.\d{3,}(e-?\d+)?", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), text)
    return re.sub(r"\s*\n", "", rounded).strip()


def page_style(style: str) -> str:
    """Custom properties in place of sentinels, and no font."""
    for colour in PALETTE:
        style = style.replace(colour.sentinel, f"var(--{colour.name})")
    return re.sub(r"font-family:[^;]*;?\s*", "", style)


def rename(root: Element, name: str) -> None:
    """Names that are unique in the page for what is referred to, and none for the rest."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = dict.fromkeys(re.findall(r'(?:url\(|href=")#([\w.-]+)', text))
    new = {old: f"{name}-{index}" for index, old in enumerate(used)}
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity in new:
            element.attrib["id"] = new[identity]
        for key, value in element.attrib.items():
            if "#" in value:
                element.attrib[key] = re.sub(
                    r"(^|url\()#([\w.-]+)", lambda match: f"{match[1]}#{new.get(match[2], match[2])}", value
                )
