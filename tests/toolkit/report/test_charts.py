"""Pictures: what they say in words, that they follow the page, and that nothing in them overlaps or collides."""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.toolkit.report.rendered import NAMES, document_of, report_of
from tests.toolkit.report.values import HOSTILE
from toolkit.console import printable
from toolkit.report.charts import Chart, draw_batches, draw_latency, draw_rounds, spread
from toolkit.report.charts_accuracy import draw_confusion, draw_front, draw_layers, draw_reliability
from toolkit.report.document import Block, Details, Pictures
from toolkit.report.palette import ENGINES, NAMED, PALETTE


@cache
def charts_of(name: str) -> dict[str, Chart]:
    def within(blocks: tuple[Block, ...]) -> list[Chart]:
        found = [chart for block in blocks if isinstance(block, Pictures) for chart in block.charts]
        return found + [one for block in blocks if isinstance(block, Details) for one in within(block.blocks)]

    sections = [part for section in document_of(name).sections for part in (section, *section.sections)]
    return {chart.name: chart for section in sections for chart in within(section.blocks)}


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_follows_the_page(name: str) -> None:
    for chart in charts_of(name).values():
        root = ElementTree.fromstring(chart.svg)
        assert root.tag == "svg" and root.attrib["role"] == "img"
        assert "width" not in root.attrib and re.fullmatch(r"0 0 400 [\d.]+", root.attrib["viewBox"])
        assert not list(root.iter("style")) and not list(root.iter("metadata"))
        styles = ";".join(element.attrib.get("style", "") for element in root.iter())
        colours = set(re.findall(r"(?:fill|stroke): ?([^;]+)", styles))
        assert colours <= {"none", *(f"var(--{colour.name})" for colour in PALETTE)}
        assert "font-family" not in styles


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_told_in_words(name: str) -> None:
    for chart in charts_of(name).values():
        title, description = list(ElementTree.fromstring(chart.svg))[:2]
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text == printable(chart.title) and description.text == printable(chart.description)
        assert re.search(r"\d", chart.description)


def test_every_picture_is_drawn_of_what_was_measured() -> None:
    """Confusion of few classes is a table, of very many nothing."""
    drawn = {"front", "latency", "rounds", "batches", "layers", "reliability"}
    assert set(charts_of("four")) == drawn
    assert set(charts_of("thousand")) == drawn
    assert set(charts_of("hundred")) == (drawn - {"batches", "layers"}) | {"confusion-1"}
    assert set(charts_of("alone")) == {"latency", "rounds", "layers"}
    assert set(charts_of("unlabelled")) == {"latency", "rounds", "batches", "layers"}
    nothing = report_of("nothing")
    for draw in (draw_front, draw_latency, draw_rounds, draw_batches, draw_layers, draw_reliability):
        assert draw(nothing) is None


def test_a_percentile_that_is_not_known_is_left_out_of_the_words() -> None:
    report = report_of("alone")
    one = report.engines[0]
    assert one.performance is not None
    single = one.performance.single
    few = replace(single, times=replace(single.times, p99=None, p99_interval=None))
    chart = draw_latency(replace(report, engines=(replace(one, performance=replace(one.performance, single=few)),)))
    assert chart and re.search(r"median [\d.]+ ms, longest [\d.]+ ms\.$", chart.description)


def test_words_tell_the_figures() -> None:
    charts = charts_of("four")
    assert "lenet-int8-openvino: median 0.118 ms, p99 0.165 ms, longest 0.649 ms." in charts["latency"].description
    front = "lenet-int8-openvino: top-1 98.89 (98.66 to 99.08) % at 0.118 (0.116 to 0.120) ms, on the Pareto front."
    assert front in charts["front"].description
    assert "at most 16,269, at batch 32" in charts["batches"].description


def test_letters_stay_letters_whatever_they_are() -> None:
    words = [element.text or "" for element in ElementTree.fromstring(charts_of("four")["latency"].svg).iter("text")]
    assert "2 lenet-fp32-openvino" in [re.sub(" +", " ", word) for word in words]
    assert HOSTILE[:8] in charts_of("hostile")["latency"].description


def test_a_map_of_confusion_counts_what_it_shows() -> None:
    engine = report_of("hundred").engines[0]
    assert engine.accuracy is not None
    chart = draw_confusion(1, engine, engine.accuracy)
    assert chart == charts_of("hundred")["confusion-1"]
    right = sum(row[index] for index, row in enumerate(engine.accuracy.confusion))
    assert f"{right:,} of 50,000 images on the diagonal" in chart.description


@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300)), max_size=12))
def test_numbers_that_are_near_each_other_move_apart(points: list[tuple[float, float]]) -> None:
    heights = spread(points, gap=11, near=16)
    for one, (x, y) in enumerate(points):
        assert heights[one] >= y
        for other in range(one):
            if abs(points[other][0] - x) < 16:
                assert abs(heights[other] - heights[one]) >= 11 - 1e-6


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    pairs = ((int(one[index : index + 2], 16), int(other[index : index + 2], 16)) for index in (1, 3, 5))
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_from_the_paper(scheme: str) -> None:
    """By WCAG 2: words by 4.5, lines by 3."""
    shown = {colour.name: getattr(colour, scheme) for colour in PALETTE}
    for name in ("ink", "quiet", "link", "good", "bad"):
        assert min(contrast(shown[name], shown[back]) for back in ("paper", "shade")) >= 4.5, name
    for engine in ENGINES:
        assert contrast(shown[engine.name], shown["paper"]) >= 3, engine.name
    for name, most in (("bad", 0.40), ("good", 0.22)):  # behind numbers of a confusion matrix
        assert contrast(mixed(shown[name], shown["paper"], most), shown["ink"]) >= 4.5
    assert len(set(NAMED)) == len({colour.sentinel for colour in PALETTE}) == len(PALETTE)
