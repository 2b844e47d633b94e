"""Notices: when the world is told how a device stands, and what the notice says.

Pure but for its own memory of what was told. Only ever told of effects that are on disk. A change
of state is told at once, all else at most once a minute; a device that falls silent is told of
without a word from it. The broker keeps the last notice of each device: losing one on the way loses
nothing for long.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

import msgspec

from gateway.effects import Effects, StoredRefusal
from gateway.field.device_status import (
    SAYS_NOTHING,
    DeviceState,
    LastRefusal,
    counts_of,
    last_seen_ms,
    next_look_ms,
    shown_time,
    state_of,
)
from gateway.field.devices import Device
from gateway.refusal import Reason, Refusal
from gateway.telemetry import parse_topic

NOTICE_EVERY_MS = 60_000  # per device, while its state stays
STRANGERS_MAX = 10_000  # devices of no asset that are told of; their names are anybody's choice
_COUNTS = ("clock_skew_s", "duplicates", "late", "rejected", "battery_v")

_encode = msgspec.json.Encoder().encode


class Notice(NamedTuple):
    """To be retained by the broker."""

    topic: str
    payload: bytes


class _Standing(msgspec.Struct):
    """What is known of one device now."""

    device: Device
    """Without its numbers and digests: those are large, and told nobody."""
    refused: LastRefusal | None
    known: bool
    state: DeviceState
    since_ms: int
    looks_ms: int | None = None
    """When it is looked at again, if nothing is said."""
    told: DeviceState | None = None
    """What was told last."""


class Notices:
    """How each device stands, from when it is noted until it is told."""

    def __init__(self, *, follows: bool) -> None:
        """`follows`: time is that of the data."""
        self._follows = follows
        self._standing: dict[str, _Standing] = {}
        self._strangers: dict[str, None] = {}
        self._unsaid: dict[str, None] = {}
        """Those to be told of now."""
        self._told: dict[str, int] = {}
        """When one was told of, oldest first; only those told of within NOTICE_EVERY_MS."""
        self._waiting: dict[str, None] = {}
        """Of these, who has news that can wait."""
        self._looks: list[tuple[int, str]] = []
        self._now_ms = 0

    def begin(self, devices: Iterable[Device], now_ms: int) -> None:
        """What the store remembers; each is told of once, since nobody knows what was told last."""
        self._now_ms = now_ms
        if self._follows:
            self._now_ms = max((device.seen_ms for device in devices), default=0)
        for device in devices:
            if device.seen_ms:
                self._note(device, None, known=True)

    def note(self, effects: Effects) -> None:
        """The effects of a batch are on disk."""
        self._now_ms = effects.follow_ms if self._follows else effects.at_ms
        refused = {
            one.device: one
            for one in effects.refusals
            if one.device and one.reason not in SAYS_NOTHING
        }
        for name in effects.devices.keys() | refused.keys():
            self._take(name, effects.devices.get(name), refused.get(name))

    def due(self, now_ms: int) -> Iterator[Notice]:
        """What can be said now. One that could not be taken is kept if the caller stops there.
        `now_ms`: the time of day.
        """
        if not self._follows:
            self._now_ms = now_ms
        self._look()
        while self._told:
            name, at_ms = next(iter(self._told.items()))
            if 0 <= now_ms - at_ms < NOTICE_EVERY_MS:
                break
            del self._told[name]  # long ago, or the clock was set back
            if name in self._waiting:
                del self._waiting[name]
                self._unsaid[name] = None
        for name in list(self._unsaid):
            standing = self._standing[name]
            if name in self._told and standing.told == standing.state:
                del self._unsaid[name]  # it changed and changed back: that can wait
                self._waiting[name] = None
                continue
            yield self._notice(name)
            standing.told = standing.state
            del self._unsaid[name]
            self._waiting.pop(name, None)
            self._told.pop(name, None)
            self._told[name] = now_ms

    def _take(self, name: str, device: Device | None, refusal: StoredRefusal | None) -> None:
        before = self._standing.get(name)
        unknown = refusal is not None and refusal.reason == Reason.UNKNOWN_DEVICE
        if before is None and unknown:
            self._strangers[name] = None
            if len(self._strangers) > STRANGERS_MAX:
                self._forget(next(iter(self._strangers)))
        last = before.refused if before is not None else None
        if refusal is not None:
            at_ms = self._now_ms if self._follows else refusal.received_ms
            last = LastRefusal(at_ms, refusal.reason)
        record = device or (before.device if before else None) or _unrecorded(name, refusal)
        if not record.seen_ms and last is None:
            return  # it said that it is there, and nothing else
        was_heard = record.seen_ms > (before.device.seen_ms if before is not None else 0)
        known = was_heard or (not unknown and (before is None or before.known))
        if known:
            self._strangers.pop(name, None)
        self._note(record, last, known=known)

    def _note(self, device: Device, refused: LastRefusal | None, *, known: bool) -> None:
        name = device.name
        before = self._standing.get(name)
        state = state_of(device, refused, self._now_ms, known=known)
        slim = msgspec.structs.replace(device, lives=[], digests={}, ride=None, unfit={})
        if before is not None and before.state == state:
            before.device, before.refused, before.known = slim, refused, known
            (self._waiting if name in self._told else self._unsaid)[name] = None
        else:
            since_ms = self._now_ms if before is not None else last_seen_ms(device, refused)
            standing = _Standing(slim, refused, known, state, since_ms)
            if before is not None:
                standing.looks_ms, standing.told = before.looks_ms, before.told
            self._standing[name] = standing
            self._unsaid[name] = None
        self._plan(self._standing[name])

    def _plan(self, standing: _Standing) -> None:
        """One look lies ahead at most: a later one is found when that is due."""
        at_ms = next_look_ms(standing.device, standing.refused, self._now_ms)
        if at_ms is not None and (standing.looks_ms is None or at_ms < standing.looks_ms):
            standing.looks_ms = at_ms
            heappush(self._looks, (at_ms, standing.device.name))

    def _look(self) -> None:
        """At those of whom nothing was heard for so long that it may say something."""
        while self._looks and self._looks[0][0] <= self._now_ms:
            at_ms, name = heappop(self._looks)
            standing = self._standing.get(name)
            if standing is None or standing.looks_ms != at_ms:
                continue
            standing.looks_ms = None
            state = state_of(standing.device, standing.refused, self._now_ms, known=standing.known)
            if state != standing.state:
                standing.state, standing.since_ms = state, at_ms
                self._unsaid[name] = None
            self._plan(standing)

    def _forget(self, name: str) -> None:
        del self._strangers[name]
        self._standing.pop(name, None)
        for names in (self._unsaid, self._told, self._waiting):
            names.pop(name, None)

    def _notice(self, name: str) -> Notice:
        standing = self._standing[name]
        counts = counts_of(standing.device)
        body: dict[str, Any] = {
            "state": standing.state,
            "since": shown_time(standing.since_ms),
            "last_seen": shown_time(last_seen_ms(standing.device, standing.refused)),
            **{key: counts[key] for key in _COUNTS},
        }
        return Notice(f"city/v1/device-status/{name}", _encode(body))


def _unrecorded(name: str, refusal: StoredRefusal | None) -> Device:
    address = parse_topic(refusal.topic) if refusal is not None else None
    if address is None or isinstance(address, Refusal):
        return Device(name)
    return Device(name, address.zone, address.kind)
