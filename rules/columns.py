"""Typed tree -> numpy: what a condition says of all samples of one subject at once.

Guarantees exactly the values of `rules.codegen` on the same samples in the same order, bit for bit:
the same operations in the same order, under Kleene's logic. The cheap terms of a conjunction are
judged first, and the others only on the samples that are still open; memories are worked out only
where they are asked for. What needs other subjects, or time without samples, is refused with the
reason (`Unfit`).
"""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np

from rules.formulas import FORMULAS, Step, constant
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
from rules.tree import MEMORIES, Node, Op, walk
from rules.units import TEXT
from rules.windows import WINDOW_STEPS

_STEPS: Mapping[Op, Callable[..., Step]] = FORMULAS | OCCASIONS | RECOLLECTIONS | WINDOW_STEPS
_OF_THE_ASSET = frozenset(
    {Op.NUMBER, Op.TRUTH, Op.TEXT, Op.ATTRIBUTE, Op.MATCHES, Op.KNOWN, Op.NOT, Op.COALESCE}
    | {Op.AND, Op.OR, Op.COMPARE, Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE, Op.NEGATE}
    | {Op.CONVERT, Op.ABS, Op.MIN, Op.MAX}
)
"""What is made of these alone is the same for all samples."""


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
        if all(part.op in _OF_THE_ASSET for part in walk(node)):
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
        steps = [self.step(term) for term in sorted(node.args, key=_cost)]
        if node.op is Op.AND:
            return all_of(steps)
        return inverted(all_of([inverted(step) for step in steps]))

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


def all_of(steps: list[Step]) -> Step:
    """The conjunction of truths, judged in this order, each where the ones before leave it open."""

    def step(block: Block) -> Column:
        rows: Rows | None = None
        live, result = block, Truths(YES)
        for term in steps:
            result = conjunction(result, cast("Truths", term(live)))
            open_rows = hopeful(result)
            if not isinstance(open_rows, np.ndarray):
                if open_rows is NO:
                    return Truths(NO)
                continue
            count = int(np.count_nonzero(open_rows))
            if count == 0:
                return Truths(NO)
            if term is not steps[-1] and 2 * count < live.size:
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


def _cost(node: Node) -> int:
    """What to judge first: the sun is looked up, memories look back."""
    if against_the_sun(node) is not None:
        return 1
    return sum(20 if part.op in MEMORIES or part.op is Op.SUN else 1 for part in walk(node))
