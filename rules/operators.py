"""The operators of the rule language on typed trees: which operands fit, what comes of them.

Owns the dimension check: amounts of different kinds are neither compared nor added, conversions
between units of one kind are folded into constants. A bare number against a unit is taken in that
unit, with a warning (W103). Works on trees only: knows no names and no text; faults quote the
operands through their spans.
"""

from collections.abc import Callable
from fractions import Fraction
from types import MappingProxyType

from rules.tree import Fault, Node, Op, Span, in_unit, number
from rules.units import (
    CELSIUS,
    KELVIN,
    ONE,
    PERCENT,
    TEXT,
    Unit,
    amount,
    is_bounded,
    product,
    quotient,
)

Warn = Callable[[Fault], None]
_FIXED = (Op.NUMBER, Op.TEXT)
_WRITTEN = MappingProxyType(
    {
        "text": 'a text stands in quotes, as in asset.zone == "north"',
        "weekday": "days are mon, tue, wed, thu, fri, sat and sun, without quotes",
    }
)

# What the exact arithmetic on constants may come to: beyond it is a slip, and a cost.
_CONSTANT_MAX = Fraction(10) ** 15
_CONSTANT_MIN = Fraction(1, 10**15)


def truth(node: Node, what: str) -> Node:
    """The node, if it is a truth value; `what` says where one is needed."""
    if node.unit is not None:
        a_word, compared = f"a {node.unit}", '== "..."' if node.unit == TEXT else "== mon"
        is_word = node.unit.is_word
        raise Fault(
            "E102",
            f"{what} needs something true or false; {{0}} is {a_word if is_word else 'a number'}",
            node,
            help=f"compare it with something, as in `{compared if is_word else '> 5 W'}`",
        )
    return node


def amount_of(node: Node, what: str) -> Unit:
    """The unit of the node, if it is a number."""
    if node.unit is None:
        hint = "it is a condition by itself; how often it was true is count(...) over 2h"
        raise Fault("E102", f"{what} needs a number; {{0}} is true or false", node, help=hint)
    if node.unit.is_word:
        raise Fault("E102", f"{what} needs a number; {{0}} is a {node.unit}", node)
    return node.unit


def text(node: Node, what: str) -> Node:
    """The node, if it is a text."""
    if node.unit != TEXT:
        hint = "such as asset.zone or asset.pickup"
        raise Fault("E102", f"{what} needs a text; {{0}} is none", node, help=hint)
    return node


def junction(op: Op, terms: list[Node], span: Span) -> Node:
    return Node(op, None, tuple(truth(term, f"`{op.value}`") for term in terms), None, span)


def negation(term: Node, span: Span) -> Node:
    return Node(Op.NOT, None, (truth(term, "`not`"),), None, span)


def comparison(sign: str, left: Node, right: Node, span: Span, warn: Warn) -> Node:
    if left.unit is None and right.unit is None:
        if sign not in ("==", "!="):
            raise Fault(
                "E102",
                "{0} and {1} are true or false: they have no order",
                left,
                right,
                help="compare them by == or !=",
            )
        return Node(Op.COMPARE, None, (left, right), sign, span)
    if any(side.unit is not None and side.unit.is_word for side in (left, right)):
        _check_words(sign, left, right)
        return Node(Op.COMPARE, None, (left, right), sign, span)
    left, right = aligned("compare", left, right, warn)
    return Node(Op.COMPARE, None, (left, right), sign, span)


def member(item: Node, choices: list[Node], span: Span, warn: Warn) -> Node:
    """`x in [a, b]`: equal to one of them."""
    equals = [comparison("==", item, choice, span, warn) for choice in choices]
    return equals[0] if len(equals) == 1 else Node(Op.OR, None, tuple(equals), None, span)


def matching(item: Node, pattern: str, span: Span) -> Node:
    """`x matches "north-*"`: the whole text is like the pattern."""
    if text(item, "`matches`").op is Op.TEXT:
        raise Fault("E102", "{0} is the same text for ever", item)
    if not any(sign in pattern for sign in "*?["):
        here = Node(Op.TRUTH, None, (), None, span)
        hint = "write `==`, or a pattern with * (any characters) or ? (one character)"
        raise Fault("E102", "{0}: there is no * or ? in the pattern", here, help=hint)
    return Node(Op.MATCHES, None, (item,), pattern, span)


def _check_words(sign: str, left: Node, right: Node) -> None:
    """Texts and days of the week: only with their like, and without order."""
    if left.unit != right.unit:
        word, other = (left, right) if left.unit and left.unit.is_word else (right, left)
        kind = "true or false" if other.unit is None else f"a {other.unit}"
        is_word = other.unit is not None and other.unit.is_word
        kind = kind if other.unit is None or is_word else "a number"
        message = f"{{0}} is a {word.unit} and {{1}} is {kind}: they are never equal"
        raise Fault("E102", message, word, other, help=_WRITTEN[str(word.unit)])
    if sign not in ("==", "!="):
        hint = "compare with ==, != or `in [...]`"
        raise Fault("E102", f"{{0}} and {{1}} have no order ({left.unit})", left, right, help=hint)
    if left.op in _FIXED and right.op in _FIXED:
        raise Fault("E102", "{0} and {1} are the same for ever", left, right)


def aligned(verb: str, left: Node, right: Node, warn: Warn) -> tuple[Node, Node]:
    """Both in one unit, by converting the constant, else the right one."""
    amount_of(left, f"to {verb}")
    amount_of(right, f"to {verb}")
    left, right = _dressed(left, right, warn), _dressed(right, left, warn)
    assert left.unit is not None
    assert right.unit is not None
    if left.unit.dimension != right.unit.dimension or _mixes_points(left, right):
        raise Fault("E104", f"cannot {verb} {{0}} with {{1}}", left, right, help=_hint(left, right))
    if left.op is Op.NUMBER and right.op is not Op.NUMBER:
        return in_unit(left, right.unit), right
    return left, in_unit(right, left.unit)


