"""The typed tree of an expression: what the text says once names, types and units are settled.

Owns the shape of a node and nothing else. Two trees are equal when they mean the same, wherever
they stand in a text. A tree is made by `rules.expression`, read by `rules.bounds` (what values can
it have), by `rules.codegen` (a function that computes it) and by `canonical` (a text that is the
same for the same meaning). Numbers in it are exact; every amount is in its node's unit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from rules.units import Unit, factor_and_shift

SIZE_MAX = 800  # nodes after `let` names are put in: keeps one judgement well below a millisecond
DEPTH_MAX = 64  # nesting after `let` names are put in: keeps the compiler's own recursion small


class Op(StrEnum):
    NUMBER = "number"
    TRUTH = "truth"
    TEXT = "text"  # a literal in quotes; detail: the text
    FIELD = "field"
    ATTRIBUTE = "attribute"
    AND = "and"
    OR = "or"
    NOT = "not"
    COMPARE = "compare"
    MEMBER = "member"
    MATCHES = "matches"  # (text); detail: a glob
    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    NEGATE = "negate"
    CONVERT = "convert"
    ABS = "abs"
    MIN = "min"
    MAX = "max"
    COALESCE = "coalesce"
    KNOWN = "known"
    SUN = "sun_elev"
    NIGHT = "is_night"
    SILENT = "silent"
    PHASE = "phase"
    EXPECTED = "expected_power"
    CLAIMS = "claims"  # the sample names this fault itself; detail: its name
    HOUR = "local_hour"  # hours since local midnight
    WEEKDAY = "weekday"  # 0 is Monday, by the local calendar
    SCHEDULE = "in_schedule"  # (text): the local time is within the schedule
    TIME_TO = "time_to"  # (text): ms until the schedule is on, by the local clocks; 0 while it is
    PREV = "prev"
    CHANGED = "changed"
    SINCE = "since"
    AGE = "age"  # (x): ms since x was last known; unknown if it never was
    RATE = "rate"
    # Over (now - window, now]: detail is the window in ms. What each gives: `rules.runtime`.
    COUNT_OVER = "count over"
    AVG_OVER = "avg over"
    MIN_OVER = "min over"
    MAX_OVER = "max over"
    STD_OVER = "std over"
    PERCENTILE_OVER = "p over"  # detail: (window in ms, share)
    FIRST_OVER = "first over"
    LAST_OVER = "last over"
    DELTA_OVER = "delta over"  # last - first
    RATE_OVER = "rate over"  # (last - first) / time between them
    SLOPE_OVER = "slope over"  # least squares, per ms
    TREND_OVER = "trend over"  # the median of many speeds, per ms
    CHANGES_OVER = "changes over"  # how often x became another value
    HELD_OVER = "held over"  # (condition): true all the time
    PEERS_ALL = "peers.count()"
    PEERS_COUNT = "peers.count"
    PEERS_FRACTION = "peers.fraction"
    PEERS_AVG = "peers.avg"  # (x) of the members that know it
    PEERS_MIN = "peers.min"
    PEERS_MAX = "peers.max"


WINDOWS = frozenset(
    {
        Op.COUNT_OVER, Op.AVG_OVER, Op.MIN_OVER, Op.MAX_OVER, Op.STD_OVER, Op.PERCENTILE_OVER,
        Op.FIRST_OVER, Op.LAST_OVER, Op.DELTA_OVER, Op.RATE_OVER, Op.SLOPE_OVER, Op.TREND_OVER,
        Op.CHANGES_OVER, Op.HELD_OVER,
    }
)  # fmt: skip

MEMORIES = WINDOWS | {Op.PREV, Op.CHANGED, Op.SINCE, Op.AGE, Op.RATE}
"""They remember something from sample to sample: each has one slot."""

PEERS = frozenset(
    {
        Op.PEERS_ALL, Op.PEERS_COUNT, Op.PEERS_FRACTION, Op.PEERS_AVG, Op.PEERS_MIN, Op.PEERS_MAX,
    }
)  # fmt: skip
"""Their argument, if any, is about each member, not about the subject."""

Detail = Fraction | bool | str | tuple["Detail", ...] | None


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the expression's text, or of that of the `let` name."""

    start: int
    end: int
    let: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """`unit` is None for truth values, `units.TEXT` for texts. `detail` is what an operation needs
    beside its arguments: the number, the wire key, the comparison sign, the window in ms, (rule,
    phase).
    """

    op: Op
    unit: Unit | None
    args: tuple["Node", ...] = ()
    detail: Detail = None
    span: Span = field(default=Span(0, 0), compare=False)
    size: int = field(init=False, compare=False)
    depth: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        size = depth = 1
        for arg in self.args:
            size += arg.size
            depth = max(depth, arg.depth + 1)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "depth", depth)

    @property
    def is_constant(self) -> bool:
        return self.op in (Op.NUMBER, Op.TRUTH)

    @property
    def number(self) -> Fraction:
        assert isinstance(self.detail, Fraction)
        return self.detail

    def at(self, span: Span) -> "Node":
        return Node(self.op, self.unit, self.args, self.detail, span)


