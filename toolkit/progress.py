"""How far longer work is, for people: bars on a terminal, lines elsewhere, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from runtime.progress import Progress, Stage
from toolkit import board, stopping
from toolkit.console import console

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

REDRAW_S = 0.1


def make_progress() -> Progress:
    """Bars on a terminal, plain lines elsewhere, both on standard error."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class LineProgress:
    """A line when a stage ends, with its seconds; notes as they come."""

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        stopping.check()
        start = time.perf_counter()
        with board.saying("stage", name):
            yield LineStage(name)
        click.echo(f"{name}: {time.perf_counter() - start:.1f} s", err=True)


class LineStage:
    """A stage of `LineProgress`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def advance(self, n: int = 1) -> bool:
        return True

    def note(self, text: str) -> None:
        click.echo(f"  {self.name}: {text}", err=True)


class BarProgress:
    """A bar for each stage that is open, and a line for each that is done.

    The bars are drawn when a stage begins or advances, never by a thread of their own: that would show up in the
    latencies that are being measured.
    """

    def __init__(self) -> None:
        self.bars: Bars | None = None

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars
        from rich.text import Text

        stopping.check()
        outermost = self.bars is None
        if self.bars is None:
            columns = (BarColumn(bar_width=30), TaskProgressColumn(), TimeRemainingColumn(compact=True))
            self.bars = Bars(
                TextColumn("{task.description}", markup=False),
                *columns,
                console=console(stderr=True),
                transient=True,
                auto_refresh=False,
            )
            self.bars.start()
        bars, start = self.bars, time.perf_counter()
        task = bars.add_task(name, total=total)
        bars.refresh()
        try:
            with board.saying("stage", name):
                yield BarStage(bars, task, name)
            took = f"{time.perf_counter() - start:.1f} s"
            bars.console.print(Text.assemble(("done", "green"), f" {name} ", (took, "dim")))
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self.bars = None


class BarStage:
    """A stage of `BarProgress`."""

    def __init__(self, bars: Bars, task: TaskID, name: str) -> None:
        self.bars, self.task, self.name = bars, task, name
        self.drawn = time.perf_counter()

    def advance(self, n: int = 1) -> bool:
        self.bars.advance(self.task, n)
        if time.perf_counter() - self.drawn > REDRAW_S:
            self.bars.refresh()
            self.drawn = time.perf_counter()
        return True

    def live(self, text: str) -> None:
        """Show what changes all the time beside the name; it is drawn with the next advance."""
        self.bars.update(self.task, description=f"{self.name}: {text}")

    def note(self, text: str) -> None:
        self.bars.console.print(f"  {self.name}: {text}", markup=False, highlight=False)
