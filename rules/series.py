"""One subject's samples as columns: what a rule is judged on when the history is all there.

A series is in order of time and holds no sample twice, as the engine sees it in the end, whatever
the order of arrival was. A value that a sample does not carry is NaN; flags are 1 and 0. Immutable,
but for what is remembered of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from rules.almanac import Almanac, Times
from rules.kleene import NO, YES, Amounts, Column, Mask, Rows, either, mask_taken, settled
from rules.local_time import LocalTime
from rules.rule import Values
from rules.track import Subject


@dataclass(frozen=True)
class Series:
    """`ts_ms` ascending, each column as long. Made of samples by `series_of`; whoever has arrays
    already sees to the order and the doubles.
    """

    ts_ms: Times
    columns: Mapping[str, npt.NDArray[np.float64]]
    _known: dict[str, Mask] = field(default_factory=dict, repr=False, compare=False)
    _least: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    _greatest: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    def known(self, key: str) -> Mask:
        """Which samples carry the value."""
        if key not in self._known:
            self._known[key] = self._told(key) if key in self.columns else NO
        return self._known[key]

    def _told(self, key: str) -> Mask:
        """The least of a column is not a number if any of it is not."""
        column = self.columns[key]
        least = float(column.min(initial=np.inf))
        if not isnan(least):
            self._least[key] = least
            return YES
        return settled(~np.isnan(column))

    def least(self, key: str) -> float:
        """Of all values that are known; not a number if none is."""
        if self.known(key) is not YES and key not in self._least:
            self._least[key] = float(np.fmin.reduce(self.columns[key], initial=np.nan))
        return self._least[key]

    def greatest(self, key: str) -> float:
        """Of all values that are known; not a number if none is."""
        if key not in self._greatest:
            self._greatest[key] = float(np.fmax.reduce(self.columns[key], initial=np.nan))
        return self._greatest[key]

    def that_tell(self, keys: Iterable[str]) -> Rows | None:
        """The samples that carry at least one of the values; None: all of them."""
        told: Mask = NO
        for key in keys:
            told = either(told, self.known(key))
            if told is YES:
                return None
        if not isinstance(told, np.ndarray):
            return np.zeros(0, dtype=np.intp)
        return None if told.all() else np.flatnonzero(told)


def series_of(samples: Iterable[tuple[int, Values]]) -> Series:
    """Of samples in any order of arrival: by time, at the same time by content, doubles once."""
    arrived = [(ts_ms, repr(sorted(values.items())), values) for ts_ms, values in samples]
    arrived.sort(key=lambda sample: sample[:2])
    kept: list[tuple[int, str, Values]] = []
    for sample in arrived:
        if not kept or kept[-1][:2] != sample[:2]:
            kept.append(sample)
    keys = dict.fromkeys(key for _, _, values in kept for key in values)
    ts_ms = np.array([ts_ms for ts_ms, _, _ in kept], dtype=np.int64)
    columns = {
        key: np.array([_number(values.get(key)) for _, _, values in kept], dtype=np.float64)
        for key in keys
    }
    return Series(ts_ms, columns)


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


class Block:
    """Those samples of a subject that tell a rule anything, or some of them: what a step of the
    computation works on. It remembers what was found for it.
    """

    __slots__ = (
        "_ts_ms", "almanac", "clock", "found", "places", "rows", "series", "size", "subject",
        "whole",
    )  # fmt: skip

    def __init__(
        self,
        subject: Subject,
        series: Series,
        places: Rows | None,
        almanac: Almanac | None,
        clock: LocalTime | None,
    ) -> None:
        self.subject = subject
        self.series = series
        self.places = places
        """Where its samples are in the series; None: it is the series."""
        self.almanac = almanac
        self.clock = clock
        self._ts_ms: Times | None = None
        self.size = len(series.ts_ms if places is None else places)
        self.whole = self
        self.rows: Rows | None = None
        """Where its samples are in the whole block; None: it is the whole."""
        self.found: dict[object, Column] = {}

    @property
    def ts_ms(self) -> Times:
        if self._ts_ms is None:
            all_ms = self.series.ts_ms
            self._ts_ms = all_ms if self.places is None else all_ms[self.places]
        return self._ts_ms

    def part(self, rows: Rows) -> "Block":
        """Some of its samples, `rows` of this block."""
        places = rows if self.places is None else self.places[rows]
        block = Block(self.subject, self.series, places, self.almanac, self.clock)
        block.whole = self.whole
        block.rows = rows if self.rows is None else self.rows[rows]
        return block

    def places_in_whole(self) -> Rows:
        return np.arange(self.size) if self.rows is None else self.rows

    def column(self, key: str) -> Amounts:
        known, places = self.series.known(key), self.places
        if known is NO:
            return Amounts(np.float64(np.nan), NO)
        values = self.series.columns[key]
        if places is None:
            return Amounts(values, known)
        return Amounts(values[places], mask_taken(known, places))
