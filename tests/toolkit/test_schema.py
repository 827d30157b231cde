"""`toolkit schema`, and what docs/json.md says of the fields."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError

from tests.command import ROOT, require_documented, strict_validator
from toolkit.cli import COMMANDS
from toolkit.commands.schema import command
from toolkit.schemas import ARRAYS, LINES, RESULTS, read_schema

DOCS = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
ANSWER = {"image": "a.png", "top": [{"index": 3, "label": "3", "probability": 0.5}], "refused": None}


def top_level_fields(name: str) -> set[str]:
    schema = json.loads(read_schema(name))
    value = schema["items"] if name in ARRAYS else schema
    types = [part["$ref"].removeprefix("#/$defs/") for part in value.get("anyOf", [value])]
    return {field for kind in types for field in schema["$defs"][kind]["properties"]}


def test_every_command_that_prints_json_has_a_schema() -> None:
    def prints_json(name: str) -> bool:
        return any("--json" in option.opts for option in import_module(f"toolkit.commands.{name}").command.params)

    assert {name for name in COMMANDS if prints_json(name)} == set(RESULTS)
    assert {path.stem for path in (ROOT / "toolkit" / "schemas").glob("*.json")} == set(RESULTS)
    assert set(ARRAYS) | set(LINES) <= set(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_the_command_prints_what_ships(name: str) -> None:
    done = CliRunner().invoke(command, [name])
    assert (done.exit_code, done.output) == (0, read_schema(name))
    Draft202012Validator.check_schema(json.loads(done.output))


def test_without_a_name_it_lists_them() -> None:
    assert CliRunner().invoke(command, []).output.split() == list(RESULTS)


@pytest.mark.parametrize("name", ["completion", "biuld"])
def test_a_command_without_json_is_wrong_usage(name: str) -> None:
    done = CliRunner().invoke(command, [name])
    assert done.exit_code == 2
    assert "'inspect'" in done.output


@pytest.mark.parametrize("name", RESULTS)
def test_the_docs_name_every_field(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| (.+) \|$", DOCS, re.MULTILINE)
    assert row
    assert top_level_fields(name) - set(re.findall(r"`(\w+)`", row[1])) == set()


def test_the_docs_name_every_schema() -> None:
    (sentence,) = re.findall(r"`toolkit schema COMMAND` prints.+?\n\n", DOCS, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) >= set(RESULTS)


def test_a_later_version_may_print_more_but_a_test_finds_what_is_not_documented() -> None:
    more = {**ANSWER, "surprise": 1}
    Draft202012Validator(json.loads(read_schema("classify"))).validate(more)
    with pytest.raises(ValidationError):
        strict_validator("classify").validate(more)


@pytest.mark.parametrize("wrong", [{"image": "a.png"}, {**ANSWER, "top": None}, {**ANSWER, "refused": "no"}, [ANSWER]])
def test_what_lacks_a_field_or_has_another_type_does_not_pass(wrong: object) -> None:
    assert not Draft202012Validator(json.loads(read_schema("classify"))).is_valid(wrong)


def test_lines_are_held_to_the_schema_one_by_one() -> None:
    lines = [json.dumps(ANSWER), json.dumps({"image": "b.png", "error": "gone", "hint": "look"})]
    require_documented("classify", "\n".join(lines))
    with pytest.raises(ValidationError):
        require_documented("classify", "\n".join([*lines, "{}"]))
