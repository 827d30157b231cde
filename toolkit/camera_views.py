"""What `toolkit camera` shows, and where: a window, a page, or metrics and health alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.camera_options import WebOptions

if TYPE_CHECKING:
    from runtime.camera.controls import Controls
    from runtime.camera.outputs.window import Window
    from runtime.camera.web.process import Page


@dataclass(frozen=True)
class Views:
    """What is shown; what is None is not."""

    window: Window | None = None
    page: Page | None = None

    def close(self) -> None:
        """Close both; may be called twice."""
        if self.window:
            self.window.close()
        if self.page:
            self.page.close()


def check_views(view: str, visitors: bool, web: WebOptions) -> None:
    """Refuse what cannot be shown before anything is opened.

    Raises:
        ToolkitError: there can be no window.
        click.UsageError: options do not fit together.
    """
    if view in ("window", "none") and visitors:
        raise click.UsageError(f"browser:// is read through the page: leave out --view {view}")
    if view in ("window", "none") and not web.listen and web.given:
        raise click.UsageError(f"{web.given[0]} is about what --listen serves: give that, or --view web")
    if web.tls_key and not web.tls_cert:
        raise click.UsageError("--tls-key belongs to a --tls-cert")
    if view == "window":
        require_window()


def require_window() -> None:
    """Find out whether a window can be shown.

    Raises:
        ToolkitError: none can.
    """
    from runtime.camera.outputs.display import why_no_window
    from runtime.errors import ToolkitError

    problem = why_no_window()
    if problem:
        raise ToolkitError(f"no window can be shown: {problem.reason}", problem.remedy)


def make_views(
    view: str,
    sources: Sequence[str],
    visitors: bool,
    snapshots: Path,
    controls: Controls,
    web: WebOptions,
    say: Callable[[str], None],
) -> Views:
    """Open what is to be shown.

    Args:
        view: `auto`, `window`, `web` or `none`.
        sources: names of those with pictures of their own.
        visitors: whether visitors bring theirs.
        snapshots: the folder for the window's.
        controls: what a person changes.
        web: where the page is served.
        say: takes a line for people.

    Raises:
        ToolkitError: it cannot be shown as it was asked for.
    """
    if view == "auto":
        view = choose(visitors or bool(web.given), say)
    window = make_window(snapshots, controls, sources) if view == "window" else None
    served = view == "web" or web.listen
    return Views(window, make_page(view == "web", sources, visitors, controls, web, say) if served else None)


def choose(wants_page: bool, say: Callable[[str], None]) -> str:
    """The view for this machine."""
    from runtime.camera.outputs.display import why_no_window
    from runtime.camera.web.listen import missing_package

    if wants_page:
        return "web"
    problem = why_no_window()
    if not problem:
        return "window"
    say(f"no window: {problem.reason}")
    missing = missing_package()
    if missing:
        say(f"no page: {missing.message}: {missing.hint}")
    return "none" if missing else "web"


def make_window(snapshots: Path, controls: Controls, sources: Sequence[str]) -> Window:
    """The window."""
    from runtime.camera.outputs.window import Window

    return Window(snapshots, controls, sources)


def make_page(
    whole: bool,
    sources: Sequence[str],
    visitors: bool,
    controls: Controls,
    web: WebOptions,
    say: Callable[[str], None],
) -> Page:
    """The page, or metrics and health alone.

    Raises:
        ToolkitError: it cannot be served.
    """
    from runtime.camera.web import listen
    from runtime.camera.web.process import Page, Served

    missing = listen.missing_package()
    if missing:
        raise missing
    if web.tls_cert:
        listen.check_certificate(web.tls_cert, web.tls_key)
    token = listen.read_token(web.token_file) if web.token_file else ""
    listener = listen.listen(web.listen)
    try:
        file = web.token_file
        if not token and not listen.is_private(listener):
            token, file = listen.own_token()
        url = listen.url_of(listener, tls=bool(web.tls_cert))
        say(f"{'the page' if whole else 'metrics and health'}: {url}" + (f" (the token is in {file})" if token else ""))
        served = Served(
            page=whole,
            visitors=visitors,
            token=token,
            hosts=(*listen.own_names(), *web.allow_host),
            certificate=str(web.tls_cert or ""),
            key=str(web.tls_key or ""),
        )
        return Page(listener, sources, served, controls, say)
    except BaseException:
        listener.close()
        raise
