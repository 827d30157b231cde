"""`toolkit doctor`: what this machine can do, and what to do about the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING

import click

from toolkit.console import print_table, say, size
from toolkit.option_types import FiniteRange
from toolkit.options import BACKEND_NAMES, output_options

if TYPE_CHECKING:
    from toolkit.doctor.backends import BackendState
    from toolkit.doctor.finding import Finding
    from toolkit.doctor.nvidia import Gpu
    from toolkit.doctor.report import Report
    from toolkit.doctor.system import System


@click.command()
@click.option(
    "--timeout",
    type=FiniteRange(min=0.1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one package may take to import.",
)
@output_options
@click.pass_context
def command(ctx: click.Context, timeout: float, as_json: bool) -> None:
    """Say what this machine can do, and the exact command for what is missing or broken.

    Looks at the machine, the packages, OpenCV's cameras, NVIDIA's GPU and the engines. It changes nothing, and imports
    packages in a process of its own, so that a broken one harms nothing.

    Exits with 0 where an engine runs and nothing is broken; with 1 where none runs, or where packages clash, are too
    old or cannot be imported. An extra that is not installed is no error.
    """
    try:
        import packaging.requirements  # noqa: F401
    except Exception as error:  # everything else is imported in a process of its own
        from runtime.errors import MissingPackageError

        message = f"this needs the package packaging, which cannot be imported: {error}"
        raise MissingPackageError(message, "pip install --force-reinstall packaging") from error
    from toolkit.doctor.report import examine

    report = examine(BACKEND_NAMES, timeout)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))  # not with msgspec: it may be what is broken
    else:
        show(report)
    if not report.ok:
        ctx.exit(1)


def show(report: Report) -> None:
    """One table for each section, and what to do next."""
    rich_works = any(package.name == "rich" and package.state == "ok" for package in report.packages)

    def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if rich_works:
            print_table(title, columns, rows)
        else:
            say("\n".join([title, *("  " + "  ".join(filter(None, row)) for row in rows), ""]))

    table(f"toolkit {report.toolkit}", ["", ""], system_rows(report.system))
    features = [[f.name, "yes" if f.present else "no", f.brings] for f in report.system.cpu.features]
    table("CPU features", ["feature", "here", "brings"], features)
    rows = [
        [package.name, package.wanted, package.version or "-", ", ".join(package.extras) or "base", package.state]
        for package in report.packages
        if not (package.for_developers and package.state in ("ok", "missing"))
    ]
    table("packages", ["package", "needs", "has", "for", "state"], rows)
    if report.opencv:
        build = report.opencv
        parts = {"V4L": build.v4l, "GStreamer": build.gstreamer, "FFmpeg": build.ffmpeg}
        has = [name for name, there in parts.items() if there] + [build.gui] * bool(build.gui)
        rows = [["built with", ", ".join(has) or "none of V4L, GStreamer, FFmpeg"]]
        if build.lacks:
            rows.append(["without", build.lacks])
        table(f"OpenCV {build.version}", ["", ""], rows)
    facts = report.nvidia
    rows = [["GPU", ", ".join(gpu_words(gpu))] for gpu in facts.gpus] or [["GPU", facts.reason or "none"]]
    rows += [["driver", f"{facts.driver} supports CUDA up to {facts.cuda}".strip()]] * bool(facts.cuda)
    there = [f"{package.module} {package.version}".strip() for package in report.nvidia.packages if package.installed]
    absent = [package.module for package in report.nvidia.packages if not package.installed]
    rows += [[label, ", ".join(names)] for label, names in (("installed", there), ("not installed", absent)) if names]
    table("NVIDIA", ["", ""], rows)
    rows = [[b.name, state_of(b), f"{b.version} on {b.device}" if b.ok else b.reason] for b in report.backends]
    rows += [[b.name, "INT8 in 7 bits", b.overflows] for b in report.backends if b.ok and b.overflows]
    table("engines", ["engine", "state", ""], rows)
    cache = report.cache
    rows = [["", cache.folder or "none"], ["holds", f"{cache.files} files, {size(cache.bytes)}"]]
    table("cache folder (may be deleted)", ["", ""], rows + [["not used", cache.reason]] * bool(cache.reason))
    show_next(report)


def state_of(backend: BackendState) -> str:
    """Whether an engine runs."""
    if backend.ok:
        return "runs"
    return "builds only" if backend.builds else "does not run"


def gpu_words(gpu: Gpu) -> list[str]:
    """What is known of a GPU."""
    capability = [f"compute capability {gpu.compute_capability}"] * bool(gpu.compute_capability)
    return [gpu.name, gpu.memory, *[f"driver {gpu.driver}"] * bool(gpu.driver), *capability]


def system_rows(system: System) -> list[list[str]]:
    """The facts of the machine."""
    where = "a virtual environment" if system.virtual_environment else "not in a virtual environment"
    memory = f"{gigabytes(system.memory)}, {gigabytes(system.memory_available)} available" if system.memory else "?"
    rows = [
        ["system", f"{system.os}, Linux {system.kernel}, {system.machine}"],
        ["Python", f"{system.python}, {where}"],
        ["", system.executable],
        ["CPU", f"{system.cpu.name}, {system.cores} {'core' if system.cores == 1 else 'cores'} for this process"],
        ["memory", memory],
    ]
    if system.jetson:
        jetson = system.jetson
        l4t = f" (L4T {jetson.l4t})" if jetson.l4t else ""
        python = f", for Python {jetson.python}" if jetson.python else ""
        rows.append(["Jetson", jetson.model or "unknown board"])
        rows.append(["JetPack", f"{jetson.jetpack}{l4t}: TensorRT {jetson.tensorrt}{python}"])
    return rows


def gigabytes(count: int) -> str:
    """Memory for people."""
    return f"{count / 1e9:.1f} GB"


def show_next(report: Report) -> None:
    """What to do, each with its command on a line of its own, to be copied."""
    running = [backend.name for backend in report.backends if backend.ok]
    if not report.next:
        say("all is well")
        say("next:  toolkit build lenet --int8")
        return
    if report.ok:
        say(f"bundles run here on {' and '.join(running)}; nothing is broken")
    say("next:")
    for finding in report.next:
        say_finding(finding)


def say_finding(finding: Finding) -> None:
    """What is wrong, wrapped, and the command, never wrapped."""
    label = "broken: " if finding.broken else ""
    text = fill(
        label + finding.what,
        min(get_terminal_size().columns, 100),
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    say(text.replace(label, click.style(label, fg="red", bold=True), 1) if label else text)
    if finding.command:
        say(f"    {click.style(finding.command, fg='cyan')}")
