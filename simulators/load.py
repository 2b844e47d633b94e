"""A load: numbered messages of many devices, and the proof of what a store made of them.

Each message follows from its number alone, to the byte: who says it, its (boot, seq), its time, and
values worked out from those. So nothing need be remembered to tell what is missing, extra, altered
or there twice. The values are those of healthy things. Sends nothing and reads no clock.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from simulators.wire import encode, rfc3339

DEVICES_MAX = 100_000
EXAMPLES_MAX = 5  # of each wrong, to look up
ZONE = "load"
PREFIX = "load-"
# Kind -> its two values, each with the whole number that it stays above by less than ten.
KINDS = {
    "bin": (("fill_pct", 20), ("temperature_c", 10)),
    "streetlight": (("voltage_v", 225), ("temperature_c", 10)),
}
_GRID = 316  # devices a row
_STEP_DEG = 1e-3


@dataclass(frozen=True, slots=True)
class Load:
    """`messages` of `devices` in turn, `rate` a second, the first at `start_ms`."""

    devices: int
    rate: float
    messages: int
    start_ms: int
    kind: str = "bin"

    @property
    def boot(self) -> int:
        """A later run has a higher one: its messages are no repeats of an earlier run's."""
        return self.start_ms // 1000

    def due_s(self, number: int) -> float:
        """Since the start."""
        return number / self.rate

    def topic(self, number: int) -> str:
        return f"city/v1/{ZONE}/{self.kind}/{_device(number % self.devices)}/telemetry"

    def payload(self, number: int) -> bytes:
        device, seq = number % self.devices, number // self.devices + 1
        return encode({
            "ts": rfc3339(self.start_ms + round(1000 * self.due_s(number))),
            "boot": self.boot, "seq": seq, "sim": True,
            "values": self._values(f"{_device(device)}/{self.boot}/{seq}"),
        })  # fmt: skip

    def number_of(self, device: str, seq: int) -> int | None:
        """Which message this is; None where the load has none such."""
        digits = device.removeprefix(PREFIX)
        index = int(digits) if digits.isdecimal() else -1
        number = (seq - 1) * self.devices + index
        known = 0 <= index < self.devices and _device(index) == device and seq >= 1
        return number if known and number < self.messages else None

    def _values(self, name: str) -> dict[str, float]:
        chance = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
        (one, above), (other, above_other) = KINDS[self.kind]
        return {
            one: above + chance % 10_000 / 1000,
            other: above_other + chance // 10_000 % 10_000 / 1000,
        }


def register(devices: int, kind: str) -> dict[str, Any]:
    """The devices of a load as a GeoJSON FeatureCollection, an asset each."""
    return {
        "type": "FeatureCollection",
        "features": [_feature(index, kind) for index in range(devices)],
    }


def _feature(index: int, kind: str) -> dict[str, Any]:
    row, column = divmod(index, _GRID)
    where = [round(-87.8 + column * _STEP_DEG, 6), round(41.7 + row * _STEP_DEG, 6)]
    properties = {
        "asset_id": f"{ZONE}-asset-{index:06d}", "kind": kind, "zone": ZONE,
        "devices": [_device(index)],
    }  # fmt: skip
    point = {"type": "Point", "coordinates": where}
    return {"type": "Feature", "geometry": point, "properties": properties}


def _device(index: int) -> str:
    return f"{PREFIX}{index:06d}"


# -- the proof ------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """A reading as the store has it."""

    device: str
    kind: str
    zone: str
    body: bytes


@dataclass(slots=True)
class Audit:
    """`others`: readings of other devices and of earlier runs, which prove nothing."""

    stored: int = 0
    others: int = 0
    missing: int = 0
    extra: int = 0
    altered: int = 0
    twice: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        names = ("missing", "extra", "altered", "twice")
        return [f"{getattr(self, name):,} {name}" for name in names if getattr(self, name)]

    def blame(self, what: str, who: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        named = self.examples.setdefault(what, [])
        if len(named) < EXAMPLES_MAX:
            named.append(who)


def audit(load: Load, acknowledged: Sequence[int], rows: Iterable[Stored]) -> Audit:
    """`acknowledged`: for each message that was sent, whether the broker said that it has it. One
    that it did not speak for may be in the store or not.
    """
    found, seen = Audit(), bytearray(len(acknowledged))
    for row in rows:
        _enter(load, row, seen, found)
    for number, promised in enumerate(acknowledged):
        if promised and not seen[number]:
            found.blame("missing", _name(load, number))
    return found


def _enter(load: Load, row: Stored, seen: bytearray, found: Audit) -> None:
    boot, seq = _numbers(row.body)
    if not row.device.startswith(PREFIX) or 0 <= boot < load.boot:
        found.others += 1
        return
    found.stored += 1
    who = f"{row.device} boot {boot} seq {seq}"
    number = load.number_of(row.device, seq)
    if boot != load.boot or number is None or number >= len(seen):
        found.blame("extra", who)
        return
    if row.body != load.payload(number) or (row.kind, row.zone) != (load.kind, ZONE):
        found.blame("altered", who)
    if seen[number]:
        found.blame("twice", who)
    seen[number] = 1


def _numbers(body: bytes) -> tuple[int, int]:
    """(boot, seq), -1 where it cannot be read."""
    try:
        said = json.loads(body)
        return int(said["boot"]), int(said["seq"])
    except (ValueError, KeyError, TypeError):
        return -1, -1


def _name(load: Load, number: int) -> str:
    index, seq = number % load.devices, number // load.devices + 1
    return f"{_device(index)} boot {load.boot} seq {seq}"
