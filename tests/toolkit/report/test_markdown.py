"""Markdown: the facts of the HTML file, as GitHub shows them."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from runtime.measure.result import Interval, Ratio
from tests.toolkit.report.rendered import NAMES, document_of, report_of
from tests.toolkit.report.values import HOSTILE
from toolkit.console import printable
from toolkit.report.document import Block, Details, Table
from toolkit.report.markdown import escape, render_markdown, step_summary

READER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
OURS = {"details", "summary", "sup"}  # what is HTML in it


def tables_of(name: str) -> list[Table]:
    def within(blocks: tuple[Block, ...]) -> list[Table]:
        found = [block for block in blocks if isinstance(block, Table)]
        return found + [one for block in blocks if isinstance(block, Details) for one in within(block.blocks)]

    sections = [part for section in document_of(name).sections for part in (section, *section.sections)]
    return [table for section in sections for table in within(section.blocks)]


def plain(rendered: str) -> str:
    """The words of HTML."""
    return html.unescape(re.sub(r"<[^>]+>", "", rendered))


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_the_page_is_there_cell_by_cell(name: str) -> None:
    rendered = READER.render(render_markdown(document_of(name)))
    found = re.findall(r"<table>(.*?)</table>", rendered, re.DOTALL)
    wanted = tables_of(name)
    assert len(found) == len(wanted) > 0
    for text, table in zip(found, wanted, strict=True):
        rows = [
            re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
        ]
        assert [len(row) for row in rows[1:]] == [len(table.columns)] * len(table.rows)
        for row, cells in zip(rows[1:], table.rows, strict=True):
            for shown, cell in zip(row, cells, strict=True):
                expected = (
                    f"- {table.reasons.index(cell.missing) + 1}" if cell.missing else printable(cell.text).strip()
                )
                assert plain(shown).startswith(expected)


def test_hostile_names_are_shown_as_they_are() -> None:
    for text in (render_markdown(document_of("hostile")), step_summary(report_of("hostile"))):
        rendered = READER.render(text)
        tags = set(re.findall(r"</?([a-z]+[0-9]?)", rendered))
        assert tags <= OURS | {"h1", "h2", "h3", "p", "ul", "li", "strong", "blockquote"} | {
            "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
        assert f"{printable(HOSTILE)}: 2 engines measured" in plain(rendered)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("__0__")
@example("a__b__ _c_d")
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    shown = plain(READER.render(f"x {escape(text)}"))
    assert re.sub(r"\s+", " ", shown).strip() == re.sub(r"\s+", " ", f"x {printable(text)}").strip()


@pytest.mark.parametrize(
    "text", ["- a", "1. a", "+ a", "# a", "> a", "12) a", "---", "a@b", "https://x", "www.x", "#12"]
)
def test_nothing_becomes_a_list_a_heading_or_a_link(text: str) -> None:
    rendered = READER.render(escape(text))
    assert rendered.startswith("<p>") or text == "---"
    assert plain(rendered).strip() == text or text == "---"
    assert "@" not in escape(text) and "://" not in escape(text)


def test_the_summary_of_a_step_is_short_and_says_what_decides() -> None:
    report = report_of("four")
    text = step_summary(report)
    assert len(text) < 6000 < len(render_markdown(document_of("four")))
    assert report.recommendation.text in plain(READER.render(text))
    assert "5 of 12 are missed." in text
    assert "| 3 lenet-int8-openvino | int8 | openvino | 0.118 (0.116 to 0.120) |" in text


def test_what_makes_figures_doubtful_is_quoted_in_front() -> None:
    text = step_summary(report_of("many"))
    assert text.index("> Take these figures with care:") < text.index("**Engines side by side**")


def test_pictures_are_told_in_words() -> None:
    assert "- **Latency distribution**: lenet-fp32-onnxruntime: median 0.412 ms" in render_markdown(document_of("four"))


def test_a_difference_within_noise_is_called_so() -> None:
    """The second of two engines, whose interval holds 1."""
    report = report_of("four")
    second = report.engines[1]
    assert second.performance is not None
    single = replace(second.performance.single, ratio=Ratio(1.01, Interval(0.98, 1.04), within_noise=True))
    near = replace(second, performance=replace(second.performance, single=single))
    text = step_summary(replace(report, engines=(report.engines[0], near)))
    assert "| 1.010 (0.980 to 1.040, within noise) |" in text
