"""The MQTT session: messages in, acknowledgements out when the store has them.

The gateway's one session: it imports paho, as `self_test` does for its trials. Owns the
connection, the subscriptions and the queue between the network thread and the core. A message is
acknowledged only by `ack`, after its effects are on disk, and only on the connection that it came
on: packet ids start again with each connection, and a late acknowledgement would hit another
message. It never decides anything about a message.

The session is persistent (MQTT 3.1.1, clean_session off, fixed client id), so the broker keeps what
comes while we are away. One thread of ours does all input and output; nothing ends it but `stop`.
"""

import select
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker_settings import BrokerSettings, tls_context
from gateway.effects import Incoming
from gateway.line import Line, Waker
from gateway.watch.logs import Log, Said

log = Log(__name__)

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
RECONNECT_S_MIN = 0.5
RECONNECT_S_MAX = 5.0  # one client: it may ask often, and a broker that is back is not kept waiting
RESUBSCRIBE_S = 30.0  # rights may be mended while we are connected
SETTLED_S = 5.0  # a connection that lives shorter than this is no success
SHORT_LIVES_MAX = 3  # in a row: then somebody else may be connecting under our name
WAITING_MAX = 20_000  # messages handed over but not taken: beyond it the socket is left unread
WAITING_BYTES_MAX = 64 * 1024 * 1024
BURST_MAX = 512  # messages read before they are handed over, so that the core is not kept waiting
UNSENT_BYTES_MAX = 4 * 1024 * 1024  # more is not handed over until the broker has read some
LOOK_MS = 1000  # how often the thread looks up when nothing happens
STUCK_S = 60.0  # far beyond what an attempt to connect or a handshake takes
STOP_S = 10.0  # a connection attempt that is under way ends within this

_REFUSED = "the broker refused the connection"
_PUBACK = b"\x40\x02"


class Delivery(NamedTuple):
    """A message and what is needed to acknowledge it: the very connection it came on."""

    line: Line
    mid: int
    qos: int
    incoming: Incoming


class _Client(mqtt.Client):
    """paho, reading and writing through a `Line`."""

    line: Line | None = None

    def _create_socket(self) -> Line:
        self.line = Line(super()._create_socket())
        return self.line


