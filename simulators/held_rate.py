"""Sends a load at a held rate: each message is handed to its socket when it is due.

One thread over a few connections, each device always through the same one. A slow broker does not
slow it down, up to `OUTSTANDING_MAX`; what is handed over late is told as jitter. A lost connection
is made anew and what was not acknowledged on it is sent again. It decides nothing about what comes
of the messages.
"""

import secrets
import select
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from simulators.load import Load
from simulators.uplink import DEFAULT_PORT, Login, LoginRefusedError

OUTSTANDING_MAX = 20_000  # unacknowledged on one connection; MQTT can number 65,535
PATIENCE_S = 30.0  # for a broker that answers nothing
TRY_AGAIN_S = 0.5
CARE_EVERY_S = 0.2
HELD_SHARE = 0.99  # of the rate asked, to be called held

Progress = Callable[[int], None]
"""Called a few times a second with the messages handed over so far."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many times, in ms."""

    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> "Spread":
        if not times_ms:
            return cls(0.0, 0.0, 0.0)
        found = np.percentile(np.asarray(times_ms), (50, 99, 100))
        return cls(*(round(float(value), 2) for value in found))

    def __str__(self) -> str:
        return f"p50 {self.p50:g} ms, p99 {self.p99:g} ms, max {self.max:g} ms"


@dataclass(frozen=True, slots=True)
class Sent:
    """`acknowledged` has a one for each message of the load that the broker spoke for. `jitter`:
    due until handed to the socket; `ack`: from there until acknowledged.
    """

    acknowledged: bytearray
    repeats: int
    seconds: float
    rate: float
    jitter: Spread
    ack: Spread
    reconnects: int

    @property
    def unacknowledged(self) -> int:
        return len(self.acknowledged) - sum(self.acknowledged)


