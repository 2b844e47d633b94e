"""Milesight EM400-MUD, EM500-UDL, EM320-TILT: channels of id, type and value, little endian.

From the makers' public payload definitions. The distance is that from the sensor to the surface;
what it means for a bin is the asset's business.
"""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.codecs.frame import (
    Codec,
    Content,
    Frame,
    Value,
    not_a_reading,
    too_short,
    unknown_frame,
)

OUT_OF_POSITION = "out_of_position"
TEMPERATURE_ALARM = "temperature_alarm"


class Part(NamedTuple):
    """What one channel adds to a reading."""

    values: Mapping[str, Value] = MappingProxyType({})
    fault: str = ""
    loc: tuple[float, float] | None = None


Channel = tuple[int, Callable[[bytes], Part | None]]
"""(bytes of its value, what they say); None: about the device, not a measurement."""


def _battery(data: bytes) -> Part:
    return Part({"battery_level_pct": float(data[0])})


def _temperature(data: bytes) -> Part:
    return Part({"temperature_c": struct.unpack_from("<h", data)[0] / 10})


def _temperature_alarm(data: bytes) -> Part:
    return _temperature(data)._replace(fault=TEMPERATURE_ALARM if data[2] else "")


def _distance(data: bytes) -> Part:
    return Part({"distance_mm": float(struct.unpack_from("<H", data)[0])})


def _position(data: bytes) -> Part:
    return Part(fault=OUT_OF_POSITION if data[0] else "")


def _location(data: bytes) -> Part:
    lon, lat = struct.unpack_from("<ii", data)
    return Part(loc=(lat / 1e6, lon / 1e6))


def _angles(data: bytes) -> Part:
    """Three elevations of the axes in 0.01 degrees, the lowest bit a flag: how far the upright axis
    leans.
    """
    z = struct.unpack_from("<h", data, 4)[0] >> 1
    return Part({"tilt_deg": 90 - z / 100})


def _about(_data: bytes) -> None:
    return None


_DEVICE: dict[tuple[int, int], Channel] = {
    (0xFF, 0x01): (1, _about),  # protocol version
    (0xFF, 0x08): (6, _about),  # serial number
    (0xFF, 0x09): (2, _about),  # hardware
    (0xFF, 0x0A): (2, _about),  # firmware
    (0xFF, 0x0B): (1, _about),  # power on
    (0xFF, 0x0F): (1, _about),  # class of the device
    (0xFF, 0x16): (8, _about),  # serial number
    (0xFF, 0xFE): (1, _about),  # reset
    (0xFF, 0xFF): (2, _about),  # versions of the protocol
}
_LEVEL: dict[tuple[int, int], Channel] = {
    **_DEVICE,
    (0x01, 0x75): (1, _battery),
    (0x03, 0x67): (2, _temperature),
    (0x04, 0x82): (2, _distance),
    (0x05, 0x00): (1, _position),
    (0x06, 0x88): (9, _location),
    (0x83, 0x67): (3, _temperature_alarm),
    (0x84, 0x82): (3, _distance),
}
_UDL: dict[tuple[int, int], Channel] = {
    **_DEVICE,
    (0x01, 0x75): (1, _battery),
    (0x03, 0x82): (2, _distance),
}
_TILT: dict[tuple[int, int], Channel] = {
    **_DEVICE,
    (0x01, 0x75): (1, _battery),
    (0x03, 0xD4): (6, _angles),
}
_HISTORY = (0x20, 0xCE)  # EM500-UDL: a distance with its own time


def _decoder(table: Mapping[tuple[int, int], Channel]) -> Callable[[bytes, int], Content]:
    def decode(data: bytes, _port: int) -> Content:
        content, values, faults = Content(), dict[str, Value](), list[str]()
        loc, at, about = None, 0, False
        while at + 2 <= len(data):
            channel = (data[at], data[at + 1])
            size, read = table.get(channel, (0, _about))
            if channel == _HISTORY and table is _UDL and at + 8 <= len(data):
                ts_s, distance = struct.unpack_from("<IH", data, at + 2)
                values_then = {"distance_mm": float(distance)}
                content.frames.append(Frame(values_then, ts_ms=1000 * ts_s))
                at += 8
                continue
            if channel not in table:
                what = f"no channel {channel[0]:02x} {channel[1]:02x}"
                content.refusals += unknown_frame(data[at:], what).refusals
                at = len(data)
                break
            part_of = data[at + 2 : at + 2 + size]
            if len(part_of) < size:
                break
            part = read(part_of)
            at += 2 + size
            if part is None:
                about = True
                continue
            values |= part.values
            faults += [part.fault] if part.fault else []
            loc = part.loc or loc
        if at < len(data) or not data:
            content.refusals += too_short(data).refusals
        if values or faults:
            content.frames.insert(0, Frame(values, tuple(faults), loc=loc))
        elif about and not content.refusals:
            return not_a_reading("the device tells of itself: start-up, versions, serial number")
        return content

    return decode


_FIELDS = {"battery": "battery_level_pct"}
CODECS = (
    Codec(
        "em400-mud", "bin", _decoder(_LEVEL), "Milesight EM400-MUD, distance and position", _FIELDS
    ),
    Codec("em500-udl", "bin", _decoder(_UDL), "Milesight EM500-UDL, distance", _FIELDS),
    Codec(
        "em320-tilt", "streetlight", _decoder(_TILT), "Milesight EM320-TILT, inclination", _FIELDS
    ),
)
