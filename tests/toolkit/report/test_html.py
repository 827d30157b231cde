"""The HTML file: complete in itself, well formed, and harmless whatever names are."""

from __future__ import annotations

import base64
import re
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from tests.toolkit.report.rendered import NAMES, page_of, picture, report_of
from tests.toolkit.report.samples import alone
from tests.toolkit.report.values import HOSTILE
from toolkit.console import printable
from toolkit.report.compose import compose, wanted_images
from toolkit.report.html import POLICY, render_html

VOID = {"meta", "img", "link", "br"}
ROOT = Path(__file__).parents[3]


class Page(HTMLParser):
    """A page's elements in order, with the words between them; fails where one is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.words.append(data.strip())
            self.inside.setdefault(self.open[-1], []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_well_formed_and_its_names_agree(name: str) -> None:
    page = Page(page_of(name))
    identities = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [identity for identity, count in identities.items() if count > 1] == []
    for _, attributes in page.elements:
        wanted = [*attributes.get("aria-labelledby", "").split(), *attributes.get("aria-describedby", "").split()]
        wanted += [attributes["href"][1:]] if "href" in attributes else []
        wanted += re.findall(r"url\(#([^)]+)\)", " ".join(attributes.values()))
        assert [one for one in wanted if one not in identities] == []


@pytest.mark.parametrize("name", NAMES)
def test_headings_come_in_order_and_tables_have_heads(name: str) -> None:
    page = Page(page_of(name))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(level <= before + 1 for before, level in zip([0, *levels], levels, strict=False))
    assert len(page.all("caption")) == len(page.all("table")) > 0
    assert {attributes.get("scope") for attributes in page.all("th")} == {"col", "row"}
    captions = [attributes["aria-label"] for attributes in page.all("div") if attributes.get("class") == "scroll"]
    assert len(captions) == len(set(captions)) == len(page.all("table"))
    assert page.all("html") == [{"lang": "en"}]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_run_and_nothing_is_loaded(name: str) -> None:
    text = page_of(name)
    page = Page(text)
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in page.all("meta")
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key == "srcset"]
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert not re.search(r"url\((?!#)", attributes.get("style", ""))
    css = "".join(page.inside["style"])
    assert "url(" not in css and "@import" not in css


def test_hostile_names_are_shown_as_they_are() -> None:
    page = Page(page_of("hostile"))
    shown = printable(HOSTILE)
    assert page.inside["title"][0] == f"{shown}: 2 engines measured"
    for tag in ("h1", "h3", "th", "li", "text", "dd"):  # `text`: of a picture
        assert "<script" in " ".join(page.inside[tag]), tag
    assert "\u202e" not in page_of("hostile") and "\x1b" not in page_of("hostile") and "\0" not in page_of("hostile")


def test_sections_come_in_order() -> None:
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page_of("four"))
    assert titles == [
        "Summary",
        "Gates",
        "Pictures",
        "Times and throughput",
        "Accuracy in detail",
        "Images that changed",
        "Layers",
        "Conditions",
        "Against an earlier report",
        "Environment",
        "How it was measured",
    ]


def test_the_recommendation_comes_first_and_what_makes_it_doubtful_next() -> None:
    words = Page(page_of("many")).words
    report = report_of("many")
    first = words.index(report.recommendation.text)
    warnings = [words.index(text) for text in (*report.conditions.warnings, *report.warnings)]
    assert first < min(warnings) and max(warnings) < words.index("Summary")


def test_a_missing_value_is_a_dash_with_the_reason_below() -> None:
    text = page_of("unlabelled")
    row = text[text.index(">3 lenet-trt</th>") :]
    dash = re.search(r"&ndash;<sup>(\d+)</sup>", row)
    assert dash
    assert f"<sup>{dash[1]}</sup> TensorRT is not installed here" in row


def test_pictures_of_the_gallery_are_in_the_file_with_words_beside_them() -> None:
    page = Page(page_of("four"))
    wanted = wanted_images(report_of("four"))
    sources = {attributes["src"] for attributes in page.all("img")}
    assert sources == {f"data:image/png;base64,{base64.b64encode(picture(i)).decode()}" for i in wanted[::2]}
    alternative = "test/0/0000.png. Right: 0; lenet-fp32-onnxruntime: 0 (0.61); this engine: 3 (0.55)"
    assert alternative in {attributes["alt"] for attributes in page.all("img")}
    assert page.words.count("no picture") == 2 * len(wanted[1::2])


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_html(compose(alone())) == page_of("alone")


def test_templates_ship_with_the_package() -> None:
    names = {file.name for file in (files("toolkit.report") / "templates").iterdir()}
    assert {"report.html", "report.css", "blocks.html"} <= names
    assert '"report/templates/*"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