class _Line:
    """One connection; `told` is called with the number of each message acknowledged on it."""

    def __init__(self, url: str, login: Login | None, told: Callable[[int], None]) -> None:
        parts = urlsplit(url)
        if parts.scheme != "mqtt" or not parts.hostname:
            raise ValueError(f"not a broker address: {url!r}; it looks like mqtt://127.0.0.1:1883")
        self._waiting: dict[int, int] = {}
        self._told, self._next_s = told, 0.0
        self.reconnects, self.refused = 0, ""
        name = f"load-{secrets.token_hex(6)}"
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name)
        if login is not None:
            self.client.username_pw_set(login.user, login.password)
        self.client.max_inflight_messages_set(0)  # our own limit is OUTSTANDING_MAX
        self.client.on_publish = self._on_publish
        self.client.on_connect = self._on_connect
        self.client.connect(parts.hostname, parts.port or DEFAULT_PORT)

    @property
    def outstanding(self) -> int:
        return len(self._waiting)

    def hand(self, number: int, topic: str, payload: bytes) -> None:
        self._waiting[self.client.publish(topic, payload, 1).mid] = number

    def care(self, now_s: float) -> None:
        """Pings, and a lost connection made anew."""
        if self.client.socket() is not None:
            self.client.loop_misc()
        elif now_s >= self._next_s:
            self._next_s, self.reconnects = now_s + TRY_AGAIN_S, self.reconnects + 1
            with suppress(OSError):  # it is tried again; what is never acknowledged is counted
                self.client.reconnect()

    def _on_connect(self, _c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.refused = str(reason) if reason.is_failure else ""

    def _on_publish(self, _c: Any, _d: Any, mid: int, _r: Any, _p: Any) -> None:
        self._told(self._waiting.pop(mid))


class Lines:
    """Open connections to one broker. Raises ValueError, OSError, LoginRefusedError."""

    def __init__(self, url: str, login: Login | None, connections: int) -> None:
        self._heard: Callable[[int], None] = lambda _: None
        self._cared_s = 0.0
        self._lines = [_Line(url, login, self._hear) for _ in range(connections)]
        until_s = time.monotonic() + PATIENCE_S
        while not all(line.client.is_connected() for line in self._lines):
            self._pump(CARE_EVERY_S)
            refused = next((line.refused for line in self._lines if line.refused), "")
            if refused:
                raise LoginRefusedError(f"{url}: the broker says {refused}")
            if time.monotonic() > until_s:
                raise ConnectionError(f"{url}: the broker does not answer")

    def send(self, load: Load, repeat_every: int = 0, on_progress: Progress | None = None) -> Sent:
        """All of it, and every so manieth again a second later. Returns when each message is
        acknowledged, or nothing has been for PATIENCE_S.
        """
        run = _Run(load)
        self._heard = run.hear
        later = round(load.rate)
        for number in range(load.messages):
            self._wait(run, number)
            run.hand(number, self._line(load, number))
            if repeat_every and number >= later and (number - later) % repeat_every == 0:
                run.repeat(number - later, self._line(load, number - later))
            if on_progress is not None and number % later == 0:
                on_progress(number)
        while any(line.outstanding for line in self._lines) and run.patient():
            self._pump(CARE_EVERY_S)
        return run.sent(sum(line.reconnects for line in self._lines))

    def close(self) -> None:
        for line in self._lines:
            line.client.disconnect()

    def _hear(self, number: int) -> None:
        self._heard(number)

    def _line(self, load: Load, number: int) -> _Line:
        return self._lines[number % load.devices % len(self._lines)]

    def _wait(self, run: "_Run", number: int) -> None:
        """Until it is due and its connection has room; meanwhile the connections are served."""
        line = self._line(run.load, number)
        while True:
            wait_s = run.wait_s(number)
            full = line.outstanding >= OUTSTANDING_MAX and run.patient()
            self._pump(CARE_EVERY_S if full else min(max(0.0, wait_s), CARE_EVERY_S))
            if wait_s <= 0 and not full:
                return

    def _pump(self, timeout_s: float) -> None:
        """Whatever the sockets have to give or can take, waiting at most so long for the first."""
        by_socket = {
            socket: line.client
            for line in self._lines
            if (socket := line.client.socket()) is not None
        }
        writing = [socket for socket, client in by_socket.items() if client.want_write()]
        if by_socket:
            can_read, can_write, _ = select.select(list(by_socket), writing, [], timeout_s)
            for socket in can_write:
                by_socket[socket].loop_write()
            for socket in can_read:
                by_socket[socket].loop_read()
        else:
            time.sleep(timeout_s)
        now_s = time.monotonic()
        if now_s - self._cared_s >= CARE_EVERY_S:
            self._cared_s = now_s
            for line in self._lines:
                line.care(now_s)


class _Run:
    """The clockwork and the books of one load. Repeats are known by negative numbers."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._acknowledged = bytearray(load.messages)
        self._handed_s = array("d", bytes(8 * load.messages))
        self._jitter_ms, self._ack_ms = array("d"), array("d")
        self._repeats = 0
        self._origin_s = self._moved_s = time.monotonic()

    def wait_s(self, number: int) -> float:
        return self._origin_s + self.load.due_s(number) - time.monotonic()

    def patient(self) -> bool:
        return time.monotonic() - self._moved_s < PATIENCE_S

    def hand(self, number: int, line: _Line) -> None:
        topic, payload = self.load.topic(number), self.load.payload(number)
        due_s = self._origin_s + self.load.due_s(number)
        self._handed_s[number] = time.monotonic()
        line.hand(number, topic, payload)
        self._jitter_ms.append(1000 * (time.monotonic() - due_s))

    def repeat(self, number: int, line: _Line) -> None:
        self._repeats += 1
        line.hand(-1 - number, self.load.topic(number), self.load.payload(number))

    def hear(self, number: int) -> None:
        self._moved_s = time.monotonic()
        if number >= 0:
            self._acknowledged[number] = 1
            self._ack_ms.append(1000 * (self._moved_s - self._handed_s[number]))

    def sent(self, reconnects: int) -> Sent:
        last_s = self._handed_s[-1] - self._origin_s
        seconds = last_s + 1 / self.load.rate
        return Sent(
            self._acknowledged, self._repeats, seconds, self.load.messages / seconds,
            Spread.of(self._jitter_ms), Spread.of(self._ack_ms), reconnects,
        )  # fmt: skip


@contextmanager
def lines_to(url: str, login: Login | None, connections: int) -> Iterator[Lines]:
    lines = Lines(url, login, connections)
    try:
        yield lines
    finally:
        lines.close()
