"""Requests as entities of a city platform: what stands in them, and what does not."""

import pytest

from gateway.cityhall.entities import CONTEXT, Dialect, entity_of

REQUEST = {
    "lat": 41.88, "long": -87.63, "description": "Lamp L-1 is out; 0 W (expected 60 W).",
    "observed_at_ms": 1, "rule": "lamp_out", "address": "1 Main St", "asset_id": "L-1",
    "place_id": None, "extra": {}, "media_url": None,
}  # fmt: skip
STORY = {
    "reference": "SCG-1", "service": "streetlight", "request": REQUEST, "request_id": "17",
    "created_at": "2026-01-15T20:05:00Z", "city_status": "closed",
    "city_notes": "Fixed", "city_updated": "2026-01-16T09:00:00-06:00",
}  # fmt: skip


def test_an_ngsi_ld_entity_has_properties_and_a_context():
    """Coordinates longitude first; times in UTC; the city's number once it is known."""
    entity = entity_of(STORY, Dialect.LD)
    assert entity.pop("@context") == [CONTEXT]
    assert (entity.pop("id"), entity.pop("type")) == (
        "urn:ngsi-ld:Open311ServiceRequest:SCG-1", "Open311ServiceRequest",
    )  # fmt: skip
    assert entity["location"] == {
        "type": "GeoProperty",
        "value": {"type": "Point", "coordinates": [-87.63, 41.88]},
    }
    told = {name: one["value"] for name, one in entity.items() if one["type"] == "Property"}
    assert told == {
        "description": REQUEST["description"], "service_code": "streetlight", "status": "closed",
        "source": "sense311", "rule": "lamp_out", "address": {"streetAddress": "1 Main St"},
        "asset_id": "L-1", "service_request_id": "17", "status_notes": "Fixed",
        "requested_datetime": "2026-01-15T20:05:00Z", "updated_datetime": "2026-01-16T15:00:00Z",
    }  # fmt: skip


def test_an_ngsi_v2_entity_has_no_character_that_the_platform_refuses():
    """Brackets, quotes, semicolons and equals signs in texts become spaces."""
    entity = entity_of(STORY, Dialect.V2)
    assert "@context" not in entity
    assert entity["location"]["type"] == "geo:json"
    assert entity["requested_datetime"]["type"] == "DateTime"
    for name in ("description", "status_notes"):
        assert not set("<>\"'=;()") & set(entity[name]["value"])


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"request_id": None}, "service_request_id"),
        ({"city_status": None, "city_notes": None}, "status_notes"),
        ({"city_updated": "yesterday"}, "updated_datetime"),
        ({"city_updated": None}, "updated_datetime"),
        ({"request": REQUEST | {"address": None}}, "address"),
        ({"request": REQUEST | {"asset_id": None}}, "asset_id"),
    ],
)
def test_what_is_not_known_is_left_out(change, gone):
    """An empty value would be read as one; what is not closed is open."""
    entity = entity_of(STORY | change, Dialect.LD)
    assert gone not in entity
    assert entity["status"]["value"] == ("closed" if "city_status" not in change else "open")


def test_a_pothole_is_named_by_its_place():
    """Where no asset is, the place stands for it."""
    request = REQUEST | {"asset_id": None, "place_id": "place:7"}
    assert entity_of(STORY | {"request": request}, Dialect.LD)["asset_id"]["value"] == "place:7"
