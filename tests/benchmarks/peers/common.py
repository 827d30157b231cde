"""What every peer's script shares: its command line, its wall time, and the most memory that its process had.

The scripts run in environments of their own, without the toolkit, as `python PEER.py CONFIGURATION FP32.onnx IMAGES.npy
OUT.onnx`. IMAGES are uint8 (N, height, width, channels), as the graph takes them. Their last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would look up a host, and write into the home


def peak_bytes() -> int:
    """The most memory that this process had; getrusage would count its parent's, from before it was started."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def main(configurations: Mapping[str, Mapping[str, Any]], quantize: Callable[..., None]) -> None:
    """Quantize once, with everything imported and images in memory before the clock starts."""
    name, fp32, images_path, out = sys.argv[1:]
    images = np.load(images_path, mmap_mode="r")  # pages that were read count as memory, as they do for every peer
    before = peak_bytes()
    start = time.perf_counter()
    quantize(fp32, images, out, **configurations[name])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(), "peak_bytes_before": before}))
