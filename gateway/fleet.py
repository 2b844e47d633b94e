"""The fleet: every device that was ever heard of, with how it stands and whose it is.

Pure. Brings together the devices' records, the last refusal of each, and the assets; a device that
no asset has is there too, by what was refused of it. Shows what was counted and judges no asset.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gateway import devices
from gateway.assets import Asset, City
from gateway.device_status import (
    DeviceState,
    LastRefusal,
    counts_of,
    last_seen_ms,
    shown_time,
    state_of,
)
from gateway.devices import Device
from gateway.effects import KeptRefusal
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


def fleet(
    records: Iterable[bytes], refusals: Iterable[KeptRefusal], city: City, now: Now
) -> Iterator[Member]:
    """By name. `refusals`: the last one of each device."""
    known: dict[str, Device] = {device.name: device for device in map(devices.load, records)}
    refused: Mapping[str, KeptRefusal] = {one.device: one for one in refusals}
    for name in sorted(known.keys() | refused.keys()):
        yield member(name, known.get(name), refused.get(name), city, now)


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
