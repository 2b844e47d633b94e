"""Anonymising: a recording, its register and its labels without names, places and free text.

Names become keyed hashes, the same one for the same name in every file, and places are moved by
one constant offset, so that what belonged together still does. Only what the contract knows is
kept: unknown keys, claims and attributes are dropped, and messages of other formats whole, for
nobody can say what in them is a name. Times and measured values stay as they are. Who has the key
can find a name again by trying. Pure.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulators.recording import faithful
from simulators.topics import matches
from simulators.truth import Label
from simulators.wire import Message, encode, parse_rfc3339

OFFSET_M = 5_000.0
METRES_A_DEGREE = 111_320.0
NAME_DIGITS = 12
DEVICE_TOPIC = "city/v1/+/+/+/+"
LEAVES = ("telemetry", "batch", "status", "ack")
KINDS = ("streetlight", "cabinet", "road", "bin")
VALUES = frozenset({
    "accel", "active_power_w", "battery_v", "crest", "current_a", "dim_level_pct", "distance_mm",
    "dominant_hz", "door_open", "energy_wh", "fill_pct", "heading_deg", "lid_open", "lux_lx",
    "peak_ms2", "power_factor", "ppv_mm_s", "relay_on", "rms_ms2", "speed_mps", "temperature_c",
    "tilt_deg", "voltage_v", "weight_kg",
})  # fmt: skip
AXES = frozenset({"rate_hz", "x_ms2", "y_ms2", "z_ms2"})
CLAIMS = frozenset({
    "lamp_failure", "control_gear_failure", "control_gear_comm_failure", "relay_failure",
    "day_burner", "cycling_failure", "low_power", "high_power", "low_power_factor", "under_voltage",
    "over_voltage", "over_current", "under_current", "thermal_derating", "thermal_shutdown",
    "low_battery", "clock_failure", "sensor_failure", "tilt",
})  # fmt: skip
NAMES = frozenset({"asset_id", "zone", "circuit", "cabinet", "segment"})  # of assets, each a name
ATTRIBUTES = frozenset({
    "kind", "valid_from", "nominal_power_w", "dim_curve", "always_powered", "height_mm",
    "offset_mm", "dead_zone_mm", "fill_threshold_pct", "pickup", "time_zone",
})  # fmt: skip


@dataclass(slots=True)
class Anonymiser:
    """`key`: the same key gives the same names and the same way to move. `dropped`: messages left
    out so far.
    """

    key: str
    offset_m: float = OFFSET_M
    dropped: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    def messages(self, messages: Iterable[Message]) -> Iterator[Message]:
        for message in messages:
            found = self.message(message)
            if found is not None:
                yield found

    def message(self, message: Message) -> Message | None:
        """None: it is of another format, or spoilt, and is left out."""
        topic, payload = self._topic(message.topic), self._payload(message)
        if topic is None or payload is None:
            self.dropped += 1
            return None
        return Message(message.t_ms, topic, payload, message.qos, message.retain)

    def assets(self, collection: Mapping[str, Any]) -> dict[str, Any]:
        """A register as GeoJSON. Raises ValueError."""
        try:
            features = [self._feature(feature) for feature in collection["features"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not a FeatureCollection of Points: {error!r}") from None
        return {"type": "FeatureCollection", "features": features}

    def label(self, label: Label) -> Label:
        name = self.name(label.asset_id) if label.asset_id else ""
        if label.lat is None or label.lon is None:
            return replace(label, asset_id=name)
        lat, lon = self.place(label.lat, label.lon)
        return replace(label, asset_id=name, lat=lat, lon=lon)

    def name(self, text: str) -> str:
        found = self._names.get(text)
        if found is None:
            found = self._names[text] = self._hash("name", text).hex()[:NAME_DIGITS]
        return found

    def place(self, lat: float, lon: float) -> tuple[float, float]:
        """Moved, in a direction that the key decides. 0, 0 stays: it is no place, but a receiver
        that has none.
        """
        if not lat and not lon:
            return lat, lon
        turn = int.from_bytes(self._hash("direction", "")[:4], "big") / 2**32 * math.tau
        moved = lat + self.offset_m * math.sin(turn) / METRES_A_DEGREE
        moved = min(89.9, max(-89.9, moved))
        narrow = METRES_A_DEGREE * math.cos(math.radians(moved))
        east = (lon + self.offset_m * math.cos(turn) / narrow + 180) % 360 - 180
        return round(moved, 7), round(east, 7)

    def _hash(self, about: str, text: str) -> bytes:
        key = hashlib.blake2b(self.key.encode()).digest()
        return hashlib.blake2b(f"{about}:{text}".encode(), key=key, digest_size=16).digest()

    def _topic(self, topic: str) -> str | None:
        if not matches(DEVICE_TOPIC, topic):
            return None
        city, version, zone, kind, device, leaf = topic.split("/")
        if leaf not in LEAVES or kind not in KINDS:
            return None
        return "/".join((city, version, self.name(zone), kind, self.name(device), leaf))

    def _payload(self, message: Message) -> bytes | None:
        try:
            body = faithful(message.payload)
            if message.leaf == "batch":
                return encode([self._said(entry) for entry in body])
            if message.leaf in ("status", "ack"):
                return encode({
                    name: body[name]
                    for name, kind in (("online", bool), ("boot", int), ("upto", int))
                    if isinstance(body.get(name), kind)
                })  # fmt: skip
            return encode(self._said(body))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _said(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """One message of our format; raises where it is none."""
        kept: dict[str, Any] = {"ts": _time(body["ts"])}
        kept |= {name: int(body[name]) for name in ("boot", "seq") if name in body}
        kept["values"] = {
            name: _number(value) if name != "accel" else _window(value)
            for name, value in body["values"].items()
            if name in VALUES
        }
        if body.get("loc") is not None:
            lat, lon = body["loc"]
            kept["loc"] = self.place(_number(lat), _number(lon))
        if body.get("faults"):
            kept["faults"] = [claim for claim in body["faults"] if claim in CLAIMS]
        return kept | ({"sim": True} if body.get("sim") is True else {})

    def _feature(self, feature: Mapping[str, Any]) -> dict[str, Any]:
        lon, lat = feature["geometry"]["coordinates"][:2]
        lat, lon = self.place(float(lat), float(lon))
        kept: dict[str, Any] = {}
        for name, value in feature["properties"].items():
            if name in NAMES and value:
                kept[name] = self.name(str(value))
            elif name in ATTRIBUTES and (name != "kind" or value in KINDS):
                kept[name] = value
            elif name == "devices":
                kept[name] = [self.name(device) for device in value]
        point = {"type": "Point", "coordinates": [lon, lat]}
        return {"type": "Feature", "geometry": point, "properties": kept}


def _time(text: str | None) -> str | None:
    if text is not None:
        parse_rfc3339(text)  # else it could be any text
    return text


def _number(value: Any) -> Any:
    if not isinstance(value, bool | int | float):
        raise ValueError("no number")  # noqa: TRY004
    return value


def _window(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [_number(one) for one in axis] if isinstance(axis, list) else _number(axis)
        for name, axis in value.items()
        if name in AXES
    }
