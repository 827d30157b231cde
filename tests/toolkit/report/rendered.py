"""Reports, rendered once for all tests."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install '.[report]'")
pytest.importorskip("jinja2", reason="needs Jinja2: pip install '.[report]'")

from tests.toolkit.report import samples
from toolkit.report.compose import compose, wanted_images
from toolkit.report.document import Document
from toolkit.report.html import render_html
from toolkit.report.result import Report

NAMES = tuple(make.__name__ for make in samples.ALL)


@cache
def report_of(name: str) -> Report:
    made: Report = getattr(samples, name)()
    return made


@cache
def document_of(name: str) -> Document:
    return compose(report_of(name))


@cache
def page_of(name: str) -> str:
    """Every second picture is missing."""
    images = wanted_images(report_of(name))
    return render_html(document_of(name), {image: picture(image) for image in images[::2]})


def picture(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    return bytes(cv2.imencode(".png", noise)[1])
