"""What options and arguments take: texts of a command line, to values."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


class ModelType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A model of the zoo, or a folder: the text as it is, but a shell completes it."""

    name = "model"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        from toolkit.zoo import ZOO

        folders = CompletionItem(incomplete, type="dir")  # first: bash's script forgets what came before it
        return [folders, *(CompletionItem(name) for name in ZOO if name.startswith(incomplete))]


MODEL = ModelType()


class WeightsType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A file, or the name of weights that can be downloaded: the text as it is, but a shell completes it."""

    name = "file"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        from toolkit.zoo import ZOO

        names = {name for model in ZOO.values() for name in model.downloads if name.startswith(incomplete)}
        return [CompletionItem(incomplete, type="file"), *map(CompletionItem, sorted(names))]


class Settings(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, text = str(value).partition("=")
        if not equals or not name:
            self.fail(f"'{value}' is not NAME=VALUE, such as activation=relu", param, ctx)
        return name.strip().replace("-", "_"), text.strip()


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Numbers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if not numbers or not all(map(math.isfinite, numbers)):
            self.fail(f"'{value}' is not a number for each channel, such as 0.485,0.456,0.406", param, ctx)
        return numbers


class InputSize(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """N, or HEIGHTxWIDTH."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        parts = str(value).lower().split("x")
        if not all(part.isdecimal() and 1 <= int(part) <= 65536 for part in parts) or len(parts) > 2:
            self.fail(
                f"'{value}' is not N or HEIGHTxWIDTH, such as 224 or 224x160, with sides of 1 to 65536", param, ctx
            )
        return (int(parts[0]), int(parts[-1]))


class BatchRangeType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """SMALLEST:BEST:LARGEST, or one number for all three."""

    name = "MIN:OPT:MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from runtime.spec import BatchRange

        if isinstance(value, BatchRange):
            return value
        parts = str(value).split(":")
        try:
            numbers = [int(part) for part in parts] * (3 if len(parts) == 1 else 1)
            if len(numbers) != 3 or not 1 <= numbers[0] <= numbers[1] <= numbers[2] <= 65536:
                raise ValueError
            return BatchRange(*numbers)
        except ValueError:
            self.fail(f"'{value}' is not MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX <= 65536", param, ctx)


class ImageCount(click.IntRange):
    """A number of images, or `auto`."""

    name = "number or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "auto" else super().convert(value, param, ctx)


class Capabilities(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Compute capabilities with commas between them."""

    name = "capabilities"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        parts = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        if not all(re.fullmatch(r"\d{1,2}\.\d", part, re.ASCII) for part in parts):
            self.fail(f"'{value}' is not a list of compute capabilities, such as 8.6,8.9", param, ctx)
        return parts


class FiniteRange(click.FloatRange):
    """A `FloatRange` without NaN and infinity, which no comparison would refuse."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number