class Session:
    """One persistent session with one broker, over as many connections as it takes.

    `known`: the broker has met us before, so a session that it does not have was lost.
    """

    def __init__(self, settings: BrokerSettings, *, known: bool = False) -> None:
        self._settings = settings
        self._known = known
        self._waiting: deque[Delivery] = deque()
        self._waiting_bytes = 0
        self._arrived: list[Delivery] = []
        self._arrived_bytes = 0
        self._changed = threading.Condition()
        self._waker = Waker()
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._subscribed = False
        self._subscribe_again_at = 0.0
        self._connected_at: float | None = None
        self._short_lives = 0
        self.sessions_lost = 0
        """How often the broker had forgotten us: messages may be missing, sequence gaps tell."""
        self._problem = "not connected yet"
        self._came_round_s = time.monotonic()
        self._client = self._make_client()

    @property
    def is_ready(self) -> bool:
        """Connected, and every subscription granted."""
        return self._subscribed and not self.is_stuck

    @property
    def is_stuck(self) -> bool:
        """The network thread has ended or hangs, and nobody told it to leave."""
        late_s = time.monotonic() - self._came_round_s
        return late_s > STUCK_S and not self._leaving.is_set()

    @property
    def problem(self) -> str:
        """Why it is not ready; empty where it is."""
        if self.is_stuck:
            return f"the network thread has not come round for {STUCK_S:.0f} s: restart the gateway"
        return self._problem

    def start(self) -> None:
        """Connect in the background, for ever; a broker that is not there yet is no error."""
        parts = urlsplit(self._settings.url)
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self._client.connect_async(parts.hostname or "127.0.0.1", port, KEEPALIVE_S)
        self._leaving.clear()
        self._came_round_s = time.monotonic()
        self._thread = threading.Thread(target=self._network, name="mqtt", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave for good; the session stays with the broker."""
        self._leave()
        self._waker.close()

    def pause(self) -> None:
        """Leave without acknowledging: broker and devices hold what we cannot store now."""
        self._leave()
        self._problem = "paused: the store cannot take anything"

    def resume(self) -> None:
        self.start()

    def take(self, count_max: int, timeout_s: float) -> list[Delivery]:
        """The messages that wait, at most `count_max`; after `timeout_s` none."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout_s)
            was_full = self._is_full()
            batch = [self._waiting.popleft() for _ in range(min(count_max, len(self._waiting)))]
            self._waiting_bytes -= sum(len(d.incoming.payload) for d in batch)
        if was_full:
            self._waker.ring()
        return batch

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Acknowledge what came on the present connection; the rest will be delivered again.
        All of it at once: paho's own way costs more than the decision about the message.
        """
        line = self._client.line
        mids = [d.mid for d in deliveries if d.qos and d.line is line]
        if line is not None and mids:
            line.send(b"".join([_PUBACK + mid.to_bytes(2, "big") for mid in mids]))
            self._waker.ring()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """At QoS 0; False if it could not even be handed over: no broker, or one that is slow."""
        line = self._client.line
        if not self._client.is_connected() or line is None or line.unsent > UNSENT_BYTES_MAX:
            return False
        return self._client.publish(topic, payload, 0, retain).rc == mqtt.MQTT_ERR_SUCCESS

    def _leave(self) -> None:
        self._leaving.set()
        self._waker.ring()
        if self._thread is not None:
            self._thread.join(STOP_S)
        with self._changed:
            self._forget_waiting()

    # -- the network thread -------------------------------------------------------------------

    def _network(self) -> None:
        """Connect, carry, connect again, until told to leave."""
        pause_s = RECONNECT_S_MIN
        while not self._leaving.is_set():
            self._came_round_s = time.monotonic()
            self._connected_at = None
            self._arrived.clear()
            self._arrived_bytes = 0
            try:
                self._client.reconnect()
                self._carry(self._client.line)
            except (OSError, UnicodeError) as error:
                self._problem = f"cannot reach {self._settings.url}: {error}"
                log.warning(Said.BROKER_UNREACHABLE, "trying the broker again", why=self._problem)
            except Exception:
                # Bytes that paho cannot read must not end the thread: all would still look well.
                log.exception(Said.BROKER_FAILED, "the broker sent what cannot be read")
                self._disconnected("the broker sent what cannot be read")
            pause_s = min(2 * pause_s, RECONNECT_S_MAX) if self._was_short() else RECONNECT_S_MIN
            self._leaving.wait(pause_s)

    def _carry(self, line: Line | None) -> None:
        """Serve the connection until it ends."""
        assert line is not None
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        poll.register(line, 0)
        next_look = 0.0
        while self._serve(line):
            if not line.pending() or self._is_full():
                read = 0 if self._is_full() else select.POLLIN
                poll.modify(line, read | (select.POLLOUT if line.unsent else 0))
                can_read = any(fd == line.fileno() for fd, _ in poll.poll(LOOK_MS))
                self._waker.silence()
            else:
                can_read = True
            if can_read and not self._is_full():
                self._read(line)
            if (now := time.monotonic()) >= next_look:
                next_look = now + LOOK_MS / 1000
                self._look_after(now)

    def _serve(self, line: Line) -> bool:
        """Send what is to be sent; whether the connection still stands."""
        self._write(line)
        return self._client.socket() is line

    def _write(self, line: Line) -> None:
        if self._leaving.is_set():
            self._client.disconnect()  # goes out behind the last acknowledgements
        if self._client.want_write():
            self._client.loop_write()
        line.flush()

    def _read(self, line: Line) -> None:
        """A burst of messages, handed over together."""
        client = self._client
        while client.loop_read() == mqtt.MQTT_ERR_SUCCESS and line.pending():
            if len(self._arrived) >= BURST_MAX or self._arrived_bytes >= WAITING_BYTES_MAX:
                break
        if client.socket() is not line:
            self._arrived.clear()  # nobody could acknowledge them: they come again
        elif self._arrived:
            with self._changed:
                self._waiting.extend(self._arrived)
                self._waiting_bytes += self._arrived_bytes
                self._changed.notify_all()
        self._arrived.clear()
        self._arrived_bytes = 0

    def _look_after(self, now: float) -> None:
        """Once a second: pings, and subscriptions that were refused."""
        self._came_round_s = now
        self._client.loop_misc()
        if self._connected_at is not None and not self._subscribed:
            if now >= self._subscribe_again_at:
                self._subscribe(now)
        elif self._connected_at is not None and now - self._connected_at > SETTLED_S:
            self._short_lives = 0

    def _subscribe(self, now: float) -> None:
        self._subscribe_again_at = now + RESUBSCRIBE_S
        self._client.subscribe(self._settings.filters)

    def _is_full(self) -> bool:
        return len(self._waiting) >= WAITING_MAX or self._waiting_bytes >= WAITING_BYTES_MAX

    def _was_short(self) -> bool:
        at = self._connected_at
        return at is None or time.monotonic() - at < SETTLED_S

    def _forget_waiting(self) -> None:
        """They were never acknowledged: the broker sends them again."""
        self._waiting.clear()
        self._waiting_bytes = 0

    # -- paho's callbacks ---------------------------------------------------------------------

    def _make_client(self) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,  # `_network` does it; paho would also change the protocol
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._settings.username is not None:
            client.username_pw_set(self._settings.username, self._settings.password)
        if urlsplit(self._settings.url).scheme == "mqtts":
            settings = self._settings
            client.tls_set_context(
                tls_context(settings.ca_file, settings.certificate_file, settings.key_file)
            )
        client.on_connect = self._on_connect
        client.on_disconnect = lambda _c, _d, _flags, code, _p: self._disconnected(str(code))
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_register_write = lambda *_: self._waker.ring()
        return client

    def _on_connect(
        self, _client: mqtt.Client, _data: Any, flags: mqtt.ConnectFlags, code: Any, _props: Any
    ) -> None:
        if code.is_failure:
            self._problem = f"{_REFUSED}: {code}"
            where = self._settings.url
            log.error(
                Said.BROKER_REFUSED, "the broker lets us not in", why=self._problem, url=where
            )
            return
        self._connected_at = time.monotonic()
        if not flags.session_present:
            self.sessions_lost += self._known
            log.warning(Said.BROKER_SESSION_NEW, "the broker has no session of ours")
        self._known = True
        self._subscribe(self._connected_at)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[Any], _props: Any
    ) -> None:
        asked = zip(self._settings.filters, codes, strict=False)
        refused = [topic for (topic, _), code in asked if code.is_failure]
        self._subscribed = not refused
        self._problem = f"the broker refused to subscribe us to {refused}" if refused else ""
        if refused:
            log.error(Said.SUBSCRIPTION_REFUSED, "the gateway may not subscribe", why=self._problem)
        else:
            log.info(Said.BROKER_CONNECTED, "connected to the broker", url=self._settings.url)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not UTF-8)"
        assert self._client.line is not None
        incoming = Incoming(topic, bytes(message.payload), message.retain)
        qos = message.qos
        if message.retain and qos:
            # It has no effect and comes again with each subscription; for `status` see FILTERS.
            self._client.ack(message.mid, qos)
            qos = 0
        self._arrived.append(Delivery(self._client.line, message.mid, qos, incoming))
        self._arrived_bytes += len(message.payload)

    def _disconnected(self, reason: str) -> None:
        self._subscribed = False
        with self._changed:
            self._forget_waiting()
        if self._leaving.is_set():
            return
        if self._connected_at is None:  # it never was a session; a refusal has said why already
            if not self._problem.startswith(_REFUSED):
                self._problem = f"{self._settings.url} does not answer as an MQTT broker: {reason}"
                log.warning(Said.BROKER_NOT_MQTT, "trying the broker again", why=self._problem)
            return
        self._problem = f"disconnected: {reason}"
        self._short_lives += self._was_short()
        if self._short_lives >= SHORT_LIVES_MAX:
            who = self._settings.client_id
            self._problem += f"; is another client using the id {who!r}?"
        log.warning(Said.BROKER_LOST, "the connection was lost: connecting", why=self._problem)