def sum_of(op: Op, left: Node, right: Node, span: Span, warn: Warn) -> Node:
    lu = amount_of(left, f"`{op.value}`")
    ru = amount_of(right, f"`{op.value}`")
    if lu.is_point or ru.is_point:
        return _point_sum(op, left, right, span)
    verb = "add" if op is Op.ADD else "subtract"
    left, right = aligned(verb, left, right, warn)
    return _folded(op, left, right, left.unit, span)


def product_of(op: Op, left: Node, right: Node, span: Span) -> Node:
    for side in (left, right):
        if amount_of(side, f"`{op.value}`").is_point:
            raise Fault(
                "E104",
                f"{{0}} is a point on a scale: `{op.value}` has no meaning for it",
                side,
                help="take a difference first: a difference of temperatures is in K",
            )
    # A constant share (20 %) becomes a plain number, so that 20 % of watts is watts; but half of
    # 20 % is 10 %.
    factor, scaled = (left, right) if op is Op.MULTIPLY and left.unit == ONE else (right, left)
    if not (is_bare(factor) and scaled.is_constant):
        left, right = _plain(left), _plain(right)
    assert left.unit is not None
    assert right.unit is not None
    unit = (product if op is Op.MULTIPLY else quotient)(left.unit, right.unit)
    if not is_bounded(unit):
        raise Fault("E104", f"{{0}} `{op.value}` {{1}} has no meaningful unit", left, right)
    if op is Op.DIVIDE and right.op is Op.NUMBER and right.number == 0:
        raise Fault("E102", "division by zero: {0}", right, help="divide by something else")
    return _folded(op, left, right, unit, span)


def minus(node: Node, span: Span) -> Node:
    unit = amount_of(node, "`-`")
    if node.op is Op.NUMBER:
        return number(-node.number, unit, span)
    if unit.is_point:
        raise Fault("E104", "{0} is a point on a scale: it has no negative", node)
    return Node(Op.NEGATE, unit, (node,), None, span)


def is_bare(node: Node) -> bool:
    """A number written without a unit."""
    return node.op is Op.NUMBER and node.unit == ONE


def _dressed(node: Node, other: Node, warn: Warn) -> Node:
    """A bare number against a unit, read in that unit."""
    unit = other.unit
    if unit is None or not is_bare(node) or unit == ONE:
        return node
    if unit.dimension == ONE.dimension and unit != PERCENT:
        return node
    if unit == PERCENT and 0 < abs(node.number) <= 1:
        wanted = f"write {_plainly(node.number * 100)}% or {_plainly(node.number)}%"
        raise Fault("E104", "{0} against {1}: a share or per cent?", node, other, help=wanted)
    if node.number != 0 or unit.is_point:
        warn(
            Fault(
                "W103",
                f"bare number {{0}} against {{1}}: read as {unit}",
                node,
                other,
                help=f"write {_plainly(node.number)} {unit}",
            )
        )
    return number(node.number, unit, node.span)


def _mixes_points(left: Node, right: Node) -> bool:
    """A temperature (degC) against a difference (K). A constant in K is read as a temperature."""
    assert left.unit is not None
    assert right.unit is not None
    if left.unit.is_point == right.unit.is_point:
        return False
    amount_side = right if left.unit.is_point else left
    return not (amount_side.op is Op.NUMBER and amount_side.unit == KELVIN)


def _hint(left: Node, right: Node) -> str:
    if left.unit and right.unit and left.unit.dimension == right.unit.dimension:
        return "a temperature is in degC, a difference of temperatures in K"
    return ""


def _point_sum(op: Op, left: Node, right: Node, span: Span) -> Node:
    """Point - point = amount; point +- amount = point; amount + point = point."""
    assert left.unit is not None
    assert right.unit is not None
    if left.unit.dimension != right.unit.dimension:
        raise Fault("E104", "cannot add {0} and {1}", left, right)
    both = left.unit.is_point and right.unit.is_point
    if (both and op is Op.ADD) or (not left.unit.is_point and op is Op.SUBTRACT):
        raise Fault(
            "E104",
            f"{{0}} `{op.value}` {{1}} has no meaning",
            left,
            right,
            help="write a difference of temperatures in K",
        )
    unit = amount(left.unit) if both else CELSIUS
    return _folded(op, left, right, unit, span)


def _plain(node: Node) -> Node:
    if node.op is Op.NUMBER and node.unit is not None and node.unit.dimension == ONE.dimension:
        return in_unit(node, ONE)
    return node


def _folded(op: Op, left: Node, right: Node, unit: Unit | None, span: Span) -> Node:
    if left.op is not Op.NUMBER or right.op is not Op.NUMBER:
        return Node(op, unit, (left, right), None, span)
    assert unit is not None
    a, b = left.number, right.number
    value = {
        Op.ADD: lambda: a + b,
        Op.SUBTRACT: lambda: a - b,
        Op.MULTIPLY: lambda: a * b,
        Op.DIVIDE: lambda: a / b,
    }[op]()
    if value != 0 and not _CONSTANT_MIN <= abs(value) <= _CONSTANT_MAX:
        raise Fault("E102", "{0} and {1} come to a number out of all bounds", left, right)
    return number(value, unit, span)


def _plainly(value: Fraction) -> str:
    return f"{float(value):g}"
