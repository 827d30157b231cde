"""`toolkit build BUNDLE`: the same graph for another target, or on another machine. Needs no PyTorch and no ONNX."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs

from runtime.backend import EngineOptions
from runtime.bundle import CALIBRATION, MODEL, PLAN, PROBE, Bundle, verify_file, write_bundle
from runtime.candidate import Graph, coverage, enter_all
from runtime.datasets import Dataset
from runtime.evaluate import require_readable
from runtime.folder import draft
from runtime.manifest import LayerEntry, ProbeResult
from runtime.progress import TimedProgress
from runtime.race import resolve_targets, run_race
from toolkit import toolkit_version
from toolkit.build_result import BuildResult, make_result

KEPT_FILES = (MODEL, CALIBRATION, PROBE)


@dataclass(frozen=True)
class RebuildRequest:
    """What to build from a bundle.

    Attributes:
        source: the bundle's folder.
        target: a backend's name, or `auto` to race all that run here.
        output: the new bundle's folder.
        force: replace a bundle that is there.
        eval_data: what accuracy is measured on; None keeps the figures of the source.
        options: batch sizes, device, threads and cache folder.
    """

    source: Bundle
    target: str
    output: Path
    force: bool
    eval_data: Dataset | None
    options: EngineOptions


def rebuild(request: RebuildRequest, progress: TimedProgress) -> BuildResult:
    """Copy, compile, prove, write.

    Raises:
        ToolkitError: whatever is wrong with the bundle, the machine or the output folder.
    """
    source, old = request.source, request.source.manifest
    targets = resolve_targets(request.target, request.options.device)
    if request.eval_data is not None:
        require_readable(request.eval_data, progress)
    with draft(request.output, force=request.force) as bundle:
        for name in KEPT_FILES:
            if name in old.files:
                shutil.copyfile(source.path / name, bundle.path / name)
                verify_file(bundle.path, name, old.files[name])
        layers = tuple(as_asked(layer) for layer in old.layers)
        graphs = {old.precision: Graph(bundle.path / MODEL, layers, old.error)}
        with (
            tempfile.TemporaryDirectory() as work,
            enter_all(targets, graphs, old.precision, Path(work), source.spec, request.options, progress) as candidates,
        ):
            timing_images = np.resize(source.probe.images, (request.options.batch.best, *source.spec.image_shape))
            probes = {old.precision: (source.probe, old.probe.limit)}
            race = run_race(candidates, old.precision, probes, timing_images, None, request.eval_data, progress)
            winner = race.winner
            if winner.engine_file.model is not None:
                shutil.move(winner.engine_file.path, bundle.path / PLAN)
        alone = "" if old.precision == "fp32" else "a bundle holds no FP32 graph to compare with"
        accuracy, reason = (race.accuracy, alone) if race.accuracy else (old.accuracy, old.accuracy_reason)
        manifest = structs.replace(
            old,
            toolkit_version=toolkit_version(),
            spec=source.spec,
            target=winner.target,
            backend_version=winner.backend_version,
            threads=request.options.threads,
            batch=request.options.batch,
            layers=winner.layers,
            coverage=coverage(winner.layers),
            accuracy=accuracy,
            accuracy_reason=reason,
            latency_ms=race.latency,
            latency_reason=winner.cannot_run,
            fingerprint=dict(winner.engine_file.fingerprint),
            probe=ProbeResult(old.probe.limit, race.check.distance if race.check else None, winner.cannot_run),
        )
        write_bundle(bundle, manifest)
    return make_result(manifest, None, race, request.output, (), progress)


def as_asked(layer: LayerEntry) -> LayerEntry:
    """A layer as the graph holds it, without what the last engine made of it."""
    of_the_graph = layer.asked in ("fp32", layer.reached)  # the engine that does not follow has reasons of its own
    return structs.replace(layer, reached="unknown", reason=layer.reason if of_the_graph else "")
