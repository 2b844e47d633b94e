"""Dragino LDDS75, LDDS45, LHT65N-VIB: fixed fields, big endian, the port says which.

From the makers' public manuals. A distance of 0 is a probe that is not there, one within the blind
zone is no measurement.
"""

from collections.abc import Callable

from gateway.codecs.frame import (
    Codec,
    Content,
    Reader,
    Value,
    not_a_reading,
    reading,
    sensor_fault,
    unknown_frame,
)

BLIND_MM = {"ldds75": 20, "ldds45": 20}
"""The value that stands for anything nearer than the sensor can see, and less."""
_PORTS = {3: "stored readings", 4: "its configuration", 5: "the status of the device"}


def _ultrasonic(blind_mm: int) -> Callable[[bytes, int], Content]:
    def decode(data: bytes, port: int) -> Content:
        if port in _PORTS:
            return not_a_reading(_PORTS[port])
        if port not in (0, 2) or len(data) not in (3, 5, 8):
            return unknown_frame(data, f"no frame of {len(data)} bytes on port {port}")
        reader = Reader(data, ">")
        values: dict[str, Value | None] = {"battery_v": (reader.take("H") & 0x3FFF) / 1000}
        content = Content()
        if len(data) == 3:
            content.refusals.append(sensor_fault("distance", "no ultrasonic sensor"))
        else:
            _measured(reader, blind_mm, values, content)
        content.frames = reading(values).frames
        return content

    return decode


def _measured(
    reader: Reader, blind_mm: int, values: dict[str, Value | None], content: Content
) -> None:
    distance = reader.take("H")
    reader.take("B")  # whether an interrupt woke it
    probe, present = None, True
    if reader.left:
        probe, present = reader.take("h"), bool(reader.take("B"))
    if distance == 0 or not present:
        content.refusals.append(sensor_fault("distance", "no ultrasonic sensor"))
    elif distance <= blind_mm:
        content.refusals.append(sensor_fault("distance", "nearer than the sensor can see"))
    else:
        values["distance_mm"] = float(distance)
    if probe is not None and probe not in (0, 0x7FFF, -1):
        values["temperature_c"] = probe / 10


def _vibration(data: bytes, port: int) -> Content:
    if port in _PORTS:
        return not_a_reading(_PORTS[port])
    if port == 7:
        return not_a_reading("raw acceleration without its rate")
    if port not in (0, 2) or len(data) != 11:
        return unknown_frame(data, f"no frame of {len(data)} bytes on port {port}")
    reader = Reader(data, ">")
    battery_v = reader.take("H") / 1000
    mode = reader.take("B") >> 2 & 0x07
    if mode not in (1, 2, 3):
        return unknown_frame(data, f"no mode {mode}")
    temperature = None
    if mode == 2:
        reader.take("I")
    if mode in (2, 3):
        temperature = reader.take("h") / 100
    return reading({"battery_v": battery_v, "temperature_c": temperature})


_FIELDS = {"Bat": "battery_v", "BatV": "battery_v", "TempC_SHT": "temperature_c"}
CODECS = (
    Codec("ldds75", "bin", _ultrasonic(BLIND_MM["ldds75"]), "Dragino LDDS75, distance", _FIELDS),
    Codec("ldds45", "bin", _ultrasonic(BLIND_MM["ldds45"]), "Dragino LDDS45, distance", _FIELDS),
    Codec("lht65n-vib", "road", _vibration, "Dragino LHT65N-VIB, vibration counter", _FIELDS),
)
