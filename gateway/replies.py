"""What devices are told: how far their messages are on disk, and what was wrong with others.

Pure but for its own memory of what was said when. Replies are a service to the device maker, never
a place where something is kept: losing one loses nothing, since acknowledgements are repeated with
the next batch and every refusal is in the store.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from gateway.core import Effects, StoredRefusal, rfc3339
from gateway.devices import Device

DEAD_LETTER_EVERY_MS = 60_000  # per device and reason: a flood of bad messages is one per minute
SPOKEN_MAX = 10_000  # devices and reasons remembered

_encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    topic: str
    payload: bytes


class Replies:
    """Acknowledgements and dead letters for the effects of a batch that is on disk."""

    def __init__(self, *, device_acks: bool) -> None:
        self._device_acks = device_acks
        self._spoken: dict[tuple[str, str], tuple[int, int]] = {}

    def to(self, effects: Effects, now_ms: int) -> Iterator[Reply]:
        if self._device_acks:
            yield from _acknowledgements(effects.devices, now_ms)
        for refusal in effects.refusals:
            letter = self._dead_letter(refusal)
            if letter is not None:
                yield letter

    def _dead_letter(self, refusal: StoredRefusal) -> Reply | None:
        """The letter, with how many of the kind it stands for; None if one went out just now."""
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
        return Reply(f"city/v1/dead-letter/native/{device}", _encode(body))


def _acknowledgements(devices: Mapping[str, Device], now_ms: int) -> Iterator[Reply]:
    for device in devices.values():
        reached = device.acknowledged()
        if reached is None:
            continue
        boot, upto = reached
        topic = f"city/v1/{device.zone}/{device.kind}/{device.name}/ack"
        body = {"boot": boot, "upto": upto, "server_time": rfc3339(now_ms)}
        yield Reply(topic, _encode(body))
