"""Sparkplug B: an edge node for each concentrator, births with names, data by alias alone.

`spBv1.0/{group}/{type}/{node}/{device}`, protobuf written by hand: only the fields that a device
sends. A node counts its messages 0 to 255 over births, data and deaths; its death bears the bdSeq
of its birth. A device is born by its first reading after its node; a new metric means a new birth.
Data kept during an outage is marked historical.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.wire import Message
from simulators.wires.uplink_frame import Frame

GROUP = "city"
INT64, DOUBLE, BOOLEAN, STRING = 4, 10, 11, 12
_VARINT, _FIXED64, _BYTES = 0, 1, 2


@dataclass(slots=True)
class _Node:
    bd_seq: int = -1
    seq: int = 0
    alive: bool = False
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    """Device -> metric -> alias; a device that is not in it is not born."""
    count: int = 0

    def next_seq(self) -> int:
        seq, self.seq = self.seq, (self.seq + 1) % 256
        return seq


class Sparkplug:
    """All edge nodes of the city."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def say(self, frame: Frame) -> Iterator[Message]:
        sent = frame.sent
        node = self._nodes.setdefault(sent.concentrator, _Node())
        if not node.alive:
            yield self._birth(node, sent)
        if frame.values is None:  # the node cannot make anything of it, and says nothing
            return
        metrics = dict(_metrics(frame))
        born = node.aliases.get(frame.device)
        if born is None or any(name not in born for name in metrics):
            yield self._device_birth(node, frame, metrics)
            return
        parts = [
            _metric("", born[name], frame.ts_ms, value, data=True, historical=frame.late)
            for name, value in metrics.items()
        ]
        payload = _payload(sent.t_ms, parts, node.next_seq())
        yield _to(sent, "DDATA", frame.device, payload)

    def online(self, native: Message, *, is_online: bool) -> Iterator[Message]:
        """The word that a device is there, or its node's will that it is not."""
        node = self._nodes.setdefault(native.concentrator, _Node())
        if is_online and not node.alive:
            yield self._birth(node, native)
        elif not is_online and node.alive:
            node.alive = False
            node.aliases.clear()
            death = _payload(native.t_ms, [_bd_seq(node, native.t_ms)], None)
            yield _to(native, "NDEATH", "", death)

    def _birth(self, node: _Node, sent: Message) -> Message:
        node.alive, node.seq, node.bd_seq = True, 0, (node.bd_seq + 1) % 256
        node.aliases.clear()
        parts = [
            _bd_seq(node, sent.t_ms),
            _metric("Node Control/Rebirth", None, sent.t_ms, False),
            _metric("Properties/simulated", None, sent.t_ms, True),
        ]
        return _to(sent, "NBIRTH", "", _payload(sent.t_ms, parts, node.next_seq()))

    def _device_birth(self, node: _Node, frame: Frame, metrics: Mapping[str, Any]) -> Message:
        known = node.aliases.setdefault(frame.device, {})
        for name in metrics:
            if name not in known:
                node.count += 1
                known[name] = node.count
        parts = [
            _metric(name, known[name], frame.ts_ms, value, historical=frame.late)
            for name, value in metrics.items()
        ]
        parts += [
            _metric(f"Properties/{name}", None, frame.ts_ms, text)
            for name, text in (("kind", frame.kind), ("zone", frame.zone))
        ]
        payload = _payload(frame.sent.t_ms, parts, node.next_seq())
        return _to(frame.sent, "DBIRTH", frame.device, payload)


def _metrics(frame: Frame) -> Iterator[tuple[str, Any]]:
    for name, value in (frame.values or {}).items():
        if isinstance(value, Mapping):
            yield f"{name}/rate_hz", value["rate_hz"]
            for axis, samples in value.items():
                if axis != "rate_hz":
                    yield f"{name}/{axis}", " ".join(map(str, samples))
        else:
            yield name, value
    if frame.loc is not None:
        yield "latitude", frame.loc[0]
        yield "longitude", frame.loc[1]
    for claim in frame.claims:
        yield f"fault/{claim}", True


def _to(sent: Message, type_: str, device: str, payload: bytes) -> Message:
    tail = f"/{device}" if device else ""
    topic = f"spBv1.0/{GROUP}/{type_}/{sent.concentrator}{tail}"
    return sent._replace(topic=topic, payload=payload, qos=0, retain=False)


# -- protobuf ---------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    parts = bytearray()
    number &= (1 << 64) - 1  # two's complement
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _number(field_: int, number: int) -> bytes:
    return _varint(field_ << 3 | _VARINT) + _varint(number)


def _bytes(field_: int, data: bytes) -> bytes:
    return _varint(field_ << 3 | _BYTES) + _varint(len(data)) + data


def _metric(
    name: str,
    alias: int | None,
    ts_ms: int,
    value: Any,
    *,
    data: bool = False,
    historical: bool = False,
) -> bytes:
    """`data`: by alias alone, without name and datatype, as in DDATA."""
    parts = [_bytes(1, name.encode())] if name else []
    if alias is not None:
        parts.append(_number(2, alias))
    parts.append(_number(3, ts_ms))
    datatype, packed = _value(value)
    if not data:
        parts.append(_number(4, datatype))
    if historical:
        parts.append(_number(5, 1))
    return b"".join((*parts, packed))


def _value(value: Any) -> tuple[int, bytes]:
    """(datatype, the value's own field)."""
    if isinstance(value, bool):
        return BOOLEAN, _number(14, value)
    if isinstance(value, int | float):
        return DOUBLE, _varint(13 << 3 | _FIXED64) + struct.pack("<d", value)
    return STRING, _bytes(15, str(value).encode())


def _bd_seq(node: _Node, ts_ms: int) -> bytes:
    head = _bytes(1, b"bdSeq") + _number(3, ts_ms) + _number(4, INT64)
    return head + _number(11, node.bd_seq)


def _payload(ts_ms: int, metrics: Iterable[bytes], seq: int | None) -> bytes:
    parts = [_number(1, ts_ms), *(_bytes(2, metric) for metric in metrics)]
    return b"".join(parts if seq is None else (*parts, _number(3, seq)))
