"""`toolkit completion`: the script that lets a shell complete the command line."""

from __future__ import annotations

import click

PLACES = {
    "bash": "~/.local/share/bash-completion/completions/toolkit",
    "zsh": "~/.zfunc/_toolkit",
    "fish": "~/.config/fish/completions/toolkit.fish",
}
EPILOG = "\n".join(
    [
        "\b",
        *(f"toolkit completion {shell} > {place}" for shell, place in PLACES.items()),
        "",
        "For zsh, ~/.zshrc has to say: fpath+=~/.zfunc; autoload -Uz compinit; compinit",
    ]
)


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(tuple(PLACES)))
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def command(shell: str) -> None:
    """Print the script by which SHELL completes commands, options, models and files.

    The shell reads it from one of the places below, and calls the toolkit at each press of the tab key.
    """
    from click.shell_completion import get_completion_class

    from toolkit.cli import cli

    completion = get_completion_class(shell)
    if completion is None:  # click has had these three since 8.0
        raise click.UsageError(f"click does not know {shell}")
    script = completion(cli, {}, "toolkit", "_TOOLKIT_COMPLETE").source()
    # Folders beside the names of models, not only where no name fits.
    click.echo(script.replace("compopt -o dirnames", "compopt -o plusdirs"))
