"""One asset as people look at it: what it is, where, and who speaks for it, last heard when.

Read from beside the running gateway; says of a device what the page of devices says. What is open
about the asset stands on the map beside it.
"""

from pydantic import BaseModel

from gateway.books.survey import member_of
from gateway.field.device_status import DeviceState, shown_time
from gateway.field.fleet import Member
from gateway.views.books import Books
from gateway.views.devices import now_of


class Speaker(BaseModel):
    """A device. `last_seen` in RFC 3339; null: never."""

    device: str
    state: DeviceState
    last_seen: str | None


class AssetCard(BaseModel):
    id: str
    kind: str
    zone: str
    address: str
    lat: float
    long: float
    in_shadow: bool
    devices: list[Speaker]


def asset_card(books: Books, asset_id: str) -> AssetCard | None:
    """None: nothing of this name stands in the city. ConfigError, StoreError."""
    city = books.plans().city
    asset = city.assets.get(asset_id)
    if asset is None:
        return None
    names = asset.devices or (() if asset.kind == "road" else (asset.id,))
    speakers: list[Speaker] = []
    if books.database.exists():
        now = now_of(books)
        heard = (member_of(books.database, name, city, now) for name in names)
        speakers = [_speaker(one) for one in heard if one is not None]
    return AssetCard(
        id=asset.id,
        kind=asset.kind,
        zone=asset.zone,
        address=asset.address or "",
        lat=asset.lat,
        long=asset.lon,
        in_shadow=bool(asset.attributes.get("shadow")),
        devices=speakers,
    )


def _speaker(one: Member) -> Speaker:
    return Speaker(device=one.device.name, state=one.state, last_seen=shown_time(one.seen_ms))
