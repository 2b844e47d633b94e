"""A map of a run as SVG: what stands in the city, and what is marked there.

To scale about its middle, without tiles and without a network. What has no place is not drawn.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple, TypeGuard

WIDTH, HEIGHT_MAX, BORDER = 900, 640, 20
THINGS_MAX = 20_000  # on one map; more are thinned out
NARROWEST_DEG = 1e-4  # of the land shown: one thing alone has no size
RADII = {"thing": 1.6, "alike": 3.2}
RADIUS = 5.0


class Mark(NamedTuple):
    """`tone`: its class in the style of the page."""

    lat: float | None
    lon: float | None
    tone: str
    title: str = ""


class _Land(NamedTuple):
    south: float
    north: float
    west: float
    east: float

    @property
    def narrow(self) -> float:
        """Of a degree of longitude, in degrees of latitude."""
        return math.cos(math.radians((self.south + self.north) / 2))

    @property
    def scale(self) -> float:
        wide = max((self.east - self.west) * self.narrow, NARROWEST_DEG)
        tall = max(self.north - self.south, NARROWEST_DEG)
        return min((WIDTH - 2 * BORDER) / wide, (HEIGHT_MAX - 2 * BORDER) / tall)

    @property
    def height(self) -> int:
        return round((self.north - self.south) * self.scale) + 2 * BORDER


def draw(register: Mapping[str, Any], marks: Sequence[Mark]) -> str:
    """`register`: GeoJSON. The last mark lies on top. Empty where nothing has a place."""
    things = list(_things(register))
    things = things[:: len(things) // THINGS_MAX + 1]
    placed = [(one, at) for one in (*things, *marks) if (at := _place(one)) is not None]
    if not placed:
        return ""
    lats, lons = zip(*(at for _, at in placed), strict=True)
    land = _Land(min(lats), max(lats), min(lons), max(lons))
    scale, narrow = land.scale, land.narrow
    dots = "".join(
        _dot(mark, BORDER + (lon - land.west) * narrow * scale, BORDER + (land.north - lat) * scale)
        for mark, (lat, lon) in placed
    )
    return (f'<svg class="map" viewBox="0 0 {WIDTH} {land.height}" role="img" '
            f'aria-label="Map">{dots}</svg>')  # fmt: skip


def _things(register: Mapping[str, Any]) -> Iterator[Mark]:
    for feature in register.get("features", ()):
        try:
            lon, lat = feature["geometry"]["coordinates"][:2]
        except (KeyError, TypeError, ValueError):
            continue  # of a file that somebody else wrote
        yield Mark(lat, lon, "thing")


def _place(mark: Mark) -> tuple[float, float] | None:
    lat, lon = mark.lat, mark.lon
    if not _is_degrees(lat, 90) or not _is_degrees(lon, 180):
        return None
    return lat, lon


def _is_degrees(value: Any, most: float) -> TypeGuard[float]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -most <= value <= most


def _dot(mark: Mark, x: float, y: float) -> str:
    radius = RADII.get(mark.tone, RADIUS)
    title = f"<title>{escape(mark.title)}</title>" if mark.title else ""
    return f'<circle class="{mark.tone}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'
