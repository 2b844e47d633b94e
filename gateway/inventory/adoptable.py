"""Adoptable: the assets that a device may belong to that nobody has entered, the likeliest first.

Pure. Guesses by where the device was, by the number that its name ends in and by its zone, among
assets of its kind; a person decides. A device of which nothing fits gets no proposal.
"""

import re
from collections.abc import Iterator
from heapq import nsmallest
from typing import NamedTuple

from gateway.cases.places import metres
from gateway.inventory.assets import Asset, City

PROPOSALS_MAX = 5
NEAR_M = 150.0
"""A position in a street between houses may be that wrong."""
_NUMBER = re.compile(r"0*([0-9]+)$")


class Hearsay(NamedTuple):
    """What a device says of itself. `kind` and `zone` may be empty."""

    name: str
    kind: str
    zone: str
    loc: tuple[float, float] | None


class Likely(NamedTuple):
    """An asset that it may belong to, and why."""

    asset: str
    metres: float | None
    same_number: bool
    same_zone: bool
    devices: tuple[str, ...]
    """Those that speak for it so far."""


def likely(said: Hearsay, city: City) -> list[Likely]:
    """At most PROPOSALS_MAX."""
    return nsmallest(PROPOSALS_MAX, _fitting(said, city), key=_rank)


def _rank(one: Likely) -> tuple[bool, float, bool, bool, str]:
    """The near ones by distance, then those of the same number and zone."""
    is_far = one.metres is None
    return is_far, one.metres or 0.0, not one.same_number, not one.same_zone, one.asset


def _fitting(said: Hearsay, city: City) -> Iterator[Likely]:
    number = _number(said.name)
    for asset in city.assets.values():
        if said.kind not in ("", asset.kind):
            continue
        distance_m = _distance_m(said, asset)
        same_number = number != "" and number == _number(asset.id)
        if distance_m is not None or same_number:
            devices = asset.devices or (asset.id,)
            yield Likely(asset.id, distance_m, same_number, said.zone == asset.zone, devices)


def _distance_m(said: Hearsay, asset: Asset) -> float | None:
    """None: it is not near, or nobody knows."""
    if said.loc is None:
        return None
    distance_m = metres(*said.loc, asset.lat, asset.lon)
    return distance_m if distance_m <= NEAR_M else None


def _number(name: str) -> str:
    found = _NUMBER.search(name)
    return found[1] if found else ""
