"""`toolkit camera`: reads digits live."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.text import counted
from toolkit import board, stopping
from toolkit.camera_options import Pixels, SourceOptions, WebOptions, limit_options, source_options, web_options
from toolkit.console import print_json, print_table, printable
from toolkit.option_types import FOLDER, FiniteRange
from toolkit.options import EngineChoice, bundle_argument, engine_options, output_options

if TYPE_CHECKING:
    from runtime.camera.frame import Source
    from runtime.camera.pipeline import Limits
    from runtime.camera.summary import Summary
    from runtime.camera.tracking import Tracker
    from runtime.spec import ModelSpec

DIGITS = 10
STOP_S = 0.9  # that a recording may take to finish after a signal
MQTT_S = 0.5  # for the broker to take what is left
END_S = 60.0  # and after the last frame, while no signal comes


@click.command()
@bundle_argument
@click.option(
    "--source",
    "where",
    metavar="SOURCE",
    multiple=True,
    default=("0",),
    help="A camera (0, /dev/video0, csi://0), a stream (rtsp://, http://, ...), a GStreamer pipeline, a video, a "
    "folder or quoted pattern of pictures, browser:// for the camera of whoever opens the page, or synthetic:// for "
    "one that is drawn; repeatable.  [default: 0]",
)
@click.option(
    "--view",
    type=click.Choice(("auto", "window", "web", "none")),
    default="auto",
    show_default=True,
    help="Show what is read in a window, or on a page for a browser; auto: a page where there is no display.",
)
@click.option("--jsonl", metavar="FILE|-", help="Write a line of JSON for each frame to this file, or standard output.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.mp4",
    help="Record one source as the window shows it, as H.264.",
)
@click.option(
    "--snapshots", type=FOLDER, default=".", metavar="DIR", help="Where the key s puts pictures.  [default: .]"
)
@click.option("--roi", type=Pixels("X,Y,W,H", ",", (0, 0, 1, 1), "100,50,320,240"), help="Read this part of the frame.")
@click.option(
    "--threshold",
    type=FiniteRange(min=0, max=1),
    metavar="P",
    default=0.5,
    show_default=True,
    help="What is less sure is no digit, 0 to 1; nor is what the bundle's own threshold refuses.",
)
@source_options
@limit_options
@click.option("--every-frame", is_flag=True, help="Read frames on which nothing has changed, too.")
@click.option(
    "--mqtt",
    envvar="TOOLKIT_MQTT",
    metavar="URL",
    help="Publish changes of numbers to this broker: mqtt://HOST or mqtts://HOST, with :PORT and /TOPIC.  [env: "
    "TOOLKIT_MQTT, where a password is better kept]",
)
@click.option("--force", is_flag=True, help="Replace the files of --jsonl and --record.")
@web_options
@engine_options
@output_options
def command(
    bundle: Path,
    where: tuple[str, ...],
    view: str,
    jsonl: str | None,
    record: Path | None,
    snapshots: Path,
    roi: tuple[int, int, int, int] | None,
    threshold: float,
    asked: SourceOptions,
    limits: Limits,
    every_frame: bool,
    mqtt: str | None,
    force: bool,
    web: WebOptions,
    engine: EngineChoice,
    as_json: bool,
) -> int:
    """Read digits live from cameras, streams, videos or pictures.

    A window shows what is read: q quits, h lists the other keys; or a page for a browser does. Of a live source only
    the newest frame is read; of a video, every one. Ctrl-C or SIGTERM finish the recording and end it, with exit code
    0; a table of latencies goes to standard error, and with --json a summary to standard output.
    """
    from runtime.camera.controls import Controls
    from runtime.camera.feed import VISITORS, Feed
    from runtime.camera.numbers import read_numbers
    from runtime.camera.outputs.broker import parse_broker
    from runtime.camera.outputs.encoders import require_encoder
    from runtime.camera.outputs.lines import JsonLines
    from runtime.camera.outputs.mqtt import MqttPublisher
    from runtime.camera.outputs.outputs import Output, Outputs
    from runtime.camera.outputs.publishing import Publishing
    from runtime.camera.outputs.recording import Recording
    from runtime.camera.pipeline import run
    from runtime.camera.reading.reader import DigitReader
    from runtime.camera.sources.open import open_source
    from runtime.camera.stages import Stages
    from runtime.camera.summary import summarize
    from toolkit.camera_views import check_views, make_views
    from toolkit.output_file import place_for

    lines_file = Path(jsonl) if jsonl and jsonl != "-" else None
    if as_json and jsonl == "-":
        raise click.UsageError("--json and --jsonl - both write to standard output: give --jsonl a file")
    require_different(where)
    own = [one for one in where if one.strip().lower() != VISITORS]
    visitors = len(own) < len(where)
    if record and (len(own) != 1 or visitors):
        raise click.UsageError("--record records one source that is no visitor's: run a command for each")
    require_files(record, lines_file, force, own)
    check_views(view, visitors, web)
    broker = parse_broker(mqtt) if mqtt else None
    with ExitStack() as stack:
        if record:
            stack.enter_context(place_for(record, force=force, option="--record"))
            require_encoder()
        if lines_file:
            stack.enter_context(place_for(lines_file, force=force, option="--jsonl"))
        session = stack.enter_context(engine.open(bundle))
        require_digits(session.spec)
        stop = stack.enter_context(stopping.only_noted())
        sources = [open_source(one, **vars(asked)) for one in own]
        names = [source.name for source in sources]
        require_different(names)
        reader = DigitReader(session, threshold)
        controls = Controls(reader.threshold, roi)
        views = make_views(view, names, visitors, snapshots, controls, web, tell)
        stack.callback(views.close)
        lines = JsonLines(lines_file or sys.stdout.fileno(), stop) if jsonl else None
        recording = Recording(record, sources[0], force=force, stop=stop) if record else None
        others: list[Output] = [views.page] if views.page else []
        if broker:
            publisher = MqttPublisher(broker, names)
            stack.callback(publisher.close, MQTT_S)
            others.append(Publishing(publisher, tell))
        outputs = Outputs(lines, recording, views.window, others, tell)
        feed = Feed(sources, views.page.newcomers if views.page and visitors else None)
        try:
            with board.saying("stage", f"reading {', '.join(names) or VISITORS}"):
                stages = Stages(reader, make_tracker, read_numbers, every_frame)
                ended_by, tally = run(feed, stages, outputs, controls, limits, stop)
        finally:
            feed.close()
            views.close()
            if recording:
                recording.close(END_S, STOP_S)
            if lines:
                lines.close()
        summary = summarize(feed, ended_by, tally, lines, recording)
        report(summary)
        if as_json:
            print_json(summary)
    return 0


def require_files(record: Path | None, lines: Path | None, force: bool, sources: Sequence[str]) -> None:
    """Refuse files that cannot be what is to be written: a recording that is no MP4, one for both, one that is read."""
    files = [file for file in (record, lines) if file]
    if force and not files:
        raise click.UsageError("--force is about the files of --jsonl and --record: give one")
    if record and record.suffix.lower() != ".mp4":
        raise click.UsageError(f"--record writes MP4: give {record.with_suffix('.mp4')} in place of {record}")
    if record and lines and os.path.realpath(record) == os.path.realpath(lines):
        raise click.UsageError("--jsonl and --record are the same file: give each its own")
    for file in files:
        if any(os.path.exists(one) and file.exists() and os.path.samefile(one, file) for one in sources):
            raise click.UsageError(f"{file} is read: write to another file")


def require_different(sources: Sequence[str]) -> None:
    """Refuse sources that are the same, or would be named so."""
    if len(set(sources)) < len(sources):
        raise click.UsageError("a --source is given twice: each is read once")


def make_tracker(source: Source) -> Tracker:
    """What follows digits over the frames of a source; pictures are each looked at once."""
    from runtime.camera.sources.pictures import PictureSource
    from runtime.camera.tracking import Tracker

    return Tracker(enough=0.0) if isinstance(source, PictureSource) else Tracker()


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


def tell(text: str) -> None:
    """A line for people, to standard error: standard output may be a program's."""
    click.echo(printable(text), err=True)


