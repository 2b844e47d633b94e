"""One asset as people look at it: what it is, where, and who speaks for it, last heard when.

Read from beside the running gateway; says of a device what the page of devices says. What is open
about the asset stands on the map beside it.
"""

from pydantic import BaseModel

from gateway import devices
from gateway.device_status import SAYS_NOTHING, DeviceState, shown_time
from gateway.fleet import Now, member
from gateway.ledger import device_of, refusals_of
from gateway.views.books import Books
from gateway.views.devices import now_of

LOOK_BACK = 10
"""Refusals of a device among which one tells something of it."""


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
    asset = books.plans().city.assets.get(asset_id)
    if asset is None:
        return None
    names = asset.devices or (() if asset.kind == "road" else (asset.id,))
    speakers: list[Speaker] = []
    if books.database.exists():
        now = now_of(books)
        speakers = [_speaker(books, name, now) for name in names]
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


def _speaker(books: Books, name: str, now: Now) -> Speaker:
    blob = device_of(books.database, name)
    kept = refusals_of(books.database, device=name, limit=LOOK_BACK)
    told = next((one for one in kept if one.reason not in SAYS_NOTHING), None)
    record = None if blob is None else devices.load(blob)
    one = member(name, record, told, books.plans().city, now)
    return Speaker(device=name, state=one.state, last_seen=shown_time(one.seen_ms))
