"""Smart Data Models over MQTT: NGSI-LD notifications and entities, NGSI-v2 attributes.

Streetlight, StreetlightControlCabinet and WasteContainer. Levels are shares, 0 to 1, positions are
longitude first. A status that is not `ok` is the device's own claim.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.clock import ms_of
from gateway.envelopes.uplink import Opened, Uplink, no, parsed
from gateway.refusal import Reason, Refusal

ENTITIES_MAX = 1000
_SHARES = {"fillingLevel": "fill_pct", "illuminanceLevel": "dim_level_pct"}
_KINDS = {
    "Streetlight": "streetlight", "StreetlightControlCabinet": "cabinet", "WasteContainer": "bin",
}  # fmt: skip
_CLAIMS = {
    "defectiveLamp": "lamp_failure", "columnIssue": "column_issue",
    "brokenLantern": "broken_lantern", "dropped": "out_of_position", "moved": "out_of_location",
    "burning": "temperature_alarm", "vandalized": "tampered",
}  # fmt: skip
_META = ("id", "type", "@context")


def ngsi(topic: str, payload: bytes) -> Opened:
    tree = parsed(payload)
    if isinstance(tree, Refusal):
        return [], [tree]
    if isinstance(tree, dict) and isinstance(tree.get("body"), dict):
        sim = _of(tree, "metadata").get("sim") == "true"
        return _entities(tree["body"].get("data"), "body.data", sim=sim)
    if isinstance(tree, dict) and "data" in tree:
        return _entities(tree["data"], "data", sim=False)
    if isinstance(tree, list) or (isinstance(tree, dict) and "id" in tree and "type" in tree):
        return _entities(tree, "", sim=False)
    if not isinstance(tree, dict):
        return no(Reason.WRONG_TYPE, "", "not an object", "an entity, a notification or attributes")
    parts = topic.strip("/").split("/")
    device = parts[-2] if len(parts) > 1 and parts[-1] == "attrs" else parts[-1]
    return [_uplink(device, "", tree, sim=tree.get("sim") is True, path="")], []


def _entities(found: Any, path: str, *, sim: bool) -> Opened:
    entities = found if isinstance(found, Sequence) and not isinstance(found, str) else [found]
    if len(entities) > ENTITIES_MAX:
        hint = f"at most {ENTITIES_MAX} in one notification"
        return no(Reason.WRONG_LENGTH, path, f"{len(entities)} entities", hint)
    uplinks, refusals = [], []
    for i, entity in enumerate(entities):
        here = f"{path}[{i}]" if isinstance(found, list) else path
        if not isinstance(entity, Mapping) or not isinstance(entity.get("id"), str):
            hint = "an entity has an id and a type"
            refusals.append(Refusal(Reason.MISSING_KEY, here, "not an entity", hint))
            continue
        device = entity["id"].rpartition(":")[2]
        kind = _KINDS.get(str(entity.get("type")).rpartition("/")[2], "")
        said = {key: value for key, value in entity.items() if key not in _META}
        uplinks.append(_uplink(device, kind, said, sim=sim, path=here))
    return uplinks, refusals


def _uplink(device: str, kind: str, said: Mapping[str, Any], *, sim: bool, path: str) -> Uplink:
    values: dict[str, Any] = {}
    times, faults, loc, numbers = list[int](), list[str](), None, None
    for name, attribute in said.items():
        value, at_ms = _value_of(attribute)
        times += [at_ms] if at_ms is not None else []
        if name in _SHARES and isinstance(value, int | float) and not isinstance(value, bool):
            values[_SHARES[name]] = round(value * 100, 6)
        elif name == "powerState" and isinstance(value, str):
            values["relay_on"] = value in ("on", "low", "bootingUp")
        elif name == "status":
            faults += list(_claims(value))
            if value == "lidOpen":
                values["lid_open"] = True
        elif name == "location":
            loc = _position(value)
        elif name == "sequence" and _are_numbers(value):
            numbers = (value[0], value[1])
        elif name in ("TimeInstant", "observationDateTime", "dateObserved", "dateModified"):
            found = ms_of(value) if isinstance(value, str) else None
            times += [found] if found is not None else []
        else:
            values[name] = value
    return Uplink(
        device, max(times, default=None), kind, values, sim=sim, loc=loc, faults=tuple(faults),
        numbers=numbers, path=path,
    )  # fmt: skip


def _value_of(attribute: Any) -> tuple[Any, int | None]:
    """Normalized, concise or key-values; when it was observed, if it says so."""
    if not isinstance(attribute, Mapping) or not {"value", "object"} & set(attribute):
        return attribute, None
    observed = attribute.get("observedAt")
    instant = _of(_of(attribute, "metadata"), "TimeInstant").get("value")
    text = observed if isinstance(observed, str) else instant
    return attribute.get("value"), ms_of(text) if isinstance(text, str) else None


def _claims(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and one in _CLAIMS:
            yield _CLAIMS[one]


def _position(value: Any) -> tuple[float, float] | None:
    """GeoJSON has the longitude first, NGSI-v2's text the latitude."""
    try:
        if isinstance(value, str):
            lat, lon = (float(part) for part in value.split(","))
        else:
            lon, lat = (float(part) for part in value["coordinates"][:2])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return lat, lon


def _are_numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in value)
    )


def _of(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = found.get(key)
    return inner if isinstance(inner, Mapping) else {}
