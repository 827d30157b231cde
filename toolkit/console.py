"""What people see: tables and lines on standard output, errors on standard error, JSON alone where it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from runtime.text import plain

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table

    from runtime.errors import ToolkitError

LEAST_TEXT = 10  # characters of a column of text, that a narrow terminal leaves it
PIPE_WIDTH = 110  # a table that goes to a file is not squeezed into a terminal's 80 columns


def say(text: str = "") -> None:
    """A line for people, to standard output."""
    click.echo(text)


def print_error(error: ToolkitError) -> None:
    """Print an error and its remedy to standard error, without the terminal codes that a file's name may hold."""
    for label, color, text in (("error:", "red", error.message), ("hint: ", "cyan", error.hint)):
        lines = [printable(line) for line in text.splitlines()]
        if lines:
            click.echo(f"{click.style(label, fg=color, bold=True)} " + "\n".join(lines), err=True)


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
    """A table that is too wide for the terminal: a line for each cell that holds something."""
    headings = [column.removeprefix(">") for column in columns]
    wide = max(map(len, headings))
    blocks = [
        "\n".join(f"{heading:{wide}}  {printable(cell)}" for heading, cell in zip(headings, row, strict=True) if cell)
        for row in rows
    ]
    click.echo("\n\n".join([printable(title), *blocks]) + "\n", err=stderr)


def console(*, stderr: bool) -> Console:
    """Rich's console, as wide as the terminal, or wide enough for our tables where there is none."""
    from rich.console import Console

    class Told(Console):
        def on_broken_pipe(self) -> None:
            raise  # rather than exit with 1: toolkit.cli knows what to do

    made = Told(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = max(made.width, PIPE_WIDTH)
    return made


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
