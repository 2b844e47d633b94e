"""The built-in functions of the rule language: what each takes and what it gives.

Owns which arguments fit; what people read of a function is in `rules.manual`, what it computes in
`rules.codegen`, what late samples do to it in `rules.lateness`, what it costs in `rules.cost`.
Works on typed trees only. Functions with a memory (prev, since, avg(...) over 2h...) see the
samples of one subject in order of event time; the first sample has no previous one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from rules.local_time import Schedule
from rules.manual import written
from rules.operators import Warn, aligned, amount_of, text, truth
from rules.tree import MEMORIES, Fault, Node, Op, Span, in_unit, uses
from rules.units import DEGREE, HOUR, MILLISECOND, ONE, TEXT, WEEKDAY, Unit, amount, quotient

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
        raise Fault(
            "E102",
            f"{call.name}() takes {wants} arguments, not {len(call.args)}",
            here,
            help=_usage(call),
        )
    node = make(call)
    if node.op in MEMORIES and any(uses(arg, *MEMORIES - _NESTABLE) for arg in node.args):
        hint = "one window, over the longer time; what it looks at is measured itself"
        raise Fault("E103", "{0}: a window cannot look into another window", node, help=hint)
    return node


def _usage(call: Call) -> str:
    """How the function is written."""
    return f"write {written(call.name, over=call.name not in _PLAIN)}"


def names() -> list[str]:
    return sorted({*_PLAIN, *_OVER})


def duration_ms(node: Node, what: str) -> Fraction:
    """A constant duration in milliseconds."""
    unit = amount_of(node, what)
    if node.op is not Op.NUMBER or unit.dimension != MILLISECOND.dimension:
        if node.op is Op.NUMBER and unit == ONE and node.number == 0:
            return Fraction(0)
        raise Fault(
            "E102",
            f"{what} must be a constant duration such as 15min",
            node,
            help="one number and one unit: 90s, 15min, 2h",
        )
    return in_unit(node, MILLISECOND).number


def _unknown(call: Call, here: Node) -> Fault:
    if call.name in _PLAIN:
        return Fault("E102", f"{call.name}() takes no `over`", here, help=_usage(call))
    if call.name in _OVER:
        return Fault("E102", f"{call.name}() needs a window", here, help=_usage(call))
    return Fault("E101", f"there is no function {call.name}", here)


def _night(call: Call) -> Node:
    margin = duration_ms(call.args[0], "the margin") if call.args else Fraction(0)
    if not 0 <= margin <= 6 * 3_600_000:
        hint = "write is_night(margin=20min)"
        raise Fault("E102", "the margin must be from 0 to 6 h", call.args[0], help=hint)
    return Node(Op.NIGHT, None, (), margin, call.span)


def _sun(call: Call) -> Node:
    return Node(Op.SUN, DEGREE, (), None, call.span)


def _hour(call: Call) -> Node:
    return Node(Op.HOUR, HOUR, (), None, call.span)


def _weekday(call: Call) -> Node:
    return Node(Op.WEEKDAY, WEEKDAY, (), None, call.span)


def _in_schedule(call: Call) -> Node:
    return Node(Op.SCHEDULE, None, (_schedule(call, "in_schedule"),), None, call.span)


def _time_to(call: Call) -> Node:
    return Node(Op.TIME_TO, MILLISECOND, (_schedule(call, "time_to"),), None, call.span)


def _schedule(call: Call, name: str) -> Node:
    schedule = text(call.args[0], name)
    if schedule.op is Op.TEXT:
        try:
            Schedule.parse(str(schedule.detail))
        except ValueError as error:
            hint = 'such as "mon,thu 06:00-10:00; sat 08:00-12:00"'
            raise Fault("E102", f"{{0}}: {error}", schedule, help=hint) from None
    return schedule


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
    _any_unit(arg)
    return arg


def _since(call: Call) -> Node:
    return Node(Op.SINCE, MILLISECOND, (truth(call.args[0], "since"),), None, call.span)


def _age(call: Call) -> Node:
    return Node(Op.AGE, MILLISECOND, (_varying(call),), None, call.span)


def _rate(call: Call) -> Node:
    return Node(Op.RATE, _per_time(_varying(call)), (call.args[0],), None, call.span)


def _per_time(arg: Node) -> Unit:
    return quotient(amount(amount_of(arg, "a change by time")), MILLISECOND)


def _window_ms(call: Call) -> Fraction:
    assert call.window is not None
    window = duration_ms(call.window, "the window")
    if not 0 < window <= WINDOW_MS_MAX:
        raise Fault(
            "E102",
            "the window {0} must be more than 0 and at most 14 d",
            call.window,
            help="such as 30min, 2h or 7d",
        )
    return window


def _over(op: Op, unit_of: Callable[[Node], Unit | None]) -> "_Make":
    """A window over one argument. `unit_of` also refuses what it cannot be about."""

    def make(call: Call) -> Node:
        window = _window_ms(call)
        arg = call.args[0] if call.args else Node(Op.TRUTH, None, (), True, call.span)
        return Node(op, unit_of(arg), (arg,), window, call.span)

    return make


def _percentile(call: Call) -> Node:
    window = _window_ms(call)
    share, arg = call.args
    if share.op is not Op.NUMBER or amount_of(share, "p").dimension != ONE.dimension:
        hint = "write p(95%, active_power) over 30min"
        raise Fault("E102", "p({0}, ...): the first argument is a constant share", share, help=hint)
    share_of_one = in_unit(share, ONE).number
    if not 0 <= share_of_one <= 1:
        raise Fault("E102", "p({0}, ...): the share is from 0% to 100%", share, help="write p(95%)")
    return Node(Op.PERCENTILE_OVER, _same(arg), (arg,), (window, share_of_one), call.span)


def _same(arg: Node) -> Unit:
    return amount_of(arg, "a window")


def _difference(arg: Node) -> Unit:
    return amount(amount_of(arg, "a window"))


def _any_unit(arg: Node) -> Unit | None:
    if arg.is_constant or arg.unit == TEXT:
        hint = "ask for something that is measured"
        raise Fault("E102", "{0} never changes", arg, help=hint)
    return arg.unit


def _number_of(arg: Node) -> Unit:
    truth(arg, "count")
    return ONE


def _changes(arg: Node) -> Unit:
    _any_unit(arg)
    return ONE


def _held(arg: Node) -> None:
    truth(arg, "held")


_Make = Callable[[Call], Node]
_NESTABLE = frozenset({Op.PREV, Op.CHANGED, Op.RATE})
_ANY = 8  # arguments of coalesce, min and max

_PLAIN: Mapping[str, tuple[int, int, _Make]] = MappingProxyType(
    {
        "abs": (1, 1, _abs),
        "age": (1, 1, _age),
        "changed": (1, 1, _remembered(Op.CHANGED)),
        "coalesce": (2, _ANY, _coalesce),
        "in_schedule": (1, 1, _in_schedule),
        "is_night": (0, 1, _night),
        "known": (1, 1, _known),
        "local_hour": (0, 0, _hour),
        "max": (2, _ANY, _extreme(Op.MAX)),
        "min": (2, _ANY, _extreme(Op.MIN)),
        "prev": (1, 1, _remembered(Op.PREV)),
        "rate": (1, 1, _rate),
        "since": (1, 1, _since),
        "sun_elev": (0, 0, _sun),
        "time_to": (1, 1, _time_to),
        "weekday": (0, 0, _weekday),
    }
)
_OVER: Mapping[str, tuple[int, int, _Make]] = MappingProxyType(
    {
        "avg": (1, 1, _over(Op.AVG_OVER, _same)),
        "changes": (1, 1, _over(Op.CHANGES_OVER, _changes)),
        "count": (0, 1, _over(Op.COUNT_OVER, _number_of)),
        "delta": (1, 1, _over(Op.DELTA_OVER, _difference)),
        "first": (1, 1, _over(Op.FIRST_OVER, _any_unit)),
        "held": (1, 1, _over(Op.HELD_OVER, _held)),
        "last": (1, 1, _over(Op.LAST_OVER, _any_unit)),
        "max": (1, 1, _over(Op.MAX_OVER, _same)),
        "min": (1, 1, _over(Op.MIN_OVER, _same)),
        "p": (2, 2, _percentile),
        "rate": (1, 1, _over(Op.RATE_OVER, _per_time)),
        "slope": (1, 1, _over(Op.SLOPE_OVER, _per_time)),
        "std": (1, 1, _over(Op.STD_OVER, _difference)),
        "trend": (1, 1, _over(Op.TREND_OVER, _per_time)),
    }
)
