"""What a new asset file would change: assets that come and go, properties, devices' hands.

Pure. Compares two cities as they were read, property by property as a file would say it, so that
what only stands in another order or format is no change. (What other rules would have filed is
another difference: `gateway.difference`.)
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.inventory.asset_writing import dated, entries_of
from gateway.inventory.assets import ALWAYS_MS, Asset, City

NEVER = "never"
"""When an entry began that always was: before all times."""


class Change(NamedTuple):
    """A property of an asset that stays: from what to what; None where it is not there."""

    asset: str
    key: str
    before: Any
    after: Any


class Recalibration(NamedTuple):
    """A dated entry of an asset that comes, goes or is another one from then on."""

    asset: str
    since: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Handed(NamedTuple):
    """A device that speaks for another asset, or for one, or for none any more."""

    device: str
    before: str | None
    after: str | None


class Difference(NamedTuple):
    """All that is not the same. `open_incidents`: of assets that go, and of circuits and zones that
    go with them, how many stand.
    """

    added: Sequence[str]
    removed: Sequence[str]
    changed: Sequence[Change]
    recalibrated: Sequence[Recalibration]
    handed: Sequence[Handed]
    open_incidents: Mapping[str, int]

    def __bool__(self) -> bool:
        return any(self)

    def as_dict(self) -> dict[str, Any]:
        return {
            "same": not self,
            "added": list(self.added),
            "removed": list(self.removed),
            "changed": [one._asdict() for one in self.changed],
            "recalibrated": [one._asdict() for one in self.recalibrated],
            "devices": [one._asdict() for one in self.handed],
            "open_incidents": dict(self.open_incidents),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        if not self:
            yield "nothing changes"
        for name in self.added:
            yield f"+ {name}"
        for name in self.removed:
            count = self.open_incidents.get(name, 0)
            yield f"- {name}" + (f"  ({count} open incidents stand on it)" if count else "")
        for change in self.changed:
            before, after = _plain(change.before), _plain(change.after)
            yield f"~ {change.asset}  {change.key}: {before} -> {after}"
        for one in self.recalibrated:
            yield f"~ {one.asset}  calibration from {one.since}: {_turn(one)}"
        for hand in self.handed:
            before, after = hand.before or "nobody", hand.after or "nobody"
            yield f"~ device {hand.device}: speaks for {before} -> {after}"


def difference(before: City, after: City, open_on: Sequence[str] = ()) -> Difference:
    """`open_on`: the subject of each open incident."""
    gone = [name for name in before.assets if name not in after.assets]
    stay = [name for name in before.assets if name in after.assets]
    pairs = [(before.assets[name], after.assets[name]) for name in stay]
    lost = _subjects(before) - _subjects(after) if open_on else set()
    return Difference(
        [name for name in after.assets if name not in before.assets],
        gone,
        [change for pair in pairs for change in _changes(*pair)],
        [one for pair in pairs for one in _recalibrations(*pair)],
        list(_handed(before, after)),
        {name: count for name, count in Counter(open_on).items() if name in lost},
    )


def _subjects(city: City) -> set[str]:
    """All that an incident can stand on: with an asset its circuit may go."""
    return {subject.id for subject in city.subjects()}


def _changes(before: Asset, after: Asset) -> Iterator[Change]:
    """Of what is known of today."""
    if before == after:
        return
    then, now = _today(before), _today(after)
    for key in [*then, *(key for key in now if key not in then)]:
        if then.get(key) != now.get(key):
            yield Change(before.id, key, then.get(key), now.get(key))


def _today(asset: Asset) -> dict[str, Any]:
    *_, newest = entries_of(asset)
    newest.pop("valid_from", None)
    return newest | {"lat": asset.lat, "long": asset.lon}


def _recalibrations(before: Asset, after: Asset) -> Iterator[Recalibration]:
    """Where there is one entry for all times, only its properties change."""
    then, now = dict(before.calibrations), dict(after.calibrations)
    if then == now or set(then) == set(now) == {ALWAYS_MS}:
        return
    for since_ms in sorted(then.keys() | now.keys()):
        old, new = then.get(since_ms), now.get(since_ms)
        if old != new:
            since = NEVER if since_ms == ALWAYS_MS else dated(since_ms)
            yield Recalibration(before.id, since, old, new)


def _handed(before: City, after: City) -> Iterator[Handed]:
    for device in sorted(before.by_device.keys() | after.by_device.keys()):
        old, new = before.by_device.get(device), after.by_device.get(device)
        names = old.id if old else None, new.id if new else None
        if names[0] != names[1]:
            yield Handed(device, *names)


def _turn(one: Recalibration) -> str:
    if one.before is None:
        return f"new, {_plain(one.after)}"
    if one.after is None:
        return f"goes, it was {_plain(one.before)}"
    keys = [k for k in {**one.before, **one.after} if one.before.get(k) != one.after.get(k)]
    told = (f"{key} {_plain(one.before.get(key))} -> {_plain(one.after.get(key))}" for key in keys)
    return ", ".join(told)


def _plain(value: Any) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()
