"""`toolkit verify`: the engine answers its probe as it did when it was made."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import click

from toolkit.console import print_json, say
from toolkit.options import EngineChoice, bundle_argument, engine_options, output_options


@click.command()
@bundle_argument
@engine_options
@output_options
def command(bundle: Path, engine: EngineChoice, as_json: bool) -> int:
    """Check that BUNDLE is whole and that its engine, on this machine, answers as it was built.

    The exit code is 1 if it does not. With --json a bundle that cannot even be opened is an answer too: `ok` is false.
    """
    from runtime.bundle import Bundle
    from runtime.errors import ToolkitError
    from runtime.probe import check_probe
    from toolkit.results import Unverified, Verified

    try:
        opened = Bundle.open(bundle)
        name = engine.backend or opened.manifest.target
        with engine.open(opened) as session:
            check = check_probe(session, opened.probe, opened.manifest.probe.limit)
    except ToolkitError as error:
        if as_json:
            print_json(Unverified(str(bundle), False, error.message, error.hint))
        raise
    count = len(opened.probe.images)
    if as_json:
        print_json(
            Verified(
                bundle=str(bundle),
                backend=name,
                files=len(opened.manifest.files),
                images=count,
                distance=check.distance if isfinite(check.distance) else None,
                limit=check.limit,
                wrong=check.wrong,
                ok=check.ok,
            )
        )
        return 0 if check.ok else 1
    check.require(f"{bundle} on {name}")
    say(f"{bundle}: {len(opened.manifest.files)} files are as they were built")
    say(f"{name} answers {count} probe images rightly: distance {check.distance:.2g}, limit {check.limit:g}")
    return 0
