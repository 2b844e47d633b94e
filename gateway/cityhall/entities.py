"""Requests as entities of a city platform: Smart Data Models, type Open311ServiceRequest.

Pure. NGSI-LD or NGSI-v2, normalized; what is not known is left out, since an empty value would be
read as one. The other direction, readings of a platform, is `envelopes.ngsi`.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from gateway.cityhall.requests import rfc3339
from gateway.clock import ms_of

CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
TYPE = "Open311ServiceRequest"
_TIMES = {"requested_datetime": "created_at", "updated_datetime": "city_updated"}
_FORBIDDEN_V2 = str.maketrans(dict.fromkeys("<>\"'=;()", " "))
"""Characters that NGSI-v2 lets no attribute value hold."""


class Dialect(StrEnum):
    LD = "ngsi-ld"
    V2 = "ngsi-v2"


def entity_of(story: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """One request, as `ledger.request_story` tells it, as an entity."""
    entity: dict[str, Any] = {"id": f"urn:ngsi-ld:{TYPE}:{story['reference']}", "type": TYPE}
    for name, value in _attributes(story):
        entity[name] = _ld(name, value) if dialect is Dialect.LD else _v2(name, value)
    return entity | ({"@context": [CONTEXT]} if dialect is Dialect.LD else {})


def _attributes(story: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    request = story["request"]
    yield "location", {"type": "Point", "coordinates": [request["long"], request["lat"]]}
    yield "description", request["description"]
    yield "service_code", story["service"]
    yield "status", "closed" if story["city_status"] == "closed" else "open"
    yield "source", "sense311"
    yield "rule", request["rule"]
    if request["address"]:
        yield "address", {"streetAddress": request["address"]}
    for name, value in {
        "asset_id": request["asset_id"] or request["place_id"],
        "media_url": request["media_url"],
        "service_request_id": story["request_id"],
        "status_notes": story["city_notes"],
    }.items():
        if value:
            yield name, value
    for name, key in _TIMES.items():
        at_ms = ms_of(story[key] or "")  # the city's own words may be no time at all
        if at_ms is not None:
            yield name, rfc3339(at_ms)


def _ld(name: str, value: Any) -> dict[str, Any]:
    kind = "GeoProperty" if name == "location" else "Property"
    return {"type": kind, "value": value}


def _v2(name: str, value: Any) -> dict[str, Any]:
    if name == "location":
        return {"type": "geo:json", "value": value}
    if name in _TIMES:
        return {"type": "DateTime", "value": value}
    if isinstance(value, dict):
        inner = {key: text.translate(_FORBIDDEN_V2) for key, text in value.items()}
        return {"type": "PostalAddress", "value": inner}
    return {"type": "Text", "value": value.translate(_FORBIDDEN_V2)}
