"""Habits in conditions that often mean a slip: the lints of single expressions.

Each is sound on its own and does what it says; only it is seldom what was meant. One function for
each habit; a finding always names what to write instead.
"""

from collections.abc import Iterator
from fractions import Fraction

from rules.bounds import interval
from rules.finding import Finding
from rules.lints import Lint
from rules.suspect import Asked, Part, Suspect, is_measured
from rules.tree import Node, Op, Span, uses, walk
from rules.unknown import may_be_unknown

_COUNTS = ("passes", "clean_passes")


def mixed_junctions(suspect: Suspect) -> Iterator[Finding]:
    """W109: `a or b and c` without parentheses."""
    for asked, part in _parts(suspect):
        if part.node.op is not Op.OR:
            continue
        for term in part.node.args:
            if term.op is Op.AND and not _in_parentheses(asked, term, part.node):
                text = asked.quoted(term)
                hint = f"`and` binds first: write ({text}) if that is meant"
                message = "`and` beside `or` without parentheses"
                yield suspect.within(asked, "W109", message, hint, term)


def float_equality(suspect: Suspect) -> Iterator[Finding]:
    """W110: a measured number is never exactly anything but the ends of its range."""
    for asked, part in _parts(suspect):
        node = part.node
        if node.op is not Op.COMPARE or node.detail not in ("==", "!="):
            continue
        for measured, other in (node.args, node.args[::-1]):
            if is_measured(measured) and measured.detail not in _COUNTS:
                if other.op is Op.NUMBER and other.number in interval(measured, part.ranges):
                    continue
                sign = "<" if node.detail == "==" else ">"
                text, value = asked.quoted(measured), asked.quoted(other)
                hint = f"compare with a tolerance: abs({text} - {value}) {sign} ..."
                message = f"`{text}` is measured: it is hardly ever exactly `{value}`"
                yield suspect.within(asked, "W110", message, hint, node)
                break


def truth_compared(suspect: Suspect) -> Iterator[Finding]:
    """W111: `lid_open == true`."""
    for asked, part in _parts(suspect):
        node = part.node
        if node.op is not Op.COMPARE or node.args[0].unit is not None:
            continue
        left, right = node.args
        said = left if left.op is Op.TRUTH else right
        other = right if said is left else left
        if said.op is Op.TRUTH:
            positive = (node.detail == "==") == said.detail
            wanted = f"{'' if positive else 'not '}{asked.quoted(other)}"
            message = f"`{asked.quoted(node)}` says in three words what one says"
            yield suspect.within(asked, "W111", message, f"write `{wanted}`", node)


def constant_history(suspect: Suspect) -> Iterator[Finding]:
    """W112: the history of something that never changes."""
    for asked, part in _parts(suspect):
        node = part.node
        if node.op not in (Op.SINCE, Op.COUNT_OVER, Op.AVG_OVER, Op.MIN_OVER, Op.MAX_OVER):
            continue
        counts_samples = node.op is Op.COUNT_OVER and node.args[0].span == node.span
        if not counts_samples and all(one.op in _TIMELESS for one in walk(node.args[0])):
            text = asked.quoted(node.args[0])
            message = f"`{text}` never changes: its history says nothing"
            hint = "ask for the history of something that is measured"
            yield suspect.within(asked, "W112", message, hint, node.args[0])


def always_known(suspect: Suspect) -> Iterator[Finding]:
    """W113: care for a value that is never missing."""
    for asked, part in _parts(suspect):
        node = part.node
        if node.op not in (Op.KNOWN, Op.COALESCE) or may_be_unknown(node.args[0]):
            continue
        text = asked.quoted(node.args[0])
        what = "known() is always true" if node.op is Op.KNOWN else "nothing after it is ever used"
        hint = f"write just `{text}`" if node.op is Op.COALESCE else "remove it"
        message = f"`{text}` is always known: {what}"
        yield suspect.within(asked, "W113", message, hint, node.args[0])


def division_by_zero(suspect: Suspect) -> Iterator[Finding]:
    """W114: a divisor that may be 0, where the result is unknown."""
    for asked, part in _parts(suspect):
        if part.node.op is not Op.DIVIDE:
            continue
        divisor = part.node.args[1]
        low, high = interval(divisor, part.ranges)
        if divisor.op is Op.NUMBER or (low is not None and low > 0) or (high or 0) < 0:
            continue
        if any(_is_guard(one, divisor) for one in walk(asked.tree)):
            continue
        text = asked.quoted(divisor)
        message = f"`{text}` may be 0: the condition is then unknown, neither true nor false"
        hint = f"multiply instead: a < 20% * {text}; or ask for {text} > 0 beside it"
        yield suspect.within(asked, "W114", message, hint, divisor)


def sharp_night(suspect: Suspect) -> Iterator[Finding]:
    """W115: night to the second, where lamps switch at dusk as they please."""
    for asked, part in _parts(suspect):
        if part.node.op is Op.NIGHT and part.node.detail == Fraction(0):
            message = "night without a margin: lamps switch some minutes around dusk"
            hint = "write is_night(margin=20min)"
            yield suspect.within(asked, "W115", message, hint, part.node)


def share_of_few(suspect: Suspect) -> Iterator[Finding]:
    """W116: a share of peers without how many: one lamp of one is 100 %."""
    for asked in suspect.asked.values():
        if asked.name == "clear" or uses(asked.tree, Op.PEERS_ALL, Op.PEERS_COUNT):
            continue
        for part in asked.parts:
            if part.node.op is Op.PEERS_FRACTION:
                message = "a share without a number: one lamp of one is 100 %"
                hint = "add: peers.count() >= 3 and"
                yield suspect.within(asked, "W116", message, hint, part.node)


HABITS: tuple[Lint, ...] = (
    mixed_junctions, float_equality, truth_compared, constant_history, always_known,
    division_by_zero, sharp_night, share_of_few,
)  # fmt: skip

_TIMELESS = frozenset(
    {
        Op.NUMBER, Op.TRUTH, Op.ATTRIBUTE, Op.COMPARE, Op.AND, Op.OR, Op.NOT, Op.CONVERT, Op.ADD,
        Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE, Op.NEGATE, Op.ABS, Op.MIN, Op.MAX, Op.COALESCE,
        Op.KNOWN, Op.TEXT, Op.MATCHES,
    }
)  # fmt: skip


def _parts(suspect: Suspect) -> Iterator[tuple[Asked, Part]]:
    for asked in suspect.asked.values():
        for part in asked.parts:
            yield asked, part


def _in_parentheses(asked: Asked, term: Node, whole: Node) -> bool:
    """Or not a junction in this text at all: a let name."""
    text = asked.scalar.text
    before, after = text[: term.span.start].rstrip(), text[term.span.end :].lstrip()
    written = Span(term.span.start, term.span.end) != whole.span and " and " in asked.quoted(term)
    return not written or (before.endswith("(") and after.startswith(")"))


def _is_guard(node: Node, divisor: Node) -> bool:
    """A comparison of the divisor with a number: whoever wrote it thought of 0."""
    return node.op is Op.COMPARE and divisor in node.args
