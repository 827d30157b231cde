"""Write the JSON Schemas that ship, from the types that commands print: `python -m toolkit.schemas.generate`.

A shipped schema allows fields that it does not name, since a later version may add some. It asks for every field that
it names: msgspec leaves out those with a default, for it describes what is read, and this is what is written.
"""

from __future__ import annotations

import re
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from toolkit.schemas import ARRAYS, LINES, RESULTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ATTRIBUTE = re.compile(r"^    ([\w, ]+): (.+(?:\n {5,}.+)*)", re.MULTILINE)


def main() -> None:
    """Write all files."""
    for command in RESULTS:
        Path(__file__).with_name(f"{command}.json").write_text(generate(command), encoding="utf-8")


def generate(command: str) -> str:
    """The schema of what one command prints."""
    types = [load(name) for name in RESULTS[command]]
    references, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    value = references[0] if len(references) == 1 else {"anyOf": list(references)}
    schema = {
        "$schema": DIALECT,
        "title": f"{'a line of ' if command in LINES else ''}toolkit {command} --json",
        **({"type": "array", "items": value} if command in ARRAYS else value),
        "$defs": {name: of_output(component) for name, component in sorted(components.items())},
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def load(name: str) -> Any:
    """The type that `module:Type` names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def of_output(component: dict[str, Any]) -> dict[str, Any]:
    """The schema of one type as it is written, its docstring's `Attributes:` as descriptions of the properties."""
    if "properties" not in component:
        return component
    text, attributes = parse_docstring(component.get("description", ""))
    properties = {
        name: {
            **{key: part for key, part in value.items() if key != "default"},
            **({"description": attributes[name]} if name in attributes else {}),
        }
        for name, value in component["properties"].items()
    }
    kept = {key: value for key, value in component.items() if key != "additionalProperties"}
    return {**kept, "description": text, "properties": properties, "required": list(properties)}


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What stands above `Attributes:` on one line, and the text of each attribute."""
    above, _, below = cleandoc(text).partition("\nAttributes:\n")
    attributes = {
        name.strip(): " ".join(match[2].split()) for match in ATTRIBUTE.finditer(below) for name in match[1].split(",")
    }
    return " ".join(above.split()), attributes


if __name__ == "__main__":
    main()
