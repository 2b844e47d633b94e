"""SmartEnds BrighterBins: fields of some bits, the kind of the frame in the last ones.

From public descriptions. Distances are in cm; the two highest codes of a distance are faults of its
module, the highest of a fill or a battery means that it is not known.
"""

from gateway.codecs.frame import (
    Codec,
    Content,
    TooShort,
    Value,
    bits,
    not_a_reading,
    reading,
    sensor_fault,
    too_short,
    unknown_frame,
)
from gateway.refusal import Refusal

FIRE = "temperature_alarm"
TAMPERED = "tampered"
_FAULTS = {511: "the distance module does not respond", 510: "the laser is not configured"}
_NOT_READINGS = {3: "the state of the device", 4: "a map of depths", 6: "raw distances"}


def _decode(data: bytes, _port: int) -> Content:
    if not data:
        return too_short(data)
    try:
        return _by_type(data, data[-1] & 3)
    except TooShort:
        return too_short(data)


def _by_type(data: bytes, kind: int) -> Content:
    subtype = data[-1] >> 2 & 7 if kind == 3 else None
    match kind, subtype:
        case 0, _:
            content = reading(_state(data, 2) | {"fill_pct": _fill(data, 15)})
        case 1, _:
            content = _with_distance(data, 0, 13)
        case 2, _:
            content = not_a_reading("the state of the device: versions, tests, resets")
        case 3, 0:
            content = _with_distance(data, 44, 57)
        case 3, 1:
            faults = [FIRE] if bits(data, 64, 1) else []
            faults += [TAMPERED] if bits(data, 48, 1) else []
            content = _with_distance(data, 68, 81, faults)
        case 3, 5:
            content = reading(_state(data, 44) | {"fill_pct": _fill(data, 59)})
        case 3, int(number) if number in _NOT_READINGS:
            content = not_a_reading(_NOT_READINGS[number])
        case _:
            content = unknown_frame(data, f"no frame of type {kind}.{subtype}")
    return content


def _state(data: bytes, at: int) -> dict[str, Value | None]:
    """Battery in steps of 2 %, then the temperature above -40 degrees."""
    battery = 2 * bits(data, at, 6)
    return {
        "battery_level_pct": None if battery == 126 else float(min(battery, 100)),
        "temperature_c": float(bits(data, at + 6, 7) - 40),
    }


def _fill(data: bytes, at: int) -> float | None:
    fill = bits(data, at, 7)
    return None if fill == 127 else float(fill)


def _with_distance(data: bytes, state_at: int, at: int, faults: list[str] | None = None) -> Content:
    distance, refusals = bits(data, at, 9), list[Refusal]()
    values = _state(data, state_at)
    if distance in _FAULTS:
        refusals.append(sensor_fault("distance", _FAULTS[distance]))
    else:
        values["distance_mm"] = 10.0 * distance
    content = reading(values, faults or [])
    content.refusals = refusals
    return content


CODECS = (Codec("brighterbins", "bin", _decode, "SmartEnds BrighterBins, fill or distance"),)
