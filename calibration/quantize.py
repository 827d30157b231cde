"""The FP32 graph to the INT8 graph, in one straight function."""

from __future__ import annotations

from pathlib import Path

import onnx

from calibration.calibration import Calibration, Method, observe, write_calibration
from calibration.placement import plan
from calibration.qdq import insert_qdq
from runtime import canonical
from runtime.datasets import Dataset, batches
from runtime.errors import ModelError
from runtime.folder import write_atomically
from runtime.progress import Progress
from runtime.spec import ModelSpec

BATCH = 32


def quantize(
    fp32_path: Path,
    dataset: Dataset,
    spec: ModelSpec,
    out_path: Path,
    calibration_path: Path,
    *,
    method: Method = "minmax",
    progress: Progress,
) -> Calibration | None:
    """Plan, calibrate, insert, write.

    Args:
        fp32_path: the graph.
        dataset: images to calibrate with.
        spec: of the model.
        out_path: the INT8 graph to write.
        calibration_path: the calibration.json to write.
        method: how thresholds are found.
        progress: told of every batch.

    Returns:
        The calibration; None for a graph that holds Q/DQ already, which is copied as it is.

    Raises:
        DataError: an image cannot be read, there is none, or a tensor holds NaN or infinity.
        ModelError: there is no layer that can be quantized.
    """
    model = onnx.load(fp32_path)
    planned = plan(model)
    if planned.quantized_already:
        write_atomically(out_path, fp32_path.read_bytes())
        return None
    if not planned.layers:
        reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in planned.skipped)
        raise ModelError(
            f"no layer of {spec.name} can be quantized ({reasons or 'it has no Conv, Gemm or MatMul'})",
            "build it with --fp32",
        )
    with progress.stage("calibrate", len(dataset)) as stage:
        scales = observe(model, planned, batches(dataset, spec, BATCH), method, stage)
    calibration = Calibration(
        schema_version=1,
        method=method,
        images=len(dataset),
        images_digest=dataset.digest(),
        model_digest=canonical.digest_file(fp32_path),
        tensors=scales,
    )
    quantized = insert_qdq(model, planned, scales)
    write_calibration(calibration_path, calibration)
    write_atomically(out_path, quantized.SerializeToString(deterministic=True))
    return calibration
