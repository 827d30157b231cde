"""The picture of a comparison."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.toolkit.comparison.results import make_comparison, make_layer
from toolkit.comparison.answers import Points
from toolkit.comparison.result import ComparedLayer, Comparison
from toolkit.plots import draw_comparison

LONG = "features.denseblock3.denselayer"
COMPARISONS = {
    "five": make_comparison(*(make_layer(f"fc{index}", 40.0 - index) for index in range(5))),
    "many": make_comparison(*(make_layer(f"{LONG}{index}", 40.0 + index % 7, 50.0) for index in range(120))),
    "equal": make_comparison(make_layer("same", 150.0, 150.0), adds_most_error=None),
    "lost": make_comparison(make_layer("a", 150.0, None), make_layer("$b", -150.0, -150.0), make_layer("c", 20.0)),
    "none": make_comparison(),
}


def drawn(result: Comparison, path: Path) -> np.ndarray:
    points = Points("logits", 64 * 4)
    a = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    points.update(a, a + np.float32(0.1))
    draw_comparison(result, points, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", COMPARISONS)
def test_it_is_a_light_picture_of_its_size(tmp_path: Path, name: str) -> None:
    picture = drawn(COMPARISONS[name], tmp_path / "picture.png")
    assert picture.shape == (660, 1430, 3)
    assert picture.mean() > 200 and picture.min() < 100


def test_points_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    points = Points("logits", 4)
    points.update(np.array([[1, np.nan]], np.float32), np.array([[np.inf, 2]], np.float32))
    layer: ComparedLayer = make_layer("x")
    draw_comparison(make_comparison(layer), points, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").exists()
