"""The race: every target that can run the model here, measured side by side; the fastest that keeps its word wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from runtime.backend import Backend, EngineFile, EngineOptions, get_backend, installed_backends, require_backend
from runtime.datasets import Dataset
from runtime.errors import BackendError, BackendUnavailableError
from runtime.evaluate import accuracy, predict
from runtime.latency import measure
from runtime.manifest import Accuracy, Coverage, GraphError, Latency, LayerEntry
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session
from runtime.spec import ModelSpec, Precision

INSTALL_CPU = "install the CPU engines: pip install '.[cpu]' in a clone of the toolkit"
MAX_DROP_POINTS = 0.1  # of a precision that nobody asked for, against FP32 on the same target
MIN_AGREEMENT = 99.9  # the same where images have no labels, in percent


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
        session: over it.
        layers: precision asked for and reached, layer by layer.
        error: of the graph.
    """

    precision: Precision
    target: str
    backend_version: str
    engine_file: EngineFile
    session: Session
    layers: tuple[LayerEntry, ...]
    error: GraphError

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
    backend: Backend = require_backend(target)
    version = backend.available().version
    compiled = backend.compile(graph.path, out_dir, spec, options, progress)
    reached = tuple(reach(layer, compiled.layers, target) for layer in graph.layers)
    session = Session(backend.load(compiled, spec, options), spec, options.batch)
    return Candidate(precision, target, version, compiled, session, reached, graph.error)


def reach(layer: LayerEntry, executed: Mapping[str, str] | None, target: str) -> LayerEntry:
    """Fill in what a layer is executed in, and why where that is not what was asked for."""
    reached = "unknown" if executed is None else executed.get(layer.name, "unknown")
    reason = layer.reason
    if layer.asked != reached and not reason:
        reason = f"{target} runs it in {reached}" if reached != "unknown" else f"{target} does not tell"
    return structs.replace(layer, reached=reached, reason=reason)


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


class RaceRow(Struct, frozen=True):
    """One line of a race, for tables and JSON. Figures that were not measured are None.

    Attributes:
        executed: how many of the layers with a weight run in each type.
        reason_against: why it could not win, or could not be built at all; empty where it could.
    """

    target: str
    precision: Precision
    size_bytes: int | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    top1: float | None = None
    drop_points: float | None = None
    agreement: float | None = None
    logits_sqnr_db: float | None = None
    executed: dict[str, int] = {}
    quantized: int = 0
    quantizable: int = 0
    chosen: bool = False
    reason_against: str = ""


@dataclass(frozen=True)
class Race:
    """What came of it.

    Attributes:
        winner: the candidate that was chosen.
        reason_against: what it does not do of what was asked, where no candidate does; empty otherwise.
        rows: every candidate, the FP32 references first.
        accuracy: of the winner; None where there were no images to evaluate on.
        latency: of the winner.
    """

    winner: Candidate
    reason_against: str
    rows: tuple[RaceRow, ...]
    accuracy: Accuracy | None
    latency: Latency


def run_race(
    entries: Sequence[Candidate | Failed],
    precision: Precision | None,
    timing_images: NDArray[np.uint8],
    held_out: Dataset | None,
    dataset: Dataset | None,
    progress: Progress,
) -> Race:
    """Measure candidates side by side and choose.

    Args:
        entries: what was compiled, and what failed.
        precision: the one that was asked for, others being references only; None lets every precision race that keeps
            FP32's accuracy.
        timing_images: uint8 (n, height, width, channels), what latency is measured with.
        held_out: where precisions race, what their accuracy is judged on; never the evaluation set.
        dataset: what accuracy is measured on; None measures none.
        progress: told of every step.

    Raises:
        BackendError: no candidate of that precision is there.
    """
    candidates = [entry for entry in entries if isinstance(entry, Candidate)]
    able = [candidate for candidate in candidates if precision in (None, candidate.precision)]
    if not able:
        failed = next((entry for entry in entries if isinstance(entry, Failed)), None)
        raise BackendError(failed.reason if failed else "no target runs on this machine", INSTALL_CPU)
    against = {candidate.key: candidate.reason_against for candidate in candidates}
    sessions = {candidate.key: candidate.session for candidate in candidates}
    latencies = measure(sessions, timing_images, progress)
    if precision is None and held_out is not None:
        judged = compare(candidates, held_out, "judge precisions", progress)
        against = {key: reason or loses_too_much(judged[key]) for key, reason in against.items()}
    accuracies = compare(candidates, dataset, "evaluate", progress) if dataset is not None else {}
    winner = pick_winner(able, against, latencies)
    rows = tuple(
        row(entry, latencies[entry.key], accuracies.get(entry.key), against[entry.key], entry is winner)
        if isinstance(entry, Candidate)
        else RaceRow(entry.target, entry.precision, reason_against=entry.reason)
        for entry in entries
    )
    return Race(winner, against[winner.key], rows, accuracies.get(winner.key), latencies[winner.key])


