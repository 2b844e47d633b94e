"""What compiled conditions call at run time: expected power, sliding windows.

Owns the few computations that are too long to be written out in generated code. Pure, total and
bounded: a window holds at most WINDOW_SAMPLES_MAX samples, the newest. A window holds the samples
of (now - its length, now] in which the value is known, in order of time. Each computation is so
defined that columns can repeat it to the last bit.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import pairwise
from math import floor, sqrt
from operator import add, mul

WINDOW_SAMPLES_MAX = 512
"""Bounds the state of one window: 14 days of half-hourly reports fit, a flood does not. What is
dropped is the oldest, so a count stops there."""

_Number = int | float
_PAIR = 2  # samples: with fewer there is no difference and no spread


def expected_power(
    nominal_w: _Number | None,
    curve: Sequence[Sequence[_Number]] | None,
    level_pct: _Number | None,
    level_was_given: bool,
) -> float | None:
    """Watts of a healthy lamp at a dim level; None if unknown.

    `curve`: ((dim_pct, watt), ...) in ascending order of dim_pct, interpolated linearly and level
    beyond its ends. Without one: nominal power times level. A lamp that has no curve and whose
    sample names no level is taken to burn at 100 %, unless the rule chose the level
    (`expected_power(level)`): then unknown.
    """
    if level_pct is None:
        return None if level_was_given or curve or nominal_w is None else float(nominal_w)
    if curve:
        return _interpolated(curve, level_pct)
    return None if nominal_w is None else nominal_w * level_pct / 100


def folded(
    window: Sequence[_Number] | None, ts_ms: int, value: _Number | None, length_ms: float
) -> tuple[_Number, ...]:
    """The window (flat: time, value, time, value...) with a sample added and old ones dropped."""
    kept = window or ()
    if not isinstance(kept, tuple):  # back from the store
        kept = tuple(kept)
    begin_ms = ts_ms - length_ms
    first = 0
    while first < len(kept) and kept[first] <= begin_ms:
        first += 2
    if value is None:
        return kept[first:] if first else kept
    first = max(first, len(kept) - 2 * (WINDOW_SAMPLES_MAX - 1))
    return (*kept[first:], ts_ms, value)


def occurrences(window: Sequence[_Number]) -> int:
    return len(window) // 2


def average(window: Sequence[_Number]) -> float | None:
    """The sum, oldest first, by the number."""
    return mean(window[1::2])


def lowest(window: Sequence[_Number]) -> _Number | None:
    return min(window[1::2], default=None)


def highest(window: Sequence[_Number]) -> _Number | None:
    return max(window[1::2], default=None)


def deviation(window: Sequence[_Number]) -> float | None:
    """The root of the mean square of the distances from the mean."""
    values = window[1::2]
    if len(values) < _PAIR:
        return None
    mean = _total(values) / len(values)
    return sqrt(_total([(value - mean) * (value - mean) for value in values]) / len(values))


def percentile(window: Sequence[_Number], share: float) -> float | None:
    """In ascending order the value at `share` of the way from the first to the last."""
    values = window[1::2]
    return _at_share(sorted(values), share) if values else None


def _at_share(values: Sequence[_Number], share: float) -> _Number:
    """Of values in ascending order."""
    place = share * (len(values) - 1)
    below = floor(place)
    if below + 1 == len(values):
        return values[below]
    return values[below] + (values[below + 1] - values[below]) * (place - below)


def beginning(window: Sequence[_Number]) -> _Number | None:
    return window[1] if window else None


def newest(window: Sequence[_Number]) -> _Number | None:
    return window[-1] if window else None


def difference(window: Sequence[_Number]) -> _Number | None:
    return window[-1] - window[1] if len(window) >= 2 * _PAIR else None


def speed(window: Sequence[_Number]) -> float | None:
    """The difference by the time between, per ms."""
    passed_ms = window[-2] - window[0] if window else 0
    return (window[-1] - window[1]) / passed_ms if passed_ms > 0 else None


def slope(window: Sequence[_Number]) -> float | None:
    """Least squares, per ms. Times are taken from the first sample, distances from the means."""
    passed_ms = window[-2] - window[0] if window else 0
    if passed_ms <= 0:
        return None
    values, first_ms = window[1::2], window[0]
    times = [ts_ms - first_ms for ts_ms in window[::2]]
    mean_ms, mean = _total(times) / len(times), _total(values) / len(values)
    from_mean = [ts_ms - mean_ms for ts_ms in times]
    rise = _total(map(mul, from_mean, [value - mean for value in values]))
    return rise / _total(map(mul, from_mean, from_mean))


def trend(window: Sequence[_Number]) -> float | None:
    """The median of the speeds between samples that lie half a window of them apart, per ms: the
    incomplete method of Theil (1950). A fourth of the samples may be wrong in any way.
    """
    half = len(window) // 4 * 2
    early, late = window[:half], window[len(window) - half :]
    ends = zip(early[::2], early[1::2], late[::2], late[1::2], strict=True)
    speeds = sorted((last - first) / (then - at) for at, first, then, last in ends if then > at)
    return _at_share(speeds, 0.5) if speeds else None


def turns(
    before: Sequence[_Number] | None, ts_ms: int, value: _Number | None, length_ms: float
) -> tuple[_Number, ...]:
    """The last known value, and when in the window it became another one than before."""
    last, *times = before or (value,)
    times = [at_ms for at_ms in times if at_ms > ts_ms - length_ms]
    if value is None or value == last:
        return () if last is None else (last, *times)
    return (value, *times[-(WINDOW_SAMPLES_MAX - 1) :], ts_ms)


def changed(turned: Sequence[_Number]) -> int:
    return max(0, len(turned) - 1)


def standing(
    before: Sequence[bool | int | None] | None, ts_ms: int, truth: bool | None
) -> tuple[bool | int | None, ...]:
    """A truth; when it last ceased to be false (None: never was), and to be unknown. Before the
    first sample all is unknown.
    """
    last, false_ms, unknown_ms = before or (None, None, None)
    if last is False:
        false_ms = ts_ms
    elif last is None:
        unknown_ms = ts_ms
    return truth, false_ms, unknown_ms


def held(state: Sequence[bool | int | None], ts_ms: int, length_ms: float) -> bool | None:
    """Whether what `standing` keeps was true from the beginning of the window on."""
    truth, false_ms, unknown_ms = state
    begin_ms = ts_ms - length_ms
    if truth is False or (false_ms is not None and false_ms > begin_ms):
        return False
    assert unknown_ms is not None
    return None if truth is None or unknown_ms > begin_ms else True


def mean(values: Sequence[_Number]) -> float | None:
    return _total(values) / len(values) if values else None


def least(values: Sequence[_Number]) -> _Number | None:
    return min(values, default=None)


def most(values: Sequence[_Number]) -> _Number | None:
    return max(values, default=None)


def _total(values: Iterable[_Number]) -> _Number:
    """Added up one by one: the same sum in every version of Python, and in columns."""
    return reduce(add, values)


def _interpolated(points: Sequence[Sequence[_Number]], level: _Number) -> float:
    if level <= points[0][0]:
        return float(points[0][1])
    for (left, low), (right, high) in pairwise(points):
        if level <= right:
            return low + (high - low) * (level - left) / (right - left)
    return float(points[-1][1])
