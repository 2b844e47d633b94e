"""What is in a bin: how it fills, by whom, when the crew empties it, and what is special about it.

An ordinary bin fills with the use of its site and is emptied on the rounds that find it worth the
stop; now and then a round misses it. It never comes near its threshold: what does not fit goes
elsewhere. Only a story fills it, burns it out or spills it. The truth alone, no sensor.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import exp

from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.sites import PROFILES, site_of
from simulators.things import Bin
from simulators.wire import ms_of

MARGIN_PCT = 18.0  # an ordinary bin stays this far below its threshold
SETTLES_PCT = 14.0  # so far below that people begin to go elsewhere
FULL_ABOVE_PCT = 10.0  # a full one goes at least this far above it
GROWTH = 0.3  # what still comes on top of a full bin
FULL_MAX_PCT, OVERFLOW_PCT, OVERFLOW_MAX_PCT = 99.0, 102.0, 125.0
BELOW_PCT = 12.0  # where a crowd's bin stays, below its threshold
CROWD_MS = 300_000  # how long a crowd takes to fill it
SPILLED_PCT = 15.0  # what stays in a bin that lies on its side
BURNT_SHARE = 0.5
EMPTIED_PCT = (2.0, 6.0)  # what sticks to the bottom
WORTH_PCT = 35.0  # the crew drives past a bin that it knows to be emptier
MISSED_SHARE = 0.06
ROUND_JITTER_S = 1200.0
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_CROWDED = (Kind.BIN_FULL, Kind.OVERFLOW, Kind.CROWD)
# What keeps the crew away, and ends with an empty bin.
_OUT_OF_TURN = (*_CROWDED, Kind.BIN_FIRE, Kind.BIN_TIPPED)


class Contents:
    """Of one bin. Ask in order of time."""

    def __init__(self, city: City, item: Bin, story: Sequence[Fault]) -> None:
        rng = dice(city.seed, "site", item.device)
        site = site_of(rng.random())
        self._rate = item.rate_pct_h * PROFILES[site].pace
        self._use = city.people.use(site, item.zone)
        self._ceiling = item.threshold_pct - MARGIN_PCT
        self._threshold = item.threshold_pct
        self._since, self._level = 0.0, item.fill_pct
        # The stories that change what is in it; few bins have any.
        self._story = [fault for fault in story if fault.kind in _OUT_OF_TURN]
        self._emptied = self._emptyings(city, item, story)
        self._next = next(self._emptied, None)

    def level_pct(self, ts_ms: int) -> float:
        """0 the bottom, 100 the brim; more in a heap on top."""
        while self._next is not None and self._next[0] <= ts_ms:
            self._since, self._level = self._use.at(self._next[0]), self._next[1]
            self._next = next(self._emptied, None)
        level = self._ordinary(ts_ms)
        for fault in self._story:
            if fault.active(ts_ms):
                return self._struck(fault, level, ts_ms)
        return level

    def _raw(self, ts_ms: int) -> float:
        return self._level + self._rate * (self._use.at(ts_ms) - self._since)

    def _ordinary(self, ts_ms: int) -> float:
        raw, knee = self._raw(ts_ms), self._ceiling - SETTLES_PCT
        if raw <= knee:
            return raw
        return self._ceiling - SETTLES_PCT * exp((knee - raw) / SETTLES_PCT)

    def _struck(self, fault: Fault, level: float, ts_ms: int) -> float:
        share = min(1.0, (ts_ms - fault.start_ms) / CROWD_MS)
        if fault.kind is Kind.BIN_TIPPED:
            return min(level, SPILLED_PCT)
        if fault.kind is Kind.BIN_FIRE:
            lasts_ms = (fault.end_ms or ts_ms + HOUR_MS) - fault.start_ms
            return level * (1 - BURNT_SHARE * (ts_ms - fault.start_ms) / lasts_ms)
        goal = max(level, self._goal(fault, ts_ms))
        return level + share * (goal - level)

    def _goal(self, fault: Fault, ts_ms: int) -> float:
        if fault.kind is Kind.CROWD:
            return self._threshold - fault.extent.get("below_pct", BELOW_PCT)
        more = GROWTH * self._rate * (self._use.at(ts_ms) - self._use.at(fault.start_ms))
        if fault.kind is Kind.OVERFLOW:
            return min(OVERFLOW_MAX_PCT, OVERFLOW_PCT + more)
        return min(FULL_MAX_PCT, self._threshold + FULL_ABOVE_PCT + more)

    def _emptyings(
        self, city: City, item: Bin, story: Sequence[Fault]
    ) -> Iterator[tuple[int, float]]:
        """(when, what is left), in order. In a story the crew does not come before its end."""
        rng = dice(city.seed, "rounds", item.device)
        ends = _special(city, item, story)
        for visit_ms in _visits(city, item, rng.random()):
            jitter_ms = round(rng.uniform(-ROUND_JITTER_S, ROUND_JITTER_S)) * 1000
            missed, left = rng.random() < MISSED_SHARE, rng.uniform(*EMPTIED_PCT)
            now_ms = visit_ms + jitter_ms
            while ends and ends[0][0] <= now_ms:
                yield ends.pop(0)
            away = any(fault.active(now_ms) for fault in self._story)
            if not (missed or away) and self._raw(now_ms) >= WORTH_PCT:
                yield now_ms, left
        yield from ends


def _special(city: City, item: Bin, story: Sequence[Fault]) -> list[tuple[int, float]]:
    """Emptyings out of turn: after a crowd, a fire, a fall; and another bin comes empty."""
    if not story:
        return []
    rng = dice(city.seed, "out of turn", item.device)
    ends = [fault.end_ms for fault in story if fault.kind in _OUT_OF_TURN and fault.end_ms]
    swaps = [fault.start_ms for fault in story if fault.kind is Kind.SWAPPED_BIN]
    return [(at_ms, rng.uniform(*EMPTIED_PCT)) for at_ms in sorted((*ends, *swaps))]


def _visits(city: City, item: Bin, chance: float) -> Iterator[int]:
    """The rounds, from before the start of the run on: at the same local time if they are whole
    days apart. `chance`: on which of those days.
    """
    every_ms = round(city.scenario.fleets.bins.rounds_every * 1000)
    first = datetime.fromtimestamp(city.people.first_ms / 1000, city.zone_info)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    hour = timedelta(hours=item.round_hour)
    if every_ms % DAY_MS:
        yield from range(ms_of(midnight + hour), city.end_ms, every_ms)
        return
    moment = midnight + timedelta(days=int(chance * (every_ms // DAY_MS))) + hour
    while (now_ms := ms_of(moment)) < city.end_ms:
        yield now_ms
        moment += timedelta(milliseconds=every_ms)
