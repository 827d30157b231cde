"""`toolkit build --on`: the graph is made here, the engine there, where it is verified and timed as well."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from runtime.bundle import MANIFEST, Bundle, read_manifest
from runtime.errors import RemoteError
from runtime.folder import draft
from runtime.progress import Progress
from runtime.spec import Precision
from toolkit import board
from toolkit.build_result import BuildResult
from toolkit.remote.answer import decode
from toolkit.remote.session import Remote, at_work
from toolkit.remote.work import Work

AGAINST_OVERFLOW = ("openvino", "onnxruntime")


@dataclass(frozen=True)
class Wanted:
    """What to build.

    Attributes:
        model: as it was named.
        make: writes a bundle with its graph into a folder, given whether INT8 weights have to keep to 7 bits; None
            where the model is a bundle itself.
        precision: of the graph; None for that of a bundle.
        target: a backend's name, or `auto`.
        output: the bundle's folder.
        force: replace a bundle that is there.
        eval_data: images to measure accuracy on there; None keeps the figures from here.
        words: the options for the machine.
    """

    model: str
    make: Callable[[Path, bool], object] | None
    precision: Precision | None
    target: str
    output: Path
    force: bool
    eval_data: Path | None
    words: Sequence[str]


class EngineThere(Struct, frozen=True):
    """Of a backend in `doctor --json`."""

    name: str
    ok: bool
    overflows: str


class Verdict(Struct, frozen=True):
    """`verify --json`, whether the bundle could be opened or not."""

    ok: bool
    distance: float | None = None
    limit: float = 0.0


class Diagnosis(Struct, frozen=True):
    """`doctor --json`, as far as it matters."""

    backends: tuple[EngineThere, ...]


def build_there(remote: Remote, wanted: Wanted, progress: Progress) -> BuildResult:
    """Make the graph here, send it, build, verify and time there, bring the bundle back.

    Nothing is written but the bundle, and nothing at all when anything fails.

    Raises:
        ToolkitError: whatever is wrong here, there or in between.
    """
    with draft(wanted.output, force=wanted.force) as bundle, at_work(remote, progress) as work:
        # Here
        source = send_source(work, wanted)

        # There
        words = list(wanted.words)
        if wanted.eval_data:
            words.append(f"--eval-data={work.send('images', wanted.eval_data)}")
        place = work.place("bundle", wanted.output)
        ran = work.run("build", "build", source, f"--target={wanted.target}", f"--output={place}", *words, "--json")
        work.require(ran)
        result = decode(remote.address, ran, BuildResult)
        if result.latency_ms is None:
            click.echo(f"not verified on {remote.address}: {result.latency_reason}", err=True)
        else:
            verify_there(work, place)

        # Back
        work.bring("bundle", bundle.path)
        Bundle.open(bundle.path)
        bundle.publish()
    return replace(result, bundle=str(wanted.output))


def send_source(work: Work, wanted: Wanted) -> str:
    """A bundle with the graph, made here unless the model is one, or an earlier run has sent it."""
    if wanted.make is None:
        folder = Path(wanted.model)
        return work.send("model", folder, bundle_files(folder))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        if work.resumed and work.has("model"):
            return work.send("model", folder, (), wanted.model)
        reduced = "int8" in (wanted.precision or "") and overflows_there(work, wanted.target)
        click.echo(f"building the graph of {wanted.model} here", err=True)
        wanted.make(folder, reduced)
        board.writes(wanted.output)  # rather than that folder
        return work.send("model", folder, bundle_files(folder), wanted.model)


def bundle_files(folder: Path) -> list[str]:
    """Those that the manifest names, and itself, of a bundle that is whole."""
    Bundle.open(folder)
    return [MANIFEST, *read_manifest(folder).files]


def overflows_there(work: Work, target: str) -> bool:
    """Whether an engine of the other machine needs INT8 weights of 7 bits."""
    if target not in ("auto", *AGAINST_OVERFLOW):
        return False
    ran = work.run("doctor", "doctor", "--json")  # its exit code says that something is missing, whatever that is
    found = decode(work.address, ran, Diagnosis).backends
    return any(engine.overflows for engine in found if engine.ok and target in ("auto", engine.name))


def verify_there(work: Work, place: str) -> None:
    """Let the engine prove itself in a process of its own; it may run what was built just before.

    Raises:
        RemoteError: it answers otherwise than as it was built.
    """
    ran = work.run("verify", "verify", place, "--trust", "--json")
    verdict = decode(work.address, ran, Verdict)
    if not verdict.ok or ran.code:
        raise RemoteError(
            f"the engine that {work.address} built does not answer as it should; it is not brought back",
            "toolkit doctor there says what its libraries are; another --target may do",
        )
    distance = "-" if verdict.distance is None else f"{verdict.distance:.2g}"
    click.echo(f"verified on {work.address}: distance {distance}, limit {verdict.limit:g}", err=True)
