"""What people see: tables that fit the terminal, and text that its encoding may not have."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from msgspec import Struct
from rich.console import Console

from tests.command import ROOT, toolkit
from toolkit.comparison.show import percent
from toolkit.console import print_json, print_table
from toolkit.progress import BarProgress

COLUMNS = ["name", "threads", ">p50 ms", ">p99 ms", ">images a second", ">energy"]
ROWS = [
    ["lenet-int8-of-a-long-name", "2", "0.05094", "0.1135", "9,854.25", "0.1"],
    ["b", "2", "1.5", "22.75", "3", "-"],
]
NUMBERS = [cell for row in ROWS for cell in row[2:]]


def table(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setattr("toolkit.console.console", lambda stderr: Console(width=width, highlight=False))
    print_table("latency", COLUMNS, ROWS)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [150, 80, 70, 60, 50, 40, 20])
def test_no_number_is_broken_however_narrow_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table(width, monkeypatch, capsys)
    words = " ".join(lines).split()
    assert Counter(NUMBERS) <= Counter(words)
    if width >= 70:
        assert max(map(len, lines)) <= width
        assert any(line.startswith(" name ") for line in lines[:5])


@pytest.mark.parametrize("numbers", [5, 7])
def test_neither_numbers_nor_short_words_are_broken_at_any_width(
    numbers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, row = ["net", *(f">p{n}" for n in range(numbers))], ["fp32", *(f"{n}.234" for n in range(numbers))]
    for width in range(10, 90):
        monkeypatch.setattr(
            "toolkit.console.console", lambda stderr, width=width: Console(width=width, highlight=False)
        )
        print_table("latency", columns, [row])
        words = capsys.readouterr().out.split()
        assert set(words) >= {"net", *row}, width


def test_a_table_too_wide_for_the_terminal_is_a_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table(30, monkeypatch, capsys)[:5] == [
        "latency",
        "",
        "name             lenet-int8-of-a-long-name",
        "threads          2",
        "p50 ms           0.05094",
    ]
    print_table("layers", [">a", ">b", ">c", "why not"], [["1234567.5", "1234567.5", "1234567.5", ""]])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:-1]] == ["a", "b", "c"]


@pytest.mark.parametrize("width", [12, 80])
def test_a_title_is_shown_as_it_is(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders may be called so; Rich would take them for markup, and fail for the second."""
    monkeypatch.setattr("toolkit.console.console", lambda stderr: Console(width=width, highlight=False))
    print_table("a[old] b[/x] \x1bc", ["name", ">p50"], [["lenet", "1234.5"]])
    assert capsys.readouterr().out.split()[:3] == ["a[old]", "b[/x]", "\\x1bc"]


def test_a_stage_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        "toolkit.console.console", lambda stderr: Console(stderr=True, width=80, force_terminal=True, highlight=False)
    )
    with BarProgress().stage("check a[old] b[/x]", 1) as stage:
        stage.advance()
    assert "check a[old] b[/x]" in capsys.readouterr().err


def test_a_table_without_rows_is_its_title(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("toolkit.console.console", lambda stderr: Console(width=12, highlight=False))
    print_table("latency", COLUMNS, [])
    assert capsys.readouterr().out.strip() == "latency"


class Told(Struct):
    name: str
    files: dict[str, tuple[str, ...]]


def test_json_has_names_that_are_no_utf_8_as_well_as_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Told("z\udce4hler ä", {"a\udcff": ("b\udcff", "c")}))
    assert json.loads(capsys.readouterr().out) == {"name": "z?hler ä", "files": {"a?": ["b?", "c"]}}


def test_a_terminal_without_a_letter_gets_its_number(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bündel"
    bundle.symlink_to(tiny_bundle)
    picture = tmp_path / "zähler.png"
    picture.write_bytes((ROOT / "examples/digits/3-dark-on-light.png").read_bytes())
    done = toolkit("classify", bundle, picture, cwd=tmp_path, fresh=True, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"z\xe4hler.png" in done.stdout
    printed = toolkit("verify", bundle, "--json", cwd=tmp_path, fresh=True, PYTHONIOENCODING="latin-1")
    assert "bündel" in json.dumps(json.loads(printed.stdout), ensure_ascii=False)


@pytest.mark.parametrize(
    ("value", "text"), [(99.7, "100"), (100, "100"), (12.3, "12"), (9.87, "9.9"), (0.0123, "0.012")]
)
def test_shares_have_no_exponent(value: float, text: str) -> None:
    assert percent(value) == text
