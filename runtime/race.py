"""The race: every target that can run the model here, measured side by side; the fastest that keeps its word wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from runtime.backend import Backend, EngineFile, EngineOptions, installed_backends, require_backend
from runtime.datasets import Dataset
from runtime.errors import BackendError, BackendUnavailableError
from runtime.evaluate import accuracy, predict
from runtime.latency import measure
from runtime.manifest import Accuracy, Coverage, Latency, LayerEntry
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session
from runtime.spec import ModelSpec, Precision

INSTALL_CPU = "install the CPU engines: pip install '.[cpu]' in a clone of the toolkit"


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
    """

    precision: Precision
    target: str
    backend_version: str
    engine_file: EngineFile
    session: Session
    layers: tuple[LayerEntry, ...]

    @property
    def key(self) -> str:
        return f"{self.precision} {self.target}"

    @property
    def coverage(self) -> Coverage:
        return coverage(self.layers)

    @property
    def reason_against(self) -> str:
        """Why this candidate cannot win a race; empty where it can."""
        if self.precision == "int8" and self.layers and not self.coverage.quantized:
            return "it runs no layer of this graph in INT8"
        return ""


def enter(
    target: str,
    precision: Precision,
    onnx_path: Path,
    out_dir: Path,
    spec: ModelSpec,
    layers: tuple[LayerEntry, ...],
    options: EngineOptions,
    progress: Progress,
) -> Candidate:
    """Compile a graph for a target and open a session over it.

    Args:
        target: the backend's name.
        precision: what the graph holds.
        onnx_path: the graph.
        out_dir: where the backend may write an engine.
        spec: what the model takes and gives.
        layers: what was asked of each layer; what was reached is filled in here.
        options: for the backend.
        progress: passed on to the backend.
    """
    backend: Backend = require_backend(target)
    version = backend.available().version
    compiled = backend.compile(onnx_path, out_dir, spec, options, progress)
    reached = tuple(reach(layer, compiled.layers, target) for layer in layers)
    session = Session(backend.load(compiled, spec, options), spec, options.batch)
    return Candidate(precision, target, version, compiled, session, reached)


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
    skipped = tuple({"layer": layer.name, "reason": layer.reason} for layer in layers if layer.reached != "int8")
    return Coverage(len(quantized), len(layers), share, skipped)


class RaceRow(Struct, frozen=True):
    """One line of a race, for tables and JSON. Figures that were not measured are None."""

    target: str
    precision: Precision
    size_bytes: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    top1: float | None
    drop_points: float | None
    agreement: float | None
    quantized: int
    quantizable: int
    chosen: bool
    reason_against: str


@dataclass(frozen=True)
class Race:
    """What came of it.

    Attributes:
        winner: the candidate that was chosen.
        rows: every candidate, the FP32 references first.
        accuracy: of the winner; None where there were no images to evaluate on.
        latency: of the winner.
    """

    winner: Candidate
    rows: tuple[RaceRow, ...]
    accuracy: Accuracy | None
    latency: Latency


def run_race(
    candidates: Sequence[Candidate],
    precision: Precision,
    timing_images: NDArray[np.uint8],
    dataset: Dataset | None,
    progress: Progress,
) -> Race:
    """Measure candidates side by side and choose.

    Args:
        candidates: those of another precision than `precision` are references only.
        precision: the one that was asked for.
        timing_images: uint8 (1, height, width, channels), what latency is measured with.
        dataset: what accuracy is measured on; None measures none.
        progress: told of every step.

    Raises:
        BackendError: there is no candidate of that precision.
    """
    sessions = {candidate.key: candidate.session for candidate in candidates}
    latencies = measure(sessions, timing_images, progress)
    classes = predict(sessions, dataset, progress) if dataset is not None else {}
    accuracies = {
        candidate.key: accuracy(
            classes[candidate.key], classes.get(f"fp32 {candidate.target}"), dataset.labels, candidate.target
        )
        for candidate in candidates
        if dataset is not None
    }
    winner = pick_winner([candidate for candidate in candidates if candidate.precision == precision], latencies)
    rows = tuple(row(entry, latencies[entry.key], accuracies.get(entry.key), entry is winner) for entry in candidates)
    return Race(winner, rows, accuracies.get(winner.key), latencies[winner.key])


def row(candidate: Candidate, latency: Latency, measured: Accuracy | None, chosen: bool) -> RaceRow:
    """A candidate with its figures."""
    return RaceRow(
        candidate.target,
        candidate.precision,
        candidate.engine_file.path.stat().st_size,
        latency.p50,
        latency.p90,
        latency.p99,
        measured.top1 if measured else None,
        measured.drop_points if measured else None,
        measured.agreement if measured else None,
        candidate.coverage.quantized,
        candidate.coverage.quantizable,
        chosen,
        candidate.reason_against,
    )


def pick_winner(candidates: Sequence[Candidate], latencies: Mapping[str, Latency]) -> Candidate:
    """The fastest candidate that can win; where only one target was asked for, that one."""
    if not candidates:
        raise BackendError("no target runs on this machine", INSTALL_CPU)
    able = [candidate for candidate in candidates if not candidate.reason_against] or candidates
    return min(able, key=lambda candidate: latencies[candidate.key].p50)


@contextmanager
def enter_all(
    targets: Sequence[str],
    graphs: Mapping[Precision, tuple[Path, tuple[LayerEntry, ...]]],
    out_dir: Path,
    spec: ModelSpec,
    options: EngineOptions,
    progress: Progress,
) -> Iterator[list[Candidate]]:
    """Every graph on every target, their sessions open for the length of a `with` block."""
    with ExitStack() as stack:
        candidates = []
        with progress.stage("compile", len(targets) * len(graphs)) as stage:
            for precision, (onnx_path, layers) in graphs.items():
                for target in targets:
                    settings = replace(options, precision=precision)
                    candidate = enter(target, precision, onnx_path, out_dir, spec, layers, settings, progress)
                    stack.callback(candidate.session.close)
                    candidates.append(candidate)
                    advance_or_stop(stage)
        yield candidates


def resolve_targets(target: str) -> list[str]:
    """The backends that a `--target` stands for.

    Raises:
        BackendError: the one that is named does not run here, or none does.
    """
    if target != "auto":
        require_backend(target)
        return [target]
    targets = installed_backends()
    if not targets:
        raise BackendUnavailableError("no target runs on this machine", INSTALL_CPU)
    return targets
