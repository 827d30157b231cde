"""`toolkit build MODEL`: from a PyTorch model to a bundle, in one straight function."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from calibration.quantize import QUANTIZED
from calibration.record import Budget, Calibration, write_calibration
from export.front import IMAGE
from export.reference import open_reference
from runtime import canonical
from runtime.backend import EngineOptions
from runtime.bundle import CALIBRATION, MODEL, PLAN, PROBE, write_bundle
from runtime.candidate import Candidate, Graph, coverage, enter, enter_all
from runtime.datasets import Dataset
from runtime.evaluate import require_readable
from runtime.folder import draft
from runtime.latency import measure
from runtime.manifest import SCHEMA_VERSION, Manifest, ProbeResult
from runtime.probe import PROBE_IMAGES, Probe, limit_for
from runtime.progress import Progress, TimedProgress
from runtime.race import Race, resolve_targets, run_race
from runtime.spec import ModelSpec, Precision
from toolkit import toolkit_version
from toolkit.build_result import BudgetOutcome, BuildResult, make_result
from toolkit.graphs import Graphs, Source, export_fp32, make_graphs


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        source: the model, its weights, and the images to calibrate with.
        precision: what the graph shall hold; None lets precisions race.
        target: a backend's name, or `auto` to race all that run here.
        output: the bundle's folder.
        force: replace a bundle that is there.
        eval_data: what accuracy is measured on, or None.
        options: batch sizes, device, threads and cache folder.
    """

    source: Source
    precision: Precision | None
    target: str
    output: Path
    force: bool
    eval_data: Dataset | None
    options: EngineOptions


def build(request: BuildRequest, progress: TimedProgress) -> BuildResult:
    """Export, calibrate, compile, evaluate, write.

    Nothing is left behind but the bundle, and nothing at all when it fails or is interrupted.

    Raises:
        ToolkitError: whatever is wrong with the model, the data, the machine or the output folder.
    """
    source, spec, best = request.source, request.source.spec, request.options.batch.best
    targets = resolve_targets(request.target, request.options.device)
    asked = request.precision
    precisions = (asked,) if asked else get_args(Precision)
    if request.eval_data is not None:
        require_readable(request.eval_data, progress)
    with draft(request.output, force=request.force) as bundle, tempfile.TemporaryDirectory() as folder:
        work, samples = Path(folder), source.samples

        # Export
        exported = export_fp32(source, samples, work / "fp32.onnx", progress)

        # Calibrate
        graphs = make_graphs(source, exported.path, precisions, progress, all_of_them=bool(asked))

        # Compile, and evaluate
        options = replace(request.options, reduced_range=graphs.reduced_range)
        with enter_all(targets, graphs.by_precision, asked, work, spec, options, progress) as candidates:
            timing_images = np.resize(samples, (best, *spec.image_shape))
            held_out = None if asked else source.held_out
            probes = make_probes(graphs, samples[:PROBE_IMAGES])
            race = run_race(candidates, asked, probes, timing_images, held_out, request.eval_data, progress)
            winner = race.winner
            budget = graphs.calibration.budget if graphs.calibration else None
            outcome = None
            if budget and winner.precision in QUANTIZED:
                whole = graphs.all_int8.get(winner.precision)
                outcome = weigh_budget(budget, winner, whole, work / "all", spec, options, timing_images, progress)

        # Write
        shutil.copyfile(graphs.by_precision[winner.precision].path, bundle.path / MODEL)
        if winner.engine_file.model is not None:
            shutil.move(winner.engine_file.path, bundle.path / PLAN)
        probes[winner.precision][0].write(bundle.path / PROBE)
        calibration = graphs.calibration if winner.precision in QUANTIZED else None
        if calibration:
            write_calibration(bundle.path / CALIBRATION, calibration)
        reduced_range = "int8" in winner.precision and graphs.reduced_range
        manifest = make_manifest(request, race, calibration, reduced_range, probes[winner.precision][1])
        write_bundle(bundle, manifest)
    method = calibration.method if calibration else None
    warnings = (*exported.warnings, *graphs.warnings)
    return make_result(manifest, method, race, request.output, warnings, progress, outcome)


def weigh_budget(
    budget: Budget,
    winner: Candidate,
    whole: Graph | None,
    folder: Path,
    spec: ModelSpec,
    options: EngineOptions,
    images: NDArray[np.uint8],
    progress: Progress,
) -> BudgetOutcome:
    """What the layers that a budget gave back to float cost in latency.

    Args:
        budget: what came of it.
        winner: the engine with those layers.
        whole: the graph with every layer in INT8; None where none was given back.
        folder: that the backend may write into, to be made.
        spec: what the model takes and gives.
        options: for the backend.
        images: to time with, uint8 (n, height, width, channels).
        progress: told of every step.
    """
    if whole is None or winner.cannot_run:
        return BudgetOutcome(budget, None, None)
    folder.mkdir()
    rival = enter(winner.target, winner.precision, whole, folder, spec, options, progress)
    try:
        times = measure({"budget": winner.session, "all": rival.session}, images, progress)
    finally:
        rival.session.close()
    return BudgetOutcome(budget, times["budget"].p50, times["all"].p50)


def make_probes(graphs: Graphs, images: NDArray[np.uint8]) -> dict[Precision, tuple[Probe, float]]:
    """A probe for each graph, from ONNX Runtime with one thread, with the limit that engines are held to.

    Args:
        graphs: the reference first.
        images: uint8 (n, height, width, channels).
    """
    answers = {
        precision: np.asarray(open_reference(graph.path).run(None, {IMAGE: images})[0])
        for precision, graph in graphs.by_precision.items()
    }
    reference = next(iter(answers.values()))
    probes = {precision: Probe(images, answer, reference) for precision, answer in answers.items()}
    return {precision: (probe, limit_for(precision, probe)) for precision, probe in probes.items()}


def make_manifest(
    request: BuildRequest, race: Race, calibration: Calibration | None, reduced_range: bool, limit: float
) -> Manifest:
    """What the bundle says of itself."""
    winner = race.winner
    return Manifest(
        schema_version=SCHEMA_VERSION,
        toolkit_version=toolkit_version(),
        spec=request.source.spec,
        files={},
        precision=winner.precision,
        reduced_range=reduced_range,
        target=winner.target,
        backend_version=winner.backend_version,
        threads=request.options.threads,
        batch=request.options.batch,
        layers=winner.layers,
        coverage=coverage(winner.layers),
        error=winner.error,
        calibration_digest=canonical.digest(calibration) if calibration else None,
        accuracy=race.accuracy,
        accuracy_reason="" if race.accuracy else "no evaluation data were given",
        latency_ms=race.latency,
        latency_reason=winner.cannot_run,
        fingerprint=dict(winner.engine_file.fingerprint),
        probe=ProbeResult(limit, race.check.distance if race.check else None, winner.cannot_run),
    )
