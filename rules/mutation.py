"""Mutants of a rule: small changes of its meaning, each of which its tests should notice.

Pure and in a fixed order. A mutant is a whole rule again, compiled anew, with one thing changed: a
sign, an amount, a term, a time. What cannot make a difference is not made: whether `>` or `>=`
stands where no sample can be exactly on the edge (the sun, a rate, a silence) is no question to a
test, nor is an amount between two counts. Each knows where what it changed stands, and which test
would notice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any, NamedTuple

from rules.codegen import condition_of
from rules.origin import Origin
from rules.reach import silence_ms_min_of
from rules.rule import Condition, Rule
from rules.tree import Node, Op, Span, walk
from rules.wording import duration_text, node_text

CONDITIONS = ("when", "unless", "clear", "hit")
LARGER, SMALLER = Fraction(3, 2), Fraction(2, 3)
"""Amounts are changed by half of them: a test that does not see that sees no threshold."""
_SOME = Fraction(1)  # what nothing is changed to
_EDGE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_OTHER = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_EXACT = frozenset(
    {
        Op.FIELD, Op.ATTRIBUTE, Op.NUMBER, Op.ADD, Op.SUBTRACT, Op.CONVERT, Op.COALESCE, Op.PREV,
        Op.PEERS_ALL, Op.PEERS_COUNT, Op.COUNT_OVER,
    }
)  # fmt: skip
"""What can be on an edge exactly."""
_WHOLE = frozenset({Op.COUNT_OVER, Op.CHANGES_OVER, Op.PEERS_ALL, Op.PEERS_COUNT})
_WINDOWS = frozenset({Op.COUNT_OVER, Op.AVG_OVER, Op.MIN_OVER, Op.MAX_OVER, Op.NIGHT})


@dataclass(frozen=True, slots=True)
class Mutant:
    rule: Rule
    what: str
    """What was changed, in words."""
    origin: Origin
    """Where that stands."""
    hint: str
    """A test that would notice."""


class _Change(NamedTuple):
    """One thing changed in a condition."""

    tree: Node
    what: str
    span: Span
    hint: str


def mutants(rule: Rule) -> Iterator[Mutant]:
    """All mutants of a rule."""
    for name in CONDITIONS:
        condition = getattr(rule, name)
        if condition is None or condition.tree is None:
            continue
        for change in _changed(condition.tree):
            origin = rule.origins.of(name, change.span)
            changed = _with_trees(rule, {name: change.tree})
            yield Mutant(changed, f"{name}: {change.what}", origin, change.hint)
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


def _changed(tree: Node, *, counts: bool = False) -> Iterator[_Change]:
    """Every tree with one change in it. `counts`: it is compared with whole numbers."""
    yield from _here(tree, counts=counts)
    for i, arg in enumerate(tree.args):
        counted = tree.op is Op.COMPARE and tree.args[1 - i].op in _WHOLE
        for change in _changed(arg, counts=counted):
            if not _is_the_same(tree, i, change.tree):
                args = (*tree.args[:i], change.tree, *tree.args[i + 1 :])
                yield change._replace(tree=replace(tree, args=args))


def _is_the_same(tree: Node, place: int, changed: Node) -> bool:
    """Whether no sample can show the change: how often a truth changes is how often its contrary
    does, and a default is only asked on which side of the edge it is.
    """
    before = tree.args[place]
    if tree.op is Op.CHANGES_OVER and before.op is Op.COMPARE:
        return changed == replace(before, detail=_OTHER[str(before.detail)])
    if tree.op is not Op.COMPARE or tree.args[1 - place].op is not Op.NUMBER:
        return False
    old, new = _default(before), _default(changed)
    if old is None or new is None or old.number == new.number:
        return False
    edge = tree.args[1 - place].number
    return (old.number < edge, old.number == edge) == (new.number < edge, new.number == edge)


def _default(node: Node) -> Node | None:
    """The number that a coalesce ends with."""
    if node.op is not Op.COALESCE:
        return None
    last = node.args[-1]
    return last if last.op is Op.NUMBER else _default(last)


def _here(node: Node, *, counts: bool) -> Iterator[_Change]:
    text = node_text(node)
    match node.op:
        case Op.COMPARE:
            yield from _signs(node, text)
        case Op.NUMBER:
            yield from _amounts(node, text, counts=counts)
        case Op.AND | Op.OR:
            yield from _terms(node, text)
        case Op.NOT:
            yield _Change(node.args[0], f"`{text}` without its not", node.span, _hanging_on(text))
        case Op.COALESCE:
            yield from _choices(node, text)
        case Op.MIN | Op.MAX:
            other = Op.MAX if node.op is Op.MIN else Op.MIN
            hint = f"in which the amounts in `{text}` differ"
            yield _Change(replace(node, op=other), f"`{text}` with {other.value}", node.span, hint)
        case _ if node.op in _WINDOWS:
            yield from _windows(node, text)


def _signs(node: Node, text: str) -> Iterator[_Change]:
    sign = str(node.detail)
    other = replace(node, detail=_OTHER[sign])
    yield _Change(other, f"`{text}` with {_OTHER[sign]}", node.span, _hanging_on(text))
    if sign in _EDGE and all(part.op in _EXACT for arg in node.args for part in walk(arg)):
        left, right = map(node_text, node.args)
        other = replace(node, detail=_EDGE[sign])
        hint = f"in which {left} is exactly {right}"
        yield _Change(other, f"`{text}` with {_EDGE[sign]}", node.span, hint)


def _hanging_on(text: str) -> str:
    return f"whose outcome hangs on `{text}` alone"


def _amounts(node: Node, text: str, *, counts: bool) -> Iterator[_Change]:
    others = [node.number * factor for factor in (LARGER, SMALLER)] if node.number else [_SOME]
    for amount in others:
        away = ceil if amount > node.number else floor
        number = Fraction(away(amount)) if counts else amount
        changed = replace(node, detail=number)
        low, high = (node_text(n) for n in sorted((node, changed), key=lambda n: n.number))
        hint = f"with a value between {low} and {high}"
        yield _Change(changed, f"{text} as {node_text(changed)}", node.span, hint)


def _windows(node: Node, text: str) -> Iterator[_Change]:
    """Longer and shorter; the margin of the night goes altogether."""
    assert isinstance(node.detail, Fraction)
    factors = (Fraction(0),) if node.op is Op.NIGHT else (LARGER, SMALLER)
    for factor in factors if node.detail else ():
        changed = replace(node, detail=node.detail * factor)
        shares = sorted((factor, Fraction(1)))
        ends = [duration_text(float(node.detail * share)) for share in shares]
        hint = f"in which what was between {ends[0]} and {ends[1]} ago decides"
        if node.op is Op.NIGHT:
            hint = f"less than {duration_text(float(node.detail))} from dusk or dawn"
        yield _Change(changed, f"`{text}` as `{node_text(changed)}`", node.span, hint)


def _terms(node: Node, text: str) -> Iterator[_Change]:
    mine, others = ("false", "true") if node.op is Op.AND else ("true", "false")
    for i, term in enumerate(node.args):
        rest = (*node.args[:i], *node.args[i + 1 :])
        kept = rest[0] if len(rest) == 1 else replace(node, args=rest)
        name = node_text(term)
        hint = f"in which only `{name}` is {mine}, and what stands beside it {others}"
        yield _Change(kept, f"without `{name}`", term.span, hint)
    other = Op.OR if node.op is Op.AND else Op.AND
    hint = "in which one of its terms is true and another false"
    yield _Change(replace(node, op=other), f"`{text}` with {other.value}", node.span, hint)


def _choices(node: Node, text: str) -> Iterator[_Change]:
    first, second = map(node_text, node.args)
    hints = (f"in which {first} is missing (_)", f"in which {first} is other than {second}")
    for arg, hint in zip(node.args, hints, strict=True):
        changed = replace(arg, unit=node.unit)
        yield _Change(changed, f"`{text}` as {node_text(arg)}", node.span, hint)


def _without_parts(rule: Rule) -> Iterator[Mutant]:
    if rule.unless is not None:
        changed = _with_trees(replace(rule, unless=None), {})
        hint = "in which when and unless are both true"
        yield Mutant(changed, "without its unless", rule.origins.of("unless"), hint)
    if rule.clear is not None:
        changed = _with_trees(replace(rule, clear=None), {})
        hint = "in which when is false again, and clear not yet true"
        what = "clear as soon as when is false"
        yield Mutant(changed, what, rule.origins.of("clear"), hint)
    if rule.absorbed_by:
        changed = replace(rule, absorbed_by=(), hold_ms=0)
        hint = f"in which {' or '.join(rule.absorbed_by)} fires, too"
        yield Mutant(changed, "absorbed by nothing", rule.origins.of("absorbed_by"), hint)
    if rule.blind_after_ms is not None:
        changed = replace(rule, blind_after_ms=None)
        hint = f"that is silent for {duration_text(rule.blind_after_ms)}, and then blind"
        yield Mutant(changed, "never blind", rule.origins.of("no_data"), hint)


def _other_settings(rule: Rule) -> Iterator[Mutant]:
    yield from _times(rule, "for_ms", "for", ("pending", "firing"))
    yield from _times(rule, "clear_for_ms", "clear.for", ("clearing", "ok"))
    origin = rule.origins.of("min_samples")
    if rule.samples_min > 1:
        hint = f"with fewer than {rule.samples_min} samples, which does not fire"
        yield Mutant(replace(rule, samples_min=1), "min_samples as 1", origin, hint)
    if not rule.on_tick:  # where ticks are judged, too, they count as samples
        more = rule.samples_min + 1
        hint = f"that fires with {rule.samples_min} sample{'s' if rule.samples_min > 1 else ''}"
        yield Mutant(replace(rule, samples_min=more), f"min_samples as {more}", origin, hint)


def _times(rule: Rule, name: str, key: str, phases: tuple[str, str]) -> Iterator[Mutant]:
    ms = getattr(rule, name)
    if ms:
        during, after = phases
        until, twice = duration_text(ms), duration_text(2 * ms)
        origin = rule.origins.of(key)
        hint = f"that expects state {during} less than {until} after it became so"
        yield Mutant(_with(rule, name, 0), f"{key} as 0", origin, hint)
        hint = f"that expects state {after} between {until} and {twice} after it became {during}"
        yield Mutant(_with(rule, name, 2 * ms), f"{key} twice as long", origin, hint)


def _with(rule: Rule, name: str, value: int) -> Rule:
    changes: dict[str, Any] = {name: value}
    return replace(rule, **changes)
