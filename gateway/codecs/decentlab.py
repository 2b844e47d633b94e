"""Decentlab DL-MBX: distance by ultrasound; words of 16 bits that flags announce, big endian.

From the maker's public protocol, version 2.
"""

from gateway.codecs.frame import (
    Codec,
    Content,
    Reader,
    TooShort,
    Value,
    reading,
    sensor_fault,
    too_short,
    unknown_frame,
)

VERSION = 2


def _decode(data: bytes, _port: int) -> Content:
    if data[:1] != bytes([VERSION]):
        return unknown_frame(data, f"protocol version {data[0] if data else 'none'}, not {VERSION}")
    reader = Reader(data, ">")
    values: dict[str, Value | None] = {}
    refusals = []
    try:
        reader.take("B")
        reader.take("H")  # its number
        flags = reader.take("H")
        if flags & 1:
            distance, samples = reader.take("H"), reader.take("H")
            if samples:
                values["distance_mm"] = float(distance)
            else:
                refusals.append(sensor_fault("distance", "not one valid sample"))
        if flags & 2:
            values["battery_v"] = reader.take("H") / 1000
    except TooShort:
        return too_short(data)
    if flags & ~3 or not flags:
        return unknown_frame(data, f"flags {flags:#06x} of another make")
    content = reading(values)
    content.refusals = refusals
    return content


CODECS = (Codec("dl-mbx", "bin", _decode, "Decentlab DL-MBX, distance"),)
