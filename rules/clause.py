"""A judged condition, clause by clause: each with its text, its values in units, and its margin.

Owns how one judgement is laid out for people. The text of a clause is the author's own, inside a
`let` the text of its tree. What is said of a comparison is always so: `58 W >= 12 W` where
`active_power < 12 W` was false. Nothing here knows of timers or incidents.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType

from rules.flip import OPPOSITE, is_share, missing, share_text, sides_text
from rules.interpret import Traced, count_of
from rules.origin import Origin
from rules.rule import Truth
from rules.sky import NIGHT_DEG
from rules.tree import MEMORIES, PEERS, Op, Span
from rules.units import amount
from rules.wording import amount_text, node_text

_WORDS: Mapping[Truth, str] = MappingProxyType({True: "true", False: "false", None: "unknown"})
_SHOWN_IN = frozenset({Op.FIELD, Op.ATTRIBUTE, Op.SUN, Op.SILENT, Op.EXPECTED, Op.PHASE})


@dataclass(frozen=True, slots=True)
class Value:
    """Something with a name, and what it was."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Clause:
    """`said`: the comparison in values. `from_values`: what these came from."""

    text: str
    truth: Truth
    said: str = ""
    margin: str = ""
    unknown: tuple[str, ...] = ()
    from_values: tuple[Value, ...] = ()
    parts: tuple["Clause", ...] = ()
    origin: Origin | None = field(default=None, compare=False)
    """Where it stands."""


Whereabouts = Callable[[Span], Origin | None]


def _nowhere(_: Span) -> None:
    """Of a condition that is in no file."""


def clause_of(part: Traced, origin_of: Whereabouts = _nowhere) -> Clause:
    """The clauses of a condition. `origin_of`: where characters of it stand."""
    node, origin = part.node, origin_of(part.node.span)
    if node.op in (Op.AND, Op.OR, Op.NOT):
        inner = tuple(clause_of(term, origin_of) for term in part.parts)
        text = f"{part.name}: {node.op}" if part.name else str(node.op)
        return Clause(text, part.value, parts=inner, origin=origin)
    said, margin = _said(part)
    text = f"{part.name}: {node_text(node)}" if part.name else part.text
    unknown, values = tuple(missing(part)), tuple(_sources(part))
    return Clause(text, part.value, said, margin, unknown, values, origin=origin)


def names_in(whole: Traced) -> Iterator[Value]:
    """The names that the author gave to something, params and `let`, with what they came to."""
    return (_value(part.name, part) for part in whole.all() if part.name)


def sample_in(whole: Traced) -> Iterator[Value]:
    """What it read of the sample."""
    return (_value(node_text(part.node), part) for part in whole.all() if part.node.op is Op.FIELD)


def _value(name: str, part: Traced) -> Value:
    return Value(name, amount_text(part.value, part.node.unit))


def lines_of(clause: Clause, depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """(indented text, truth, what was said of it), a line for each clause."""
    said = clause.said + (f"  (margin {clause.margin})" if clause.margin else "")
    values = ", ".join(f"{item.name} = {item.value}" for item in clause.from_values)
    reasons = "; ".join(clause.unknown)
    told = "  ".join(part for part in (said, f"[{values}]" if values else "", reasons) if part)
    yield "  " * depth + clause.text, _WORDS[clause.truth], told
    for part in clause.parts:
        yield from lines_of(part, depth + 1)


def _said(part: Traced) -> tuple[str, str]:
    """The values behind a clause, and the margin of a comparison."""
    node = part.node
    if node.op is Op.COMPARE:
        return _compared(part)
    if node.op is Op.NIGHT and part.fact is not None:
        return f"sun at {part.fact:.1f} deg (night below {NIGHT_DEG:g} deg)", ""
    if node.op is Op.PHASE and isinstance(node.detail, tuple):
        return f"{node.detail[0]} is {part.fact}", ""
    return "", ""


def _compared(part: Traced) -> tuple[str, str]:
    left, right = part.parts
    sign = str(part.node.detail)
    one, other = sides_text(part)
    if part.value is None:
        return f"{one} {sign} {other}", ""
    said = f"{one} {sign if part.value else OPPOSITE[sign]} {other}"
    unit = left.node.unit
    if unit is None or sign in ("==", "!="):
        return said, ""
    margin = abs(left.value - right.value)
    if not isfinite(margin):
        return said, ""
    return said, share_text(margin) if is_share(part) else amount_text(margin, amount(unit))


def _sources(part: Traced) -> Iterator[Value]:
    """What flowed into a clause, without what is in plain sight on either side of it."""
    plain = {side.text for side in part.parts} if part.node.op is Op.COMPARE else set()
    for inner in _inputs(part):
        counted = _counted(inner)
        if inner is not part and (counted or inner.text not in plain):
            plain.add(inner.text)
            yield Value(inner.text, counted or amount_text(inner.value, inner.node.unit))


def _inputs(part: Traced) -> Iterator[Traced]:
    if part.name:
        if not part.node.is_constant:
            yield part
        return
    if part.node.op in _SHOWN_IN or part.node.op in MEMORIES or part.node.op in PEERS:
        yield part
    if part.node.op not in MEMORIES:
        for inner in part.parts:
            yield from _inputs(inner)


def _counted(part: Traced) -> str:
    count = count_of(part)
    if count is None or part.node.op is Op.PEERS_ALL:
        return ""
    known = "" if count.known == count.all else f", {count.all - count.known} of them unknown"
    return f"{count.true} of {count.all}{known}"
