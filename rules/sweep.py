"""A rule over the whole history of a subject: the same story as the engine tells, at once.

Guarantees the changes that `rules.engine` would report in the end for the same samples, whatever
the order of their arrival within the lateness. Conditions are judged on columns; the states are
moved by `rules.instance`, but only at those samples that can change something: all quiet, that is
the next sample for which `when` is true; while firing, the next for which it may clear. Pure.

    sweep = Sweep(rule)                       # raises Unfit where only the engine will do
    changes = sweep.story(subject, series_of(samples), until_ms)
"""

from functools import cached_property
from typing import cast

import numpy as np

from rules.almanac import Almanacs, Times
from rules.columns import Columns, Term, Unfit, all_of, cost, inverted
from rules.instance import QUIET, Change, Instance, Phase, advance, cover_ms, go_blind, observe
from rules.kleene import Mask, Rows, Truths, both, inverse, rows_of, spread
from rules.local_time import LocalTimes
from rules.rule import Condition, Rule, Truth
from rules.series import Block, Series
from rules.sky import Skies
from rules.track import Subject
from rules.tree import Node

_NO_CHANGES: tuple[Change, ...] = ()


class Sweep:
    """One rule, ready for columns. It remembers the sun, so use it for all subjects."""

    def __init__(self, rule: Rule, almanacs: Almanacs | None = None) -> None:
        """Raises Unfit for rules about circuits, places, silence or the phases of other rules."""
        if rule.scope != "asset" or rule.on_tick:
            raise Unfit(f"{rule.id} is about more than the samples of one asset")
        self.rule = rule
        self._skies = Skies()
        self._clocks = LocalTimes()
        self._almanacs = almanacs or Almanacs()
        columns = Columns()
        conditions = [condition for condition in (rule.when, rule.unless, rule.clear) if condition]
        self._reads = frozenset().union(*(condition.fields for condition in conditions))
        self._when = columns.step(_tree(rule.when))
        if rule.unless is not None:
            excuse = _tree(rule.unless)
            excused = Term(inverted(columns.step(excuse)), cost(excuse))
            self._when = all_of([Term(self._when, 0), excused])
        self._clear = None if rule.clear is None else columns.step(_tree(rule.clear))

    def story(self, subject: Subject, series: Series, until_ms: int) -> tuple[Change, ...]:
        """All changes up to `until_ms`, at or after the last sample."""
        if not len(series.ts_ms):
            return _NO_CHANGES
        sky = self._skies.over(subject.lat, subject.lon)
        places = series.that_tell(self._reads)
        clock = self._clocks.of(subject.time_zone)
        block = Block(subject, series, places, self._almanacs.over(sky), clock)
        with np.errstate(all="ignore"):
            return _Story(self, block, until_ms).told()

    def judgement(self, block: Block) -> Truths:
        """`when and not unless`."""
        return cast("Truths", self._when(block))

    def clearance(self, block: Block) -> Truths | None:
        """None: it is clear when the judgement is false."""
        return None if self._clear is None else cast("Truths", self._clear(block))


def _tree(condition: Condition) -> Node:
    if condition.tree is None:
        raise Unfit("a condition that was not made of a text")
    return condition.tree


