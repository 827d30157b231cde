"""Options of `toolkit camera` that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.option_types import FILE, FiniteRange
from toolkit.options import as_one

if TYPE_CHECKING:
    from runtime.camera.pipeline import Limits


class Pixels(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Whole numbers with something between them.

    Args:
        metavar: the form, such as X,Y,W,H.
        between: what is between.
        least: of each number.
        example: for the message.
    """

    def __init__(self, metavar: str, between: str, least: tuple[int, ...], example: str) -> None:
        self.name, self.between, self.least, self.example = metavar, between, least, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split(self.between)
        good = len(parts) == len(self.least) and all(part.isdecimal() and len(part) < 6 for part in parts)
        numbers = tuple(map(int, parts)) if good else ()
        if not good or any(number < least for number, least in zip(numbers, self.least, strict=True)):
            self.fail(f"'{value}' is not {self.name} in pixels, such as {self.example}", param, ctx)
        return numbers


@dataclass(frozen=True)
class SourceOptions:
    """How sources are opened.

    Attributes:
        fast, size, fps, timeout_s: as `open_source` takes them.
    """

    fast: bool
    size: tuple[int, int] | None
    fps: float | None
    timeout_s: float


source_options = as_one(
    "asked",
    SourceOptions,
    click.option("--fast", is_flag=True, help="Read a video or synthetic:// as fast as it goes, not at its own pace."),
    click.option("--size", type=Pixels("WxH", "x", (1, 1), "1280x720"), help="Ask the camera for frames of this size."),
    click.option(
        "--fps",
        type=FiniteRange(min=0, min_open=True),
        help="Ask the camera for so many frames a second; of pictures, show so many.",
    ),
    click.option(
        "--source-timeout",
        "timeout_s",
        type=FiniteRange(min=0, min_open=True),
        default=5.0,
        show_default=True,
        metavar="S",
        help="Open the source anew when no frame came for so long.",
    ),
)


def make_limits(frames: int | None, seconds: float | None, max_age: float) -> Limits:
    """When the reading ends, and which frames are too old for it."""
    from runtime.camera.pipeline import Limits

    return Limits(frames, seconds, max_age / 1000)


limit_options = as_one(
    "limits",
    make_limits,
    click.option("--frames", type=click.IntRange(min=1), help="Stop after so many frames."),
    click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Stop after so many seconds."),
    click.option(
        "--max-age",
        type=FiniteRange(min=0, min_open=True),
        default=500.0,
        show_default=True,
        metavar="MS",
        help="Drop frames of a live source that are older.",
    ),
)


@dataclass(frozen=True)
class WebOptions:
    """Where the page is served, and to whom.

    Attributes:
        listen: host and port; None leaves that to chance, on this machine alone.
        token_file: holds what has to be known to see it.
        tls_cert: PEM file of a certificate.
        tls_key: PEM file of its key.
        allow_host: names of this machine beside those that it knows itself.
    """

    listen: str | None = None
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allow_host: tuple[str, ...] = ()

    @property
    def given(self) -> list[str]:
        """The options that were."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return [f"--{name.replace('_', '-')}" for name, value in values.items() if value]


web_options = as_one(
    "web",
    WebOptions,
    click.option(
        "--listen",
        metavar="HOST:PORT",
        help="Serve the page, /healthz, /readyz and /metrics here; with --view window or none, all but the page.  "
        "[default for the page: 127.0.0.1:8765]",
    ),
    click.option(
        "--token-file",
        type=FILE,
        help="Ask for the token in this file. Where other machines reach the page, one is always asked for.",
    ),
    click.option("--tls-cert", type=FILE, help="Serve HTTPS with this certificate (PEM)."),
    click.option("--tls-key", type=FILE, help="The certificate's key, where another file has it (PEM)."),
    click.option(
        "--allow-host", multiple=True, metavar="NAME", help="A name by which this machine is asked for; repeatable."
    ),
)
