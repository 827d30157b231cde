"""A calibration cache as TensorRT's own calibrators write it, for what takes nothing else: trtexec --calib, DLA."""

from __future__ import annotations

import struct

from calibration.record import Calibration
from runtime.errors import ToolkitError

VERSION = (10, 3, 0)  # of JetPack 6.1 and 6.2


def trt_cache(calibration: Calibration, version: tuple[int, int, int] = VERSION) -> bytes:
    """A line that names version and calibrator, then one for each tensor: the scale of a step, float32 in hex.

    TensorRT skips a cache whose first line it does not expect.

    Args:
        calibration: names the tensors of the FP32 graph, as `toolkit export` writes it.
        version: of TensorRT: the number is 10000 major + 100 minor + patch from 10 on, 1000 major + ... before.

    Raises:
        ToolkitError: a tensor's name has a line break or ends the name early.
    """
    major, minor, patch = version
    number = major * (10_000 if major >= 10 else 1000) + minor * 100 + patch
    lines = [f"TRT-{number}-EntropyCalibration2"]
    for name, scale in calibration.scales.items():
        if len(f"{name}|".splitlines()) != 1 or ": " in name:
            raise ToolkitError(f"the tensor {name!r} cannot stand in a TensorRT cache", "give it another name")
        lines.append(f"{name}: {struct.pack('>f', scale).hex()}")
    return ("\n".join(lines) + "\n").encode()
