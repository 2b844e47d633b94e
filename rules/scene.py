"""Where and when a condition is judged: sun, clock, silence, phases of other rules, peers.

One `Scene` object is moved from subject to subject; conditions read it and nothing else of the
engine.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rules.instance import Phase
from rules.local_time import schedule_of
from rules.rule import Count, Truth
from rules.track import NOWHERE, Track

_NOTHING: list[Any] = []  # conditions on peers have no memory


class Scene:
    """The scene of one subject at one instant."""

    __slots__ = ("_members", "_peer", "track", "ts_ms")

    def __init__(self, members: Callable[[Track], Iterator[Track]]) -> None:
        self._members = members
        self._peer: Scene | None = None
        self.ts_ms = 0
        self.track = NOWHERE

    def at(self, track: Track, ts_ms: int) -> None:
        """Move to a subject and an instant."""
        self.track = track
        self.ts_ms = ts_ms

    def sun_elev(self) -> float | None:
        sky = self.track.sky
        return None if sky is None else sky.elevation(self.ts_ms)

    def is_night(self, margin_ms: int) -> Truth:
        sky = self.track.sky
        return None if sky is None else sky.is_night(self.ts_ms, margin_ms)

    def silent_ms(self) -> int | None:
        return None if self.track.last_ms < 0 else max(0, self.ts_ms - self.track.last_ms)

    def local_hour(self) -> float | None:
        clock = self.track.clock
        return None if clock is None else clock.hour(self.ts_ms)

    def weekday(self) -> int | None:
        clock = self.track.clock
        return None if clock is None else clock.weekday(self.ts_ms)

    def in_schedule(self, text: str) -> Truth:
        clock, schedule = self.track.clock, schedule_of(text)
        return None if clock is None or schedule is None else clock.is_in(schedule, self.ts_ms)

    def time_to_ms(self, text: str) -> int | None:
        clock, schedule = self.track.clock, schedule_of(text)
        return None if clock is None or schedule is None else clock.time_to_ms(schedule, self.ts_ms)

    def phase(self, rule_id: str) -> str:
        track = self.track
        if track.instances is track.plan.instances:
            return Phase.OK
        index = track.plan.index.get(rule_id)
        if index is None:
            return Phase.OK
        state = track.instances[index]
        return Phase.BLIND if state.blind and state.phase is Phase.OK else state.phase

    def peers(self, condition: Callable[..., Truth]) -> Count:
        true = known = everyone = 0
        for truth in self._asked(condition):
            everyone += 1
            if truth is not None:
                known += 1
                if truth:
                    true += 1
        return Count(true, known, everyone)

    def peers_values(self, judge: Callable[..., Any]) -> Sequence[float]:
        return [value for value in self._asked(judge) if value is not None]

    def _asked(self, judge: Callable[..., Any]) -> Iterator[Any]:
        """What is true of each member."""
        peer = self._peer = self._peer or Scene(self._members)
        peer.ts_ms = self.ts_ms
        for member in self._members(self.track):
            peer.track = member
            yield judge(member.values, member.subject.attributes, peer, _NOTHING)
