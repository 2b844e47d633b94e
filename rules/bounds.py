"""What values an expression can have, from the ranges of the fields in it: interval arithmetic.

Used when a rule is loaded, to refuse a comparison that can never be true (fill > 120 %) or never be
false. It may only overestimate: an interval always contains every possible value, so that a
comparison is called impossible only when it is. Pure; never used at run time.
"""

from collections.abc import Mapping
from fractions import Fraction

from rules.fields import Field
from rules.tree import Node, Op

Interval = tuple[Fraction | None, Fraction | None]
"""[low, high]; None is without end."""

ALL: Interval = (None, None)
_FROM_ZERO: Interval = (Fraction(0), None)
_FIXED: Mapping[Op, Interval] = {
    Op.SUN: (Fraction(-90), Fraction(90)),
    Op.SILENT: _FROM_ZERO,
    Op.SINCE: _FROM_ZERO,
    Op.COUNT_OVER: _FROM_ZERO,
    Op.PEERS_ALL: _FROM_ZERO,
    Op.PEERS_COUNT: _FROM_ZERO,
    Op.PEERS_FRACTION: (Fraction(0), Fraction(1)),
    Op.EXPECTED: _FROM_ZERO,
    Op.AGE: _FROM_ZERO,
    Op.STD_OVER: _FROM_ZERO,
    Op.CHANGES_OVER: _FROM_ZERO,
    Op.HOUR: (Fraction(0), Fraction(24)),
    Op.WEEKDAY: (Fraction(0), Fraction(6)),
    Op.TIME_TO: (Fraction(0), Fraction(7 * 86_400_000)),
    # About members, whose fields have other ranges under the same keys.
    Op.PEERS_AVG: ALL,
    Op.PEERS_MIN: ALL,
    Op.PEERS_MAX: ALL,
}
_SAME_AS_ARGUMENT = frozenset(
    {
        Op.PREV, Op.AVG_OVER, Op.MIN_OVER, Op.MAX_OVER, Op.PERCENTILE_OVER, Op.FIRST_OVER,
        Op.LAST_OVER,
    }
)  # fmt: skip


def interval(node: Node, ranges: Mapping[str, Field]) -> Interval:
    """The values of a number, in its unit. `ranges`: wire key (attributes: "asset." + key) ->
    its field.
    """
    if node.op is Op.NUMBER:
        return (node.number, node.number)
    if node.op in (Op.FIELD, Op.ATTRIBUTE):
        return _range(node, ranges)
    if node.op in _FIXED:
        return _FIXED[node.op]
    parts = [interval(arg, ranges) for arg in node.args if arg.unit is not None]
    if not parts:
        return ALL
    if node.op in _SAME_AS_ARGUMENT:
        return parts[0]
    return _combined(node, parts)


def verdict(sign: str, left: Interval, right: Interval) -> bool | None:
    """Whether `left sign right` is always true, never true, or depends (None)."""
    if sign in (">", ">="):
        return verdict("<" if sign == ">" else "<=", right, left)
    below = _less(left[1], right[0], or_equal=sign == "<=")
    above = _less(right[1], left[0], or_equal=sign == "<")
    if sign in ("<", "<="):
        return True if below else False if above else None
    apart = _less(left[1], right[0]) or _less(right[1], left[0])
    return (sign == "!=") if apart else None


def _range(node: Node, ranges: Mapping[str, Field]) -> Interval:
    prefix = "asset." if node.op is Op.ATTRIBUTE else ""
    found = ranges.get(f"{prefix}{node.detail}")
    return ALL if found is None else (Fraction(found.low), Fraction(found.high))


def _combined(  # noqa: PLR0911 - one for each operator
    node: Node, parts: list[Interval]
) -> Interval:
    match node.op:
        case Op.ADD:
            return (_plus(parts[0][0], parts[1][0]), _plus(parts[0][1], parts[1][1]))
        case Op.SUBTRACT:
            low, high = _negated(parts[1])
            return (_plus(parts[0][0], low), _plus(parts[0][1], high))
        case Op.NEGATE:
            return _negated(parts[0])
        case Op.CONVERT:
            assert isinstance(node.detail, tuple)
            factor, shift = node.detail
            assert isinstance(factor, Fraction)
            assert isinstance(shift, Fraction)
            low, high = _product(parts[0], (factor, factor))
            return (_plus(low, shift), _plus(high, shift))
        case Op.MULTIPLY:
            return _product(*parts)
        case Op.COALESCE:
            return _hull(parts)
        case Op.ABS:
            return _FROM_ZERO
        case Op.MIN | Op.MAX:
            return _hull(parts)
        case _:
            return ALL


def _negated(part: Interval) -> Interval:
    low, high = part
    return (None if high is None else -high, None if low is None else -low)


def _plus(a: Fraction | None, b: Fraction | None) -> Fraction | None:
    return None if a is None or b is None else a + b


def _product(a: Interval, b: Interval) -> Interval:
    if a[0] is None or a[1] is None or b[0] is None or b[1] is None:
        both_positive = a[0] is not None and a[0] >= 0 and b[0] is not None and b[0] >= 0
        return _FROM_ZERO if both_positive else ALL
    corners = [x * y for x in (a[0], a[1]) for y in (b[0], b[1])]
    return (min(corners), max(corners))


def _hull(parts: list[Interval]) -> Interval:
    lows = [low for low, _ in parts if low is not None]
    highs = [high for _, high in parts if high is not None]
    return (
        min(lows) if len(lows) == len(parts) else None,
        max(highs) if len(highs) == len(parts) else None,
    )


def _less(a: Fraction | None, b: Fraction | None, *, or_equal: bool = False) -> bool:
    return a is not None and b is not None and (a <= b if or_equal else a < b)
