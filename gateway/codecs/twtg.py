"""TWTG NEON vibration sensor: little endian, type and version in the first byte.

From the maker's public protocol document E. Of three axes the strongest velocity counts.
"""

from gateway.codecs.frame import (
    Codec,
    Content,
    Reader,
    TooShort,
    not_a_reading,
    reading,
    too_short,
    unknown_frame,
)

_NOT_READINGS = {
    0: "start-up, with the reason of the reset", 1: "it was activated", 2: "it was deactivated",
    5: "its configuration", 6: "its configuration", 7: "its configuration",
    8: "a fragment of a spectrum",
}  # fmt: skip
EVENT_BYTES, STATUS_BYTES = 45, 24


def _decode(data: bytes, _port: int) -> Content:
    version, kind = (data[0] >> 4, data[0] & 0x0F) if data else (0, 0)
    if version not in (1, 2):
        return unknown_frame(data, f"protocol version {version}, not 1 or 2")
    if kind in _NOT_READINGS:
        return not_a_reading(_NOT_READINGS[kind])
    sizes = {3: EVENT_BYTES, 4: STATUS_BYTES}
    if kind not in sizes:
        return unknown_frame(data, f"no message of type {kind}")
    if len(data) != sizes[kind]:
        return too_short(data)
    reader = Reader(data[1:], "<")
    try:
        return _event(reader) if kind == 3 else _status(reader)
    except TooShort:
        return too_short(data)


def _event(reader: Reader) -> Content:
    reader.take("B")  # what set it off
    highest = []
    for _axis in range(3):
        reader.take("H")
        highest.append(reader.take("H") / 100)
        reader.take("H")
    for _ in range(9):  # acceleration: least, most, mean of three axes
        reader.take("h")
    reader.take("h")
    reader.take("h")
    return reading({"ppv_mm_s": max(highest), "temperature_c": reader.take("h") / 100})


def _status(reader: Reader) -> Content:
    reader.take("H")
    reader.take("H")
    reader.take("H")
    settled_v = reader.take("H") / 1000
    reader.take("b")
    reader.take("b")
    return reading({"battery_v": settled_v, "temperature_c": float(reader.take("b"))})


CODECS = (Codec("neon-vibration", "road", _decode, "TWTG NEON, vibration velocity"),)
