"""What the capturing process is asked to open. It imports nothing heavy: both processes use it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: What opens it: a local camera, OpenCV's FFMPEG, or OpenCV's GStreamer.
CAMERA, FFMPEG, GSTREAMER = "camera", "ffmpeg", "gstreamer"


@dataclass(frozen=True)
class Request:
    """What to capture.

    Attributes:
        backend: `CAMERA`, `FFMPEG` or `GSTREAMER`.
        target: a device's path or number, a URL with its password, a path, or a pipeline.
        live: whether only the newest frame counts; else every frame is kept until it is taken.
        size: width and height to ask a camera for.
        fps: frames per second to ask a camera for.
        patience_ms: how long FFMPEG may wait for a network, at most.
        memory: where pixels are handed over; see `FrameMemory`.
    """

    backend: str
    target: str
    live: bool
    size: tuple[int, int] | None = None
    fps: float | None = None
    patience_ms: int = 10_000
    memory: str = ""

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Request:
        """What `to_line` wrote."""
        fields = json.loads(line)
        fields["size"] = tuple(fields["size"]) if fields["size"] else None
        return cls(**fields)
