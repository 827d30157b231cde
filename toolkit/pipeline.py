"""`toolkit build MODEL`: from a PyTorch model to a bundle, in one straight function."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from calibration.placement import Plan, plan
from calibration.quantize import quantize
from export.module import export_module
from export.reference import open_reference
from runtime.backend import EngineOptions
from runtime.bundle import write_bundle
from runtime.canonical import digest_file
from runtime.datasets import Dataset, batches, evenly_spaced
from runtime.folder import draft
from runtime.manifest import SCHEMA_VERSION, LayerEntry, Manifest, ProbeResult
from runtime.probe import LIMITS, PROBE_IMAGES, Probe, check_probe
from runtime.progress import Progress
from runtime.race import Race, coverage, enter_all, resolve_targets, run_race
from runtime.spec import BatchRange, Precision
from toolkit import toolkit_version
from toolkit.outcome import BuildResult, make_result
from toolkit.zoo import ZooModel
from toolkit.zoo.weights import load_weights


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        model: of the zoo.
        weights: a safetensors file; None takes the model's own.
        precision: what the graph shall hold.
        target: a backend's name, or `auto` to race all that run here.
        output: the bundle's folder.
        force: replace a bundle that is there.
        calib_data: what thresholds, parity and probe are taken from.
        eval_data: what accuracy is measured on, or None.
        calib_images: how many of `calib_data`, evenly spaced; None takes all.
        batch: the sizes to serve.
        options: device, threads and cache folder.
    """

    model: ZooModel
    weights: Path | None
    precision: Precision
    target: str
    output: Path
    force: bool
    calib_data: Dataset
    eval_data: Dataset | None
    calib_images: int | None
    batch: BatchRange
    options: EngineOptions


def build(request: BuildRequest, progress: Progress) -> BuildResult:
    """Export, calibrate, compile, evaluate, write.

    Nothing is left behind but the bundle, and nothing at all when it fails or is interrupted.

    Raises:
        ToolkitError: whatever is wrong with the model, the data, the machine or the output folder.
    """
    start = time.perf_counter()
    spec, precision = request.model.spec, request.precision
    targets = resolve_targets(request.target)
    with draft(request.output, force=request.force) as bundle, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        calib_data = evenly_spaced(request.calib_data, request.calib_images)
        count = max(request.batch.largest, PROBE_IMAGES)
        samples = next(batches(evenly_spaced(request.calib_data, count), spec, count))

        # Export
        module = load_module(request.model, request.weights)
        exported = export_module(module, spec, samples, work / "fp32.onnx", request.batch, progress)
        planned = plan(onnx.load(exported.path))
        graphs: dict[Precision, tuple[Path, tuple[LayerEntry, ...]]] = {
            "fp32": (exported.path, layer_entries(planned, "fp32"))
        }

        # Calibrate
        model_path, calibration_path = bundle.path / "model.onnx", bundle.path / "calibration.json"
        if precision == "int8":
            quantize(exported.path, calib_data, spec, model_path, calibration_path, progress=progress)
            graphs["int8"] = (model_path, layer_entries(planned, "int8"))
        else:
            model_path.write_bytes(exported.path.read_bytes())

        # Compile, and evaluate
        probe = make_probe(exported.path, model_path, samples[:PROBE_IMAGES])
        probe.write(bundle.path / "probe.npz")
        with enter_all(targets, graphs, bundle.path, spec, request.options, progress) as candidates:
            race = run_race(candidates, precision, samples[:1], request.eval_data, progress)
            check = check_probe(race.winner.session, probe, LIMITS[precision])
            check.require(f"the new engine ({precision} on {race.winner.target})")

        # Write
        no_accuracy = "" if race.accuracy else "no evaluation data were given"
        calibration_digest = digest_file(calibration_path) if calibration_path.exists() else None
        manifest = make_manifest(
            request, race, calibration_digest, no_accuracy, ProbeResult(check.limit, check.distance)
        )
        write_bundle(bundle, manifest)
    return make_result(
        spec.name,
        race,
        request.output,
        race.accuracy,
        no_accuracy,
        check.distance,
        exported.warnings,
        time.perf_counter() - start,
    )


def load_module(model: ZooModel, weights: Path | None) -> nn.Module:
    """The model with its weights, ready to export."""
    module_name, factory = model.factory.split(":")
    module: nn.Module = getattr(import_module(module_name), factory)()
    load_weights(module, weights or model.weights)
    return module.eval()


def layer_entries(planned: Plan, precision: Precision) -> tuple[LayerEntry, ...]:
    """What the graph of that precision asks of each layer that could be quantized."""
    taken = tuple(LayerEntry(layer.name, layer.macs, precision, "unknown") for layer in planned.layers)
    left = tuple(LayerEntry(layer.name, layer.macs, "fp32", "unknown", layer.reason) for layer in planned.skipped)
    return taken + left


def make_probe(fp32_path: Path, model_path: Path, images: NDArray[np.uint8]) -> Probe:
    """Ask both graphs on ONNX Runtime with one thread.

    Args:
        fp32_path: the FP32 graph.
        model_path: the graph of the bundle.
        images: uint8 (n, height, width, channels).
    """
    fp32, expected = (
        np.asarray(open_reference(path, None).run(None, {"image": images})[0]) for path in (fp32_path, model_path)
    )
    return Probe(images, expected, fp32)


def make_manifest(
    request: BuildRequest, race: Race, calibration_digest: str | None, no_accuracy: str, probe: ProbeResult
) -> Manifest:
    """What the bundle says of itself."""
    winner = race.winner
    return Manifest(
        schema_version=SCHEMA_VERSION,
        toolkit_version=toolkit_version(),
        spec=request.model.spec,
        files={},
        precision=winner.precision,
        target=winner.target,
        backend_version=winner.backend_version,
        threads=request.options.threads,
        batch=request.batch,
        layers=winner.layers,
        coverage=coverage(winner.layers),
        calibration_digest=calibration_digest,
        accuracy=race.accuracy,
        accuracy_reason=no_accuracy,
        latency_ms=race.latency,
        latency_reason="",
        fingerprint=dict(winner.engine_file.fingerprint),
        probe=probe,
    )