class _Story:
    """One subject's way through the states. Rows are those of the block, places those of the
    series: there may be samples that tell the rule nothing, but are no silence.
    """

    def __init__(self, sweep: Sweep, block: Block, until_ms: int) -> None:
        self._sweep = sweep
        self._rule = sweep.rule
        self._block = block
        self._until_ms = until_ms
        self._when = sweep.judgement(block)
        self._trues = rows_of(self._when.true, block.size)
        self._silences = _silences(self._rule, block.series.ts_ms, until_ms)
        self._end_place = len(block.series.ts_ms)
        self._silence = _first_from(self._silences, 0, self._end_place)
        """The next one."""
        self._state: Instance = QUIET
        self._row = 0
        """The next sample to be judged."""
        self._place = 0
        """The next sample after which a silence counts."""
        self._changes: list[Change] = []

    def told(self) -> tuple[Change, ...]:
        """Sample by sample where it matters, with the silences between them."""
        while True:
            row, silence = self._next_row(), self._next_silence()
            if silence < self._place_of(row):
                self._fall_silent(silence)
            elif row < self._block.size:
                self._observe(row)
            else:
                self._move(*advance(self._rule, self._state, self._until_ms))
                return tuple(self._changes)

    def _next_row(self) -> int:
        """The next sample that can change something."""
        state, row = self._state, self._row
        if state.blind or state.phase is Phase.CLEARING:
            return row
        if state.phase is Phase.PENDING:
            return self._coasted(row) if state.running else row
        rows = self._trues if state.phase is Phase.OK else self._ends
        return _first_from(rows, row, self._block.size)

    def _next_silence(self) -> int:
        if self._state.blind:
            return self._end_place
        if self._silence < self._place:
            self._silence = _first_from(self._silences, self._place, self._end_place)
        return self._silence

    def _place_of(self, row: int) -> int:
        places = self._block.places
        if row >= self._block.size:
            return self._end_place
        return row if places is None else int(places[row])

    def _observe(self, row: int) -> None:
        when = _truth(self._when, row)
        clear = None
        if self._rule.clear is not None and self._state.phase is not Phase.OK:
            clear = _truth(self._clear, row)
        ts_ms = int(self._block.ts_ms[row])
        self._move(*observe(self._rule, self._state, when, clear, ts_ms))
        self._row, self._place = row + 1, self._place_of(row)

    def _fall_silent(self, place: int) -> None:
        """What is not seen for too long is blind, as in `judging.elapse`."""
        assert self._rule.blind_after_ms is not None
        at_ms = int(self._block.series.ts_ms[place]) + self._rule.blind_after_ms
        self._move(*advance(self._rule, self._state, at_ms))
        self._move(*go_blind(self._state, at_ms))
        self._place = place + 1
        places = self._block.places
        after = place + 1 if places is None else int(np.searchsorted(places, place, side="right"))
        self._row = max(self._row, after)

    def _move(self, state: Instance, changes: tuple[Change, ...]) -> None:
        self._state = state
        self._changes.extend(changes)

    def _coasted(self, row: int) -> int:
        """While `when` stays true without a break, a pending rule only counts: up to the sample
        before the one at which it is due.
        """
        state, rule, ts_ms = self._state, self._rule, self._block.ts_ms
        due_ms = state.mark_ms + max(0, rule.for_ms - state.held_ms)
        due = int(ts_ms.searchsorted(due_ms))
        enough = row + rule.samples_min - state.samples - 1
        stop = min(_first_from(self._breaks, row, self._block.size), max(due, enough))
        if stop > row:
            mark_ms = int(ts_ms[stop - 1])
            self._state = state._replace(
                held_ms=state.held_ms + mark_ms - state.mark_ms,
                mark_ms=mark_ms,
                samples=state.samples + stop - row,
            )
            self._row, self._place = stop, self._place_of(stop - 1)
        return self._row

    @cached_property
    def _clear(self) -> Truths:
        clear = self._sweep.clearance(self._block)
        return inverse(self._when) if clear is None else clear

    @cached_property
    def _ends(self) -> Rows:
        """Where what fires begins to clear."""
        return rows_of(both(self._clear.true, ~self._when.true), self._block.size)

    @cached_property
    def _breaks(self) -> Rows:
        """Where what is pending does not just go on."""
        ends = spread(~self._when.true, self._block.size)
        ends[_gaps(self._block.ts_ms, cover_ms(self._rule)) + 1] = True
        return np.flatnonzero(ends)


def _silences(rule: Rule, ts_ms: Times, until_ms: int) -> Rows:
    """After which samples of the series nothing came for too long."""
    if rule.blind_after_ms is None:
        return np.zeros(0, dtype=np.intp)
    silences = _gaps(ts_ms, rule.blind_after_ms)
    if until_ms - ts_ms[-1] < rule.blind_after_ms:
        return silences
    return np.append(silences, len(ts_ms) - 1)


def _gaps(ts_ms: Times, length_ms: int) -> Rows:
    """After which samples the next is so far. It is not, if four samples on is not: seen at once in
    what reports several times as often.
    """
    marks = ts_ms[::4]
    far = marks[1:] - marks[:-1] >= length_ms
    if not far.any() and ts_ms[-1] - marks[-1] < length_ms:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(ts_ms[1:] - ts_ms[:-1] >= length_ms)


def _first_from(rows: Rows, row: int, end: int) -> int:
    """The first of `rows` that is not before `row`."""
    i = rows.searchsorted(row)
    return int(rows[i]) if i < len(rows) else end


def _truth(column: Truths, row: int) -> Truth:
    return _at(column.true, row) if _at(column.known, row) else None


def _at(mask: Mask, row: int) -> bool:
    return mask.item(row) if isinstance(mask, np.ndarray) else bool(mask)
