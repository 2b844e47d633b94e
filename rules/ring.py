"""Recent samples of a subject, each with the state after it: from there a late one is put in place.

Owns the ring and its bytes. It reaches back over the lateness and one sample further, as far as its
bytes allow, so there is always a state to begin from. Entries are kept as they are stored: they are
written at every sample and read only when one comes late.
"""

from typing import Any, NamedTuple

import msgspec

from rules.instance import QUIET
from rules.rule import Values
from rules.track import Instances, Slots, Told, Track


class Entry(NamedTuple):
    """A sample, and the state after it."""

    values: dict[str, Any]
    instances: Instances | None
    """None: all quiet, as nearly always."""
    slots: Slots
    changes: Told
    """What changed since the sample before, by the passing of time or by this one."""


RING_BYTES_MAX = 262_144
"""Of one subject. Only windows of hundreds of samples in devices that report every few seconds come
near it: there the ring reaches back less far than the lateness, and what is later is too late."""
RING_MIN = 8  # entries that are kept in any case

BEGINNING_MS = -1
"""Stands in the ring for the time before the first sample."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def read(raw: msgspec.Raw) -> Entry:
    return _decode(raw)


def remember(track: Track, story: Told) -> None:
    """The last sample enters the ring, with the state after it."""
    ring = track.ring
    if not ring:
        plan = track.plan
        ring.append((BEGINNING_MS, _raw(Entry({}, None, plan.slots, ()))))
    instances = None if track.instances is track.plan.instances else track.instances
    entry = (track.values, instances, track.slots, story)
    encoded = _encode(entry)
    ring.append((track.last_ms, msgspec.Raw(encoded)))
    oldest_ms = track.last_ms - track.plan.lateness_ms
    most = max(RING_MIN, RING_BYTES_MAX // len(encoded))
    while ring[1][0] < oldest_ms or len(ring) > most:
        del ring[0]


def begin_here(track: Track) -> None:
    """Nothing before the state now can be run again."""
    if track.last_ms > BEGINNING_MS:
        entry = Entry(track.values, track.instances, track.slots, ())
        track.ring = [(track.last_ms, _raw(entry))]
    track.timed = ()


def place_in(track: Track, ts_ms: int, values: Values) -> int | None:
    """Where in the ring a sample belongs: by time, at the same time by content, so that the order
    of arrival makes no difference. 0: before all that is known; None: it is there already.
    """
    ring = track.ring
    place = len(ring)
    while place and ring[place - 1][0] > ts_ms:
        place -= 1
    while place and ring[place - 1][0] == ts_ms:
        other = read(ring[place - 1][1]).values
        if other == values:
            return None
        if repr(sorted(other.items())) < repr(sorted(values.items())):
            break
        place -= 1
    return place


def rewind(track: Track) -> None:
    """Back to the state after the last sample in the ring. What is judged as time passes stays."""
    ts_ms, raw = track.ring[-1]
    entry = read(raw)
    instances, slots = list(same_quiet(track, entry.instances)), list(entry.slots)
    for watch in track.plan.watches:
        if watch.on_tick:
            instances[watch.i], slots[watch.i] = track.instances[watch.i], track.slots[watch.i]
    quiet = all(state is QUIET for state in instances)
    track.instances = track.plan.instances if quiet else tuple(instances)
    track.slots = tuple(slots)
    track.last_ms, track.values, track.timed = ts_ms, entry.values, ()


def same_quiet(track: Track, instances: Instances | None) -> Instances:
    """States from the ring or the disk; quiet is told by `is`."""
    if instances is None:
        return track.plan.instances
    return tuple(QUIET if instance == QUIET else instance for instance in instances)


def heard(track: Track, reads: frozenset[str], at_ms: int) -> Values:
    """The last sample up to an instant that told the readers of these fields anything."""
    for ts_ms, raw in reversed(track.ring):
        if ts_ms <= at_ms:
            values = read(raw).values
            if not reads.isdisjoint(values):
                return values
    return track.values


def _raw(entry: Entry) -> msgspec.Raw:
    return msgspec.Raw(_encode(entry))
