"""The city's register of assets as GeoJSON, the form in which a real city hands it over.

Vehicles are not in it: what they feel belongs to a place. Positions are [longitude, latitude], as
GeoJSON has them; property names are the contract's.
"""

import json
from pathlib import Path
from typing import Any

from simulators.city import City
from simulators.things import Bin, Circuit, Lamp, Post, RoadSensor


def write_assets(path: Path, collection: dict[str, Any]) -> None:
    """Writes a FeatureCollection, one feature a line."""
    lines = ",\n".join(json.dumps(feature) for feature in collection["features"])
    text = f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n'
    path.write_text(text, encoding="utf-8")


def assets(city: City) -> dict[str, Any]:
    """The city's register as a GeoJSON FeatureCollection (vehicles are not assets): of a surveyed
    city the one that it was surveyed from.
    """
    if city.survey:
        return dict(city.survey.collection)
    features = [_feature(kind, post) for kind, post in city.posts()]
    return {"type": "FeatureCollection", "features": features}


def _feature(kind: str, post: Post) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "asset_id": post.asset_id, "kind": kind, "zone": post.zone, "owner": "city",
        "address": f"near {post.lat:.4f}, {post.lon:.4f}", "devices": [post.device],
    }  # fmt: skip
    properties |= _attributes(post)
    point = {"type": "Point", "coordinates": [post.lon, post.lat]}
    return {"type": "Feature", "geometry": point, "properties": properties}


def _attributes(post: Post) -> dict[str, Any]:
    if isinstance(post, Lamp):
        curve = [list(pair) for pair in post.dim_curve]
        own: dict[str, Any] = {
            "nominal_power_w": post.nominal_w,
            "circuit": post.circuit,
            "cabinet": post.circuit,
        }
        return own | ({"dim_curve": curve} if curve else {})
    if isinstance(post, Circuit):
        return {"circuit": post.asset_id}
    if isinstance(post, Bin):
        return {
            "height_mm": post.height_mm, "offset_mm": post.offset_mm,
            "dead_zone_mm": post.dead_zone_mm, "fill_threshold_pct": post.threshold_pct,
        }  # fmt: skip
    return {"segment": post.segment} if isinstance(post, RoadSensor) else {}
