"""`toolkit classify`: what is in pictures."""

from __future__ import annotations

import os
from pathlib import Path

import click

from toolkit.console import print_json_line, print_table, printable, say
from toolkit.options import FiniteRange, bundle_argument, engine_options, output_options


@click.command()
@bundle_argument
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="Classes to give for each image.")
@click.option(
    "--max-megapixels",
    type=FiniteRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="Refuse larger images before they are decoded.",
)
@engine_options
@output_options
def command(
    bundle: Path,
    images: tuple[Path, ...],
    top: int,
    max_megapixels: float,
    backend: str | None,
    device: str | None,
    threads: int | None,
    cache_dir: Path | None,
    trust: bool,
    as_json: bool,
) -> int:
    """Say what is in pictures. A folder stands for the pictures in it.

    With --json a line for each image, in order. The exit code is 1 if any image could not be read.
    """
    from runtime import open_session
    from runtime.classify import Classified, Unreadable, classify
    from runtime.errors import DataError
    from runtime.images import find_images

    paths = [found for path in images for found in (find_images(path) if os.path.isdir(path) else [path])]
    if not paths:
        raise DataError(f"no images in {images[0]}", "give image files, or a folder that holds some")
    failed = 0
    rows = []
    with open_session(
        bundle, backend=backend, device=device, threads=threads, cache_dir=cache_dir, trust=trust
    ) as session:
        for result in classify(session, paths, top, max_megapixels):
            failed += isinstance(result, Unreadable)
            if as_json:
                print_json_line(result)
            elif isinstance(result, Classified):
                answers = ", ".join(f"{answer.label} {100 * answer.probability:.1f} %" for answer in result.top)
                refused = "  (refused: below the threshold)" if result.refused else ""
                rows.append([result.image, answers + refused])
            else:
                click.echo(f"error: {printable(result.error)}\nhint:  {result.hint}", err=True)
    if rows:
        print_table("", ["image", "answer"], rows)
    if failed and not as_json:
        say(f"{failed} of {len(paths)} images could not be read")
    return 1 if failed else 0
