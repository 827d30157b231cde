"""Options of the commands that time engines: what is measured beside one request after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from toolkit.option_types import FiniteRange
from toolkit.options import F, as_one

if TYPE_CHECKING:
    from runtime.measure.run import MeasureOptions

MOST_BATCH = 65536
AUTO = (0,)  # as in runtime.measure.run


class BatchesType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Batch sizes with commas, or `auto`."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        if value == "auto":
            return AUTO
        try:
            sizes = tuple(dict.fromkeys(int(part) for part in str(value).split(",")))
            if not all(1 <= size <= MOST_BATCH for size in sizes):
                raise ValueError
            return sizes
        except ValueError:
            self.fail(f"'{value}' is neither auto nor sizes of 1 to {MOST_BATCH} such as 1,2,4", param, ctx)


batch_option = click.option(
    "--batch", type=click.IntRange(1, MOST_BATCH), default=1, show_default=True, help="Images a call."
)


def seconds_option(default: float) -> Callable[[F], F]:
    """How long each kind of measurement takes."""
    return click.option(
        "--seconds",
        type=FiniteRange(min=0.05),
        default=default,
        show_default=True,
        help="How long to measure each bundle, about; the same again for throughput, each pace and energy.",
    )


def pace_option(default: str = "") -> Callable[[F], F]:
    """Frames a second, as `paces`; `default` is only said."""
    said = f"  [default: {default}]" if default else ""
    return click.option(
        "--pace",
        "paces",
        type=FiniteRange(min=0.1, max=1000),
        multiple=True,
        metavar="FPS",
        help=f"Latency at a camera's pace, too, with sleep between the frames; may be repeated.{said}",
    )


def cold_option(default: int) -> Callable[[F], F]:
    """How many processes to start, as `cold_starts`."""
    return click.option(
        "--cold",
        "cold_starts",
        type=click.IntRange(0, 1000),
        default=default,
        show_default=default > 0,
        metavar="N",
        help="Start N processes for each bundle, too: from the start to the first answer, and their memory.",
    )


def make_options(
    batch: int, seconds: float, batches: tuple[int, ...], paces: tuple[float, ...], cold_starts: int, energy: bool
) -> MeasureOptions:
    """What is timed."""
    from runtime.measure.run import MeasureOptions

    return MeasureOptions(
        seconds=seconds,
        batch=batch,
        batches=batches,
        paces=tuple(dict.fromkeys(paces)),
        cold_starts=cold_starts,
        energy=energy,
    )


measure_options = as_one(
    "measure",
    make_options,
    batch_option,
    seconds_option(2.0),
    click.option(
        "--batches",
        type=BatchesType(),
        default=(),
        metavar="N,N,...|auto",
        help="Throughput at these batch sizes, too; auto: at the powers of two that a bundle serves.",
    ),
    pace_option(),
    cold_option(0),
    click.option(
        "--energy", is_flag=True, help="Energy of an inference, too, where the machine has a sensor that can be read."
    ),
)
