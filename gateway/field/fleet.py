"""The fleet: every device that was ever heard of, with how it stands and whose it is.

Pure. Brings together the devices' records, the last refusal of each, and the assets; a device that
no asset has is there too, by what was refused of it. Shows what was counted and judges no asset.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.effects import KeptRefusal
from gateway.field import devices
from gateway.field.device_status import (
    DeviceState,
    LastRefusal,
    counts_of,
    last_seen_ms,
    shown_time,
    state_of,
)
from gateway.field.devices import Device
from gateway.inventory.assets import Asset, City
from gateway.refusal import Refusal
from gateway.telemetry import parse_topic


class Now(NamedTuple):
    """The time of day; `follows`: time is that of the data, so that no refusal, which carries the
    time of day, can be set against a device's record.
    """

    ms: int
    follows: bool = False


class Member(NamedTuple):
    """A device, whose it is (None: nobody's), and how it stands."""

    device: Device
    asset: Asset | None
    refused: KeptRefusal | None
    state: DeviceState
    seen_ms: int

    def as_dict(self) -> dict[str, Any]:
        """A row of `devices ls`."""
        device, asset = self.device, self.asset
        return {
            "device": device.name,
            "state": str(self.state),
            "kind": device.kind,
            "zone": device.zone,
            "asset": asset.id if asset is not None else None,
            "last_seen": shown_time(self.seen_ms),
            **counts_of(device),
            "refused": self.refused.reason if self.refused is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of them. `records`: packed, by name; `refused`: the last refusal of each that tells
    something of it. A record is opened while it is looked at and no longer: all at once are seconds
    of work where there are 100,000.
    """

    records: Mapping[str, bytes]
    refused: Mapping[str, KeptRefusal]
    city: City
    now: Now

    def names(self) -> list[str]:
        # Nearly in order as it is: a set would have to be sorted from scratch.
        return sorted([*self.records, *(x for x in self.refused if x not in self.records)])

    def member(self, name: str) -> Member:
        blob = self.records.get(name)
        record = None if blob is None else devices.load(blob)
        return member(name, record, self.refused.get(name), self.city, self.now)


def member(
    name: str, record: Device | None, refused: KeptRefusal | None, city: City, now: Now
) -> Member:
    """One of whom the gateway has no record is told by the topic of what was refused."""
    asset = city.by_device.get(name)
    device = record or _unrecorded(name, asset, refused)
    last = None
    if refused is not None and not now.follows:
        last = LastRefusal(refused.received_ms, refused.reason)
    known = asset is not None or device.kind == "road"
    state = state_of(device, last, now.ms, known=known)
    return Member(device, asset, refused, state, last_seen_ms(device, last))


def _unrecorded(name: str, asset: Asset | None, refused: KeptRefusal | None) -> Device:
    if asset is not None:
        return Device(name, asset.zone, asset.kind)
    address = parse_topic(refused.topic) if refused is not None else None
    if address is None or isinstance(address, Refusal):
        return Device(name)
    return Device(name, address.zone, address.kind)
