"""What people see: tables on standard output, progress on standard error, JSON alone where it is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from runtime.progress import Progress, Stage
from runtime.text import plain
from toolkit import board, stopping

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.table import Table

REDRAW_S = 0.1
LEAST_TEXT = 10  # characters of a column of text, that a narrow terminal leaves it
PIPE_WIDTH = 110  # a table that goes to a file is not squeezed into a terminal's 80 columns


def say(text: str = "") -> None:
    """A line for people, to standard output."""
    click.echo(text)


def print_json(value: Any) -> None:
    """One JSON value to standard output, in UTF-8 whatever that is said to have."""
    import msgspec

    click.echo(msgspec.json.format(to_json(value), indent=2))


def print_json_line(value: Any) -> None:
    """One JSON value on a line of its own, at once."""
    click.echo(to_json(value))
    sys.stdout.flush()


def to_json(value: Any) -> bytes:
    """JSON; what is no character, as names of files may hold, becomes `?`."""
    import msgspec

    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(encodable(msgspec.to_builtins(value)))


def encodable(value: Any) -> Any:
    """The same, with texts that can be encoded."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {encodable(key): encodable(one) for key, one in value.items()}
    return [encodable(one) for one in value] if isinstance(value, list | tuple) else value


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, bold: int | None = None, stderr: bool = False
) -> None:
    """A table to standard output.

    Args:
        title: over it.
        columns: headings; one that begins with `>` is right-aligned.
        rows: as many cells each as there are columns.
        bold: the row to point out.
        stderr: print it to standard error.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=any(columns),
    )
    for column in columns:
        align: JustifyMethod = "right" if column.startswith(">") else "left"
        table.add_column(column.removeprefix(">"), justify=align, overflow="fold")  # rather than cut
    for index, row in enumerate(rows):
        table.add_row(*(Text(printable(cell)) for cell in row), style="bold green" if index == bold else "")
    printer = console(stderr=stderr)
    unlimited = printer.options.update(max_width=10_000)
    if printer.measure(table, options=unlimited).maximum > printer.width:
        table.collapse_padding = True
        if not squeeze(table, columns, rows, printer.width):
            print_stacked(title, columns, rows, stderr)
            return
    printer.print(table)


def squeeze(table: Table, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Make columns of numbers as narrow as these are, and let headings and texts be wrapped.

    Returns:
        False where the table is too wide even so.
    """
    least = 2 * len(columns)  # a space before each cell, and one behind
    for column, heading, *cells in zip(table.columns, columns, *rows, strict=True):
        words = [word for text in (heading.removeprefix(">"), *cells) for word in text.split()]
        longest = max(map(len, words), default=0)
        if heading.startswith(">"):
            longest = column.width = max([longest, *map(len, cells)])
        least += min(longest, LEAST_TEXT) if column.width is None else longest
    return least <= width


def print_stacked(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], stderr: bool) -> None:
    """A table that is too wide for the terminal: a line for each cell."""
    headings = [column.removeprefix(">") for column in columns]
    wide = max(map(len, headings))
    blocks = [
        "\n".join(f"{heading:{wide}}  {printable(cell)}" for heading, cell in zip(headings, row, strict=True))
        for row in rows
    ]
    click.echo("\n\n".join([printable(title), *blocks]) + "\n", err=stderr)


def console(*, stderr: bool) -> Console:
    """Rich's console, as wide as the terminal, or wide enough for our tables where there is none."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = max(made.width, PIPE_WIDTH)
    return made


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


def printable(text: str) -> str:
    """Text on one line and without terminal codes, which names of files and classes may hold."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def milliseconds(value: float | None) -> str:
    """A latency with three significant digits or so, in ms."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def size(count: int | None) -> str:
    """Bytes for people; `-` where there is nothing to weigh."""
    if count is None:
        return "-"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB" if count >= 1e3 else f"{count} B"


def points(value: float | None, digits: int = 2) -> str:
    """A percentage or a difference of two; `-` where it was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"