class Fault(Exception):  # noqa: N818 - what is wrong with a text, not with the program
    """What is wrong with an expression, and where. `message` quotes `nodes` as {0}, {1}; the first
    of them is where the fault stands.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *nodes: "Node",
        help: str = "",  # noqa: A002 -- as in Finding
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.nodes = nodes
        self.help = help


def number(value: Fraction, unit: Unit, span: Span) -> Node:
    return Node(Op.NUMBER, unit, (), value, span)


def in_unit(node: Node, unit: Unit) -> Node:
    """The same amount in another unit of its dimension; constants are converted now."""
    assert node.unit is not None
    if node.unit is unit:
        return node
    factor, shift = factor_and_shift(node.unit, unit)
    if factor == 1 and shift == 0:
        return Node(node.op, unit, node.args, node.detail, node.span)
    if node.op is Op.NUMBER:
        return number(factor * node.number + shift, unit, node.span)
    return Node(Op.CONVERT, unit, (node,), (factor, shift), node.span)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, members' conditions included."""
    yield node
    for arg in node.args:
        yield from walk(arg)


def own(node: Node) -> Iterator[Node]:
    """The node and what is below it about the subject itself: not its members' conditions."""
    yield node
    if node.op not in PEERS:
        for arg in node.args:
            yield from own(arg)


def settled(tree: Node) -> Node:
    """Without the terms that a true or false in them has decided."""
    args = tuple(settled(arg) for arg in tree.args)
    known = [arg.detail for arg in args if arg.op is Op.TRUTH]
    if tree.op is Op.NOT and known:
        return replace(tree, op=Op.TRUTH, args=(), detail=not known[0])
    if tree.op not in (Op.AND, Op.OR) or not known:
        return replace(tree, args=args)
    decides = tree.op is Op.OR
    if decides in known:
        return replace(tree, op=Op.TRUTH, args=(), detail=decides)
    open_ = tuple(arg for arg in args if arg.op is not Op.TRUTH)
    return open_[0] if len(open_) == 1 else replace(tree, args=open_)


def uses(node: Node, *ops: Op) -> bool:
    return any(part.op in ops for part in walk(node))


def canonical(node: Node) -> str:
    """A text that is equal for equal meaning, whatever blanks and names the author chose."""
    unit = node.unit.symbol if node.unit else "bool"
    args = " ".join(canonical(arg) for arg in node.args)
    # An author's text could read like anything: in quotes.
    quoted = node.op in (Op.TEXT, Op.MATCHES)
    detail = repr(node.detail) if quoted else _detail(node.detail)
    return f"({node.op.value} {detail} {unit} {args})"


def _detail(detail: Detail) -> str:
    if isinstance(detail, tuple):
        return "[" + " ".join(_detail(part) for part in detail) + "]"
    return str(detail)
