"""`toolkit classify`: what is in pictures, ten of them or millions."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.progress import SilentProgress
from runtime.text import counted
from toolkit.console import print_json_line, say
from toolkit.option_types import FOLDER, FiniteRange
from toolkit.options import EngineChoice, bundle_argument, engine_options, output_options
from toolkit.progress import BarProgress

if TYPE_CHECKING:
    from runtime.bundle import Bundle
    from toolkit.answering import Meter
    from toolkit.answers_file import AnswersFile


@click.command()
@bundle_argument
@click.argument("images", nargs=-1, required=True, type=click.Path(allow_dash=True, readable=False))
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="Classes to give for each image.")
@click.option("-o", "--output", type=click.Path(), help="Write the answers to this .csv, .jsonl or .parquet file.")
@click.option("--resume", is_flag=True, help="Go on where an earlier run with the same -o ended.")
@click.option("--force", is_flag=True, help="Replace the file of -o, and what an earlier run left of it.")
@click.option("--save", type=FOLDER, metavar="DIR", help="Write copies with the answer on them into this folder.")
@click.option(
    "--max-megapixels",
    type=FiniteRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="Refuse larger images before they are decoded.",
)
@click.option(
    "--ray",
    metavar="local|ADDRESS",
    help="Spread the work with Ray Data, here or over a cluster; -o is then a folder of Parquet files, on any "
    "filesystem that Ray reads, as IMAGES are: files, folders, or Parquet files.",
)
@click.option(
    "--columns",
    metavar="NAME,BYTES",
    help="With --ray, of Parquet files: an image's name, which no other has, and its bytes.  [default: path,bytes]",
)
@click.option("--workers", type=click.IntRange(min=1), help="With --ray, sessions.  [default: one for each CPU or GPU]")
@engine_options
@output_options
def command(
    bundle: Path,
    images: tuple[str, ...],
    top: int,
    output: str | None,
    resume: bool,
    force: bool,
    save: Path | None,
    max_megapixels: float,
    ray: str | None,
    columns: str | None,
    workers: int | None,
    engine: EngineChoice,
    as_json: bool,
) -> int:
    """Say what is in pictures.

    IMAGES are files, folders, archives (.zip, .tar, .tar.gz, ...), which are not unpacked, quoted patterns such as
    "day-*/**/*.jpg", or - for a list of names on standard input, one on each line. Memory does not grow with their
    number: reading, decoding and inference overlap.

    With --json a line for each image, in order. With -o the answers go to a file; one that ended early is gone on with
    --resume. The exit code is 1 if any image could not be read.
    """
    from runtime.bundle import Bundle
    from runtime.classification import Classified
    from runtime.sources import count_sources, find_sources, names_in
    from toolkit.annotate import save_annotated
    from toolkit.answering import Meter, Table, answered

    refuse_misfits(output, resume, force)
    if ray:
        idle = {"--save": save, "--device": engine.device, "--cache-dir": engine.cache_dir, "--json": as_json}
        refuse_given({**idle, "-": "-" in images}, "does not go with --ray")
        if not output:
            raise click.UsageError("--ray writes Parquet files: name a folder for them with -o")
        options = {
            "top": top,
            "workers": workers,
            "threads": engine.threads or 1,
            "backend": engine.backend,
            "trust": engine.trust,
            "max_megapixels": max_megapixels,
            "columns": columns_of(columns),
        }
        return classify_with_ray(ray, bundle, images, output, options, resume=resume, force=force)
    refuse_given({"--workers": workers, "--columns": columns}, "is about --ray")
    if "-" in images and len(images) > 1:
        raise click.UsageError("- stands alone: the list holds all names")
    listed = images == ("-",)
    total = None if listed else count_sources(images)
    sources = find_sources(names_in(sys.stdin.buffer) if listed else images, max_megapixels, patterns=not listed)
    shown = sys.stderr.isatty() and (output or not sys.stdout.isatty())  # answers tell how far it is, too
    table = Table(answers=not output)
    show = print_json_line if as_json else table.take
    with ExitStack() as stack:
        opened = Bundle.open(bundle)
        file = stack.enter_context(open_file(output, opened, top, resume, force)) if output else None
        session = stack.enter_context(engine.open(opened))
        with (BarProgress() if shown else SilentProgress()).stage("classify", total) as stage:
            meter = Meter(stage, file)
            for image, result in answered(session, file.rest(sources) if file else sources, top, max_megapixels):
                if save and isinstance(result, Classified):
                    save_annotated(image, result, save, max_megapixels)
                if file:
                    file.append(result)
                show(result)
                meter.count(result)
        if file:
            file.finish()
    table.end()
    if not as_json:
        report(output, meter)
    return 1 if meter.failed else 0


def refuse_misfits(output: str | None, resume: bool, force: bool) -> None:
    """Refuse options of `-o` that need it, or exclude each other."""
    if (resume or force) and not output:
        raise click.UsageError(f"--{'resume' if resume else 'force'} is about the file of -o: give one")
    if resume and force:
        raise click.UsageError("--resume keeps what --force would drop: give one of them")


def refuse_given(options: dict[str, object], why: str) -> None:
    """Refuse the first of some options that was given."""
    for option, value in options.items():
        if value:
            raise click.UsageError(f"{option} {why}")


def columns_of(text: str | None) -> tuple[str, ...]:
    """The two names in `--columns`."""
    names = tuple((text or "path,bytes").split(","))
    if len(names) != 2 or not all(names) or len(set(names)) < 2:
        raise click.UsageError(f"--columns takes the names of two columns, such as path,bytes: got '{text}'")
    return names


def classify_with_ray(
    address: str,
    bundle: Path,
    images: tuple[str, ...],
    output: str,
    options: dict[str, Any],
    *,
    resume: bool,
    force: bool,
) -> int:
    """`--ray`, with the other fields of a `Job`."""
    from runtime.bundle import Bundle
    from toolkit.on_ray import Job, local_paths, run

    start = time.perf_counter()
    place, *found = local_paths([output, *images])
    count, failed = run(Job(Bundle.open(bundle), tuple(found), place, **options), address, resume=resume, force=force)
    say(f"{output}: {counted(count, 'image')} in {time.perf_counter() - start:.0f} s")
    if failed:
        say(f"{failed:,} of {counted(count, 'image')} could not be read")
    return 1 if failed else 0


@contextmanager
def open_file(output: str, bundle: Bundle, top: int, resume: bool, force: bool) -> Iterator[AnswersFile]:
    """The file of `-o`, with what an earlier run has left of it."""
    from toolkit.answers_file import Header, answers_file, require_writer
    from toolkit.output_file import place_for

    path = Path(output)
    require_writer(path)
    header = Header(bundle.manifest.digest, min(top, bundle.spec.classes))
    with place_for(path, force=force), answers_file(path, header, resume=resume, force=force) as file:
        if file.done:
            click.echo(f"kept of an earlier run: {counted(file.done, 'answer')}", err=True)
        yield file


def report(output: str | None, meter: Meter) -> None:
    """How many there were."""
    if output:
        say(f"{output}: {counted(meter.done, 'image')}, {meter.rate:,.0f} a second")
    if meter.failed:
        say(f"{meter.failed:,} of {counted(meter.done, 'image')} could not be read")
