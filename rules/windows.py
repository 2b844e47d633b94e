"""Windows on columns: what `rules.runtime` makes of the samples of (now - length, now].

Guarantees its results bit for bit: sums are taken oldest first, one value of every window at a
time, and a window holds no more than the newest WINDOW_SAMPLES_MAX. The argument is judged on the
whole block, windows are opened only at the samples that are asked for.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from rules.formulas import Step
from rules.kleene import Amounts, Column, Rows, Truths, rows_of, settled, spread
from rules.memories import turned
from rules.runtime import WINDOW_SAMPLES_MAX
from rules.series import Block
from rules.tree import Node, Op

_AT_ONCE = 1_000_000  # values sorted at once: 8 MB

_Floats = npt.NDArray[np.float64]


class _Windows(NamedTuple):
    """One for each sample: the members [start, end) of all that are known, in order of time."""

    start: Rows
    end: Rows
    values: Any
    times: npt.NDArray[np.int64]

    @property
    def counts(self) -> Rows:
        return self.end - self.start

    def total(self, term: Callable[[Rows, Rows], Any]) -> _Floats:
        """The sum of `term(windows, members)`, oldest member first."""
        counts = self.counts
        result = np.zeros(len(counts))
        for offset in range(int(counts.max(initial=0))):
            rows = np.flatnonzero(counts > offset)
            result[rows] += term(rows, self.start[rows] + offset)
        return result

    def mean(self) -> Any:
        return self.total(lambda _, members: self.values[members]) / self.counts

    def passed_ms(self) -> Any:
        return self.last(self.times) - self.first(self.times)

    def first(self, values: Any) -> Any:
        return values[np.minimum(self.start, len(values) - 1)]

    def last(self, values: Any) -> Any:
        return values[self.end - 1]


def _windows(block: Block, column: Column, members: Rows, length_ms: float) -> _Windows:
    """`members`: rows of the whole block."""
    times = block.whole.ts_ms[members]
    end = np.searchsorted(members, block.places_in_whole(), side="right")
    start = np.searchsorted(times, block.ts_ms - length_ms, side="right")
    values = spread(column[0], block.whole.size)[members]
    return _Windows(np.maximum(start, end - WINDOW_SAMPLES_MAX), end, values, times)


def _length_ms(node: Node) -> float:
    length = node.detail[0] if isinstance(node.detail, tuple) else node.detail
    assert isinstance(length, Fraction)
    return float(length)


def _reduced(reduce: Callable[..., Column]) -> Callable[[Node, Step], Step]:
    """`reduce(windows, further details)`, where anything is known at all."""

    def make(node: Node, arg: Step) -> Step:
        more = node.detail[1:] if isinstance(node.detail, tuple) else ()

        def step(block: Block) -> Column:
            column = arg(block.whole)
            members = rows_of(column.known, block.whole.size)
            if not len(members):
                return _nothing(node, block.size)
            return reduce(_windows(block, column, members, _length_ms(node)), *more)

        return step

    return make


def _nothing(node: Node, size: int) -> Column:
    unknown = np.zeros(size, dtype=np.bool_)
    return Truths(unknown, unknown) if node.unit is None else Amounts(np.zeros(size), unknown)


def _any(windows: _Windows) -> Any:
    return settled(windows.counts > 0)


def _average(windows: _Windows) -> Column:
    return Amounts(windows.mean(), _any(windows))


def _extreme(pick: Any, neutral: float) -> Callable[[_Windows], Column]:
    """In any order: a window is two runs of a power of two that overlap."""

    def reduce(windows: _Windows) -> Column:
        counts, runs, width = windows.counts, windows.values, 1
        result = np.full(len(counts), neutral)
        while width <= counts.max(initial=0):
            rows = np.flatnonzero((counts >= width) & (counts < 2 * width))
            start, end = windows.start[rows], windows.end[rows]
            result[rows] = pick(runs[start], runs[end - width])
            runs = pick(runs[:-width], runs[width:])
            width *= 2
        return Amounts(result, _any(windows))

    return reduce


def _deviation(windows: _Windows) -> Column:
    mean, values = windows.mean(), windows.values

    def square(rows: Rows, members: Rows) -> Any:
        distance = values[members] - mean[rows]
        return distance * distance

    result = cast("_Floats", np.sqrt(windows.total(square) / windows.counts))
    return Amounts(result, settled(windows.counts > 1))


def _slope(windows: _Windows) -> Column:
    """Least squares, per ms, as in `runtime.slope`."""
    values, mean = windows.values, windows.mean()
    start_ms = windows.first(windows.times)

    def time(rows: Rows, members: Rows) -> Any:
        return windows.times[members] - start_ms[rows]

    mean_ms = windows.total(time) / windows.counts

    def rise(rows: Rows, members: Rows) -> Any:
        return (time(rows, members) - mean_ms[rows]) * (values[members] - mean[rows])

    def run(rows: Rows, members: Rows) -> Any:
        distance = time(rows, members) - mean_ms[rows]
        return distance * distance

    known = settled((windows.counts > 1) & (windows.passed_ms() > 0))
    return Amounts(windows.total(rise) / windows.total(run), known)


def _percentile(windows: _Windows, share: Fraction) -> Column:
    counts = windows.counts
    width = max(1, int(counts.max(initial=0)))
    result = np.zeros(len(counts))
    size = max(1, _AT_ONCE // width)
    for first in range(0, len(counts), size):
        part = slice(first, first + size)
        result[part] = _at_share(windows, part, width, float(share))
    return Amounts(result, _any(windows))


def _at_share(windows: _Windows, part: slice, width: int, share: float) -> Any:
    start, counts = windows.start[part], windows.counts[part]
    offsets = np.arange(width)
    members = np.minimum(start[:, None] + offsets, len(windows.values) - 1)
    return _ordered_at(np.where(offsets < counts[:, None], windows.values[members], np.inf), share)


def _ordered_at(values: Any, share: float) -> Any:
    """Of each row, whose endless values do not count."""
    values.sort(axis=1)
    counts = np.isfinite(values).sum(axis=1)
    place = share * (counts - 1)
    below = np.maximum(np.floor(place).astype(np.intp), 0)
    rows = np.arange(len(values))
    low = values[rows, below]
    high = values[rows, np.minimum(below + 1, values.shape[1] - 1)]
    alone = below + 1 >= counts
    return np.where(alone, low, low + (np.where(alone, low, high) - low) * (place - below))


def _trend(windows: _Windows) -> Column:
    """As `runtime.trend`."""
    counts = windows.counts
    width = max(1, int(counts.max(initial=0)) // 2)
    result, known = np.zeros(len(counts)), np.zeros(len(counts), dtype=np.bool_)
    size = max(1, _AT_ONCE // width)
    for first in range(0, len(counts), size):
        part = slice(first, first + size)
        speeds = _speeds(windows, part, width)
        known[part] = np.isfinite(speeds).any(axis=1)
        speeds[~known[part], 0] = 0.0
        result[part] = _ordered_at(speeds, 0.5)
    return Amounts(result, settled(known))


def _speeds(windows: _Windows, part: slice, width: int) -> Any:
    """From each sample of the first half to its like in the second; endless where there is none."""
    half = windows.counts[part] // 2
    offsets = np.arange(width)
    first = np.minimum(windows.start[part][:, None] + offsets, len(windows.values) - 1)
    last = np.minimum((windows.end[part] - half)[:, None] + offsets, len(windows.values) - 1)
    passed_ms = windows.times[last] - windows.times[first]
    valid = (offsets < half[:, None]) & (passed_ms > 0)
    rise = windows.values[last] - windows.values[first]
    return np.where(valid, rise / np.where(valid, passed_ms, 1), np.inf)


def _first(windows: _Windows) -> Column:
    return _picked(windows.first(windows.values), windows)


def _last(windows: _Windows) -> Column:
    return _picked(windows.last(windows.values), windows)


def _picked(values: Any, windows: _Windows) -> Column:
    known = _any(windows)
    return Truths(values & known, known) if values.dtype == np.bool_ else Amounts(values, known)


def _difference(windows: _Windows) -> Column:
    difference = windows.last(windows.values) - windows.first(windows.values)
    return Amounts(difference, settled(windows.counts > 1))


def _speed(windows: _Windows) -> Column:
    difference = windows.last(windows.values) - windows.first(windows.values)
    passed_ms = windows.passed_ms()
    return Amounts(difference / passed_ms, settled((windows.counts > 1) & (passed_ms > 0)))


# -- windows over truths ---------------------------------------------------------------------------


def _counted(node: Node, events_of: Callable[[Block], Truths]) -> Step:
    length_ms = _length_ms(node)

    def step(block: Block) -> Column:
        events = events_of(block.whole)
        members = rows_of(events.true, block.whole.size)
        windows = _windows(block, events, members, length_ms)
        return Amounts(windows.counts.astype(np.float64))

    return step


def _count(node: Node, arg: Step) -> Step:
    return _counted(node, lambda block: cast("Truths", arg(block)))


def _changes(node: Node, arg: Step) -> Step:
    return _counted(node, lambda block: turned(block, arg))


def _held(node: Node, arg: Step) -> Step:
    """False as long as the window reaches back to a false sample or its end, else unknown as long
    as it does so to an unknown one, or to before the first.
    """
    length_ms = _length_ms(node)

    def step(block: Block) -> Column:
        size = block.whole.size
        column = cast("Truths", arg(block.whole))
        true, known = spread(column.true, size), spread(column.known, size)
        now, begin_ms = block.places_in_whole(), block.ts_ms - length_ms
        false_ms = _ended_ms(block, np.flatnonzero(known & ~true) + 1)
        unknown_ms = _ended_ms(block, np.append(0, np.flatnonzero(~known) + 1))
        is_false = (known & ~true)[now] | (false_ms > begin_ms)
        is_unknown = ~is_false & (~known[now] | (unknown_ms > begin_ms))
        return Truths(~is_false & ~is_unknown, settled(~is_unknown))

    return step


def _ended_ms(block: Block, ends: Rows) -> _Floats:
    """For each sample the time of the last of `ends`, rows of the whole; endlessly long ago where
    there was none.
    """
    ends = ends[ends < block.whole.size]
    places = np.searchsorted(ends, block.places_in_whole(), side="right")
    times = np.append(-np.inf, block.whole.ts_ms[ends].astype(np.float64))
    return cast("_Floats", times[places])


WINDOW_STEPS: dict[Op, Callable[..., Step]] = {
    Op.COUNT_OVER: _count,
    Op.CHANGES_OVER: _changes,
    Op.HELD_OVER: _held,
    Op.AVG_OVER: _reduced(_average),
    Op.MIN_OVER: _reduced(_extreme(np.minimum, np.inf)),
    Op.MAX_OVER: _reduced(_extreme(np.maximum, -np.inf)),
    Op.STD_OVER: _reduced(_deviation),
    Op.PERCENTILE_OVER: _reduced(_percentile),
    Op.FIRST_OVER: _reduced(_first),
    Op.LAST_OVER: _reduced(_last),
    Op.DELTA_OVER: _reduced(_difference),
    Op.RATE_OVER: _reduced(_speed),
    Op.SLOPE_OVER: _reduced(_slope),
    Op.TREND_OVER: _reduced(_trend),
}
