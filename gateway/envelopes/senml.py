"""SenML packs in JSON, RFC 8428: records that share base fields.

The device is the base name, or the last part of the topic. A time below 2^28 is relative to now,
which is the time of receipt. Records of one time are one reading; names are those of the contract,
or of the objects of uCIFI (3416, 3418, 3435).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.envelopes.names import KEYS
from gateway.envelopes.uplink import Opened, Uplink, no, parsed
from gateway.refusal import Reason, Refusal

RELATIVE_BELOW_S = 2**28
VERSION_MAX = 10
RECORDS_MAX = 5000
_BASE = ("bn", "bt", "bu", "bv", "bs", "bver")
_LABELS = frozenset({*_BASE, "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"})
_FACTORS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("m", "_mm"): (1000, 0), ("cm", "_mm"): (10, 0), ("m/s", "_mm_s"): (1000, 0),
    ("K", "_c"): (1, -273.15), ("mV", "_v"): (0.001, 0), ("mA", "_a"): (0.001, 0),
    ("kW", "_w"): (1000, 0), ("kWh", "_wh"): (1000, 0), ("J", "_wh"): (1 / 3600, 0),
    ("rad", "_deg"): (180 / math.pi, 0), ("/", "_pct"): (100, 0), ("g", "_kg"): (0.001, 0),
    ("km/h", "_mps"): (1 / 3.6, 0),
}  # fmt: skip
"""(unit, end of our key) -> (factor, offset); other units are ours already."""
_PLAIN = frozenset({"", "W", "A", "V", "%", "Wh", "lx", "Cel", "deg", "mm", "kg", "m/s", "m/s2",
                    "Hz", "1", "/", "lat", "lon", "mm/s", "%EL"})  # fmt: skip
_OBJECTS: Mapping[str, str] = {
    "3416/3": "dim_level_pct", "3418/6": "current_a", "3418/4": "voltage_v",
    "3435/2": "fill_pct",
}  # fmt: skip
_CLAIMS: Mapping[str, str] = {
    "3416/5": "lamp_failure", "3416/7": "control_gear_failure", "3416/9": "relay_failure",
    "3416/10": "day_burner", "3416/11": "cycling_failure",
}  # fmt: skip
_KNOWN = sorted((*KEYS, "x_ms2", "y_ms2", "z_ms2", "lat", "lon", "sim"), key=len, reverse=True)
_PATH = re.compile(r"/?(\d{3,5})/\d{1,5}/(\d{1,5})")


def senml(topic: str, payload: bytes, now_ms: int) -> Opened:
    tree = parsed(payload)
    if isinstance(tree, Refusal):
        return [], [tree]
    hint = "a SenML pack is a JSON array of records"
    if not isinstance(tree, list) or not all(isinstance(one, dict) for one in tree):
        return no(Reason.WRONG_TYPE, "", "not an array of records", hint)
    if not tree or len(tree) > RECORDS_MAX:
        return no(Reason.WRONG_LENGTH, "", f"{len(tree)} records", hint)
    try:
        return _Pack(topic, now_ms).read(tree)
    except _BadRecordError as bad:
        return [], [bad.refusal]


class _BadRecordError(Exception):
    def __init__(
        self, i: int, label: str, message: str, reason: Reason = Reason.WRONG_TYPE
    ) -> None:
        path = f"[{i}].{label}" if label else f"[{i}]"
        self.refusal = Refusal(reason, path, message, "see RFC 8428")


class _Pack:
    def __init__(self, topic: str, now_ms: int) -> None:
        self._device = topic.rpartition("/")[2]
        self._now_ms = now_ms
        self._base: dict[str, Any] = {}
        self._readings: dict[tuple[str, int], dict[str, Any]] = {}
        self._axes: dict[tuple[str, str], list[tuple[int, float]]] = {}
        self._refusals: list[Refusal] = []

    def read(self, records: Sequence[Mapping[str, Any]]) -> Opened:
        for i, record in enumerate(records):
            self._take(i, record)
        self._windows()
        uplinks = [self._uplink(*key, said) for key, said in sorted(self._readings.items())]
        return [one for one in uplinks if one.object or one.faults], self._refusals

    def _take(self, i: int, record: Mapping[str, Any]) -> None:
        for label, value in record.items():
            if label not in _LABELS and label.endswith("_"):
                raise _BadRecordError(i, label, "it must be understood, and is not known")
            if label in ("bt", "bv", "bs", "bver", "v", "s", "t", "ut") and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                raise _BadRecordError(i, label, "not a number")
            if label in ("bn", "n", "u", "bu", "vs") and not isinstance(value, str):
                raise _BadRecordError(i, label, "not a text")
        if record.get("bver", 0) > VERSION_MAX:
            raise _BadRecordError(i, "bver", f"a version above {VERSION_MAX}")
        self._base |= {label: record[label] for label in _BASE if label in record}
        name = str(self._base.get("bn", "")) + str(record.get("n", ""))
        at_s = self._base.get("bt", 0) + record.get("t", 0)
        try:
            at_ms = (
                round(at_s * 1000)
                if at_s >= RELATIVE_BELOW_S
                else self._now_ms + round(at_s * 1000)
            )
        except (OverflowError, ValueError):
            raise _BadRecordError(i, "t", "no time", Reason.BAD_TIME) from None
        if {"v", "vb", "vs", "vd"} & set(record):
            self._note(i, record, name, at_ms)

    def _note(self, i: int, record: Mapping[str, Any], name: str, at_ms: int) -> None:
        device, what = _split(name, self._device)
        said = self._readings.setdefault((device, at_ms), {})
        path = _PATH.fullmatch(what) or _PATH.search(what)
        number = f"{path[1]}/{path[2]}" if path else ""
        if what.startswith("fault/") and record.get("vb") is True:
            said.setdefault("faults", []).append(what.removeprefix("fault/"))
        elif number in _CLAIMS:
            if record.get("vb") is True or record.get("v") in (1, 1.0):
                said.setdefault("faults", []).append(_CLAIMS[number])
        elif what == "sim":
            said["sim"] = record.get("vb") is True
        elif what in ("lat", "lon"):
            said["latitude" if what == "lat" else "longitude"] = record.get("v")
        elif what in ("x_ms2", "y_ms2", "z_ms2") and "v" in record:
            self._axes.setdefault((device, what), []).append((at_ms, float(record["v"])))
        else:
            key = _OBJECTS.get(number, what)
            value = self._value(i, record, key)
            if value is not None:
                said[key] = value

    def _value(self, i: int, record: Mapping[str, Any], key: str) -> Any:
        if "v" not in record:
            return record.get("vb", record.get("vs"))
        value = record["v"] + self._base.get("bv", 0)
        unit = str(record.get("u", self._base.get("bu", "")))
        factors = (
            f for (theirs, end), f in _FACTORS.items() if theirs == unit and key.endswith(end)
        )
        if key in KEYS and (found := next(factors, None)) is not None:
            return round(value * found[0] + found[1], 9)
        if key not in KEYS or unit in _PLAIN:
            return value
        hint = "units of RFC 8428 that the value can have"
        path = f"[{i}].u"
        self._refusals.append(Refusal(Reason.WRONG_TYPE, path, f"{unit} is no unit of {key}", hint))
        return None

    def _windows(self) -> None:
        """Rows of one axis are a window; its middle sample has the window's time."""
        for (device, axis), row in self._axes.items():
            row.sort()
            times = [at_ms for at_ms, _ in row]
            span_s = (times[-1] - times[0]) / 1000
            if len(row) < 2 or span_s <= 0:
                continue
            at_ms = times[len(row) // 2]
            self._readings = {
                key: said for key, said in self._readings.items()
                if key[0] != device or said or key[1] == at_ms
            }  # fmt: skip
            said = self._readings.setdefault((device, at_ms), {})
            window = said.setdefault("accel", {"rate_hz": round((len(row) - 1) / span_s, 3)})
            window[axis] = [value for _, value in row]

    def _uplink(self, device: str, at_ms: int, said: dict[str, Any]) -> Uplink:
        sim, faults = said.pop("sim", False), tuple(said.pop("faults", ()))
        return Uplink(device, at_ms, object=said, sim=bool(sim), faults=faults)


def _split(name: str, default: str) -> tuple[str, str]:
    """(device, what): the base name is an URN of the device, or its name before the last `/`, `:`
    or `_` where what follows is a name that we know.
    """
    for key in sorted(
        (*KEYS, "x_ms2", "y_ms2", "z_ms2", "lat", "lon", "sim"), key=len, reverse=True
    ):
        if name == key or name.endswith(("_" + key, "/" + key, ":" + key)):
            return _device(name[: len(name) - len(key)]) or default, key
    match = re.search(r"/?\d{3,5}/\d{1,5}/\d{1,5}$", name)
    if match:
        return _device(name[: match.start()]) or default, match[0]
    match = re.search(r"fault/[a-z_0-9]+$", name)
    if match:
        return _device(name[: match.start()]) or default, match[0]
    head, _, tail = name.rpartition(":")
    return _device(head) or default, tail


def _device(base: str) -> str:
    return base.rstrip("_/:").rpartition(":")[2].rpartition("/")[2]
