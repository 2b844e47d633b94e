"""The built-in functions of the rule language: what each takes and what it gives.

Owns their signatures; what they compute is in `rules.codegen`. Works on typed trees only. Functions
with a memory (prev, changed, since, rate, ... over 2h) see the samples of one subject in order of
event time; the first sample has no previous one. `since` of something that never was is endless, so
that `since(changed(dim_level)) < 2min` is false until the level changes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from rules.operators import Warn, aligned, amount_of, truth
from rules.tree import MEMORIES, Fault, Node, Op, Span, in_unit, uses
from rules.units import DEGREE, MILLISECOND, ONE, amount, quotient

WINDOW_MS_MAX = 14 * 86_400_000
"""The longest memory of `over`: what a rule may carry for each of a city's lamps."""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    args: Sequence[Node]
    window: Node | None
    """After `over`."""
    span: Span
    warn: Warn


def build(call: Call) -> Node:
    """The node of a call, or a Fault."""
    here = Node(Op.TRUTH, None, (), call.name, call.span)
    entry = _OVER.get(call.name) if call.window else _PLAIN.get(call.name)
    if entry is None:
        raise _unknown(call, here)
    low, high, make = entry
    if not low <= len(call.args) <= high:
        wants = str(low) if low == high else f"{low} to {high}"
        raise Fault("E102", f"{call.name}() takes {wants} arguments, not {len(call.args)}", here)
    node = make(call)
    if node.op in MEMORIES and any(uses(arg, *MEMORIES - _NESTABLE) for arg in node.args):
        raise Fault("E103", "{0}: a window cannot look into another window", node)
    return node


def names() -> list[str]:
    return sorted({*_PLAIN, *_OVER})


def duration_ms(node: Node, what: str) -> Fraction:
    """A constant duration in milliseconds."""
    unit = amount_of(node, what)
    if node.op is not Op.NUMBER or unit.dimension != MILLISECOND.dimension:
        if node.op is Op.NUMBER and unit == ONE and node.number == 0:
            return Fraction(0)
        raise Fault("E102", f"{what} must be a constant duration such as 15min", node)
    return in_unit(node, MILLISECOND).number


def _unknown(call: Call, here: Node) -> Fault:
    if call.name in _PLAIN:
        return Fault("E102", f"{call.name}() takes no `over`", here)
    if call.name in _OVER:
        return Fault(
            "E102", f"{call.name}() needs a window", here, help=f"write {call.name}(...) over 30min"
        )
    return Fault("E101", f"there is no function {call.name}", here)


def _night(call: Call) -> Node:
    margin = duration_ms(call.args[0], "the margin") if call.args else Fraction(0)
    if not 0 <= margin <= 6 * 3_600_000:
        raise Fault("E102", "the margin must be from 0 to 6 h", call.args[0])
    return Node(Op.NIGHT, None, (), margin, call.span)


def _sun(call: Call) -> Node:
    return Node(Op.SUN, DEGREE, (), None, call.span)


def _known(call: Call) -> Node:
    return Node(Op.KNOWN, None, (call.args[0],), None, call.span)


def _coalesce(call: Call) -> Node:
    first, *others = call.args
    result = first
    for other in others:
        if first.unit is None:
            right = truth(other, "coalesce")
        else:
            result, right = aligned("coalesce", result, other, call.warn)
        result = Node(Op.COALESCE, result.unit, (result, right), None, call.span)
    return result


def _abs(call: Call) -> Node:
    unit = amount_of(call.args[0], "abs")
    if unit.is_point:
        raise Fault("E104", "{0} is a point on a scale: abs has no meaning for it", call.args[0])
    return Node(Op.ABS, unit, (call.args[0],), None, call.span)


def _extreme(op: Op) -> "_Make":
    def make(call: Call) -> Node:
        result = call.args[0]
        for other in call.args[1:]:
            left, right = aligned(op.value, result, other, call.warn)
            result = Node(op, left.unit, (left, right), None, call.span)
        return result

    return make


def _remembered(op: Op) -> "_Make":
    def make(call: Call) -> Node:
        arg = _varying(call)
        return Node(op, None if op is Op.CHANGED else arg.unit, (arg,), None, call.span)

    return make


def _varying(call: Call) -> Node:
    (arg,) = call.args
    if arg.is_constant:
        raise Fault("E102", f"{call.name}({{0}}): a constant never changes", arg)
    return arg


def _since(call: Call) -> Node:
    return Node(Op.SINCE, MILLISECOND, (truth(call.args[0], "since"),), None, call.span)


def _rate(call: Call) -> Node:
    unit = quotient(amount(amount_of(_varying(call), "rate")), MILLISECOND)
    return Node(Op.RATE, unit, (call.args[0],), None, call.span)


def _over(op: Op) -> "_Make":
    def make(call: Call) -> Node:
        (arg,) = call.args
        assert call.window is not None
        window = duration_ms(call.window, "the window")
        if not 0 < window <= WINDOW_MS_MAX:
            raise Fault("E102", "the window {0} must be more than 0 and at most 14 d", call.window)
        if op is Op.COUNT_OVER:
            return Node(op, ONE, (truth(arg, "count"),), window, call.span)
        amount_of(arg, op.value)
        return Node(op, arg.unit, (arg,), window, call.span)

    return make


_Make = Callable[[Call], Node]
_NESTABLE = frozenset({Op.PREV, Op.CHANGED, Op.RATE})
_ANY = 8  # arguments of coalesce, min and max

_PLAIN: Mapping[str, tuple[int, int, _Make]] = MappingProxyType(
    {
        "is_night": (0, 1, _night),
        "sun_elev": (0, 0, _sun),
        "known": (1, 1, _known),
        "coalesce": (2, _ANY, _coalesce),
        "abs": (1, 1, _abs),
        "min": (2, _ANY, _extreme(Op.MIN)),
        "max": (2, _ANY, _extreme(Op.MAX)),
        "prev": (1, 1, _remembered(Op.PREV)),
        "changed": (1, 1, _remembered(Op.CHANGED)),
        "since": (1, 1, _since),
        "rate": (1, 1, _rate),
    }
)
_OVER: Mapping[str, tuple[int, int, _Make]] = MappingProxyType(
    {
        "count": (1, 1, _over(Op.COUNT_OVER)),
        "avg": (1, 1, _over(Op.AVG_OVER)),
        "min": (1, 1, _over(Op.MIN_OVER)),
        "max": (1, 1, _over(Op.MAX_OVER)),
    }
)
