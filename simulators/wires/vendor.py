"""The bytes of bin sensors as their makers document them, for radio frames of a few bytes.

Milesight EM400-MUD and Dragino LDDS75, from their public user manuals. What a sensor cannot say
(a fill, where it measures a distance) is worked out with the registered geometry of its bin, as an
installer would have set it. Other kinds of devices have no bytes here.
"""

import struct
from collections.abc import Mapping
from typing import Any

EMPTY_MM = 1500  # distance to the bottom where the sensor's bin is not known
BATTERY_FULL_V, BATTERY_EMPTY_V = 3.6, 2.4
TILTED_DEG = 45.0
EM400_PORT, LDDS75_PORT = 85, 2


def em400_mud(values: Mapping[str, Any]) -> bytes:
    """Channels: 01 75 battery in %, 03 67 temperature in 0.1 degrees, 04 82 distance in mm, 05 00
    position (1: tilted). Little endian.
    """
    parts = []
    if "battery_v" in values:
        parts.append(b"\x01\x75" + bytes([_battery_pct(values["battery_v"])]))
    if "temperature_c" in values:
        parts.append(b"\x03\x67" + struct.pack("<h", round(values["temperature_c"] * 10)))
    parts.append(b"\x04\x82" + struct.pack("<H", _distance_mm(values)))
    if "tilt_deg" in values:
        parts.append(b"\x05\x00" + bytes([values["tilt_deg"] >= TILTED_DEG]))
    return b"".join(parts)


def ldds75(values: Mapping[str, Any]) -> bytes:
    """Battery in mV, distance in mm, interrupt flag, temperature of the probe in 0.1 degrees, flag
    that a probe is there. Big endian.
    """
    battery_mv = round(values.get("battery_v", BATTERY_FULL_V) * 1000)
    temperature = round(values.get("temperature_c", 0.0) * 10)
    has_probe = "temperature_c" in values
    return struct.pack(">HHBhB", battery_mv, _distance_mm(values), 0, temperature, has_probe)


def _distance_mm(values: Mapping[str, Any]) -> int:
    default_mm = EMPTY_MM * (1 - float(values.get("fill_pct", 0.0)) / 100)
    distance = float(values.get("distance_mm", default_mm))
    return max(0, min(65_535, round(distance)))


def _battery_pct(volts: float) -> int:
    share = (volts - BATTERY_EMPTY_V) / (BATTERY_FULL_V - BATTERY_EMPTY_V)
    return max(0, min(100, round(share * 100)))
