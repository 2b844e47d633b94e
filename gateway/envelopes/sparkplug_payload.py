"""The payload of Sparkplug B: the few protobuf fields that a receiver needs, read by hand.

Pure. Bounded by the size of the message; what is not a payload is refused with the byte. Integers
are two's complement in unsigned fields, as the datatype says.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

METRICS_MAX = 5000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}  # Int8 to Int64: datatype -> bits
BOOLEAN = 11


class BadPayloadError(Exception):
    """Not a payload; the message says where."""


@dataclass(slots=True)
class Metric:
    """`value` is None for null and for what no receiver of telemetry needs (data sets, files)."""

    name: str = ""
    alias: int | None = None
    ts_ms: int | None = None
    datatype: int = 0
    historical: bool = False
    null: bool = False
    value: Any = None


@dataclass(slots=True)
class Payload:
    ts_ms: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


def read_payload(data: bytes) -> Payload:
    """BadPayloadError."""
    payload = Payload()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            payload.ts_ms = value
        elif number == 2 and isinstance(value, bytes):
            if len(payload.metrics) >= METRICS_MAX:
                raise BadPayloadError(f"more than {METRICS_MAX} metrics")
            payload.metrics.append(_metric(value))
        elif number == 3 and isinstance(value, int):
            payload.seq = value
    return payload


def signed(value: Any, datatype: int) -> Any:
    """A number as its datatype means it: births say it, data does not."""
    bits = _SIGNED.get(datatype)
    if bits is not None and isinstance(value, int) and not isinstance(value, bool):
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    return bool(value) if datatype == BOOLEAN and isinstance(value, int) else value


def _metric(data: bytes) -> Metric:
    metric = Metric()
    for number, value in _fields(data):
        if number in _NUMBERS and isinstance(value, int):
            name, read = _NUMBERS[number]
            setattr(metric, name, read(value))
        elif number in _TEXTS and isinstance(value, bytes):
            setattr(metric, _TEXTS[number], value.decode("utf-8", "replace"))
        elif number in _FLOATS and isinstance(value, bytes):
            form = _FLOATS[number]
            if len(value) == struct.calcsize(form):
                (metric.value,) = struct.unpack(form, value)
    return metric


_NUMBERS: dict[int, tuple[str, Callable[[int], Any]]] = {
    2: ("alias", int), 3: ("ts_ms", int), 4: ("datatype", int), 5: ("historical", bool),
    7: ("null", bool), 10: ("value", int), 11: ("value", int), 14: ("value", bool),
}  # fmt: skip
_TEXTS = {1: "name", 15: "value"}
_FLOATS = {12: "<f", 13: "<d"}


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise BadPayloadError(f"byte {at}: no field 0")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise BadPayloadError(f"byte {at}: no wire type {wire}")
        if at + size > len(data):
            raise BadPayloadError(f"byte {at}: it ends before field {number} does")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise BadPayloadError(f"byte {at}: it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise BadPayloadError(f"byte {at}: a number longer than 64 bits")
