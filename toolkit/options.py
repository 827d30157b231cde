"""Options that several commands share: one decorator each, so that they read and behave alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
# Only names: importing the backends for them would load numpy for every --help.
BACKEND_NAMES = ("openvino", "onnxruntime")


def combine(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several decorators as one, the first one outermost."""
    return lambda function: reduce(lambda inner, decorate: decorate(inner), reversed(decorators), function)


threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads.  [default: every core this process may use]"
)
device_option = click.option("--device", metavar="NAME", help="The backend's name of a device.")
cache_option = click.option(
    "--cache-dir", type=FOLDER, help="Keep what OpenVINO compiles here, so that the next start is faster."
)

output_options = combine(
    click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, to standard output."),
    click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
)

engine_options = combine(
    click.option(
        "--backend",
        type=click.Choice(BACKEND_NAMES),
        help="Run the bundle's ONNX model with this.  [default: the bundle's own engine]",
    ),
    device_option,
    threads_option,
    cache_option,
)

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))


class FiniteRange(click.FloatRange):
    """A `FloatRange` without NaN and infinity, which no comparison would refuse."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


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
