"""Mutants of a rule: small changes of its meaning, each of which its tests should notice.

Pure and in a fixed order. A mutant is a whole rule again, compiled anew, with one thing changed: a
sign, an amount, a term, a time. What cannot make a difference is not made: whether `>` or `>=`
stands where no sample can be exactly on the edge (the sun, a rate, a silence) is no question to a
test.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

from rules.builder import silence_ms_min_of
from rules.codegen import condition_of
from rules.rule import Condition, Rule
from rules.tree import Node, Op, walk
from rules.wording import node_text

CONDITIONS = ("when", "unless", "clear", "hit")
LARGER, SMALLER = Fraction(3, 2), Fraction(2, 3)
"""Amounts are changed by half of them: a test that does not see that sees no threshold."""
_EDGE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_OTHER = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_EXACT = frozenset(
    {
        Op.FIELD, Op.ATTRIBUTE, Op.NUMBER, Op.ADD, Op.SUBTRACT, Op.CONVERT, Op.COALESCE, Op.PREV,
        Op.PEERS_ALL, Op.PEERS_COUNT, Op.COUNT_OVER,
    }
)  # fmt: skip
"""What can be on an edge exactly."""
_WINDOWS = frozenset({Op.COUNT_OVER, Op.AVG_OVER, Op.MIN_OVER, Op.MAX_OVER, Op.NIGHT})


@dataclass(frozen=True, slots=True)
class Mutant:
    rule: Rule
    what: str
    """What was changed, in words."""


def mutants(rule: Rule) -> Iterator[Mutant]:
    """All mutants of a rule."""
    for name in CONDITIONS:
        condition = getattr(rule, name)
        if condition is None or condition.tree is None:
            continue
        for tree, what in _changed(condition.tree):
            yield Mutant(_with_trees(rule, {name: tree}), f"{name}: {what}")
    yield from _without_parts(rule)
    yield from _other_settings(rule)


def _with_trees(rule: Rule, trees: dict[str, Node | None]) -> Rule:
    """The rule with other conditions, all compiled anew: their memories share one layout."""
    parts: dict[str, Condition | None] = {}
    slots = 0
    for name in CONDITIONS:
        condition = getattr(rule, name)
        tree = trees.get(name, condition.tree if condition else None)
        if condition is None or tree is None:
            parts[name] = None
            continue
        parts[name], taken = condition_of(condition.text, tree, slots)
        slots += taken
    when = parts["when"]
    assert when is not None
    assert when.tree is not None
    changed: dict[str, Any] = {**parts, "slots": (None,) * slots}
    return replace(rule, silence_ms_min=silence_ms_min_of(when.tree), **changed)


def _changed(tree: Node) -> Iterator[tuple[Node, str]]:
    """Every tree with one change in it, and what it was."""
    for node, what in _here(tree):
        yield node, what
    for i, arg in enumerate(tree.args):
        for changed, what in _changed(arg):
            yield replace(tree, args=(*tree.args[:i], changed, *tree.args[i + 1 :])), what


def _here(node: Node) -> Iterator[tuple[Node, str]]:
    text = node_text(node)
    match node.op:
        case Op.COMPARE:
            yield from _signs(node, text)
        case Op.NUMBER:
            yield from _amounts(node, text)
        case Op.AND | Op.OR:
            yield from _terms(node, text)
        case Op.NOT:
            yield node.args[0], f"`{text}` without its not"
        case Op.COALESCE:
            for arg in node.args:
                yield replace(arg, unit=node.unit), f"`{text}` as {node_text(arg)}"
        case Op.MIN | Op.MAX:
            other = Op.MAX if node.op is Op.MIN else Op.MIN
            yield replace(node, op=other), f"`{text}` with {other.value}"
        case _ if node.op in _WINDOWS:
            yield from _windows(node, text)


def _signs(node: Node, text: str) -> Iterator[tuple[Node, str]]:
    sign = str(node.detail)
    yield replace(node, detail=_OTHER[sign]), f"`{text}` with {_OTHER[sign]}"
    if sign in _EDGE and all(part.op in _EXACT for arg in node.args for part in walk(arg)):
        yield replace(node, detail=_EDGE[sign]), f"`{text}` with {_EDGE[sign]}"


def _amounts(node: Node, text: str) -> Iterator[tuple[Node, str]]:
    if node.number == 0:
        yield replace(node, detail=Fraction(1)), "0 as 1"
        return
    for factor in (LARGER, SMALLER):
        changed = replace(node, detail=node.number * factor)
        yield changed, f"{text} as {node_text(changed)}"


def _windows(node: Node, text: str) -> Iterator[tuple[Node, str]]:
    """Longer and shorter; the margin of the night goes altogether."""
    assert isinstance(node.detail, Fraction)
    factors = (Fraction(0),) if node.op is Op.NIGHT else (LARGER, SMALLER)
    for factor in factors if node.detail else ():
        changed = replace(node, detail=node.detail * factor)
        yield changed, f"`{text}` as `{node_text(changed)}`"


def _terms(node: Node, text: str) -> Iterator[tuple[Node, str]]:
    for i, term in enumerate(node.args):
        rest = (*node.args[:i], *node.args[i + 1 :])
        kept = rest[0] if len(rest) == 1 else replace(node, args=rest)
        yield kept, f"without `{node_text(term)}`"
    other = Op.OR if node.op is Op.AND else Op.AND
    yield replace(node, op=other), f"`{text}` with {other.value}"


def _without_parts(rule: Rule) -> Iterator[Mutant]:
    if rule.unless is not None:
        yield Mutant(_with_trees(replace(rule, unless=None), {}), "without its unless")
    if rule.clear is not None:
        yield Mutant(_with_trees(replace(rule, clear=None), {}), "clear as soon as when is false")
    if rule.absorbed_by:
        changed = replace(rule, absorbed_by=(), hold_ms=0)
        yield Mutant(changed, "absorbed by nothing")
    if rule.blind_after_ms is not None:
        yield Mutant(replace(rule, blind_after_ms=None), "never blind")


def _other_settings(rule: Rule) -> Iterator[Mutant]:
    times = partial(_times, rule)
    yield from times("for_ms", "for")
    yield from times("clear_for_ms", "clear.for")
    if rule.samples_min > 1:
        yield Mutant(replace(rule, samples_min=1), "min_samples as 1")
    if not rule.on_tick:  # where ticks are judged, too, they count as samples
        yield Mutant(
            replace(rule, samples_min=rule.samples_min + 1),
            f"min_samples as {rule.samples_min + 1}",
        )


def _times(rule: Rule, name: str, key: str) -> Iterator[Mutant]:
    ms = getattr(rule, name)
    if ms:
        yield Mutant(_with(rule, name, 0), f"{key} as 0")
        yield Mutant(_with(rule, name, 2 * ms), f"{key} twice as long")


def _with(rule: Rule, name: str, value: int) -> Rule:
    changes: dict[str, Any] = {name: value}
    return replace(rule, **changes)