def report(summary: Summary) -> None:
    """What was read, and how long it took."""
    rows = [[name, f"{times.p50:.1f}", f"{times.p99:.1f}"] for name, times in summary.latency_ms.items()]
    if rows:
        print_table("", ["stage", ">p50 ms", ">p99 ms"], rows, stderr=True)
    tell(f"{counted(summary.frames, 'frame')} in {summary.seconds:.1f} s, {summary.fps:.1f} a second")
    for source in summary.sources:
        dropped = source.dropped
        parts = [counted(source.frames, "frame")] if len(summary.sources) > 1 else []
        parts += [f"{source.recalled:,} on which nothing had changed"] if source.recalled else []
        parts += [f"{dropped.replaced:,} replaced by newer ones"] if dropped.replaced else []
        parts += [f"{dropped.too_old:,} too old"] if dropped.too_old else []
        parts += [counted(source.reconnects, "reconnect")] if source.reconnects else []
        if parts:
            tell(f"{source.source}: {'; '.join(parts)}")
    recording = summary.recording
    if recording and not recording.file:
        tell(f"nothing was recorded: {recording.problem or 'no frame came'}")
    elif recording and recording.problem:
        tell(f"the recording: {recording.problem}")
    if recording and recording.file:
        missed = f", {recording.missed:,} missing" if recording.missed else ""
        tell(f"{recording.file}: {counted(recording.frames, 'frame')} that were read{missed}")
