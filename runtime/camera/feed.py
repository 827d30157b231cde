"""All sources at once: each is read by a thread of its own, so that one that is slow or dead delays no other.

A frame of a live source is asked for when it can be read at once: it is then the newest. Of any other source the next
frame is fetched while the one before is read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Condition, Thread

from runtime.camera.frame import Frame, Source, State
from runtime.errors import ToolkitError, first_line

VISITORS = "browser://"  # what those who come with a camera of their own are counted as
STEP_S = 0.1  # that a source may take before its thread looks whether it is to end
TOGETHER_S = 0.002  # from asking for frames, in which others that are there already may join the first: one batch
MOST_NEWS = 20
CLOSE_S = 1.2  # for all sources to be closed


@dataclass
class Drops:
    """What was not handed out of a source, or of all visitors.

    Attributes:
        replaced: frames of a live source that gave way to newer ones.
        at_end: frames that were there when it was closed.
        reconnects: how often it was lost and came back.
        problem: why it gives no frames any more, or gave not all; empty where nothing is wrong.
    """

    replaced: int = 0
    at_end: int = 0
    reconnects: int = 0
    problem: str = ""

    def add(self, channel: Channel) -> None:
        """Those of a channel."""
        self.replaced += channel.source.dropped
        self.at_end += channel.closed and channel.frame is not None
        self.reconnects += channel.source.reconnects
        self.problem = first_line(channel.error) if channel.error else channel.source.problem or self.problem


class Channel:
    """A source and its thread, which takes a frame only when one is wanted.

    Attributes:
        error: why it gives no frames any more; None where it does, or has come to its end.
        frame: that nobody has taken yet.
        news: texts on the state of the source, that nobody has told yet.

    Args:
        source: of frames.
        counted_as: the name under which its frames are counted.
        changed: told of every frame and of the end.
    """

    def __init__(self, source: Source, counted_as: str, changed: Condition) -> None:
        self.source, self.counted_as, self.changed = source, counted_as, changed
        self.error: BaseException | None = None
        self.frame: Frame | None = None
        self.news: deque[str] = deque(maxlen=MOST_NEWS)
        self.state: State | None = None
        self.wanted = self.over = self.closed = False
        self.thread = Thread(target=self.work, name=f"source {source.name}", daemon=True)
        self.thread.start()

    def work(self) -> None:
        """The thread."""
        try:
            while self.is_wanted():
                frame = self.source.read(STEP_S)
                self.note_state()
                with self.changed:
                    if frame is not None:
                        self.frame, self.wanted = frame, False
                    if frame is not None or self.source.state is State.ENDED:
                        self.changed.notify_all()
                if frame is None and self.source.state is State.ENDED:
                    break
        except BaseException as error:  # of whatever kind, it belongs to whoever takes the frames
            self.error = error
        with self.changed:
            self.over, self.wanted = True, False
            self.changed.notify_all()

    def note_state(self) -> None:
        """Take down what is new of the source: it may be over before anybody looks."""
        source = self.source
        if source.state is not self.state and not self.closed:
            self.state = source.state
            self.news.append(f"{source.name}: {source.state.value}{f': {source.status}' if source.status else ''}")

    def is_wanted(self) -> bool:
        """Wait until a frame is; False when the source is closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.wanted or self.closed)
            return not self.closed


class Feed:
    """The frames of all sources.

    Attributes:
        channels: of the sources that were given, then of those that came later.

    Args:
        sources: that are there from the start, and stay in `channels` when they have ended.
        newcomers: gives the sources that came since it was called last; None where none come. A feed with newcomers
            does not end, and one of them leaves `channels` when it has ended. They are counted together.
    """

    def __init__(self, sources: Sequence[Source], newcomers: Callable[[], Sequence[Source]] | None = None) -> None:
        self.changed = Condition()
        self.fixed = [Channel(source, source.name, self.changed) for source in sources]
        self.newcomers = newcomers
        self.visiting: list[Channel] = []
        self.left = Drops()  # of visitors who are here no more

    @property
    def channels(self) -> list[Channel]:
        """All that there are now."""
        return [*self.fixed, *self.visiting]

    @property
    def ended(self) -> bool:
        """Whether no other frame comes."""
        return not self.newcomers and all(channel.over and channel.frame is None for channel in self.fixed)

    def take(self, timeout: float) -> list[tuple[Channel, Frame]]:
        """The next frames, one of a source at most, as soon as there is one; of live sources the newest.

        Args:
            timeout: seconds to wait at most.

        Returns:
            None at all where none came in that time.

        Raises:
            ToolkitError: no source can be read, and that is the reason of the last one.
        """
        if self.newcomers:
            for channel in [channel for channel in self.visiting if channel.over and channel.frame is None]:
                self.visiting.remove(channel)
                self.left.add(channel)
            self.visiting += [Channel(source, VISITORS, self.changed) for source in self.newcomers()]
        channels, start = self.channels, time.monotonic()
        with self.changed:
            for channel in channels:
                channel.wanted = channel.frame is None and not channel.over
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.ended or any(channel.frame is not None for channel in channels), timeout)
            together = max(0.0, start + TOGETHER_S - time.monotonic())
            self.changed.wait_for(lambda: not any(channel.wanted for channel in channels), together)
            frames = [(channel, channel.frame) for channel in channels if channel.frame is not None]
            for channel, _ in frames:
                channel.frame, channel.wanted = None, not channel.source.live
            self.changed.notify_all()
        self.check()
        return frames

    def drops(self) -> dict[str, Drops]:
        """By the name under which a source is counted."""
        found = {channel.counted_as: Drops() for channel in self.fixed}
        if self.newcomers:
            found[VISITORS] = replace(self.left)
        for channel in self.channels:
            found[channel.counted_as].add(channel)
        return found

    def check(self) -> None:
        """Raise the error of a source: where no other can be read, or where it is none that a user can mend."""
        errors = [channel.error for channel in self.channels if channel.error]
        strange = [error for error in errors if not isinstance(error, ToolkitError)]
        if strange:
            raise strange[0]
        if errors and not self.newcomers and len(errors) == len(self.fixed):
            raise errors[-1]

    def close(self) -> None:
        """Close all sources at the same time, as each may take a while; may be called twice."""
        with self.changed:
            for channel in self.channels:
                channel.closed = True
            self.changed.notify_all()
        closing = [Thread(target=channel.source.close, daemon=True) for channel in self.channels]
        for thread in closing:
            thread.start()
        end = time.monotonic() + CLOSE_S
        for thread in [*closing, *(channel.thread for channel in self.channels)]:
            thread.join(max(0.0, end - time.monotonic()))
