"""Assets as GeoJSON, each with how it is: for programs, by kind, zone, state or a box on the map.

How an asset is comes from the same board as the console's map, so that both say the same.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from gateway.inventory.assets import Asset
from gateway.views.books import Books
from gateway.views.city import AssetState
from gateway.views.city_board import CityBoard
from gateway.views.requests import Record

LIMIT_MAX = 50_000


class Box(NamedTuple):
    """West, south, east, north, in degrees, as GeoJSON has them."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, asset: Asset) -> bool:
        if not self.south <= asset.lat <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= asset.lon <= self.east
        return asset.lon >= self.west or asset.lon <= self.east  # over the antimeridian


class Wanted(NamedTuple):
    """Which assets; empty and None: any."""

    box: Box | None = None
    kind: str = ""
    zone: str = ""
    state: str = ""


class PointShape(Record):
    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float]
    """Longitude and latitude."""


class AssetProperties(Record):
    asset_id: str
    kind: str
    zone: str
    address: str
    state: AssetState
    devices: list[str]
    in_shadow: bool


class AssetFeature(Record):
    type: Literal["Feature"] = "Feature"
    id: str
    geometry: PointShape
    properties: AssetProperties


class AssetCollection(Record):
    """In the order of the asset files. `found`: how many there are of what is wanted; beyond
    `limit` they are left off.
    """

    type: Literal["FeatureCollection"] = "FeatureCollection"
    found: int
    features: list[AssetFeature]


class _Columns(msgspec.Struct):
    ids: list[str]


class _States(msgspec.Struct):
    names: list[str]
    states: str


def assets_of(books: Books, board: CityBoard, wanted: Wanted, limit: int) -> AssetCollection:
    """ConfigError, StoreError."""
    found = [*_found(books, board, wanted)]
    features = [_feature(asset, state) for asset, state in found[: min(limit, LIMIT_MAX)]]
    return AssetCollection(found=len(found), features=features)


def _found(books: Books, board: CityBoard, wanted: Wanted) -> Iterator[tuple[Asset, AssetState]]:
    known = books.plans().city.assets
    columns = msgspec.json.decode(board.assets().body, type=_Columns)
    now = msgspec.json.decode(board.states().body, type=_States)
    for asset_id, digit in zip(columns.ids, now.states, strict=False):  # a reload lay between
        asset, state = known.get(asset_id), now.names[int(digit)]
        if asset is None or wanted.kind not in ("", asset.kind):
            continue
        if wanted.zone not in ("", asset.zone) or wanted.state not in ("", state):
            continue
        if wanted.box is None or wanted.box.holds(asset):
            yield asset, AssetState(state)


def _feature(asset: Asset, state: AssetState) -> AssetFeature:
    return AssetFeature(
        id=asset.id,
        geometry=PointShape(coordinates=(asset.lon, asset.lat)),
        properties=AssetProperties(
            asset_id=asset.id, kind=asset.kind, zone=asset.zone, address=asset.address or "",
            state=state, devices=list(asset.devices),
            in_shadow=bool(asset.attributes.get("shadow")),
        ),
    )  # fmt: skip
