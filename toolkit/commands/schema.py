"""`toolkit schema`: the JSON Schema of what a command prints with --json."""

from __future__ import annotations

import click

from toolkit.schemas import RESULTS, read_schema


@click.command()
@click.argument("name", metavar="[COMMAND]", required=False, type=click.Choice(tuple(RESULTS)))
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def command(name: str | None) -> None:
    """Print the JSON Schema (draft 2020-12) of what COMMAND prints with --json.

    Without COMMAND, the names of the commands that have one. `classify` prints a line for each image: its schema is of
    a line. A later version may print fields that a schema does not name; it will not leave out one that it names.
    """
    click.echo("\n".join(RESULTS) if name is None else read_schema(name).rstrip())