def compare(candidates: Sequence[Candidate], dataset: Dataset, name: str, progress: Progress) -> dict[str, Accuracy]:
    """The accuracy of each, and its agreement with FP32 on the same target."""
    classes = predict({candidate.key: candidate.session for candidate in candidates}, dataset, progress, name)
    return {
        candidate.key: accuracy(
            classes[candidate.key], classes.get(f"fp32 {candidate.target}"), dataset.labels, candidate.target
        )
        for candidate in candidates
    }


def loses_too_much(measured: Accuracy) -> str:
    """Why a precision that nobody asked for may not win; empty where it may."""
    where = f"on {measured.images:,} held-out calibration images"
    if measured.drop_points is not None:
        lost = measured.drop_points
        return f"it loses {lost:.2f} points {where}, over {MAX_DROP_POINTS:g}" if lost > MAX_DROP_POINTS else ""
    if measured.agreement is not None and measured.agreement < MIN_AGREEMENT:
        return f"it agrees with FP32 on {measured.agreement:.2f} % {where}, under {MIN_AGREEMENT:g}"
    return ""


def row(
    candidate: Candidate, latency: Latency, measured: Accuracy | None, reason_against: str, chosen: bool
) -> RaceRow:
    """A candidate with its figures."""
    reached = [layer.reached for layer in candidate.layers]
    return RaceRow(
        target=candidate.target,
        precision=candidate.precision,
        size_bytes=candidate.engine_file.path.stat().st_size,
        p50_ms=latency.p50,
        p90_ms=latency.p90,
        p99_ms=latency.p99,
        top1=measured.top1 if measured else None,
        drop_points=measured.drop_points if measured else None,
        agreement=measured.agreement if measured else None,
        logits_sqnr_db=candidate.error.logits_sqnr_db,
        executed={kind: reached.count(kind) for kind in sorted(set(reached))},
        quantized=candidate.coverage.quantized,
        quantizable=candidate.coverage.quantizable,
        chosen=chosen,
        reason_against=reason_against,
    )


def pick_winner(
    candidates: Sequence[Candidate], against: Mapping[str, str], latencies: Mapping[str, Latency]
) -> Candidate:
    """The fastest candidate that can win; where none can, the fastest of those that miss least of what was asked."""
    able = [candidate for candidate in candidates if not against[candidate.key]] or candidates
    fewest = min(len(candidate.missing) for candidate in able)
    return min(
        (candidate for candidate in able if len(candidate.missing) == fewest),
        key=lambda candidate: latencies[candidate.key].p50,
    )


@contextmanager
def enter_all(
    targets: Sequence[str],
    graphs: Mapping[Precision, Graph],
    out_dir: Path,
    spec: ModelSpec,
    options: EngineOptions,
    progress: Progress,
) -> Iterator[list[Candidate | Failed]]:
    """Every graph on every target, their sessions open for the length of a `with` block.

    Where there are several targets, one that fails is no error while another can be built.
    """
    with ExitStack() as stack:
        entries: list[Candidate | Failed] = []
        with progress.stage("compile", len(targets) * len(graphs)) as stage:
            for precision, graph in graphs.items():
                for target in targets:
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


def resolve_targets(target: str, device: str | None = None) -> list[str]:
    """The backends that a `--target` stands for, and that have the device.

    Args:
        target: a backend's name, or `auto`.
        device: a backend's name of a device; None is its usual one.

    Raises:
        BackendError: the one that is named does not run here, or none does, or none has that device.
    """
    if target != "auto":
        require_backend(target)
    targets = installed_backends() if target == "auto" else [target]
    if not targets:
        raise BackendUnavailableError("no target runs on this machine", INSTALL_CPU)
    devices = {name: get_backend(name).available().devices for name in targets}
    able = [name for name in targets if device is None or device in devices[name]]
    if not able:
        there = "; ".join(f"{name} has {', '.join(devices[name])}" for name in targets)
        raise BackendError(f"there is no device '{device}' here", f"leave --device out, or give one that is: {there}")
    return able
