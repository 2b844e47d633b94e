"""Smart Data Models over MQTT: NGSI-LD notifications, and NGSI-v2 through an IoT agent.

Entities Streetlight, StreetlightControlCabinet, WasteContainer and, where there is no model, a
Device. Levels are shares, 0 to 1; positions are longitude first. What the models have no word for
is carried under our own name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from simulators.wire import Message, encode, rfc3339
from simulators.wires.uplink_frame import Frame

TYPES = {
    "streetlight": "Streetlight", "cabinet": "StreetlightControlCabinet", "bin": "WasteContainer",
    "road": "Device",
}  # fmt: skip
API_KEY = "city"
SHARES = {"fill_pct": "fillingLevel", "dim_level_pct": "illuminanceLevel"}
NAMES = {
    "active_power_w": ("powerConsumption", "WTT"), "voltage_v": ("voltage", "VLT"),
    "current_a": ("current", "AMP"), "power_factor": ("powerFactor", "C62"),
    "temperature_c": ("temperature", "CEL"),
}  # fmt: skip
"""Ours -> (the model's, UN/CEFACT code of its unit)."""


class NgsiLd:
    """Notifications with normalized properties."""

    def say(self, frame: Frame) -> Iterator[Message]:
        topic = f"ngsi-ld/{frame.zone}/{frame.kind}"
        if frame.values is None:
            yield frame.sent._replace(topic=topic)
            return
        observed = rfc3339(frame.ts_ms)
        entity: dict[str, Any] = {
            "id": f"urn:ngsi-ld:{TYPES[frame.kind]}:{frame.device}", "type": TYPES[frame.kind],
        }  # fmt: skip
        for name, value, unit in _attributes(frame):
            told = {"type": "Property", "value": value, "observedAt": observed}
            entity[name] = told | ({"unitCode": unit} if unit else {})
        if frame.loc is not None:
            point = {"type": "Point", "coordinates": [frame.loc[1], frame.loc[0]]}
            entity["location"] = {"type": "GeoProperty", "value": point, "observedAt": observed}
        body = {
            "id": f"urn:ngsi-ld:Notification:{frame.id_bytes().hex()}", "type": "Notification",
            "subscriptionId": f"urn:ngsi-ld:Subscription:{frame.kind}", "notifiedAt": observed,
            "data": [entity],
        }  # fmt: skip
        wrapped = {"body": body, "metadata": {"Content-Type": "application/json", "sim": "true"}}
        yield frame.sent._replace(topic=topic, payload=encode(wrapped))


class NgsiV2:
    """Attributes as an IoT agent takes them: `/{key}/{device}/attrs`."""

    def say(self, frame: Frame) -> Iterator[Message]:
        topic = f"/{API_KEY}/{frame.device}/attrs"
        if frame.values is None:
            yield frame.sent._replace(topic=topic)
            return
        body = {name: value for name, value, _ in _attributes(frame)}
        if frame.loc is not None:
            body["location"] = f"{frame.loc[0]},{frame.loc[1]}"
        body |= {"TimeInstant": rfc3339(frame.ts_ms), "sim": True}
        yield frame.sent._replace(topic=topic, payload=encode(body))


def _attributes(frame: Frame) -> Iterator[tuple[str, Any, str]]:
    """(name, value, unit) by the models."""
    values: Mapping[str, Any] = frame.values or {}
    for key, value in values.items():
        if key in SHARES:
            yield SHARES[key], round(value / 100, 6), "C62"
        elif key == "relay_on":
            yield "powerState", "on" if value else "off", ""
        elif key in NAMES:
            name, unit = NAMES[key]
            yield name, value, unit
        else:
            yield key, value, ""
    status = _status(frame.kind, values, frame.claims)
    if status:
        yield "status", status, ""
    yield "sequence", [frame.boot, frame.seq], ""


def _status(kind: str, values: Mapping[str, Any], claims: tuple[str, ...]) -> str:
    if kind == "streetlight":
        return "defectiveLamp" if "lamp_failure" in claims else "ok"
    if kind == "bin":
        return "lidOpen" if values.get("lid_open") else "ok"
    return ""
