"""One reading as a device has just sent it, before anybody wraps it: what all wire formats pack.

Read from the native message of the simulated device. What cannot be read (a sick device) has no
values: a format that carries bytes carries its bytes.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from simulators.wire import Message, parse_rfc3339

_read = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Frame:
    """`ts_ms`: when it was sampled by the device's clock; that of sending where it has none."""

    sent: Message
    zone: str
    kind: str
    device: str
    ts_ms: int
    boot: int
    seq: int
    values: Mapping[str, Any] | None
    loc: tuple[float, float] | None
    claims: tuple[str, ...]
    late: bool
    """It was kept for a while: history, not news."""

    @property
    def eui(self) -> bytes:
        """Eight bytes, always the same for a device."""
        return digest(self.device, 8)

    def id_bytes(self) -> bytes:
        """Sixteen bytes, others for every message."""
        return digest(f"{self.device}/{self.boot}/{self.seq}", 16)


def digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def frames_of(message: Message) -> Iterator[Frame]:
    """The readings of a native `telemetry` or `batch` message."""
    _, _, zone, kind, device, leaf = message.topic.split("/")
    try:
        body = _read(message.payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    for one in body if leaf == "batch" and isinstance(body, list) else [body]:
        yield _frame(message, (zone, kind, device), one, late=leaf == "batch")


def _frame(message: Message, names: tuple[str, str, str], body: Any, *, late: bool) -> Frame:
    said = body if isinstance(body, dict) else {}
    values, loc = said.get("values"), said.get("loc")
    try:
        ts_ms = parse_rfc3339(said["ts"])
    except (KeyError, ValueError, TypeError):
        ts_ms = message.t_ms
    return Frame(
        message,
        *names,
        ts_ms,
        int(said.get("boot", 0)),
        int(said.get("seq", 0)),
        values if isinstance(values, dict) else None,
        (loc[0], loc[1]) if loc else None,
        tuple(said.get("faults", ())),
        late,
    )
