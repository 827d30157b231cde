"""`--on` and what goes with it: one decorator, and a command's other options as words for the other machine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from toolkit.option_types import FILE
from toolkit.options import as_one

if TYPE_CHECKING:
    from toolkit.remote.address import Address
    from toolkit.remote.session import Remote

#: What a command does here, wherever it works.
HERE = frozenset(
    ("on", "remote_toolkit", "remote_wheel", "remote_resume", "output", "force", "gates", "as_json", "cache_dir")
)


class AddressType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """ssh://[USER@]HOST[:PORT]."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from toolkit.remote.address import Address, parse_address

        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def pick_remote(
    on: Address | None, remote_toolkit: str | None, remote_wheel: Path | None, remote_resume: str | None
) -> Remote | None:
    """What the options ask for together; None where --on was not given."""
    if on is None:
        if remote_wheel or remote_resume:
            raise click.UsageError(f"{'--remote-wheel' if remote_wheel else '--remote-resume'} goes with --on")
        return None
    for flag, text in (("--remote-toolkit", remote_toolkit), ("--remote-resume", remote_resume)):
        if text is not None and (not text.isprintable() or text.startswith("-")):
            raise click.UsageError(f"{flag} is not a path: {text!r}")
    if remote_resume is not None and not remote_resume.startswith("/"):
        raise click.UsageError("--remote-resume takes the whole path, which begins with /")
    from toolkit.remote.session import Remote

    return Remote(on, remote_toolkit, remote_wheel, remote_resume)


#: On which machine to work.
remote_options = as_one(
    "remote",
    pick_remote,
    click.option(
        "--on",
        type=AddressType(),
        metavar="ssh://HOST",
        help="Do it on another machine, [USER@]HOST[:PORT], with the toolkit there: docs/remote.md.",
    ),
    click.option(
        "--remote-toolkit",
        metavar="PATH",
        envvar="TOOLKIT_REMOTE",
        help="With --on: the toolkit command there.  [default: the one on its PATH]",
    ),
    click.option(
        "--remote-wheel", type=FILE, help="With --on: a wheel of the toolkit to send along, and to use there."
    ),
    click.option(
        "--remote-resume", metavar="FOLDER", help="With --on: take up what a lost connection left in FOLDER there."
    ),
)


def forwarded(context: click.Context, but: Collection[str] = ()) -> list[str]:
    """The options of a command line as words, without those of `HERE`.

    Args:
        context: of the command.
        but: further options that stay here, by their parameters' names; those that name files must be among them.
    """
    words: list[str] = []
    for param in context.command.params:
        name = param.name or ""
        given = context.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
        if isinstance(param, click.Option) and given and name not in HERE and name not in but:
            words += as_words(param, context.params[name])
    return words


def as_words(option: click.Option, value: Any) -> list[str]:
    """One option as it could be given."""
    if option.is_flag:
        flags = option.opts if value else option.secondary_opts
        return flags[:1]
    values = value if option.multiple else (value,)
    return [f"{option.opts[0]}={as_text(one)}" for one in values]


def as_text(value: Any) -> str:
    """A value as it is written on a command line."""
    from runtime.spec import BatchRange
    from toolkit.measure_options import AUTO

    if value == AUTO:
        return "auto"
    if isinstance(value, BatchRange):
        return f"{value.smallest}:{value.best}:{value.largest}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
