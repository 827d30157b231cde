"""`toolkit classify`: what is in pictures, ten of them or millions."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.progress import SilentProgress, Stage, advance_or_stop
from toolkit.console import print_json_line, print_table, printable, say
from toolkit.option_types import FOLDER, FiniteRange
from toolkit.options import EngineChoice, bundle_argument, engine_options, output_options
from toolkit.progress import BarProgress, BarStage

if TYPE_CHECKING:
    from runtime.classification import Classified, ImageInput

ROWS = 500  # of a table; the next ones come in another one


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
    from runtime.classification import Classified, Unreadable, classify
    from runtime.sources import count_sources, find_sources, names_in
    from toolkit.annotate import save_annotated
    from toolkit.answers import AnswersFile, Header, answers_file, require_writer
    from toolkit.output_file import place_for

    for option, value in {"--workers": workers, "--columns": columns}.items():
        if value and not ray:
            raise click.UsageError(f"{option} is about --ray")
    names = (columns or "path,bytes").split(",")
    if len(names) != 2 or not all(names) or len(set(names)) < 2:
        raise click.UsageError(f"--columns takes the names of two columns, such as path,bytes: got '{columns}'")
    if (resume or force) and not output:
        raise click.UsageError(f"--{'resume' if resume else 'force'} is about the file of -o: give one")
    if resume and force:
        raise click.UsageError("--resume keeps what --force would drop: give one of them")
    if ray:
        return spread(
            ray,
            bundle,
            images,
            output,
            {
                "top": top,
                "workers": workers,
                "threads": engine.threads or 1,
                "backend": engine.backend,
                "trust": engine.trust,
                "max_megapixels": max_megapixels,
                "columns": tuple(names),
            },
            idle={
                "--save": save,
                "--device": engine.device,
                "--cache-dir": engine.cache_dir,
                "--json": as_json,
                "-": "-" in images,
            },
            resume=resume,
            force=force,
        )
    if "-" in images and len(images) > 1:
        raise click.UsageError("- stands alone: the list holds all names")
    listed = images == ("-",)
    total = None if listed else count_sources(images)
    sources = find_sources(names_in(sys.stdin.buffer) if listed else images, max_megapixels, patterns=not listed)
    with ExitStack() as stack:
        file: AnswersFile | None = None
        opened = Bundle.open(bundle)
        if output:
            path = Path(output)
            require_writer(path)
            stack.enter_context(place_for(path, force=force))
            header = Header(opened.manifest.digest, min(top, opened.spec.classes))
            file = stack.enter_context(answers_file(path, header, resume=resume, force=force))
            sources = file.rest(sources)
            if file.done:
                click.echo(f"{file.done:,} answers are there already", err=True)
        session = stack.enter_context(engine.open(opened))
        failed = file.failed if file else 0
        asked: deque[ImageInput] = deque()
        rows: list[list[str]] = []
        shown = sys.stderr.isatty() and (output or not sys.stdout.isatty())  # answers tell how far it is, too
        with (BarProgress() if shown else SilentProgress()).stage("classify", total) as stage:
            meter = Meter(stage, file.done if file else 0)
            for result in classify(session, remembered(sources, asked), top, max_megapixels):
                image = asked.popleft()
                if isinstance(result, Unreadable):
                    failed += 1
                    if not as_json:
                        click.echo(f"error: {printable(result.error)}\nhint:  {result.hint}", err=True)
                elif save:
                    save_annotated(image, result, save, max_megapixels)
                if file:
                    file.append(result)
                if as_json:
                    print_json_line(result)
                elif isinstance(result, Classified) and not output:
                    rows.append([result.image, in_words(result)])
                    if len(rows) == ROWS:
                        print_table("", ["image", "answer"], rows)
                        rows.clear()
                meter.count()
        if file:
            file.finish()
    if rows:
        print_table("", ["image", "answer"], rows)
    if output and not as_json:
        say(f"{output}: {meter.done:,} images, {meter.rate:,.0f} a second")
    if failed and not as_json:
        say(f"{failed:,} of {meter.done:,} images could not be read")
    return 1 if failed else 0


def spread(
    address: str,
    bundle: Path,
    images: tuple[str, ...],
    output: str | None,
    job: dict[str, Any],
    *,
    idle: dict[str, object],
    resume: bool,
    force: bool,
) -> int:
    """`--ray`."""
    from runtime.bundle import Bundle
    from toolkit.on_ray import Job, local_paths, run

    for option, value in idle.items():
        if value:
            raise click.UsageError(f"{option} does not go with --ray")
    if not output:
        raise click.UsageError("--ray writes Parquet files: name a folder for them with -o")
    start = time.perf_counter()
    place, *found = local_paths([output, *images])
    count, failed = run(Job(Bundle.open(bundle), tuple(found), place, **job), address, resume=resume, force=force)
    say(f"{output}: {count:,} images in {time.perf_counter() - start:.0f} s")
    if failed:
        say(f"{failed:,} of {count:,} images could not be read")
    return 1 if failed else 0


def remembered(images: Iterable[ImageInput], asked: deque[ImageInput]) -> Iterator[ImageInput]:
    """Images as they are taken, kept until they are answered."""
    for image in images:
        asked.append(image)
        yield image


def in_words(result: Classified) -> str:
    """The classes of an image on one line."""
    answers = ", ".join(f"{answer.label} {100 * answer.probability:.1f} %" for answer in result.top)
    return answers + ("  (refused: below the threshold)" if result.refused else "")


class Meter:
    """Counts images, and shows how many there are in a second.

    Attributes:
        done: the images, those of an earlier run included.
    """

    def __init__(self, stage: Stage, done: int) -> None:
        self.stage, self.done, self.before, self.start = stage, done, done, time.perf_counter()
        stage.advance(done)

    def count(self) -> None:
        """One more."""
        self.done += 1
        if isinstance(self.stage, BarStage):
            self.stage.live(f"{self.rate:,.0f} images/s")
        advance_or_stop(self.stage)

    @property
    def rate(self) -> float:
        """Images in a second of this run."""
        return (self.done - self.before) / max(time.perf_counter() - self.start, 1e-9)
