"""Spoilt payloads: what is left of a message when a firmware or a bad line has been at it.

Each way of spoiling takes the bytes of a sound message and gives bytes that no reader may take for
a reading. Which way a message is spoilt, the caller's dice say.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from simulators.wire import encode

_OUT_OF_RANGE = 99_999


def spoil(payload: bytes, rng: Random) -> bytes:
    """Spoilt by a firmware, in one of the ways that devices in the field show."""
    return rng.choice(_BY_FIRMWARE)(payload)


def corrupt(payload: bytes, rng: Random) -> bytes:
    """Spoilt on the way: cut short, or with bytes that nobody wrote."""
    if rng.random() < 0.5:
        return _cut_short(payload)
    at = rng.randrange(len(payload))
    return payload[:at] + bytes(rng.choices((0x00, 0xFE, 0xFF), k=3)) + payload[at + 3 :]


def _cut_short(payload: bytes) -> bytes:
    return payload[: len(payload) * 2 // 3]


def _not_text(payload: bytes) -> bytes:
    return b"\xff\xfe\x00" + payload[:20]


def _not_a_number(payload: bytes) -> bytes:
    """Some firmware prints NaN for a sensor that gives nothing: not JSON."""
    body = _native(payload)
    if body is None:
        return _cut_short(payload)
    body["values"] = dict.fromkeys(body["values"], float("nan"))
    return json.dumps(body, separators=(",", ":")).encode()


def _out_of_range(payload: bytes) -> bytes:
    body = _native(payload)
    if body is None:
        return _not_text(payload)
    body["values"][next(iter(body["values"]))] = _OUT_OF_RANGE
    return encode(body)


def _as_text(payload: bytes) -> bytes:
    body = _native(payload)
    if body is None:
        return _cut_short(payload)
    body["values"] = {key: str(value) for key, value in body["values"].items()}
    return encode(body)


def _native(payload: bytes) -> dict[str, Any] | None:
    """The message, where it is one of our own format that says something."""
    try:
        body = json.loads(payload)
    except ValueError:
        return None
    return body if isinstance(body, dict) and body.get("values") else None


_BY_FIRMWARE: Sequence[Callable[[bytes], bytes]] = (
    _cut_short, _not_text, _not_a_number, _out_of_range, _as_text,
)  # fmt: skip
