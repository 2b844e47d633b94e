"""Where and when a condition is judged: the sun, the silence, the phases of other rules, the peers.

One `Scene` object is moved from subject to subject; conditions read it and nothing else of the
engine. The sun is worked out once per minute and tenth of a degree, since many lamps share one.
"""

from collections.abc import Callable, Iterator

from rules.instance import Phase
from rules.rule import Count, Truth
from rules.sun import elevation_deg
from rules.track import NOWHERE, Track

NIGHT_DEG = -6.0  # civil dusk: between it and sunrise no lamp is judged dark
SUN_CACHE_MAX = 20_000


class Scene:
    """The scene of one subject at one instant."""

    __slots__ = ("_members", "_peer", "_sun", "track", "ts_ms")

    def __init__(self, sun: "Sun", members: Callable[[Track], Iterator[Track]]) -> None:
        self._sun = sun
        self._members = members
        self._peer: Scene | None = None
        self.ts_ms = 0
        self.track = NOWHERE

    def at(self, track: Track, ts_ms: int) -> None:
        """Move to a subject and an instant."""
        self.track = track
        self.ts_ms = ts_ms

    def sun_elev(self) -> float | None:
        return self._sun.elevation(self.track.cell, self.ts_ms)

    def is_night(self, margin_ms: int) -> Truth:
        return self._sun.is_night(self.track.cell, self.ts_ms, margin_ms)

    def silent_ms(self) -> int | None:
        return None if self.track.last_ms < 0 else max(0, self.ts_ms - self.track.last_ms)

    def phase(self, rule_id: str) -> str:
        index = self.track.plan.index.get(rule_id)
        if index is None:
            return Phase.OK
        state = self.track.instances[index]
        return Phase.BLIND if state.blind and state.phase is Phase.OK else state.phase

    def peers(self, condition: Callable[..., Truth]) -> Count:
        peer = self._peer = self._peer or Scene(self._sun, self._members)
        peer.ts_ms = self.ts_ms
        true = known = everyone = 0
        for member in self._members(self.track):
            peer.track = member
            truth = condition(member.values, member.subject.attributes, peer, [])
            everyone += 1
            known += truth is not None
            true += truth is True
        return Count(true, known, everyone)


class Sun:
    """Elevations by place (0.1 degree) and minute: many lamps share one."""

    __slots__ = ("_elevations", "_nights")

    def __init__(self) -> None:
        self._elevations: dict[tuple[tuple[float, float], int], float] = {}
        self._nights: dict[tuple[tuple[float, float], int, int], bool] = {}

    def elevation(self, cell: tuple[float, float] | None, ts_ms: int) -> float | None:
        if cell is None:
            return None
        key = (cell, ts_ms // 60_000)
        found = self._elevations.get(key)
        if found is None:
            if len(self._elevations) >= SUN_CACHE_MAX:
                self._elevations.clear()
            found = elevation_deg(cell[0], cell[1], key[1] * 60_000)
            self._elevations[key] = found
        return found

    def is_night(self, cell: tuple[float, float] | None, ts_ms: int, margin_ms: int) -> Truth:
        if cell is None:
            return None
        key = (cell, ts_ms // 60_000, margin_ms)
        found = self._nights.get(key)
        if found is None:
            if len(self._nights) >= SUN_CACHE_MAX:
                self._nights.clear()
            minute_ms = key[1] * 60_000
            found = all(
                elevation_deg(cell[0], cell[1], at_ms) < NIGHT_DEG
                for at_ms in (minute_ms - margin_ms, minute_ms, minute_ms + margin_ms)
            )
            self._nights[key] = found
        return found
