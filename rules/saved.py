"""The state of a subject's rules as it is kept on disk.

Owns the bytes: what is written of a track is all that `rules.judging` needs to go on as if the
process had never ended. A rule that was changed since starts quiet; the others keep their state.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from rules.instance import QUIET, Phase
from rules.ring import begin_here, read, same_quiet
from rules.track import Instances, Slots, Told, Track, set_instance, wake_ms


class _Saved(NamedTuple):
    last_ms: int
    instances: Instances | None
    slots: Slots
    ring: list[tuple[int, msgspec.Raw]]
    timed: Told


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Saved).decode


def dump(track: Track) -> bytes:
    instances = None if track.instances is track.plan.instances else track.instances
    return _encode((track.last_ms, instances, track.slots, track.ring, track.timed))


def restore(track: Track, blob: bytes, layout: Sequence[Sequence[str]] | None) -> None:
    """Take up a saved state. `layout`: the [rule id, state hash] that it was saved under, where
    those are not today's; samples from before then come too late.
    """
    saved = _decode(blob)
    track.last_ms = saved.last_ms
    if saved.ring:
        track.values = read(saved.ring[-1][1]).values
    if layout is None:
        track.instances = same_quiet(track, saved.instances)
        track.slots, track.ring, track.timed = saved.slots, saved.ring, saved.timed
    else:
        _carry_over(track, saved, layout)
        begin_here(track)
    track.wake_ms = wake_ms(track)


def _carry_over(track: Track, saved: _Saved, layout: Sequence[Sequence[str]]) -> None:
    """Keep the state of each rule that is the same as when it was saved."""
    old = {tuple(rule): i for i, rule in enumerate(layout)}
    slots: list[tuple[Any, ...]] = list(track.slots)
    for i, watch in enumerate(track.plan.watches):
        at = old.get((watch.rule.id, watch.rule.state_hash))
        if at is None:
            continue
        slots[i] = saved.slots[at]
        if saved.instances is not None and saved.instances[at] != QUIET:
            set_instance(track, i, saved.instances[at])
    track.slots = tuple(slots)


def phases(blob: bytes) -> Sequence[Phase]:
    """Of each rule of the layout that it was saved under; nothing where all are quiet."""
    return [instance.phase for instance in _decode(blob).instances or ()]
