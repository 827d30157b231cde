"""manifest.json: what a bundle says of itself. Values only; reading and writing folders is `runtime.bundle`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, structs

from runtime import canonical
from runtime.spec import BatchRange, ModelSpec, Precision

SCHEMA_VERSION = 2

Sha256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0)]
Decibels: TypeAlias = Annotated[float, Meta(ge=-150, le=150)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]


class FileEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the bundle, by its content."""

    sha256: Sha256
    size: Count


class LayerEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One layer that could be quantized.

    Attributes:
        name: the module path of its weight.
        macs: multiply-accumulates for one image.
        asked: the type that the graph holds for it.
        reached: the type that the engine executes it in; `unknown` where nothing can tell.
        reason: why it was left in float, or why the engine did not follow; empty otherwise.
        sqnr_db: of its output against the FP32 graph's, both on ONNX Runtime; None where it was not measured.
    """

    name: str
    macs: Count
    asked: str
    reached: str
    reason: str = ""
    sqnr_db: Decibels | None = None


class GraphError(Struct, frozen=True, forbid_unknown_fields=True):
    """How far the graph strays from the FP32 one, layer by layer in `LayerEntry`, and at its end.

    Attributes:
        logits_sqnr_db: signal-to-quantization-noise ratio of the logits; None for an FP32 graph.
        images: of the calibration set that it was measured on: those that gave no thresholds, where there are four.
    """

    logits_sqnr_db: Decibels | None
    images: Count


class Coverage(Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a model runs in INT8.

    Attributes:
        quantized: layers executed in INT8.
        quantizable: layers that have a weight to quantize.
        macs_share: their part of the multiply-accumulates, 0..1.
        skipped: the others, with the reason.
    """

    quantized: Count
    quantizable: Count
    macs_share: Annotated[float, Meta(ge=0, le=1)]
    skipped: tuple[dict[str, str], ...]


class Accuracy(Struct, frozen=True, forbid_unknown_fields=True):
    """Answers on labelled images, all in percent.

    Attributes:
        top1: of the engine; None without labels.
        top1_fp32: of the FP32 reference on the same backend; None without one, or without labels.
        drop_points: the difference, in percentage points; negative where the engine is the better.
        agreement: images that both put into the same class; None without a reference.
        images: how many.
        measured_with: the backend that ran the graph.
    """

    top1: Percent | None
    top1_fp32: Percent | None
    drop_points: Annotated[float, Meta(ge=-100, le=100)] | None
    agreement: Percent | None
    images: Count
    measured_with: str


class Latency(Struct, frozen=True, forbid_unknown_fields=True):
    """Percentiles of the time of one call.

    Attributes:
        p50, p90, p99: in milliseconds.
    """

    p50: Milliseconds
    p90: Milliseconds
    p99: Milliseconds


class GpuTimes(Struct, frozen=True, forbid_unknown_fields=True):
    """What a call on a GPU spends its time on, by CUDA's events; without a CUDA graph, which would hide the parts.

    Attributes:
        host_to_device_ms, compute_ms, device_to_host_ms: on the GPU, in milliseconds.
        enqueue_ms: of the CPU, to queue the network.
        host_ms: the whole call.
        variation_percent: standard deviation of `compute_ms` over its mean.
        warnings: why these figures should not be relied on.
    """

    host_to_device_ms: Latency
    compute_ms: Latency
    device_to_host_ms: Latency
    enqueue_ms: Latency
    host_ms: Latency
    variation_percent: Annotated[float, Meta(ge=0)]
    warnings: tuple[str, ...]


class ProbeResult(Struct, frozen=True, forbid_unknown_fields=True):
    """How the engine answered the probe when it was built.

    Attributes:
        limit: the largest distance that is accepted, for this bundle's precision.
        distance: the one that was measured; None where the engine cannot run here.
        reason: why it was not run.
    """

    limit: Annotated[float, Meta(gt=0)]
    distance: Annotated[float, Meta(ge=0)] | None
    reason: str = ""


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """manifest.json.

    Attributes:
        schema_version: of this form; a newer one than `SCHEMA_VERSION` is refused.
        toolkit_version: of the toolkit that wrote it.
        spec: what the model takes and gives; its labels are in labels.txt alone.
        files: every other file, by name.
        precision: what was asked for.
        reduced_range: INT8 weights use 7 of their 8 bits, so that no CPU overflows.
        target: the backend that the bundle was built for.
        backend_version: of that backend when it was built.
        threads: that latency was measured with.
        batch: the sizes that the engine serves.
        layers: precision asked for and reached.
        coverage: the sum of them.
        error: against the FP32 graph.
        calibration_digest: sha256 of calibration.json, or None.
        accuracy: None where there was nothing to evaluate on.
        accuracy_reason: why it was not measured.
        latency_ms: at the best batch size; None where the engine cannot run here.
        latency_reason: why it was not measured.
        fingerprint: where the engine may run; empty for anywhere.
        probe: how it answered.
        digest: sha256 of the canonical form of all the rest.
    """

    schema_version: Annotated[int, Meta(ge=1)]
    toolkit_version: str
    spec: ModelSpec
    files: dict[str, FileEntry]
    precision: Precision
    reduced_range: bool
    target: str
    backend_version: str
    threads: Count
    batch: BatchRange
    layers: tuple[LayerEntry, ...]
    coverage: Coverage
    error: GraphError
    calibration_digest: Sha256 | None
    accuracy: Accuracy | None
    accuracy_reason: str
    latency_ms: Latency | None
    latency_reason: str
    fingerprint: dict[str, str]
    probe: ProbeResult
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$|^$")] = ""

    def sealed(self) -> Manifest:
        """The same, with its digest set."""
        return structs.replace(self, digest=self.expected_digest())

    def expected_digest(self) -> str:
        return canonical.digest(structs.replace(self, digest=""))


class SchemaOnly(Struct, frozen=True):
    """The one field that every version of the manifest has."""

    schema_version: int
