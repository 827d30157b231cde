"""What an entry of the zoo is. Imports no PyTorch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, structs

from runtime.errors import OptionError, WeightsError
from runtime.spec import ModelSpec
from toolkit.recipe import Recipe
from toolkit.zoo.card import Card, read_card

if TYPE_CHECKING:
    from torch import nn


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be chosen of a model, each with its default. A family of models adds its own fields."""


@dataclass(frozen=True)
class ZooModel:
    """One model.

    Attributes:
        name: for the command line.
        options: of its family.
        make_module: from options to the untrained nn.Module. This is what imports PyTorch.
        make_spec: from name and options to what the model takes and gives.
        recipe: how it is trained.
        weights: the safetensors file that it has; None where none ships.
        data: a folder with images to calibrate and to evaluate with, or None.
        downloads: addresses of weights that others publish, by the name that `--weights` takes.
        asked: names of options that were chosen by `with_options`.
        given_spec: what the weights say that the model takes and gives; None takes `make_spec`.
    """

    name: str
    options: Options
    make_module: Callable[[Any], nn.Module]
    make_spec: Callable[[str, Any], ModelSpec]
    recipe: Recipe
    weights: Path | None = None
    data: Path | None = None
    downloads: Mapping[str, str] = field(default_factory=dict)
    given_spec: ModelSpec | None = None
    asked: frozenset[str] = frozenset()

    @property
    def spec(self) -> ModelSpec:
        """What it takes and gives."""
        return self.given_spec or self.make_spec(self.name, self.options)

    @property
    def card(self) -> Card:
        """What a file of its weights says of itself."""
        return Card(self.name, structs.asdict(self.options), self.spec)

    def make(self) -> nn.Module:
        """The untrained module, by PyTorch's random generator."""
        return self.make_module(self.options)

    @property
    def origin(self) -> str:
        """For people."""
        return "the zoo"

    @property
    def random(self) -> bool:
        """Whether it has no weights, so that random ones are made."""
        return self.weights is None

    def with_options(self, given: Mapping[str, object]) -> ZooModel:
        """The same family with other options; weights stay behind where something changes, images where classes do.

        Args:
            given: values by name of the option, as their type or as text: numbers with commas between them for several.

        Raises:
            OptionError: no such option, or not such a value.
        """
        known = structs.asdict(self.options)
        for name in given:
            if name not in known:
                raise OptionError(f"{self.name} has no option '{name}'", f"it has: {', '.join(known) or 'none'}")
        values = {
            name: value.split(",") if isinstance(value, str) and isinstance(known[name], tuple) else value
            for name, value in given.items()
        }
        try:
            options = msgspec.convert({**known, **values}, type(self.options), strict=False)
        except msgspec.ValidationError as error:
            found = re.search(r"\$\.(\w+)", str(error))
            if found is None:
                raise OptionError(
                    f"{self.name} cannot be made so: {error}", f"its options are: {self.describe()}"
                ) from error
            name = found[1]
            hint = f"{name} is {possible_values(type(self.options), name)}"
            raise OptionError(f"{self.name} cannot have {name}={given[name]!s:.100}", hint) from error
        asked = self.asked | given.keys()
        if options == self.options:
            return replace(self, asked=asked)
        made = replace(self, options=options, asked=asked, weights=None, given_spec=None)
        return replace(made, data=self.data_for(made.spec))

    def with_weights(self, path: Path) -> ZooModel:
        """The same model with a file's weights, and with the options and the spec that the file's card names.

        Raises:
            WeightsError: the file cannot be read, or its card names another model or has no place here.
        """
        card = read_card(path)
        if card is None:
            return replace(self, weights=path)
        if card.model != self.name:
            raise WeightsError(
                f"the weights {path} are of {card.model}, not of {self.name}", "name the model they are of"
            )
        theirs = ", ".join(f"{name}={value}" for name, value in card.options.items())
        try:
            model = replace(self.with_options(card.options), asked=self.asked)
        except OptionError as error:
            raise WeightsError(
                f"the weights {path} do not fit: {error}", "train them again with this version"
            ) from error
        if any(getattr(self.options, name) != getattr(model.options, name) for name in self.asked):
            raise WeightsError(
                f"the weights {path} are of {self.name} with {theirs}; that is not what --set asks for",
                "leave --set out: the file knows its options",
            )
        if card.spec.name != self.name:
            raise WeightsError(
                f"the weights {path} call their model {card.spec.name!r:.100}, and it is {self.name}",
                "the file was changed by hand: train the weights again",
            )
        if card.spec.inputs != model.spec.inputs or card.spec.output != model.spec.output:
            raise WeightsError(
                f"the weights {path} are for images {card.spec.image_shape} and {card.spec.classes} classes; "
                f"{self.name} with their options takes {model.spec.image_shape} and gives {model.spec.classes}",
                "the file was changed by hand: train the weights again",
            )
        return replace(model, weights=path, data=self.data_for(card.spec), given_spec=card.spec)

    def data_for(self, spec: ModelSpec) -> Path | None:
        """The model's own images, where they are of the same classes."""
        return self.data if spec.labels == self.spec.labels else None

    def describe(self) -> str:
        """`name=value` of each option."""
        return ", ".join(
            f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
            for name, value in structs.asdict(self.options).items()
        )


def possible_values(options: type[Options], name: str) -> str:
    """What an option may be, for people."""
    schema = msgspec.json.schema(options)["$defs"][options.__name__]["properties"][name]
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema["type"] == "boolean":
        return "true or false"
    if schema["type"] == "array":
        return f"{schema['minItems']} numbers with commas between them, each {number_of(schema['prefixItems'][0])}"
    return number_of(schema)


def number_of(schema: Mapping[str, Any]) -> str:
    """The numbers that a JSON schema takes, for people."""
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    if schema.get("multipleOf") == 2:
        kind = "an even number"
    largest = schema["maximum"] if "maximum" in schema else f"below {schema['exclusiveMaximum']}"
    return f"{kind} from {schema['minimum']} to {largest}"
