"""`toolkit camera`: reads digits live."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit import board, stopping
from toolkit.console import print_json, print_table, printable
from toolkit.options import FOLDER, FiniteRange, bundle_argument, engine_options, output_options

if TYPE_CHECKING:
    from runtime.camera.outputs.window import Window
    from runtime.camera.summary import Summary
    from runtime.spec import ModelSpec

DIGITS = 10
STOP_S = 0.9  # that a recording may take to finish after a signal
END_S = 60.0  # and after the last frame, while no signal comes


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


@click.command()
@bundle_argument
@click.option(
    "--source",
    "where",
    metavar="SOURCE",
    default="0",
    show_default=True,
    help="A camera (0, /dev/video0, csi://0), a stream (rtsp://, http://, ...), a GStreamer pipeline, a video, a "
    "folder or quoted pattern of pictures, or synthetic:// for one that is drawn.",
)
@click.option(
    "--view",
    type=click.Choice(("auto", "window", "none")),
    default="auto",
    show_default=True,
    help="Show a window; auto: where there is a display.",
)
@click.option("--jsonl", metavar="FILE|-", help="Write a line of JSON for each frame to this file, or standard output.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.mp4",
    help="Record what the window shows, as H.264.",
)
@click.option(
    "--snapshots", type=FOLDER, default=".", metavar="DIR", help="Where the key s puts pictures.  [default: .]"
)
@click.option("--roi", type=Pixels("X,Y,W,H", ",", (0, 0, 1, 1), "100,50,320,240"), help="Read this part of the frame.")
@click.option(
    "--max-age",
    type=FiniteRange(min=0, min_open=True),
    default=500.0,
    show_default=True,
    metavar="MS",
    help="Drop frames of a live source that are older.",
)
@click.option("--fast", is_flag=True, help="Read a video or synthetic:// as fast as it goes, not at its own pace.")
@click.option("--frames", type=click.IntRange(min=1), help="Stop after so many frames.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Stop after so many seconds.")
@click.option("--size", type=Pixels("WxH", "x", (1, 1), "1280x720"), help="Ask the camera for frames of this size.")
@click.option(
    "--fps",
    type=FiniteRange(min=0, min_open=True),
    help="Ask the camera for so many frames a second; of pictures, show so many.",
)
@click.option(
    "--source-timeout",
    type=FiniteRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="S",
    help="Open the source anew when no frame came for so long.",
)
@click.option("--force", is_flag=True, help="Replace the files of --jsonl and --record.")
@engine_options
@output_options
def command(
    bundle: Path,
    where: str,
    view: str,
    jsonl: str | None,
    record: Path | None,
    snapshots: Path,
    roi: tuple[int, int, int, int] | None,
    max_age: float,
    fast: bool,
    frames: int | None,
    seconds: float | None,
    size: tuple[int, int] | None,
    fps: float | None,
    source_timeout: float,
    force: bool,
    backend: str | None,
    device: str | None,
    threads: int | None,
    cache_dir: Path | None,
    trust: bool,
    as_json: bool,
) -> int:
    """Read digits live from a camera, a stream, a video or pictures.

    A window shows what is read: q quits, h lists the other keys. Of a live source only the newest frame is read; of a
    video, every one. Ctrl-C or SIGTERM finish the recording and end it, with exit code 0; a table of latencies goes to
    standard error, and with --json a summary to standard output.
    """
    from runtime import open_session
    from runtime.camera.numbers import read_numbers
    from runtime.camera.outputs.encoders import require_encoder
    from runtime.camera.outputs.lines import JsonLines
    from runtime.camera.outputs.recording import Recording
    from runtime.camera.pipeline import Limits, Outputs, Stages, run
    from runtime.camera.reading.reader import DigitReader
    from runtime.camera.sources.open import open_source
    from runtime.camera.sources.pictures import PictureSource
    from runtime.camera.summary import summarize
    from runtime.camera.tracking import Tracker
    from toolkit.output_file import place_for

    if as_json and jsonl == "-":
        raise click.UsageError("--json and --jsonl - both write to standard output: give --jsonl a file")
    if force and not record and jsonl in (None, "-"):
        raise click.UsageError("--force is about the files of --jsonl and --record: give one")
    if record and record.suffix.lower() != ".mp4":
        raise click.UsageError(f"--record writes MP4: give {record.with_suffix('.mp4')} in place of {record}")
    with ExitStack() as stack:
        if record:
            stack.enter_context(place_for(record, force=force, option="--record"))
            require_encoder()
        if jsonl and jsonl != "-":
            stack.enter_context(place_for(Path(jsonl), force=force, option="--jsonl"))
        window = make_window(view, snapshots, roi)
        session = stack.enter_context(
            open_session(bundle, backend=backend, device=device, threads=threads, cache_dir=cache_dir, trust=trust)
        )
        require_digits(session.spec)
        stop = stack.enter_context(stopping.only_noted())
        source = open_source(where, fast=fast, size=size, fps=fps, timeout_s=source_timeout)
        stack.callback(source.close)
        lines = JsonLines(sys.stdout.fileno() if jsonl == "-" else Path(jsonl), stop) if jsonl else None
        recording = Recording(record, source, force=force, stop=stop) if record else None
        outputs = Outputs(lines, recording, window, tell)
        try:
            with board.saying("stage", f"reading {source.name}"):
                make_tracker = partial(Tracker, enough=0.0) if isinstance(source, PictureSource) else Tracker
                stages = Stages(DigitReader(session), make_tracker, read_numbers)
                ended_by, tally = run(source, stages, outputs, Limits(frames, seconds, max_age / 1000, roi), stop)
        finally:
            source.close()
            if window:
                window.close()
            if recording:
                recording.close(END_S, STOP_S)
            if lines:
                lines.close()
        summary = summarize(source, ended_by, tally, lines, recording)
        report(summary)
        if as_json:
            print_json(summary)
    return 0


def require_digits(spec: ModelSpec) -> None:
    """Refuse a model that takes no pictures of digits as the camera cuts them out."""
    from runtime.camera.reading.normalize import SIDE
    from runtime.errors import ModelError

    height, width, channels = spec.image_shape
    if channels != 1 or min(height, width) < SIDE:
        kind = "grey" if channels == 1 else "coloured"
        raise ModelError(
            f"{spec.name} takes {kind} pictures of {width}x{height}: the camera reads with a model for grey digits of "
            f"at least {SIDE}x{SIDE}",
            "toolkit build lenet --int8",
        )
    if spec.classes != DIGITS or not set(spec.labels) <= set(map(str, range(DIGITS))):
        raise ModelError(
            f"{spec.name} tells {spec.classes} classes apart, which are not the ten digits: the camera reads digits",
            "toolkit build lenet --int8",
        )


def make_window(view: str, snapshots: Path, roi: tuple[int, int, int, int] | None) -> Window | None:
    """The window, if there is to be one and one can be shown."""
    from runtime.camera.outputs.display import why_no_window
    from runtime.camera.outputs.window import Window
    from runtime.errors import ToolkitError

    problem = None if view == "none" else why_no_window()
    if problem and view == "window":
        raise ToolkitError(f"no window can be shown: {problem.reason}", problem.remedy)
    if problem:
        tell(f"no window: {problem.reason}")
    return None if problem or view == "none" else Window(snapshots, roi)


def tell(text: str) -> None:
    """A line for people, to standard error: standard output may be a program's."""
    click.echo(printable(text), err=True)


def report(summary: Summary) -> None:
    """What was read, and how long it took."""
    rows = [[name, f"{times.p50:.1f}", f"{times.p99:.1f}"] for name, times in summary.latency_ms.items()]
    if rows:
        print_table("", ["stage", ">p50 ms", ">p99 ms"], rows, stderr=True)
    parts = [f"{summary.frames:,} frames in {summary.seconds:.1f} s, {summary.fps:.1f} a second"]
    parts += [f"{summary.replaced:,} replaced by newer ones"] if summary.replaced else []
    parts += [f"{summary.too_old:,} too old"] if summary.too_old else []
    parts += [f"{summary.reconnects:,} reconnects"] if summary.reconnects else []
    tell("; ".join(parts))
    recording = summary.recording
    if recording and not recording.file:
        tell(f"nothing was recorded: {recording.problem or 'no frame came'}")
    elif recording and recording.problem:
        tell(f"the recording: {recording.problem}")
    if recording and recording.file:
        missed = f", {recording.missed:,} are missing" if recording.missed else ""
        tell(f"{recording.file}: {recording.frames:,} frames{missed}")
