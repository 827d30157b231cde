"""Candidates of a race: a graph compiled for a target, with what its layers are really executed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from runtime.backend import (
    REFERENCE,
    WINOGRAD,
    Backend,
    EngineFile,
    EngineOptions,
    get_backend,
    require_backend,
)
from runtime.errors import BackendError
from runtime.manifest import Coverage, GraphError, LayerEntry
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session
from runtime.spec import ModelSpec, Precision

REASONS = {
    "unknown": "does not tell",
    WINOGRAD: "runs it in fp32 by Winograd's minimal filtering, which is faster here",
}


@dataclass(frozen=True)
class Graph:
    """An ONNX file at one precision.

    Attributes:
        path: the file.
        layers: what it asks of each layer.
        error: against the FP32 graph.
    """

    path: Path
    layers: tuple[LayerEntry, ...]
    error: GraphError


@dataclass(frozen=True)
class Candidate:
    """One graph on one target.

    Attributes:
        precision: what the graph holds.
        target: the backend's name.
        backend_version: the library's.
        engine_file: what was compiled.
        session: over it; where it cannot run here, over the same graph on `REFERENCE`.
        layers: precision asked for and reached, layer by layer.
        error: of the graph.
        cannot_run: why the engine cannot run here; empty where it can.
    """

    precision: Precision
    target: str
    backend_version: str
    engine_file: EngineFile
    session: Session
    layers: tuple[LayerEntry, ...]
    error: GraphError
    cannot_run: str = ""

    @property
    def runs_on(self) -> str:
        """The backend that answers for it here."""
        return REFERENCE if self.cannot_run else self.target

    @property
    def size_bytes(self) -> int:
        """Of the graph and of the plan, where there is one."""
        files = {self.engine_file.path, self.engine_file.model or self.engine_file.path}
        return sum(path.stat().st_size for path in files)

    @property
    def key(self) -> str:
        return f"{self.precision} {self.target}"

    @property
    def coverage(self) -> Coverage:
        return coverage(self.layers)

    @property
    def missing(self) -> tuple[str, ...]:
        """The types that the graph holds and the target executes nothing in."""
        reached = {layer.reached for layer in self.layers}
        if self.engine_file.layers is None or "unknown" in reached or not self.layers:
            return ()
        executed = {"fp32", *reached, *(kind for kind in self.engine_file.layers.values() if kind == "fp16")}
        return tuple(kind for kind in self.precision.split("-") if kind not in executed)

    @property
    def reason_against(self) -> str:
        """Why this candidate cannot win a race; empty where it can."""
        names = {"int8": "INT8", "fp16": "float16"}
        missing = " or ".join(names[kind] for kind in self.missing)
        return f"it runs nothing of this graph in {missing}" if missing else ""


@dataclass(frozen=True)
class Failed:
    """A graph that a target could not take."""

    precision: Precision
    target: str
    reason: str


def enter(
    target: str,
    precision: Precision,
    graph: Graph,
    out_dir: Path,
    spec: ModelSpec,
    options: EngineOptions,
    progress: Progress,
) -> Candidate:
    """Compile a graph for a target and open a session over it.

    Args:
        target: the backend's name.
        precision: what the graph holds.
        graph: the file, and what it asks of each layer; what was reached is filled in here.
        out_dir: where the backend may write an engine.
        spec: what the model takes and gives.
        options: for the backend.
        progress: passed on to the backend.
    """
    backend: Backend = require_backend(target, to_build=True)
    version = backend.available().version
    compiled = backend.compile(graph.path, out_dir, spec, options, progress)
    reached = tuple(reach(layer, compiled.layers, target) for layer in graph.layers)
    cannot_run = backend.why_not_here(compiled, options)
    if cannot_run:
        reference = replace(options, device=None)
        engine = require_backend(REFERENCE).load(EngineFile(graph.path, {}, None), spec, reference)
    else:
        engine = backend.load(compiled, spec, options)
    session = Session(engine, spec, options.batch)
    return Candidate(precision, target, version, compiled, session, reached, graph.error, cannot_run)


def reach(layer: LayerEntry, executed: Mapping[str, str] | None, target: str) -> LayerEntry:
    """Fill in what a layer is executed in, and why where that is not what was asked for."""
    reached = "unknown" if executed is None else executed.get(layer.name, "unknown")
    kind = "fp32" if reached == WINOGRAD else reached
    reason = layer.reason
    if layer.asked != kind and not reason:
        reason = f"{target} {REASONS.get(reached, f'runs it in {reached}')}"
    return structs.replace(layer, reached=kind, reason=reason)


def coverage(layers: tuple[LayerEntry, ...]) -> Coverage:
    """Sum up what is executed in INT8."""
    quantized = [layer for layer in layers if layer.reached == "int8"]
    total = sum(layer.macs for layer in layers)
    share = sum(layer.macs for layer in quantized) / total if total else 0.0
    skipped = tuple(
        {"layer": layer.name, "reason": layer.reason or f"the graph asks for {layer.asked}"}
        for layer in layers
        if layer.reached != "int8"
    )
    return Coverage(len(quantized), len(layers), share, skipped)


@contextmanager
def enter_all(
    targets: Sequence[str],
    graphs: Mapping[Precision, Graph],
    asked: Precision | None,
    out_dir: Path,
    spec: ModelSpec,
    options: EngineOptions,
    progress: Progress,
) -> Iterator[list[Candidate | Failed]]:
    """Every graph on every target, their sessions open for the length of a `with` block.

    Where there are several targets, one that fails is no error while another can be built. A target that does not run
    here builds nothing but what was asked for: what that is compared with runs on `REFERENCE`.
    """
    with ExitStack() as stack:
        entries: list[Candidate | Failed] = []
        with progress.stage("compile", len(targets) * len(graphs)) as stage:
            for precision, graph in graphs.items():
                for named in targets:
                    target = named if precision == asked or get_backend(named).available().ok else REFERENCE
                    settings = replace(options, precision=precision)
                    try:
                        candidate = enter(target, precision, graph, out_dir, spec, settings, progress)
                    except BackendError as error:
                        if len(targets) == 1:
                            raise
                        entries.append(Failed(precision, target, error.message))
                        stage.note(f"{precision} on {target} failed: {error.message}")
                    else:
                        stack.callback(candidate.session.close)
                        entries.append(candidate)
                    advance_or_stop(stage)
        yield entries
