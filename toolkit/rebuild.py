"""`toolkit build BUNDLE`: the same graph for another target, or on another machine. Needs no PyTorch and no ONNX."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from runtime.backend import EngineOptions
from runtime.bundle import Bundle, verify_file, write_bundle
from runtime.datasets import Dataset
from runtime.folder import draft
from runtime.manifest import LayerEntry, ProbeResult
from runtime.probe import check_probe
from runtime.progress import Progress
from runtime.race import coverage, enter_all, resolve_targets, run_race
from toolkit import toolkit_version
from toolkit.outcome import BuildResult, make_result

KEPT_FILES = ("model.onnx", "calibration.json", "probe.npz")


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


def rebuild(request: RebuildRequest, progress: Progress) -> BuildResult:
    """Copy, compile, prove, write.

    Raises:
        ToolkitError: whatever is wrong with the bundle, the machine or the output folder.
    """
    start = time.perf_counter()
    source, old = request.source, request.source.manifest
    targets = resolve_targets(request.target)
    with draft(request.output, force=request.force) as bundle:
        for name in KEPT_FILES:
            if name in old.files:
                shutil.copyfile(source.path / name, bundle.path / name)
                verify_file(bundle.path, name, old.files[name])
        layers = tuple(as_asked(layer) for layer in old.layers)
        graphs = {old.precision: (bundle.path / "model.onnx", layers)}
        with enter_all(targets, graphs, bundle.path, source.spec, request.options, progress) as candidates:
            race = run_race(candidates, old.precision, source.probe.images[:1], request.eval_data, progress)
            check = check_probe(race.winner.session, source.probe, old.probe.limit)
            check.require(f"the new engine ({old.precision} on {race.winner.target})")
        winner = race.winner
        accuracy, reason = (race.accuracy, "") if race.accuracy else (old.accuracy, old.accuracy_reason)
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
            latency_reason="",
            fingerprint=dict(winner.engine_file.fingerprint),
            probe=ProbeResult(check.limit, check.distance),
        )
        write_bundle(bundle, manifest)
    seconds = time.perf_counter() - start
    return make_result(source.spec.name, race, request.output, accuracy, reason, check.distance, (), seconds)


def as_asked(layer: LayerEntry) -> LayerEntry:
    """A layer as the graph holds it, without what the last engine made of it."""
    kept_float = layer.asked == "fp32"
    return structs.replace(layer, reached="unknown", reason=layer.reason if kept_float else "")
