"""Pepperl+Fuchs WILSEN.sonic.level: elements of length, id and value, big endian.

From the maker's public element list.
"""

import struct
from collections.abc import Callable

from gateway.codecs.frame import (
    Codec,
    Content,
    Frame,
    Value,
    not_a_reading,
    too_short,
    unknown_frame,
)

_VALUES: dict[int, tuple[int, Callable[[bytes], tuple[str, Value]]]] = {
    0x0201: (4, lambda d: ("temperature_c", round(struct.unpack(">f", d)[0], 1))),
    0x0B01: (2, lambda d: ("distance_mm", 10.0 * struct.unpack(">H", d)[0])),
    0x0B02: (2, lambda d: ("distance_mm", float(struct.unpack(">H", d)[0]))),
    0x0B06: (1, lambda d: ("fill_pct", float(d[0]))),
    0x5101: (1, lambda d: ("battery_v", d[0] / 10)),
    0x5001: (4, lambda d: ("lat", struct.unpack(">i", d)[0] / 1e6)),
    0x5002: (4, lambda d: ("lon", struct.unpack(">i", d)[0] / 1e6)),
}
_BESIDE = {0x0B07, 0x2A25, 0x3101, 0x3102, 0x3103}  # amplitude, serial number, counters


def _decode(data: bytes, _port: int) -> Content:
    values: dict[str, Value] = {}
    at = beside = 0
    while at < len(data):
        size, element = data[at], data[at + 1 : at + 1 + data[at]]
        if len(element) < size or size < 2:
            return too_short(data)
        number, body = int.from_bytes(element[:2], "big"), element[2:]
        at += 1 + size
        if number in _VALUES and len(body) == _VALUES[number][0]:
            key, value = _VALUES[number][1](body)
            values.setdefault(key, value)
        elif number in _BESIDE or number >= 0xF100:
            beside += 1
        else:
            return unknown_frame(data, f"no element {number:#06x} of {len(body)} bytes")
    lat, lon = values.pop("lat", None), values.pop("lon", None)
    loc = (float(lat), float(lon)) if lat is not None and lon is not None else None
    measured = set(values) - {"battery_v"}
    if not measured and beside:
        return not_a_reading("counters, serial number or the answer to a configuration")
    return Content([Frame(values, loc=loc)]) if values else too_short(data)


CODECS = (
    Codec("wilsen-sonic-level", "bin", _decode, "Pepperl+Fuchs WILSEN.sonic.level, distance, fill"),
)
