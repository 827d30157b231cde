"""What a person may change while it reads, by the window or the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.camera.frame import Box

SMALLEST_REGION = 8  # pixels a side: less is a click, and no drag


@dataclass
class Controls:
    """The same for all sources, but for regions.

    Attributes:
        threshold: what is less sure is no digit, 0..1; None leaves that to the reader.
        region: of the frame that is read, of every source that has none of its own; None reads all of it.
        paused: whether the reading stands still.
        regions: by the source's name, None for all of the frame.
    """

    threshold: float | None = None
    region: Box | None = None
    paused: bool = False
    regions: dict[str, Box | None] = field(default_factory=dict)

    def region_of(self, source: str) -> Box | None:
        """The part of a source's frames that is read."""
        return self.regions.get(source, self.region)
