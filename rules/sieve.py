"""Which samples a comparison can be true for at all, before its other side is worked out.

`active_power < 20% * expected_power(level)` cannot hold where the power is not below the greatest
that the right side comes to, which follows from the least and the greatest dim level there is.
Guarantees never to sift out a sample for which the comparison is true or unknown: bounds are worked
out by the operations of `rules.formulas`, all of them monotone, and so is their rounding. Pure.
"""

from collections.abc import Callable
from itertools import product
from math import inf, isfinite, isnan
from operator import add, mul, neg, sub, truediv
from typing import Any, NamedTuple

import numpy as np

from rules.formulas import Step, conversion, is_of_the_asset, of_the_asset
from rules.kleene import NO, YES, Truths
from rules.runtime import expected_power
from rules.series import Block
from rules.tree import Node, Op


class Reach(NamedTuple):
    """Where all known values of an amount lie: nowhere, with `low` above `high`, if none is."""

    low: float
    high: float
    known: bool
    """It is known for every sample."""


ReachOf = Callable[[Block], Reach | None]
"""None: nothing can be said."""


def sieve(node: Node) -> Step | None:
    """A cheap condition that is true wherever the comparison is true or unknown. None: there is
    none, or the comparison is as cheap itself.
    """
    if node.op is not Op.COMPARE or node.detail not in _HOPELESS:
        return None
    left, right = node.args
    sign = str(node.detail)
    if right.op is Op.FIELD:
        left, right, sign = right, left, _MIRRORED[sign]
    bounds = None if is_of_the_asset(right) else _reach(right)
    if left.op is not Op.FIELD or left.unit is None or bounds is None:
        return None
    return _sifted(str(left.detail), sign, bounds)


def _sifted(key: str, sign: str, bounds: ReachOf) -> Step:
    hopeless, upper = _HOPELESS[sign]

    def step(block: Block) -> Truths:
        column, other = block.column(key), bounds(block)
        if other is None or not other.known or column.known is NO:
            return Truths(YES)
        out = hopeless(column.values, other.high if upper else other.low)
        return Truths(np.logical_not(out, out=out))

    return step


def _reach(node: Node) -> ReachOf | None:
    if is_of_the_asset(node):
        return _constant(node)
    if node.op is Op.FIELD:
        return _field(str(node.detail))
    parts = [_reach(arg) for arg in node.args]
    reaches = [part for part in parts if part is not None]
    if node.unit is None or len(reaches) < len(parts):
        return None
    if node.op in _CORNERS:
        return _at_corners(_CORNERS[node.op], *reaches)
    make = _MAKERS.get(node.op)
    return None if make is None else make(node, *reaches)


def _constant(node: Node) -> ReachOf:
    value_of = of_the_asset(node)

    def reach(block: Block) -> Reach | None:
        value = value_of(block)
        return None if value is None else Reach(float(value), float(value), known=True)

    return reach


def _field(key: str) -> ReachOf:
    def reach(block: Block) -> Reach:
        series = block.series
        if series.known(key) is NO or isnan(series.least(key)):
            return Reach(inf, -inf, known=False)
        return Reach(series.least(key), series.greatest(key), series.known(key) is YES)

    return reach


def _at_corners(compute: Callable[..., Any], *args: ReachOf) -> ReachOf:
    """What is monotone in each argument is least and greatest where these are."""

    def reach(block: Block) -> Reach | None:
        ranges: list[Reach] = []
        for arg in args:
            found = arg(block)
            if found is None:
                return None
            ranges.append(found)
        values = [compute(*corner) for corner in product(*(part[:2] for part in ranges))]
        if not all(map(isfinite, values)):
            return None
        return Reach(min(values), max(values), all(part.known for part in ranges))

    return reach


def _divided(_node: Node, dividend: ReachOf, divisor: ReachOf) -> ReachOf:
    quotient = _at_corners(truediv, dividend, divisor)

    def reach(block: Block) -> Reach | None:
        by = divisor(block)
        return None if by is None or by.low <= 0.0 <= by.high else quotient(block)

    return reach


def _coalesced(_node: Node, first: ReachOf, second: ReachOf) -> ReachOf:
    def reach(block: Block) -> Reach | None:
        one = first(block)
        if one is None or one.known:
            return one
        other = second(block)
        return None if other is None else _either(one, other)

    return reach


def _previous(_node: Node, arg: ReachOf) -> ReachOf:
    """Nothing is before the first sample."""

    def reach(block: Block) -> Reach | None:
        found = arg(block)
        return None if found is None else found._replace(known=False)

    return reach


def _expected(node: Node, level_of: ReachOf) -> ReachOf:
    """Where the power is in proportion to the level."""
    given = node.detail is not None

    def reach(block: Block) -> Reach | None:
        nominal = block.subject.attributes.get("nominal_power_w")
        if nominal is None or block.subject.attributes.get("dim_curve"):
            return None
        lit = _at_corners(lambda level: nominal * level / 100.0, level_of)(block)
        unnamed = expected_power(nominal, None, None, given)
        if lit is None or lit.known or unnamed is None:
            return lit
        return _either(lit, Reach(unnamed, unnamed, known=True))

    return reach


def _either(one: Reach, other: Reach) -> Reach:
    return Reach(min(one.low, other.low), max(one.high, other.high), one.known or other.known)


_HOPELESS = {
    "<": (np.greater_equal, True),
    "<=": (np.greater, True),
    ">": (np.less_equal, False),
    ">=": (np.less, False),
}
"""For each sign what says that it is not so, and of which end of the other side."""

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CORNERS: dict[Op, Callable[..., Any]] = {
    Op.ADD: add,
    Op.SUBTRACT: sub,
    Op.MULTIPLY: mul,
    Op.NEGATE: neg,
    Op.MIN: min,
    Op.MAX: max,
}
_MAKERS: dict[Op, Callable[..., ReachOf]] = {
    Op.DIVIDE: _divided,
    Op.COALESCE: _coalesced,
    Op.PREV: _previous,
    Op.EXPECTED: _expected,
    Op.CONVERT: lambda node, arg: _at_corners(conversion(node), arg),
}
