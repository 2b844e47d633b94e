"""When the sun over a neighbourhood is above or below a limit: whole periods at once.

Owns the minutes at which that changes, found once for each limit and then looked up for any number
of samples. The answers are those of `rules.sky`, minute for minute: a stretch is skipped only where
the sun is too slow to reach the limit within it, and the minutes beside a change are worked out by
`Sky` itself. Pure; it remembers what it has found.
"""

from collections.abc import Callable
from math import cos, radians
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from rules.sky import NIGHT_DEG, Sky

MINUTE_MS = 60_000
_DAY = 1_440
_PERIOD = 32 * _DAY  # found at once: asking for a little more does not begin again
_TURN_DEG = 0.2508  # a minute of the earth's turning, and a little more

Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


class Spans(NamedTuple):
    """A truth by the minute over a period: what it is before the first edge, and where it turns."""

    first: int
    last: int
    begins: bool
    edges: Times

    def at(self, minutes: Times) -> Flags:
        turns = np.searchsorted(self.edges, minutes, side="right")
        return cast("Flags", (turns % 2 == 1) != self.begins)

    def over(self, ts_ms: Times) -> Flags:
        """For samples in order of time: one step for each edge, not for each sample."""
        edges_ms = self.edges * MINUTE_MS
        before, upto = np.searchsorted(edges_ms, (ts_ms[0], ts_ms[-1]), side="right")
        starts = _places(ts_ms, edges_ms[before:upto])
        counts = np.diff(starts, prepend=0, append=len(ts_ms))
        begins = (before % 2 == 1) != self.begins
        truths = np.arange(len(counts)) % 2 == (0 if begins else 1)
        return np.repeat(truths, counts)


def _places(ts_ms: Times, instants_ms: Times) -> Times:
    """The first sample at or after each instant; all of these are within the series. Samples mostly
    come at a regular pace: the place is guessed, and searched for only where that was wrong.
    """
    if len(ts_ms) < 2 or not len(instants_ms):
        return np.searchsorted(ts_ms, instants_ms).astype(np.int64)
    pace = (len(ts_ms) - 1) / (ts_ms[-1] - ts_ms[0])
    places = np.ceil((instants_ms - ts_ms[0]) * pace).astype(np.int64)
    places = np.clip(places, 1, len(ts_ms) - 1)
    wrong = (ts_ms[places - 1] >= instants_ms) | (ts_ms[places] < instants_ms)
    places[wrong] = np.searchsorted(ts_ms, instants_ms[wrong])
    return cast("Times", places)


class Almanac:
    """Of one neighbourhood."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._speed_deg = _TURN_DEG * cos(radians(sky.lat)) + 0.001
        """The most that the sun climbs or sinks in a minute."""
        self._compared: dict[tuple[str, float], Spans] = {}
        self._nights: dict[int, Spans] = {}

    def compared(self, sign: str, limit_deg: float, ts_ms: Times) -> Flags:
        """`elevation <sign> limit` at each sample; `ts_ms` ascending."""
        first, last = _minutes(ts_ms)
        return self._spans(sign, limit_deg, first, last).over(ts_ms)

    def elevations(self, ts_ms: Times) -> npt.NDArray[np.float64]:
        """In degrees."""
        return np.array([self._sky.elevation(at_ms) for at_ms in ts_ms.tolist()], dtype=np.float64)

    def nights(self, margin_ms: int, ts_ms: Times) -> Flags:
        """`Sky.is_night` at each sample; `ts_ms` ascending."""
        first, last = _minutes(ts_ms)
        found = self._nights.get(margin_ms)
        if found is None or first < found.first or last > found.last:
            first, last = _widened(first, last, found)
            found = self._nights[margin_ms] = self._night(margin_ms, first, last)
        return found.over(ts_ms)

    def _night(self, margin_ms: int, first: int, last: int) -> Spans:
        shifts = [-margin_ms // MINUTE_MS, 0, margin_ms // MINUTE_MS]
        below = self._spans("<", NIGHT_DEG, first + shifts[0], last + shifts[-1])
        turns = np.unique(np.concatenate([below.edges - shift for shift in shifts]))
        minutes = np.concatenate([[first], turns[(turns > first) & (turns <= last)]])
        dark = np.logical_and.reduce([below.at(minutes + shift) for shift in shifts])
        edges = minutes[1:][dark[1:] != dark[:-1]]
        return Spans(first, last, bool(dark[0]), edges)

    def _spans(self, sign: str, limit_deg: float, first: int, last: int) -> Spans:
        found = self._compared.get((sign, limit_deg))
        if found is None or first < found.first or last > found.last:
            first, last = _widened(first, last, found)
            found = self._found(sign, limit_deg, first, last)
            self._compared[sign, limit_deg] = found
        return found

    def _found(self, sign: str, limit_deg: float, first: int, last: int) -> Spans:
        compare = _SIGNS[sign]
        edges: list[int] = []
        height = self._above(limit_deg, first)
        begins = holds = compare(height, 0.0)
        for day in range(first, last, _DAY):
            end = min(day + _DAY, last)
            end_height = self._above(limit_deg, end)
            for minute, at_minute in self._turns(limit_deg, day, height, end, end_height):
                if compare(at_minute, 0.0) is not holds:
                    holds = not holds
                    edges.append(minute)
            height = end_height
        return Spans(first, last, begins, np.array(edges, dtype=np.int64))

    def _turns(
        self, limit_deg: float, start: int, from_deg: float, end: int, to_deg: float
    ) -> list[tuple[int, float]]:
        """Minutes in (start, end] that matter, with the sun's height over the limit at each."""
        same_side = (from_deg > 0) is (to_deg > 0) and from_deg != 0 and to_deg != 0
        if same_side and abs(from_deg) + abs(to_deg) > self._speed_deg * (end - start):
            return []
        if end - start == 1:
            return [(end, to_deg)]
        middle = (start + end) // 2
        height = self._above(limit_deg, middle)
        return [
            *self._turns(limit_deg, start, from_deg, middle, height),
            *self._turns(limit_deg, middle, height, end, to_deg),
        ]

    def _above(self, limit_deg: float, minute: int) -> float:
        """How far the sun stands above the limit: zero only where it is exactly there."""
        return self._sky.elevation(minute * MINUTE_MS) - limit_deg


class Almanacs:
    """Of all neighbourhoods."""

    def __init__(self) -> None:
        self._almanacs: dict[tuple[float, float], Almanac] = {}

    def over(self, sky: Sky | None) -> Almanac | None:
        if sky is None:
            return None
        key = sky.lat, sky.lon
        if key not in self._almanacs:
            self._almanacs[key] = Almanac(sky)
        return self._almanacs[key]


def _minutes(ts_ms: Times) -> tuple[int, int]:
    return int(ts_ms[0]) // MINUTE_MS, int(ts_ms[-1]) // MINUTE_MS


def _widened(first: int, last: int, found: Spans | None) -> tuple[int, int]:
    """Whole periods, those that were found before included."""
    if found is not None:
        first, last = min(first, found.first), max(last, found.last)
    return first // _PERIOD * _PERIOD, (last // _PERIOD + 1) * _PERIOD
