"""Netvox R718X and R718PE: ultrasonic distance with temperature and inclination, big endian.

From the maker's public command table. Port 6 reports, port 7 answers commands.
"""

from gateway.codecs.frame import (
    Codec,
    Content,
    Reader,
    TooShort,
    Value,
    not_a_reading,
    reading,
    sensor_fault,
    too_short,
    unknown_frame,
)

LOW_BATTERY = "low_battery"
R718X, R718PE = 0x34, 0xB1
INVALID = 0xFFFF


def _decode(data: bytes, port: int) -> Content:
    if port == 7:
        return not_a_reading("the answer to a command")
    if port not in (0, 6) or len(data) < 3 or data[1] not in (R718X, R718PE):
        return unknown_frame(data, f"no frame of R718X on port {port}")
    if data[2] != 1:
        versions = data[2] == 0
        return not_a_reading("its versions") if versions else unknown_frame(data, "no such report")
    try:
        return _report(Reader(data[3:], ">"), data[1])
    except TooShort:
        return too_short(data)


def _report(reader: Reader, device: int) -> Content:
    battery, _status, distance = reader.take("B"), reader.take("B"), reader.take("H")
    values: dict[str, Value | None] = {"battery_v": (battery & 0x7F) / 10}
    refusals = []
    if distance == INVALID:
        refusals.append(sensor_fault("distance", "the sensor gives no distance"))
    else:
        values["distance_mm"] = float(distance)
    if device == R718X:
        values["temperature_c"] = reader.take("h") / 10
    fill = reader.take("B")
    if fill <= 100 and distance != INVALID:
        values["fill_pct"] = float(fill)
    if device == R718X and reader.left:
        values["tilt_deg"] = float(reader.take("B"))
    content = reading(values, [LOW_BATTERY] if battery & 0x80 else [])
    content.refusals = refusals
    return content


CODECS = (Codec("r718x", "bin", _decode, "Netvox R718X, distance, fill and inclination"),)
