"""What devices are told: how far their messages are on disk, what was wrong, and how they stand.

Pure but for its own memory of what was said when. Only ever told of effects that are on disk. A
device hears at once, then at most twice a second; the last word is never held back for good.
Replies are a service to the device maker, never a place where something is kept: losing one loses
nothing, since the next acknowledgement says the same and every refusal is in the store.
"""

import base64
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from gateway.cityhall.requests import rfc3339
from gateway.effects import Effects, StoredRefusal
from gateway.field.devices import Device
from gateway.field.notices import Notices
from gateway.refusal import Reason

DEAD_LETTER_EVERY_MS = 60_000  # per device and reason: a flood of bad messages is one per minute
ACK_EVERY_MS = 500  # per device: one that sends a backlog needs no word for each batch of it
LETTERS_MAX = 1_000  # dead letters that wait for a broker; the oldest are let go
SPOKEN_MAX = 10_000  # devices and reasons remembered

_encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    topic: str
    payload: bytes
    retain: bool = False


class _Reached(NamedTuple):
    zone: str
    kind: str
    boot: int | None
    upto: int


class Replies:
    """Acknowledgements, dead letters and notices, from when they are noted until they are taken."""

    def __init__(
        self, *, device_acks: bool, device_status: bool = False, follows: bool = False
    ) -> None:
        self._device_acks = device_acks
        self._notices = Notices(follows=follows) if device_status else None
        self._acked: dict[str, int] = {}
        """When a device was last told, oldest first; only those told within ACK_EVERY_MS."""
        self._unsaid: dict[str, _Reached] = {}
        """What devices are still to be told."""
        self._letters: deque[Reply] = deque(maxlen=LETTERS_MAX)
        self._spoken: dict[tuple[str, str], tuple[int, int]] = {}

    def begin(self, devices: Iterable[Device], now_ms: int) -> None:
        """How devices stood when the gateway was away."""
        if self._notices is not None:
            self._notices.begin(devices, now_ms)

    def note(self, effects: Effects) -> None:
        """The effects of a batch are on disk. What devices have reached is written down here and
        now: their records run on with the next batch, which may never be committed.
        """
        if self._device_acks:
            for device in effects.devices.values():
                reached = device.acknowledged()
                if reached is not None:
                    self._unsaid[device.name] = _Reached(device.zone, device.kind, *reached)
        if self._notices is not None:
            self._notices.note(effects)
        for refusal in effects.refusals:
            letter = self._dead_letter(refusal)
            if letter is not None:
                self._letters.append(letter)

    def due(self, now_ms: int) -> Iterator[Reply]:
        """What can be said now. One that could not be taken is kept if the caller stops there."""
        while self._letters:
            yield self._letters[0]
            self._letters.popleft()
        while self._acked:
            name, at_ms = next(iter(self._acked.items()))
            if 0 <= now_ms - at_ms < ACK_EVERY_MS:
                break
            del self._acked[name]  # long ago, or the clock was set back
        for name in [name for name in self._unsaid if name not in self._acked]:
            yield _acknowledgement(name, self._unsaid[name], now_ms)
            del self._unsaid[name]
            self._acked[name] = now_ms
        if self._notices is not None:
            for notice in self._notices.due(now_ms):
                yield Reply(*notice, retain=True)

    def _dead_letter(self, refusal: StoredRefusal) -> Reply | None:
        """The letter, with how many of the kind it stands for; None if one went out just now, or if
        nothing is wrong with what was said.
        """
        if refusal.reason == Reason.NOT_A_READING:
            return None
        key = (refusal.device, refusal.reason)
        last_ms, unsaid = self._spoken.get(key, (-DEAD_LETTER_EVERY_MS, 0))
        if refusal.received_ms - last_ms < DEAD_LETTER_EVERY_MS:
            self._spoken[key] = (last_ms, unsaid + 1)
            return None
        if len(self._spoken) >= SPOKEN_MAX:
            self._spoken.clear()
        self._spoken[key] = (refusal.received_ms, 0)
        body = {
            "reason": refusal.reason,
            "path": refusal.path,
            "message": refusal.message,
            "hint": refusal.hint,
            "topic": refusal.topic,
            "received_at": rfc3339(refusal.received_ms),
            "payload_b64": base64.b64encode(refusal.payload).decode(),
            "count": unsaid + 1,
        }
        device = refusal.device or "unknown"
        source = "native" if refusal.topic.startswith("city/v1/") else "envelope"
        return Reply(f"city/v1/dead-letter/{source}/{device}", _encode(body))


def _acknowledgement(device: str, reached: _Reached, now_ms: int) -> Reply:
    topic = f"city/v1/{reached.zone}/{reached.kind}/{device}/ack"
    body = {"boot": reached.boot, "upto": reached.upto, "server_time": rfc3339(now_ms)}
    return Reply(topic, _encode(body))
