"""The schemas that ship are those of the types: this loads the types of every command, and torch with them."""

from __future__ import annotations

import json

import pytest

from toolkit.schemas import RESULTS, read_schema
from toolkit.schemas.generate import generate, of_output, parse_docstring


@pytest.mark.parametrize("name", RESULTS)
def test_what_ships_is_what_is_generated(name: str) -> None:
    assert read_schema(name) == generate(name), "make schemas writes them again"


@pytest.mark.parametrize("name", RESULTS)
def test_fields_are_described_and_required_and_others_allowed(name: str) -> None:
    for kind, part in json.loads(read_schema(name))["$defs"].items():
        assert part["description"], kind
        if "properties" in part:
            assert part["required"] == list(part["properties"])
            assert "additionalProperties" not in part
        assert "Attributes:" not in part["description"]


@pytest.mark.parametrize("name", ["build", "bench", "verify", "export", "calibrate", "summary", "train"])
def test_every_figure_says_what_it_is(name: str) -> None:
    definitions = json.loads(read_schema(name))["$defs"]
    figures = {f"{kind}.{name}": it for kind, part in definitions.items() for name, it in part["properties"].items()}
    assert [name for name, it in figures.items() if not it.get("description")] == []


def test_a_docstring_gives_a_description_for_each_attribute() -> None:
    text = """A thing
    of two lines.

    More.

    Attributes:
        a, b: of both,
            and more: of it.
        c: other
    """
    assert parse_docstring(text) == (
        "A thing of two lines. More.",
        {"a": "of both, and more: of it.", "b": "of both, and more: of it.", "c": "other"},
    )
    assert parse_docstring("Only this.") == ("Only this.", {})


def test_an_enumeration_stays_as_it_is() -> None:
    assert of_output({"enum": [1, 2]}) == {"enum": [1, 2]}
