"""Writes docs/reference/cli.md from the commands themselves: `make docs-reference`."""

from __future__ import annotations

import re
from inspect import cleandoc
from pathlib import Path

import click

from toolkit.cli import COMMANDS, cli

PAGE = Path(__file__).parents[1] / "reference" / "cli.md"
HEAD = """\
<!-- Written by `make docs-reference`: change the commands, not this file. -->
# Commands

What `--help` says of each command, as one page. All of them take `-h`, `--help`. Exit codes: 0 done, 1 an error with
a hint, 2 wrong usage, 3 a gate missed, 130 interrupted.
"""
DEFAULT = re.compile(r"\s*\[default: (.+)\]$")
METAVARS = {"DIRECTORY": "FOLDER", "INTEGER RANGE": "N", "FLOAT RANGE": "NUMBER"}
# What help texts call by its name: a quoted command, options, files, and figures with an underscore in them.
CODE = re.compile(
    r"`[^`]+`|(?<![\w`-])--?[a-z][a-z0-9-]*|\"[^\"]*[<>=*][^\"]*\"|\b[\w/-]+\.(?:json|onnx|pth)\b|\b[a-z0-9]+_[a-z0-9_]+\b"
)


def main() -> None:
    """Write the page."""
    PAGE.write_text(generate(), encoding="utf-8")


def generate() -> str:
    """The page: a chapter for each command."""
    top = click.Context(cli, info_name="toolkit")
    overview = ["| command | does |", "| --- | --- |"]
    overview += [f"| [`toolkit {name}`](#{name}) | {text} |" for name, text in COMMANDS.items()]
    chapters = []
    for name in COMMANDS:
        command = cli.get_command(top, name)
        assert command is not None
        chapters.append(chapter(command, click.Context(command, info_name=name, parent=top)))
    return "\n".join([HEAD, *overview, "", "\n".join(chapters)])


def chapter(command: click.Command, context: click.Context) -> str:
    """Usage, text, options, and what stands below them in the help."""
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {context.info_name}", "", f"    {context.command_path} {usage}", "", *paragraphs(command.help or "")]
    options = [row(one, context) for one in command.params if isinstance(one, click.Option) and not one.hidden]
    lines += ["| option | says | default |", "| --- | --- | --- |", *options, ""]
    return "\n".join([*lines, *paragraphs(command.epilog or "")])


def paragraphs(text: str) -> list[str]:
    """Help text as Markdown: what click must not wrap is a block of code."""
    lines: list[str] = []
    for part in cleandoc(text).replace("\f", "").split("\n\n"):
        first, _, rest = part.partition("\n")
        if first.strip() == "\b":
            lines += [*(f"    {line.strip()}" for line in rest.splitlines()), ""]
        elif part.strip():
            lines += [marked(" ".join(part.split())), ""]
    return lines


def row(option: click.Option, context: click.Context) -> str:
    """One option in the table."""
    text = option.help or ""
    stated = DEFAULT.search(text)
    default = marked(stated[1]) if stated else f"`{option.default}`" if option.show_default else ""
    says = marked(DEFAULT.sub("", text))
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.secondary_opts:
        names += " or " + ", ".join(f"`{name}`" for name in option.secondary_opts)
    if isinstance(option.type, click.Choice):
        says += f" One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    elif not option.is_flag:
        shown = option.make_metavar(context)
        names += f" `{METAVARS.get(shown, shown)}`"
    return f"| {cell(names)} | {cell(says)} | {cell(default)} |"


def marked(text: str) -> str:
    """Text with what is typed in it as code, and nothing in it taken for Markdown."""
    parts, start = [], 0
    for match in CODE.finditer(text):
        parts += [escaped(text[start : match.start()]), f"`{match[0].strip('`')}`"]
        start = match.end()
    return "".join([*parts, escaped(text[start:])])


def escaped(text: str) -> str:
    """Text without signs of Markdown."""
    return re.sub(r"([*_<\[])", r"\\\1", text)


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
