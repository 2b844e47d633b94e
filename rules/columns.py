"""Typed tree -> numpy: what a condition says of all samples of one subject at once.

Guarantees exactly the values of `rules.codegen` on the same samples in the same order, bit for bit:
the same operations in the same order, under Kleene's logic. The cheap terms of a conjunction are
judged first, and the others only on the samples that are still open; memories are worked out only
where they are asked for. What needs other subjects, or time without samples, is refused with the
reason (`Unfit`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

import numpy as np

from rules.formulas import FORMULAS, Step, constant, is_of_the_asset
from rules.kleene import (
    NO,
    YES,
    Column,
    Rows,
    Truths,
    chosen,
    conjunction,
    either,
    hopeful,
    inverse,
    taken,
)
from rules.memories import RECOLLECTIONS
from rules.occasions import OCCASIONS, against_the_sun, sun_compared
from rules.series import Block
from rules.sieve import sieve
from rules.tree import MEMORIES, Node, Op, walk
from rules.units import TEXT
from rules.windows import WINDOW_STEPS

_STEPS: Mapping[Op, Callable[..., Step]] = FORMULAS | OCCASIONS | RECOLLECTIONS | WINDOW_STEPS
_DEAR = 20  # what looks back, or works out where the sun stands
_PICKED_OUT = 8  # what one sample costs that is picked out of all


class Unfit(Exception):  # noqa: N818 - a property of the rule, not a failure
    """Why a condition cannot be judged on columns."""


class Columns:
    """The conditions of one rule as functions on blocks. What they share is computed once."""

    def __init__(self) -> None:
        self._steps: dict[Node, Step] = {}

    def step(self, node: Node) -> Step:
        """The function of a tree. Raises Unfit."""
        if node not in self._steps:
            self._steps[node] = _remembering(self._made(node))
        return self._steps[node]

    def _made(self, node: Node) -> Step:
        limit = against_the_sun(node)
        if limit is not None:
            return sun_compared(*limit)
        if is_of_the_asset(node):
            return constant(node)
        if node.op in (Op.AND, Op.OR):
            return self._junction(node)
        if node.op is Op.COALESCE:
            return self._coalesce(node)
        if node.op not in _STEPS:
            raise Unfit(f"{node.op.value} needs more than the samples of one subject")
        steps = [self.step(arg) for arg in node.args if arg.unit != TEXT]
        return _STEPS[node.op](node, *steps)

    def _junction(self, node: Node) -> Step:
        """`a or b` is `not (not a and not b)`."""
        terms = [Term(self.step(term), cost(term)) for term in node.args]
        if node.op is Op.OR:
            return inverted(all_of([Term(inverted(term.step), term.cost) for term in terms]))
        sieves = [Term(sifted, 0) for sifted in map(sieve, node.args) if sifted is not None]
        return all_of(terms + sieves)

    def _coalesce(self, node: Node) -> Step:
        first, second = (self.step(arg) for arg in node.args)

        def step(block: Block) -> Column:
            preferred = first(block)
            if preferred.known is YES:
                return preferred
            other = second(block)
            known = either(preferred.known, other.known)
            return chosen(preferred.known, preferred, other)._replace(known=known)

        return step


def inverted(step: Step) -> Step:
    """Not so."""
    return lambda block: inverse(cast("Truths", step(block)))


class Term(NamedTuple):
    """One of a conjunction, and what it costs a sample beside one comparison."""

    step: Step
    cost: int


def all_of(terms: Iterable[Term]) -> Step:
    """The conjunction of truths, the cheap ones first, each where the ones before leave it open.
    To pick samples out costs more than a cheap term saves, unless there are few of them.
    """
    ordered = sorted(terms, key=lambda term: term.cost)
    worth = [_PICKED_OUT if term.cost < _DEAR else 2 for term in ordered[1:]] + [0]

    def step(block: Block) -> Column:
        rows: Rows | None = None
        live, result = block, Truths(YES)
        for term, share in zip(ordered, worth, strict=True):
            result = conjunction(result, cast("Truths", term.step(live)))
            open_rows = hopeful(result)
            if not isinstance(open_rows, np.ndarray):
                if open_rows is NO:
                    return Truths(NO)
                continue
            count = int(np.count_nonzero(open_rows))
            if count == 0:
                return Truths(NO)
            if 0 < share * count < live.size:
                kept = np.flatnonzero(open_rows)
                rows = kept if rows is None else rows[kept]
                live = block.part(rows)
                result = cast("Truths", taken(result, kept))
        return result if rows is None else _put_back(result, rows, block.size)

    return step


def _put_back(result: Truths, rows: Rows, size: int) -> Truths:
    """All other rows are false."""
    true = np.zeros(size, dtype=np.bool_)
    true[rows] = result.true
    if result.known is YES:
        return Truths(true)
    known = np.ones(size, dtype=np.bool_)
    known[rows] = result.known
    return Truths(true, known)


def _remembering(compute: Step) -> Step:
    key = object()

    def step(block: Block) -> Column:
        column = block.found.get(key)
        if column is None:
            column = block.found[key] = compute(block)
        return column

    return step


def cost(node: Node) -> int:
    """What to judge first: the sun is looked up, memories look back."""
    if against_the_sun(node) is not None:
        return 1
    return sum(_DEAR if part.op in MEMORIES or part.op is Op.SUN else 1 for part in walk(node))
