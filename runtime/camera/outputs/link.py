"""One connection to an MQTT broker, through paho-mqtt."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from runtime.camera.outputs.broker import Broker
from runtime.errors import MissingPackageError, first_line

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

ONLINE, OFFLINE = b"online", b"offline"
LARGEST_PACKET = 2048  # bytes; the largest that a broker has to send is of the status, with a topic of 800 bytes


class Link:
    """One connection, as paho tells of it.

    Attributes:
        accepted: whether the broker has accepted the client.
        reason: why the connection was refused or lost; empty while it is not known.
    """

    def __init__(self) -> None:
        self.accepted, self.reason = False, ""
        self._sent: dict[str, bytes] = {}
        self._waiting: dict[int, str] = {}  # for the broker to acknowledge them: topics by the message's id

    def publish(self, client: Client, latest: dict[str, bytes]) -> None:
        """Send what is new, of each topic once the broker has acknowledged the message before."""
        for topic, payload in list(latest.items()):
            if self._sent.get(topic) != payload and topic not in self._waiting.values():
                self._waiting[client.publish(topic, payload, qos=1, retain=True).mid] = topic
                self._sent[topic] = payload

    def has_all(self, latest: dict[str, bytes]) -> bool:
        """Whether the broker has acknowledged everything."""
        return not self._waiting and self._sent == latest

    def on_connect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        """The broker's answer."""
        self.accepted = not reason.is_failure
        if reason.is_failure:
            self.reason = f"it refuses: {reason}"

    def on_disconnect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        """The connection ended."""
        if not self.reason and str(reason) == "Keep alive timeout":
            self.reason = "it does not answer"

    def on_publish(self, client: Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        """The broker has a message."""
        self._waiting.pop(mid, None)

    def on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        """What somebody says of the status: where that is offline and is not so, it is published again."""
        if message.payload == OFFLINE and not message.retain and self._sent.get(message.topic) == ONLINE:
            del self._sent[message.topic]


def make_client(broker: Broker, client_id: str, status_topic: str, link: Link) -> Client:
    """A client that is not connected yet, and tells a link what happens."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    class Bounded(Client):
        """Paho's, which alone would keep a packet of any size: MQTT has them up to 256 MB."""

        def _sock_recv(self, bufsize: int) -> bytes:
            """Called with what a packet still lacks."""
            if bufsize > LARGEST_PACKET:
                link.reason = f"it sends a packet of {bufsize:,} bytes"
                raise ConnectionError(link.reason)
            return super()._sock_recv(bufsize)

    client = Bounded(CallbackAPIVersion.VERSION2, client_id, reconnect_on_failure=False)
    client.username_pw_set(broker.username, broker.password)
    client.will_set(status_topic, OFFLINE, qos=1, retain=True)
    if broker.tls:
        client.tls_set_context(broker.tls)
    client.on_connect, client.on_disconnect = link.on_connect, link.on_disconnect
    client.on_publish, client.on_message = link.on_publish, link.on_message
    return client


def require_paho() -> None:
    """Look whether paho-mqtt is there, of version 2.

    Raises:
        MissingPackageError: it is not.
    """
    try:
        from paho.mqtt.enums import CallbackAPIVersion  # noqa: F401  # version 1 has none
    except ImportError:
        raise MissingPackageError(
            "publishing to an MQTT broker needs the package paho-mqtt, version 2 or later, which is not installed",
            "pip install 'paho-mqtt>=2.0'",
        ) from None


def reason_of(error: Exception) -> str:
    """Why there is no connection, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError):
        return error.strerror or first_line(error)
    return f"what answers there is no MQTT broker ({first_line(error)})"  # paho chokes on it in many ways
