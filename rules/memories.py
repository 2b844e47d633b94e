"""Memories on columns: what came before each sample, found by looking back instead of remembering.

Guarantees what `rules.codegen` folds from sample to sample. The argument of a memory is judged on
the whole block, its outcome only for the samples that are asked for. Windows: `rules.windows`.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from rules.formulas import Step
from rules.kleene import YES, Amounts, Column, Rows, Truths, both, rows_of, settled, spread, truths
from rules.series import Block
from rules.tree import Node, Op


def _before(block: Block, column: Column) -> tuple[Column, Rows]:
    """For each sample the last known value of those before it, and where in the whole it stands."""
    values, known = spread(column[0], block.whole.size), column.known
    sources = block.places_in_whole() - 1
    found = _one_before(block, values)
    if known is not YES:
        known = spread(known, block.whole.size)
        members = np.append(-1, np.flatnonzero(known))
        skipped = np.flatnonzero(~_one_before(block, known))
        sources[skipped] = members[np.searchsorted(members, sources[skipped], side="right") - 1]
        found[skipped] = values[sources[skipped]]
    there = settled(sources >= 0)
    if isinstance(column, Truths):
        return Truths(both(found, there), there), sources
    return Amounts(found, there), sources


def _one_before(block: Block, values: Any) -> Any:
    """For each sample what the whole has before it; anything for the first."""
    if block.rows is not None:
        return values[block.rows - 1]
    return np.concatenate((values[-1:], values[:-1]))


def _prev(_node: Node, arg: Step) -> Step:
    return lambda block: _before(block, arg(block.whole))[0]


def turned(block: Block, arg: Step) -> Truths:
    """Where the value is another one than the last known before it."""
    now, (before, _) = arg(block), _before(block, arg(block.whole))
    return truths(np.not_equal(now[0], before[0]), both(now.known, before.known))


def _changed(_node: Node, arg: Step) -> Step:
    return lambda block: turned(block, arg)


def _rate(_node: Node, arg: Step) -> Step:
    def step(block: Block) -> Column:
        now = cast("Amounts", arg(block))
        before, sources = _before(block, arg(block.whole))
        passed_ms = block.ts_ms - block.whole.ts_ms[sources]
        known = both(both(now.known, before.known), settled(passed_ms > 0))
        return Amounts((now.values - cast("Amounts", before).values) / passed_ms, known)

    return step


def _since(_node: Node, arg: Step) -> Step:
    """Endless where it never was."""

    def step(block: Block) -> Column:
        passed = _passed(block, rows_of(cast("Truths", arg(block.whole)).true, block.whole.size))
        return Amounts(passed.values) if passed.known is YES else _endless(passed)

    return step


def _age(_node: Node, arg: Step) -> Step:
    return lambda block: _passed(block, rows_of(arg(block.whole).known, block.whole.size))


def _endless(passed: Amounts) -> Amounts:
    return Amounts(np.where(passed.known, passed.values, np.inf))


def _passed(block: Block, events: Rows) -> Amounts:
    """For each sample the time since the last of the events, which are rows of the whole."""
    if not len(events):
        return Amounts(np.full(block.size, np.nan), np.zeros(block.size, dtype=np.bool_))
    places = np.searchsorted(events, block.places_in_whole(), side="right") - 1
    passed_ms = (block.ts_ms - block.whole.ts_ms[events[places]]).astype(np.float64)
    return Amounts(passed_ms, settled(places >= 0))


RECOLLECTIONS: dict[Op, Callable[..., Step]] = {
    Op.PREV: _prev,
    Op.CHANGED: _changed,
    Op.SINCE: _since,
    Op.AGE: _age,
    Op.RATE: _rate,
}
