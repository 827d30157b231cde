"""Changes of the numbers that are read, published to an MQTT broker.

A thread of its own talks to the broker; whoever reads leaves the latest message of each topic for it, and never waits.
A message that is replaced before the broker has taken the one before it is not sent, so that memory does not grow with
a broker that is slow or away.

    PREFIX/status         online; offline once this ends, by whatever: the broker says it then
    PREFIX/NAME/state     of a source: connecting, streaming, lost or ended
    PREFIX/NAME/numbers   that the source shows: `NumbersMessage` as JSON

All are retained, with QoS 1, and published anew with every connection, since the broker may have lost them. The status
comes last: who sees it turn to online has the rest as it is now. It is listened to as well: a broker that waits for a
device which has lost its power, and is back since, would have it offline for good.
"""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Sequence
from threading import Event, Thread

import msgspec

from runtime.camera.frame import State
from runtime.camera.outputs.broker import Broker, levels_of
from runtime.camera.outputs.lines import utc_text
from runtime.camera.outputs.link import OFFLINE, ONLINE, Link, make_client, reason_of, require_paho
from runtime.camera.outputs.seen import Seen
from runtime.camera.outputs.settling import NumbersMessage, Settling
from runtime.camera.sources.address import hide
from runtime.text import plain

KEEPALIVE_S = 20  # the broker says offline half a minute, 1.5 times that, after a device has lost its power
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
LOOK_S = 0.05  # how often the thread looks for new messages
DISCONNECT_SHARE = 0.8  # of the time to close, after which the broker is waited for no more


class MqttPublisher:
    """Publishes what sources show.

    It connects in the background, from the start on; a broker that is not there is tried again and again.

    Attributes:
        connected: whether the broker is there, and has accepted this client.
        status: how it goes, for people; changes only with something to tell, and is empty before there is any.
        reconnects: how often the connection was lost and came back.

    Args:
        broker: where to.
        sources: names of all that are read.

    Raises:
        MissingPackageError: paho-mqtt is not installed.
    """

    def __init__(self, broker: Broker, sources: Sequence[str]) -> None:
        require_paho()
        self.broker = broker
        self.connected, self.status, self.reconnects = False, "", 0
        self._topics = {source: f"{broker.prefix}/{level}" for source, level in levels_of(sources).items()}
        self._settling = {source: Settling(shown(source)) for source in sources}
        # The latest message of every topic. No topic is added later, so that replacing one needs no lock.
        self._latest: dict[str, bytes] = {}
        for source, topic in self._topics.items():
            self._latest[f"{topic}/state"] = State.CONNECTING.value.encode()
            # What is retained of an earlier run must not stand for now.
            self._leave(source, NumbersMessage(shown(source), utc_text(time.time_ns()), None, ()))
        self._status_topic = f"{broker.prefix}/status"
        self._latest[self._status_topic] = ONLINE
        self._client_id = broker.client_id or f"toolkit-{uuid.uuid4().hex[:12]}"
        self._closing, self._end = Event(), math.inf
        self._thread = Thread(target=self._work, name="mqtt", daemon=True)
        self._thread.start()

    def show(self, source: str, seen: Seen) -> None:
        """Take what was read on a frame of a source; never waits."""
        if message := self._settling[source].take(seen):
            self._leave(source, message)

    def set_state(self, source: str, state: State) -> None:
        """Take the state of a source, whether it has changed or not; never waits."""
        self._latest[f"{self._topics[source]}/state"] = state.value.encode()

    def close(self, seconds: float = 2.0) -> None:
        """Publish the end, and what has not settled yet; may be called twice.

        Args:
            seconds: to wait at most for a broker that is connected.
        """
        if not self._closing.is_set():
            for source, settling in self._settling.items():
                self.set_state(source, State.ENDED)
                if message := settling.settle():
                    self._leave(source, message)
            self._latest[self._status_topic] = OFFLINE
            self._end = time.monotonic() + DISCONNECT_SHARE * seconds
            self._closing.set()
        self._thread.join(seconds)

    def _leave(self, source: str, message: NumbersMessage) -> None:
        """Leave a message for the thread."""
        self._latest[f"{self._topics[source]}/numbers"] = msgspec.json.encode(message)

    def _work(self) -> None:
        """The thread: connect until the end."""
        failures, ever = 0, False
        while not self._closing.is_set():
            start = time.monotonic()
            reason = self._talk(again=ever)
            ever, self.connected = ever or self.connected, False
            if self._closing.is_set():
                return
            self.status = f"{self.broker.name}: {reason}; trying again"
            # A connection that did not hold is no success: two clients of the same id throw each other out.
            failures = 0 if time.monotonic() - start > LONGEST_PAUSE_S else failures + 1
            longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 10))
            self._closing.wait(random.uniform(longest / 2, longest))  # many devices must not come back all at once

    def _talk(self, *, again: bool) -> str:
        """Connect, and publish until the connection or everything ends.

        Each connection has a client of its own: one that is used again sends first what its last broker did not
        acknowledge, over newer messages that this one has got by then.

        Returns:
            Why there is no connection any more.
        """
        link = Link()
        try:
            client = make_client(self.broker, self._client_id, self._status_topic, link)
            client.connect(self.broker.host, self.broker.port, KEEPALIVE_S)
            while not self._is_over(link):
                if client.loop(LOOK_S):
                    return link.reason or "the connection was lost"
                if link.accepted and not self.connected:
                    client.subscribe(self._status_topic)
                    self._welcome(again)
                if link.accepted:
                    link.publish(client, self._latest)
            client.disconnect()
            return ""
        except Exception as error:  # whatever answers at that address, the reading goes on
            return reason_of(error)

    def _welcome(self, again: bool) -> None:
        """The broker has accepted this client."""
        self.connected = True
        self.reconnects += again
        self.status = f"connected to {self.broker.name}" + (f" again ({self.reconnects})" if again else "")

    def _is_over(self, link: Link) -> bool:
        """Whether it is closed, and the broker has everything or was waited for long enough."""
        if not self._closing.is_set():
            return False
        return time.monotonic() > self._end or (link.accepted and link.has_all(self._latest))


def shown(source: str) -> str:
    """The name of a source, fit to be published: without secrets, and with what Unicode has."""
    return plain(hide(source))
