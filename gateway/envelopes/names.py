"""Names of other people's objects -> canonical keys, their numbers in canonical units.

Pure. A number that is a text counts as one, with its unit where it bears one; a text that says that
there is nothing is a fault of the sensor. A name that is not in the table is left alone; one that
may mean two things (`battery`: volts or percent?) counts only with its unit.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.refusal import Reason, Refusal, join
from rules.fields import CATALOGUE, REPORTED_KINDS

KEYS = frozenset(key for kind in REPORTED_KINDS for key in CATALOGUE[kind])
_FLAGS = frozenset(
    key for kind in REPORTED_KINDS for key, known in CATALOGUE[kind].items() if known.is_bool
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "activepower": "active_power_w", "power": "active_power_w",
        "powerconsumption": "active_power_w", "activeenergyinstant": "active_power_w",
        "current": "current_a", "voltage": "voltage_v", "mainsvoltage": "voltage_v",
        "powerfactor": "power_factor", "powerfactorinstant": "power_factor",
        "dimlevel": "dim_level_pct", "dimminglevel": "dim_level_pct",
        "dimming": "dim_level_pct", "activeenergytotal": "energy_wh", "energy": "energy_wh",
        "illuminance": "lux_lx", "lux": "lux_lx", "temperature": "temperature_c",
        "temp": "temperature_c", "tempcelsius": "temperature_c", "tempc": "temperature_c",
        "temperaturepro": "temperature_c",
        "tilt": "tilt_deg", "inclination": "tilt_deg", "angleofinclination": "tilt_deg",
        "batteryvoltage": "battery_v", "batteryvol": "battery_v", "batv": "battery_v",
        "volt": "battery_v", "batterylevel": "battery_level_pct", "filllevel": "fill_pct",
        "fillinglevel": "fill_pct", "fillinglvl": "fill_pct", "fillinglvlpercent": "fill_pct",
        "fill": "fill_pct",
        "fillpercent": "fill_pct", "distance": "distance_mm", "proxxmm": "distance_mm",
        "proxx": "distance_cm", "distancecm": "distance_cm", "lidopen": "lid_open",
        "coveropen": "lid_open", "weight": "weight_kg", "dooropen": "door_open",
        "relay": "relay_on", "relayon": "relay_on", "ppv": "ppv_mm_s", "speed": "speed_mps",
        "heading": "heading_deg", "battery": "battery_?", "bat": "battery_?",
    }
)  # fmt: skip
_UNITS: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "mm": {"mm": (1, 0), "cm": (10, 0), "m": (1000, 0)},
        "pct": {"%": (1, 0), "percent": (1, 0)},
        "v": {"v": (1, 0), "mv": (0.001, 0)},
        "w": {"w": (1, 0), "kw": (1000, 0)},
        "a": {"a": (1, 0), "ma": (0.001, 0)},
        "c": {"c": (1, 0), "°c": (1, 0), "f": (5 / 9, -160 / 9), "°f": (5 / 9, -160 / 9)},
        "wh": {"wh": (1, 0), "kwh": (1000, 0)},
        "kg": {"kg": (1, 0), "g": (0.001, 0)},
        "deg": {"deg": (1, 0), "°": (1, 0)},
        "lx": {"lx": (1, 0), "lux": (1, 0)},
    }
)
"""End of our key -> unit as written -> (factor, offset)."""
_NUMBER = re.compile(r"\s*([-+]?\d{1,15}(?:[.,]\d{1,15})?)\s*([^\d\s].{0,12})?\s*")
_NOTHING = frozenset(
    {
        "",
        "n/a",
        "na",
        "none",
        "null",
        "nan",
        "no sensor",
        "invalid reading",
        "invalid",
        "error",
        "-",
    }
)
_ON, _OFF = frozenset({"on", "true", "open", "yes"}), frozenset({"off", "false", "closed", "no"})


def values_in(
    said: Mapping[str, Any], renamed: Mapping[str, str], path: str
) -> tuple[dict[str, Any], list[Refusal]]:
    """The values of an object that are known, and what is wrong with others."""
    values: dict[str, Any] = {}
    refusals = []
    for name, value in said.items():
        key = name if name in KEYS or name == "accel" else renamed.get(name, _key_of(name))
        if not key or value is None:
            continue
        found = value if key == "accel" else _canonical(key, value)
        if isinstance(found, str):
            refusals.append(_refusal(found, join(path, name), value))
        elif isinstance(found, tuple):
            values.setdefault(*found)
        elif found is not None:
            values.setdefault(key, found)
    return values, refusals


def claims_in(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The device's own claims, under our own name."""
    found = said.get("faults")
    names = found if isinstance(found, list) else ()
    return tuple(name for name in names if isinstance(name, str))


def _key_of(name: str) -> str:
    return _NAMES.get("".join(char for char in name.lower() if char.isalnum()), "")


def _canonical(key: str, value: Any) -> Any:
    """The value in the key's unit; (key, value) where the unit says which it is; a text that says
    what is wrong; None where it cannot be told.
    """
    if key in _FLAGS:
        return _flag(value)
    number, unit = _read(value)
    if isinstance(number, str):
        return number
    if key == "battery_?":
        key = {"v": "battery_v", "mv": "battery_v", "%": "battery_level_pct"}.get(unit, "")
        return (key, converted(key, number, unit)) if key else None
    if key == "distance_cm":
        return "distance_mm", converted("distance_mm", number, unit or "cm")
    return converted(key, number, unit)


def _read(value: Any) -> tuple[Any, str]:
    """A number and its unit; or what is wrong with it."""
    unit = ""
    if isinstance(value, Mapping) and "value" in value:
        value, unit = value["value"], str(value.get("unit", "")).strip().lower()
    if isinstance(value, str):
        if value.strip().lower() in _NOTHING:
            return "no value", ""
        match = _NUMBER.fullmatch(value)
        if match is None:
            return "not a number", ""
        value, unit = float(match[1].replace(",", ".")), (match[2] or unit).strip().lower()
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or (isinstance(value, float) and not math.isfinite(value)):
        return "not a number", ""
    return value, unit


def converted(key: str, value: float, unit: str) -> Any:
    """In the key's unit; a text that says what is wrong."""
    if not unit:
        return value
    known = _UNITS.get(key.rpartition("_")[2], {})
    if unit not in known:
        return f"the unit {unit[:12]} is not one of {', '.join(known) or 'none'}"
    factor, offset = known[unit]
    return round(value * factor + offset, 6)


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    text = value.strip().lower() if isinstance(value, str) else ""
    return True if text in _ON else False if text in _OFF else "not true or false"


def _refusal(what: str, path: str, value: Any) -> Refusal:
    if what == "no value":
        hint = "look at the sensor: the device works and its sensor gives no value"
        return Refusal(Reason.SENSOR_FAULT, path, f"it says {str(value)[:40]!r}", hint)
    hint = "a number in the unit of the contract, or a text with its unit: 2799 mm"
    return Refusal(Reason.WRONG_TYPE, path, what, hint)
