"""`--on` and what goes with it: one decorator, and a command's other options as words for the other machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from toolkit.option_types import FILE
from toolkit.options import combine

if TYPE_CHECKING:
    from toolkit.remote.session import Remote

NAMES = ("on", "remote_toolkit", "remote_wheel", "remote_resume")
#: What a command does here, wherever it works.
HERE = frozenset((*NAMES, "output", "force", "gates", "as_json", "cache_dir"))


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


def remote_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say on which machine to work; the command gets them as one, `remote`, None for this machine."""

    @wraps(function)
    def gather(*given: Any, **values: Any) -> Any:
        address, *others = (values.pop(name) for name in NAMES)
        return function(*given, remote=pick_remote(address, *others), **values)

    return combine(
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
    )(gather)


def pick_remote(address: Any, toolkit: str | None, wheel: Path | None, resume: str | None) -> Remote | None:
    """What the options ask for together; None where --on was not given."""
    if address is None:
        if wheel or resume:
            raise click.UsageError(f"{'--remote-wheel' if wheel else '--remote-resume'} goes with --on")
        return None
    for flag, text in (("--remote-toolkit", toolkit), ("--remote-resume", resume)):
        if text is not None and (not text.isprintable() or text.startswith("-")):
            raise click.UsageError(f"{flag} is not a path: {text!r}")
    if resume is not None and not resume.startswith("/"):
        raise click.UsageError("--remote-resume takes the whole path, which begins with /")
    from toolkit.remote.session import Remote

    return Remote(address, toolkit, wheel, resume)


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
