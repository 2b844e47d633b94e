"""What is computed of the values of each sample by itself, on columns.

Guarantees the operations of `rules.codegen` and `rules.runtime` in their order, so that not a bit
differs. A formula is made for a node and the steps of its arguments. Pure.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import numpy as np

from rules.codegen import compiled
from rules.fields import CLAIM
from rules.kleene import NO, YES, Amounts, Column, Mask, Truths, both, chosen, inverse, truths
from rules.runtime import expected_power
from rules.scene import Scene
from rules.series import Block
from rules.tree import Node, Op, walk

Step = Callable[[Block], Column]

_NOWHERE = Scene(lambda _: iter(()))
_OF_THE_ASSET = frozenset(
    {Op.NUMBER, Op.TRUTH, Op.TEXT, Op.ATTRIBUTE, Op.MATCHES, Op.KNOWN, Op.NOT, Op.COALESCE}
    | {Op.AND, Op.OR, Op.COMPARE, Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE, Op.NEGATE}
    | {Op.CONVERT, Op.ABS, Op.MIN, Op.MAX}
)


def is_of_the_asset(node: Node) -> bool:
    """Whether it is the same for all samples."""
    return all(part.op in _OF_THE_ASSET for part in walk(node))


def of_the_asset(node: Node) -> Callable[[Block], Any]:
    """The scalar code of what is the same for all samples; None is unknown."""
    judge, _ = compiled(node)
    return lambda block: judge({}, block.subject.attributes, _NOWHERE, [])


def constant(node: Node) -> Step:
    value_of = of_the_asset(node)

    def step(block: Block) -> Column:
        value = value_of(block)
        known = NO if value is None else YES
        if node.unit is None:
            return Truths(np.bool_(value is True), known)
        return Amounts(np.float64(np.nan if value is None else value), known)

    return step


def _field(node: Node) -> Step:
    key = str(node.detail)
    if node.unit is not None:
        return lambda block: block.column(key)

    def flag(block: Block) -> Column:
        column = block.column(key)
        return truths(column.values == 1.0, column.known)

    return flag


def _claims(node: Node) -> Step:
    key = CLAIM + str(node.detail)
    return lambda block: Truths(block.column(key).known)


def _compare(node: Node, left: Step, right: Step) -> Step:
    compare = _SIGNS[str(node.detail)]

    def step(block: Block) -> Column:
        one, other = left(block), right(block)
        return truths(compare(one[0], other[0]), both(one.known, other.known))

    return step


def _not(_node: Node, term: Step) -> Step:
    return lambda block: inverse(cast("Truths", term(block)))


def _known(_node: Node, term: Step) -> Step:
    return lambda block: Truths(term(block).known)


def _of_two(compute: Callable[[Any, Any], Any]) -> Callable[..., Step]:
    def make(_node: Node, left: Step, right: Step) -> Step:
        def step(block: Block) -> Column:
            one, other = left(block), right(block)
            return Amounts(compute(one[0], other[0]), both(one.known, other.known))

        return step

    return make


def _divide(_node: Node, left: Step, right: Step) -> Step:
    def step(block: Block) -> Column:
        one, other = left(block), right(block)
        known: Mask = both(both(one.known, other.known), np.not_equal(other[0], 0.0))
        return Amounts(one[0] / other[0], known)

    return step


def _of_one(compute: Callable[[Any], Any]) -> Callable[..., Step]:
    def make(_node: Node, term: Step) -> Step:
        def step(block: Block) -> Column:
            column = term(block)
            return Amounts(compute(column[0]), column.known)

        return step

    return make


def conversion(node: Node) -> Callable[[Any], Any]:
    """A division by 100 is exact where a product with 0.01 is not."""
    assert isinstance(node.detail, tuple)
    factor, shift = node.detail
    assert isinstance(factor, Fraction)
    assert isinstance(shift, Fraction)
    divisor = float(1 / factor) if factor < 1 else None

    def convert(values: Any) -> Any:
        scaled = values * float(factor) if divisor is None else values / divisor
        return scaled if shift == 0 else scaled + float(shift)

    return convert


def _convert(node: Node, term: Step) -> Step:
    return _of_one(conversion(node))(node, term)


def _expected(node: Node, level_of: Step) -> Step:
    """What `runtime.expected_power` gives."""
    given = node.detail is not None

    def step(block: Block) -> Column:
        nominal = block.subject.attributes.get("nominal_power_w")
        curve = block.subject.attributes.get("dim_curve")
        level = cast("Amounts", level_of(block))
        if curve:
            lit = _interpolated(curve, level.values)
        elif nominal is None:
            return Amounts(np.float64(np.nan), NO)
        else:
            lit = nominal * level.values / 100.0
        unnamed = expected_power(nominal, curve, None, given)
        if unnamed is None:
            return Amounts(lit, level.known)
        return chosen(level.known, Amounts(lit), Amounts(np.float64(unnamed)))

    return step


def _interpolated(curve: Any, level: Any) -> Any:
    points = np.array(curve, dtype=np.float64)
    levels, watts = points[:, 0], points[:, 1]
    right = np.minimum(np.maximum(np.searchsorted(levels, level), 1), len(levels) - 1)
    left = np.maximum(right - 1, 0)
    low, high = watts[left], watts[right]
    between = low + (high - low) * (level - levels[left]) / (levels[right] - levels[left])
    ends = np.where(level <= levels[0], watts[0], watts[-1])
    return np.where((level > levels[0]) & (level <= levels[-1]), between, ends)[()]


_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}

FORMULAS: dict[Op, Callable[..., Step]] = {
    Op.FIELD: _field,
    Op.CLAIMS: _claims,
    Op.COMPARE: _compare,
    Op.NOT: _not,
    Op.KNOWN: _known,
    Op.ADD: _of_two(np.add),
    Op.SUBTRACT: _of_two(np.subtract),
    Op.MULTIPLY: _of_two(np.multiply),
    Op.DIVIDE: _divide,
    Op.MIN: _of_two(lambda one, other: np.where(one <= other, one, other)[()]),
    Op.MAX: _of_two(lambda one, other: np.where(one >= other, one, other)[()]),
    Op.NEGATE: _of_one(np.negative),
    Op.ABS: _of_one(np.abs),
    Op.CONVERT: _convert,
    Op.EXPECTED: _expected,
}
