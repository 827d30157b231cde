"""An MQTT broker as an output: what sources show, and how they are."""

from __future__ import annotations

from collections.abc import Callable

from runtime.camera.feed import Channel, Feed
from runtime.camera.outputs.mqtt import MqttPublisher
from runtime.camera.outputs.seen import Seen
from runtime.camera.summary import Tally


class Publishing:
    """Meets `Output`. What visitors hold before their own cameras is nobody else's business, and not published.

    Args:
        publisher: of the sources that are there from the start.
        say: takes a line for people.
    """

    def __init__(self, publisher: MqttPublisher, say: Callable[[str], None]) -> None:
        self.publisher, self.say, self.told = publisher, say, ""

    def show(self, channel: Channel, seen: Seen) -> None:
        """Leave the numbers of a frame for the publisher."""
        if channel.counted_as == channel.source.name:
            self.publisher.show(channel.source.name, seen)

    def attend(self, feed: Feed, tally: Tally) -> None:
        """Leave the states of sources; tell people how the connection is."""
        for channel in feed.fixed:
            self.publisher.set_state(channel.source.name, channel.source.state)
        status = self.publisher.status
        if status != self.told:
            self.told = status
            self.say(status)
