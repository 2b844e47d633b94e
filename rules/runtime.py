"""What compiled conditions call at run time: expected power, sliding windows.

Owns the few computations that are too long to be written out in generated code. Pure, total and
bounded: a window holds at most WINDOW_SAMPLES_MAX samples, the newest.
"""

from collections.abc import Sequence
from itertools import pairwise

WINDOW_SAMPLES_MAX = 512
"""Bounds the state of one window: 14 days of half-hourly reports fit, a flood does not. What is
dropped is the oldest, so a count stops there."""

_Number = int | float


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
    kept = tuple(window or ())
    first = 0
    while first < len(kept) and kept[first] <= ts_ms - length_ms:
        first += 2
    kept = kept[first:]
    if value is not None:
        kept = (*kept[-2 * (WINDOW_SAMPLES_MAX - 1) :], ts_ms, value)
    return kept


def occurrences(window: Sequence[_Number]) -> int:
    return len(window) // 2


def average(window: Sequence[_Number]) -> float | None:
    return sum(window[1::2]) / (len(window) // 2) if window else None


def lowest(window: Sequence[_Number]) -> _Number | None:
    return min(window[1::2], default=None)


def highest(window: Sequence[_Number]) -> _Number | None:
    return max(window[1::2], default=None)


def _interpolated(points: Sequence[Sequence[_Number]], level: _Number) -> float:
    if level <= points[0][0]:
        return float(points[0][1])
    for (left, low), (right, high) in pairwise(points):
        if level <= right:
            return low + (high - low) * (level - left) / (right - left)
    return float(points[-1][1])
