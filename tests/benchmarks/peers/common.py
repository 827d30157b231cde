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


class Images:
    """A .npy file of images, read as they are asked for: a file that is mapped would count as memory."""

    def __init__(self, path: str) -> None:
        mapped = np.load(path, mmap_mode="r")
        self.path, self.shape, self.offset = path, mapped.shape, mapped.offset

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, asked: slice) -> np.ndarray:
        start, stop, _ = asked.indices(len(self))
        size = int(np.prod(self.shape[1:]))
        found = np.fromfile(self.path, np.uint8, (stop - start) * size, offset=self.offset + start * size)
        return found.reshape(-1, *self.shape[1:])


def main(configurations: Mapping[str, Mapping[str, Any]], quantize: Callable[..., None]) -> None:
    """Quantize once, with everything imported before the clock starts."""
    name, fp32, images_path, out = sys.argv[1:]
    images = Images(images_path)
    before = peak_bytes()
    start = time.perf_counter()
    quantize(fp32, images, out, **configurations[name])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes(), "peak_bytes_before": before}))
