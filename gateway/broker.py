"""The MQTT session: messages in, acknowledgements out when the store has them.

The only file that imports paho. Owns the connection, the subscriptions and the queue between the
network thread and the core. A message is acknowledged only by `ack`, after its effects are on disk,
and only on the connection that it came on: packet ids start again with each connection, and a late
acknowledgement would hit another message. It never decides anything about a message.

The session is persistent (MQTT 3.1.1, clean_session off, fixed client id), so the broker keeps what
comes while we are away. Callbacks do nothing but hand over; an exception in one would end paho's
thread while everything still looks well.
"""

import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway.core import Incoming

log = logging.getLogger(__name__)

# Three filters that do not overlap: some brokers deliver once per matching filter.
FILTERS = ("city/v1/+/+/+/telemetry", "city/v1/+/+/+/batch", "city/v1/+/+/+/status")
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
RECONNECT_S_MIN = 1
RECONNECT_S_MAX = 30
WAITING_MAX = 20_000  # messages handed over but not taken: beyond it the socket is left unread
WAITING_BYTES_MAX = 256 * 1024 * 1024
OUTGOING_MAX = 10_000  # device acknowledgements and dead letters; both may be dropped
TAKEOVER_S = 2.0  # a connection that lives shorter than this, again and again, is contested


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is and who we are. `password` never appears in a log or an error."""

    url: str
    username: str | None = None
    password: str | None = None
    client_id: str = "sense311-gateway"
    ca_file: Path | None = None

    def __repr__(self) -> str:
        return f"BrokerSettings(url={self.url!r}, username={self.username!r})"


class Delivery(NamedTuple):
    """A message and what is needed to acknowledge it."""

    generation: int
    mid: int
    qos: int
    incoming: Incoming


class Session:
    """One persistent session with one broker, over as many connections as it takes."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._waiting: deque[Delivery] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._ack_lock = threading.Lock()
        self._generation = 0
        self._subscribed = False
        self._stopping = False
        self._connected_at = 0.0
        self._short_lives = 0
        self.sessions_lost = 0
        """How often the broker had forgotten us: messages may be missing, sequence gaps tell."""
        self.problem = "not connected yet"
        self._client = self._make_client()

    @property
    def is_ready(self) -> bool:
        """Connected, and every subscription granted."""
        return self._subscribed

    def start(self) -> None:
        """Connect in the background, for ever; a broker that is not there yet is no error."""
        parts = urlsplit(self._settings.url)
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self._client.connect_async(parts.hostname or "127.0.0.1", port, KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Leave; the session stays with the broker."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._client.disconnect()
        self._client.loop_stop()

    def pause(self) -> None:
        """Leave without acknowledging: broker and devices hold what we cannot store now."""
        self.problem = "paused: the store cannot take anything"
        self._client.disconnect()
        self._client.loop_stop()
        with self._changed:
            self._forget_waiting()

    def resume(self) -> None:
        self.start()

    def take(self, count_max: int, timeout_s: float) -> list[Delivery]:
        """The messages that wait, at most `count_max`; after `timeout_s` none."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_s)
            batch = [self._waiting.popleft() for _ in range(min(count_max, len(self._waiting)))]
            self._waiting_bytes -= sum(len(d.incoming.payload) for d in batch)
            self._changed.notify_all()
        return batch

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge what came on the present connection; the rest will be delivered again."""
        with self._ack_lock:
            for delivery in deliveries:
                if delivery.qos and delivery.generation == self._generation:
                    self._client.ack(delivery.mid, delivery.qos)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Best effort: what must not be lost is in the store, not here."""
        self._client.publish(topic, payload, qos=0, retain=retain)

    # -- paho's side --------------------------------------------------------------------------

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=True,
        )
        client.reconnect_delay_set(RECONNECT_S_MIN, RECONNECT_S_MAX)
        client.max_queued_messages_set(OUTGOING_MAX)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._settings.username is not None:
            client.username_pw_set(self._settings.username, self._settings.password)
        if urlsplit(self._settings.url).scheme == "mqtts":
            context = ssl.create_default_context(
                cafile=str(self._settings.ca_file) if self._settings.ca_file else None
            )
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: Any, flags: mqtt.ConnectFlags, code: Any, _props: Any
    ) -> None:
        if code.is_failure:
            self.problem = f"the broker refused the connection: {code}"
            log.error("%s (%s)", self.problem, self._settings.url)
            return
        self._connected_at = time.monotonic()
        if not flags.session_present:
            self.sessions_lost += 1
            log.warning("the broker had no session of ours: subscribing anew")
        client.subscribe([(topic, 1) for topic in FILTERS])

    def _on_connect_fail(self, _client: mqtt.Client, _data: Any) -> None:
        self.problem = f"cannot reach {self._settings.url}"
        log.warning("%s; trying again", self.problem)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[Any], _props: Any
    ) -> None:
        refused = [t for t, code in zip(FILTERS, codes, strict=False) if code.is_failure]
        self._subscribed = not refused
        self.problem = f"the broker refused to subscribe us to {refused}" if refused else ""
        if refused:
            log.error("%s: check the gateway's rights", self.problem)
        else:
            log.info("connected to %s", self._settings.url)

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: Any, _props: Any
    ) -> None:
        with self._ack_lock:
            self._generation += 1
        with self._changed:
            self._subscribed = False
            self._forget_waiting()
        if self._stopping:
            return
        self.problem = f"disconnected: {code}"
        lived_s = time.monotonic() - self._connected_at
        self._short_lives = self._short_lives + 1 if lived_s < TAKEOVER_S else 0
        log.warning("disconnected (%s); reconnecting", code)
        if self._short_lives >= 5:
            log.error(
                "connections are cut at once, again and again: is another client using the id %r?",
                self._settings.client_id,
            )

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not UTF-8)"
        delivery = Delivery(
            self._generation,
            message.mid,
            message.qos,
            Incoming(topic, bytes(message.payload), message.retain),
        )
        with self._changed:
            while (
                len(self._waiting) >= WAITING_MAX or self._waiting_bytes >= WAITING_BYTES_MAX
            ) and not self._stopping:
                self._changed.wait(1.0)
            self._waiting.append(delivery)
            self._waiting_bytes += len(message.payload)
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def _forget_waiting(self) -> None:
        """They were never acknowledged: the broker sends them again."""
        self._waiting.clear()
        self._waiting_bytes = 0
