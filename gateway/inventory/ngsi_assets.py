"""Smart Data Models entities as assets: what stands where, without what it measures.

Pure. Streetlight, StreetlightControlCabinet and WasteContainer, of NGSI-LD or NGSI-v2, normalized
or as key-values. An asset has the last part of the entity's id, as the devices of the `ngsi` source
have. Entities of other types are left out and named; what is wrong with one of these is for
`gateway.assets` to say, by its number.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

_KINDS = {
    "Streetlight": "streetlight", "StreetlightControlCabinet": "cabinet", "WasteContainer": "bin",
}  # fmt: skip
_TEXTS = {"circuit": "circuit", "owner": "owner", "areaServed": "zone"}
_REFERENCES = {
    "refStreetlightModel": "model", "refWasteContainerModel": "model",
    "refStreetlightCabinetController": "cabinet", "refOwner": "owner",
}  # fmt: skip


class Entities(NamedTuple):
    """GeoJSON with a feature for each entity, in their order; what was left out, in words."""

    text: str
    left_out: tuple[str, ...]


def entities_in(data: bytes) -> Entities | None:
    """None: these are no entities."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    found = tree if isinstance(tree, list) else [tree]
    if not all(isinstance(one, dict) and {"id", "type"} <= one.keys() for one in found):
        return None
    if not found or found[0].get("type") == "FeatureCollection":
        return None
    features, left_out = [], []
    for entity in found:
        kind = _KINDS.get(str(entity["type"]).rpartition("/")[2].rpartition("#")[2])
        if kind is None:
            left_out.append(f"{entity['id']}: a {entity['type']} is no asset; left out")
        else:
            features.append(_feature(entity, kind))
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    text = f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n'
    return Entities(text, tuple(left_out))


def _feature(entity: Mapping[str, Any], kind: str) -> dict[str, Any]:
    said = {key: _value(attribute) for key, attribute in entity.items()}
    properties: dict[str, Any] = {"asset_id": _tail(said["id"]), "kind": kind}
    for key, name in _TEXTS.items():
        value = said.get(key)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str) and first:
            properties[name] = first
    for key, name in _REFERENCES.items():
        if isinstance(said.get(key), str):
            properties.setdefault(name, _tail(said[key]))
    address = said.get("address")
    street = address.get("streetAddress") if isinstance(address, dict) else address
    if isinstance(street, str) and street:
        properties["address"] = street
    devices = said.get("refDevice")
    if devices:
        listed = devices if isinstance(devices, list) else [devices]
        properties["devices"] = [_tail(one) for one in listed]
    return {"type": "Feature", "geometry": _point(said.get("location")), "properties": properties}


def _value(attribute: Any) -> Any:
    """Of an attribute in whatever representation; `object` is a relationship's."""
    if isinstance(attribute, Mapping):
        for key in ("value", "object"):
            if key in attribute:
                return attribute[key]
    return attribute


def _point(value: Any) -> Any:
    """GeoJSON as it is; NGSI-v2's geo:point is a text with the latitude first."""
    if not isinstance(value, str):
        return value
    lat, _, lon = value.partition(",")
    try:
        return {"type": "Point", "coordinates": [float(lon), float(lat)]}
    except ValueError:
        return None


def _tail(name: Any) -> Any:
    return name.rpartition(":")[2] if isinstance(name, str) else name
