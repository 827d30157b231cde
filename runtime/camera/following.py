"""What is known of each source from frame to frame: its digits, what it showed last, and which part of it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.camera.controls import Controls
from runtime.camera.feed import Channel, Feed
from runtime.camera.frame import Box, Frame, Source
from runtime.camera.outputs.seen import Seen
from runtime.camera.regions import outside, within
from runtime.camera.stages import Follower
from runtime.camera.watching import Watch


@dataclass
class Known:
    """Of one source.

    Attributes:
        name: of what is followed: of a folder each picture has its own.
        tracker: of its digits.
        seen: the latest frame of the source.
        watch: of what is read as `wanted`.
        wanted: the region and the threshold.
    """

    name: str
    tracker: Follower
    seen: Seen | None
    watch: Watch = field(default_factory=Watch)
    wanted: tuple[Box | None, float] | None = None

    def watched(self, region: Box | None, threshold: float) -> Watch:
        """What watches it as it is read now: another region or threshold is begun with anew."""
        if self.wanted != (region, threshold):
            self.watch, self.wanted = Watch(), (region, threshold)
        return self.watch


class Following:
    """Of all sources of a feed; of those that have left, nothing is kept.

    Args:
        feed: of frames.
        make_tracker: gives a fresh one for a source.
        controls: say which part of a source is read.
    """

    def __init__(self, feed: Feed, make_tracker: Callable[[Source], Follower], controls: Controls) -> None:
        self.feed, self.make_tracker, self.controls = feed, make_tracker, controls
        self.known: dict[Channel, Known] = {}

    def of(self, channel: Channel, frame: Frame) -> Known:
        """What is known of what a frame is of."""
        known = self.known.get(channel)
        if known is None or known.name != frame.source:
            known = Known(frame.source, self.make_tracker(channel.source), self.latest(channel))
            here = set(self.feed.channels)
            self.known = {one: each for one, each in self.known.items() if one in here} | {channel: known}
        return known

    def latest(self, channel: Channel) -> Seen | None:
        """The latest frame of a source that was read."""
        known = self.known.get(channel)
        return known.seen if known else None

    def region(self, channel: Channel, frame: Frame) -> Box | None:
        """What part of a frame to read, within it; of a source that has changed its size, all of it.

        Raises:
            InputError: the region that was asked for lies outside of the source's first frame. Of a visitor's frames,
                whose size nobody chose, all is read then.
        """
        name = channel.source.name
        wanted = self.controls.region_of(name)
        region = within(wanted, frame.image) if wanted else None
        first = self.latest(channel) is None
        if wanted and not region and first and channel in self.feed.fixed and name not in self.controls.regions:
            raise outside(wanted, frame.image)
        return region
