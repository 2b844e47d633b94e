"""When the sun over a neighbourhood is above or below a limit: whole periods at once.

Owns the minutes at which that changes, found once for each limit and then looked up for any number
of samples. The answers are those of `rules.sky`, minute for minute: a stretch is skipped only where
the sun is too slow to reach the limit within it, and where numpy's sines might leave a doubt `Sky`
itself is asked. Pure; it remembers what it has found.
"""

from collections.abc import Callable
from math import cos, radians
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from rules.sky import NIGHT_DEG, Sky
from rules.sun import sine_of_elevation

MINUTE_MS = 60_000
_DAY = 1_440
_PERIOD = 32 * _DAY  # found at once: asking for a little more does not begin again
_TURN_DEG = 0.2508  # a minute of the earth's turning, and a little more
_DOUBT_DEG = 1e-4  # numpy and `Sky` differ by less: straight overhead by 1e-6

Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_Degrees = npt.NDArray[np.float64]

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
    "==": eq,
    "!=": ne,
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
        before, upto = np.searchsorted(edges_ms, (ts_ms[0], ts_ms[-1]), side="right").tolist()
        starts = np.zeros(upto - before + 2, dtype=np.int64)
        starts[1:-1] = _places(ts_ms, edges_ms[before:upto])
        starts[-1] = len(ts_ms)
        truths = np.zeros(len(starts) - 1, dtype=np.bool_)
        truths[int((before % 2 == 1) == self.begins) :: 2] = True
        return np.repeat(truths, starts[1:] - starts[:-1])


def _places(ts_ms: Times, instants_ms: Times) -> Times:
    """The first sample at or after each instant; all of these are within the series. Samples mostly
    come at a regular pace: the place is guessed, and searched for only where that was wrong.
    """
    if len(ts_ms) < 2 or not len(instants_ms):
        return np.searchsorted(ts_ms, instants_ms).astype(np.int64)
    first_ms, last = int(ts_ms[0]), len(ts_ms) - 1
    pace = last / (int(ts_ms[-1]) - first_ms)
    places = np.minimum(np.ceil((instants_ms - first_ms) * pace), last).astype(np.int64)
    wrong = (ts_ms[places - 1] >= instants_ms) | (ts_ms[places] < instants_ms)
    if wrong.any():
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
        begins = bool(compare(self._sky.elevation(first * MINUTE_MS), limit_deg))
        minutes = self._turns(limit_deg, first, last)
        above = self._above(limit_deg, minutes)
        for i in np.flatnonzero(np.abs(above) <= _DOUBT_DEG).tolist():
            above[i] = self._sky.elevation(int(minutes[i]) * MINUTE_MS) - limit_deg
        holds = compare(above, 0.0)
        turned = holds != np.append(begins, holds[:-1])
        return Spans(first, last, begins, minutes[turned])

    def _turns(self, limit_deg: float, first: int, last: int) -> Times:
        """Minutes in (first, last] that matter, ascending: stretches are halved until the sun is
        too slow to reach the limit within them, or they are a minute.
        """
        marks = np.append(np.arange(first, last, _DAY), last)
        heights = self._above(limit_deg, marks)
        begin, end, one, other = marks[:-1], marks[1:], heights[:-1], heights[1:]
        found: list[Times] = []
        while len(begin):
            least = np.minimum(np.abs(one), np.abs(other))
            reach = np.abs(one) + np.abs(other)
            away = ((one > 0) == (other > 0)) & (least > _DOUBT_DEG)
            far = away & (reach > self._speed_deg * (end - begin))
            minute = end - begin == 1
            found.append(end[minute & ~far])
            begin, end, one, other = (part[~far & ~minute] for part in (begin, end, one, other))
            middle = (begin + end) // 2
            height = self._above(limit_deg, middle)
            begin, end = np.append(begin, middle), np.append(middle, end)
            one, other = np.append(one, height), np.append(height, other)
        return np.sort(np.concatenate(found))

    def _above(self, limit_deg: float, minutes: Times) -> _Degrees:
        """How far the sun stands above the limit, but for less than the doubt."""
        sine = sine_of_elevation(np, self._sky.lat, self._sky.lon, minutes * MINUTE_MS)
        return cast("_Degrees", np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))) - limit_deg)


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
