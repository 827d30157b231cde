"""A report as one HTML file, complete in itself: no script, nothing that is loaded from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from toolkit.console import printable
from toolkit.report.document import Document
from toolkit.report.palette import PALETTE, engine_colour

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_html(document: Document, thumbnails: Mapping[int, bytes] | None = None) -> str:
    """The page.

    Args:
        document: the report, composed.
        thumbnails: PNG files of images of the set by their index, for those that `wanted_images` names; a gallery says
            what is missing in words.
    """
    pictures = {
        image: f"data:image/png;base64,{b64encode(data).decode()}" for image, data in (thumbnails or {}).items()
    }
    template = make_environment().get_template("report.html")
    return template.render(document=document, pictures=pictures, policy=POLICY, palette=PALETTE)


def make_environment() -> Environment:
    """Templates in which every value is escaped."""
    environment = Environment(
        loader=PackageLoader("toolkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    environment.filters["drawn"] = Markup  # an `svg` element, whose texts are escaped
    environment.globals["colour_of"] = lambda index: engine_colour(index).name
    return environment


def visible(value: Any) -> Any:
    """Text without control characters, and without those that turn its direction."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)
