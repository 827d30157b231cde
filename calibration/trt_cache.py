"""A calibration cache as TensorRT's own calibrators write it, for what takes nothing else: trtexec --calib, DLA."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import onnx
from onnx import TensorProto

from calibration.batch_size import batch_size
from calibration.calibration import CalibrationRequest, observe
from calibration.layers import constant_tensors
from calibration.placement import PASSES_SCALE
from calibration.record import Calibration, step
from calibration.thresholds import METHODS
from export.float16 import typed_tensors
from runtime.datasets import batches, first
from runtime.errors import ToolkitError
from runtime.progress import Progress

VERSION = (10, 3, 0)  # of JetPack 6.1 and 6.2


def every_scale(request: CalibrationRequest, calibration: Calibration, progress: Progress) -> dict[str, float]:
    """Of one step, for each float tensor that the graph computes, in its order.

    TensorRT runs no layer in INT8 that reads or gives a tensor without a scale. Those of the calibration are taken as
    they are, also for what only moves such values; the rest is found by the same method on as many of its images.

    Args:
        request: what the calibration was made for.
        calibration: the scales of what INT8 layers read.
        progress: told of every image.

    Raises:
        DataError: an image cannot be read, or a tensor holds NaN or infinity.
    """
    model = onnx.load(request.fp32_path)
    types, constants = typed_tensors(model), constant_tensors(model.graph)
    computed = {
        name: node
        for node in model.graph.node
        for name in node.output
        if types.get(name) == TensorProto.FLOAT and name not in constants
    }
    moved = {name: node.input[0] for name, node in computed.items() if node.op_type in PASSES_SCALE}
    others = [name for name in computed if name not in {**calibration.tensors, **moved}]
    images = first(request.halves[0], calibration.images)
    with progress.stage("measure the other activations", len(images)) as stage:
        taken = batches(images, request.spec, batch_size(model, others))
        histograms = observe(model, others, taken, stage, images.image_name).histograms
    threshold = METHODS[calibration.method]
    scales = calibration.scales | {name: step(threshold(histogram)) for name, histogram in histograms.items()}
    for name, source in moved.items():  # what is moved was computed before
        scales.setdefault(name, scales[source])
    return {name: scales[name] for name in computed}


def trt_cache(scales: Mapping[str, float], version: tuple[int, int, int] = VERSION) -> bytes:
    """A line that names version and calibrator, then one for each tensor: the scale of a step, float32 in hex.

    TensorRT skips a cache whose first line it does not expect.

    Args:
        scales: by tensor of the FP32 graph, as `toolkit export` writes it.
        version: of TensorRT: the number is 10000 major + 100 minor + patch from 10 on, 1000 major + ... before.

    Raises:
        ToolkitError: a tensor's name has a line break or ends the name early.
    """
    major, minor, patch = version
    number = major * (10_000 if major >= 10 else 1000) + minor * 100 + patch
    lines = [f"TRT-{number}-EntropyCalibration2"]
    for name, scale in scales.items():
        if len(f"{name}|".splitlines()) != 1 or ": " in name:
            raise ToolkitError(f"the tensor {name!r} cannot stand in a TensorRT cache", "give it another name")
        lines.append(f"{name}: {struct.pack('>f', scale).hex()}")
    return ("\n".join(lines) + "\n").encode()
