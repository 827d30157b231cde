"""The `toolkit` command: commands that load when they run, and the one place where errors become exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from toolkit import DISTRIBUTION, board, stopping, supervisor, toolkit_version

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from runtime.errors import ToolkitError

COMMANDS: dict[str, str] = {
    "build": "Turn a model into a checked, calibrated bundle.",
    "export": "Write only the ONNX file of a model, at a precision.",
    "calibrate": "Find only the INT8 thresholds of a model.",
    "classify": "Say what is in pictures.",
    "camera": "Read digits live from a camera, a stream or a video.",
    "bench": "Measure the latency of bundles side by side.",
    "report": "Say what bundles cost and keep, and which one to take.",
    "compare": "Show where a model strays from another one, layer by layer.",
    "verify": "Check that a bundle is whole and answers as it was built.",
    "inspect": "Show what a bundle says of itself.",
    "summary": "Show the layers of a model: shapes, parameters, multiply-accumulates.",
    "train": "Train a model of the zoo.",
    "doctor": "Say what this machine can do, and what is missing.",
    "schema": "Print the JSON Schema of what a command prints with --json.",
    "completion": "Print the script by which a shell completes this command.",
}

# The extra that brings a package, for the one sentence that a missing one gets.
EXTRAS: dict[str, str] = {
    "torch": "export",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxscript": "export",
    "onnxsim": "export",
    "safetensors": "export",
    "onnxruntime": "cpu",
    "openvino": "cpu",
    "jinja2": "report",
    "matplotlib": "report",
    "pyarrow": "parquet",
    "ray": "ray",
}

INTERRUPTED = 130
NOBODY_READS = 141  # as the shell has it of a program that SIGPIPE ended


@contextmanager
def unread_output() -> Iterator[None]:
    """Exit where whoever read the output has left, as `head` does; click itself would exit with 1."""
    try:
        yield
    except BrokenPipeError:
        drop_output()
        raise click.exceptions.Exit(NOBODY_READS) from None


class LazyGroup(click.Group):
    """A group that knows its commands' names and summaries, and imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"toolkit.commands.{name}").command
        return command

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        with unread_output():  # of --help and --version
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> object:
        with unread_output():
            return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]  # its own options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        return super().resolve_command(ctx, args)


def show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version that is installed, and leave."""
    if wanted and not ctx.resilient_parsing:
        click.echo(f"toolkit {toolkit_version()}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
)
def cli() -> None:
    """Build checked INT8 engines from trained models, and run them on small machines.

    Start with: toolkit build lenet --int8
    """


def main() -> None:
    """Run the command line and exit.

    0: done, 1: an error with a remedy, 2: usage, 3: a gate missed, 130: interrupted, 141: nobody reads the output.
    """
    fill_standard_files()
    stopping.install()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: a terminal may lack letters
    supervisor.supervise(sys.argv[1:])
    try:
        code = run(sys.argv[1:])
    finally:
        board.put("ended", "yes")
    supervisor.leave(code and (stopping.exit_code() or code))


def fill_standard_files() -> None:
    """Open standard input, output and error on nothing where whoever started this has closed them.

    Else the next files that are opened are these: libraries print into them, and processes that are started lose them.
    """
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if getattr(sys, name) is None:
                opened = open(number, "w" if number else "r", encoding="utf-8")  # noqa: SIM115  # as long as the process
                setattr(sys, name, opened)


def run(arguments: list[str]) -> int:
    """Run one command line.

    Returns:
        The exit code.
    """
    debug = "--debug" in arguments
    try:
        return cli.main(arguments, prog_name="toolkit", standalone_mode=False) or 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except (click.Abort, KeyboardInterrupt):
        return interrupted()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except Exception as error:
        if stopping.exit_code():
            return interrupted()  # whatever a library made of it
        remedied = with_remedy(error, arguments[0])
        if remedied is None or debug:
            raise
        from toolkit.console import print_error

        print_error(remedied)
        if isinstance(error, OSError):
            drop_output()
        return remedied.exit_code


def drop_output() -> None:
    """Let nothing more be written to standard output: Python would try at exit, and print of that failure."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def interrupted() -> int:
    """Say so, and give the exit code."""
    click.echo("interrupted", err=True)
    # Python remembers a KeyboardInterrupt that left an `exec`, such as a dataclass makes, and would end by that signal
    # however it was handled: the next `exec` lets it forget.
    exec("")
    return INTERRUPTED


def with_remedy(error: Exception, command: str) -> ToolkitError | None:
    """An error of a command with what to do about it; None for one that only a developer can mend."""
    from runtime.errors import MissingPackageError, ToolkitError

    if isinstance(error, ToolkitError):
        return error
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if command == "train" and extra == "export":
            extra = "train"  # brings PyTorch too, and no ONNX
        if extra is None:
            return None
        return MissingPackageError(
            f"this needs the package {error.name}, which is not installed",
            f"pip install '.[{extra}]' in a clone of {DISTRIBUTION}",
        )
    if isinstance(error, OSError):
        files = [str(name) for name in (error.filename, error.filename2) if name]  # of a copy, from where and to where
        what = f"{' to '.join(files)}: " if files else ""
        return ToolkitError(f"{what}{error.strerror or error}", "look at the path, its permissions and the free space")
    return None
