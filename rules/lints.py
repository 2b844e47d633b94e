"""What is wrong with the logic of a rule though each part of it is sound: the lints that prove.

Conditions that contradict themselves, that are always true, that can hold together though they must
not; terms that add nothing. Each lint is one function of a suspect; it speaks only of what it can
prove from the ranges of the fields, so that a finding is never a matter of taste.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from rules.finding import Finding
from rules.proof import Example, Logic, Wanted, variables
from rules.suspect import Asked, Part, Ranges, Suspect, is_measured
from rules.tree import Node, Op, uses, walk
from rules.units import ONE, PERCENT

Lint = Callable[[Suspect], Iterator[Finding]]
_INEXACT = (Op.KNOWN, Op.PHASE, Op.CHANGED)
_BY_THE_SUN = (Op.SUN, Op.NIGHT, Op.HOUR, Op.WEEKDAY, Op.SCHEDULE, Op.TIME_TO)
_CLOCK = Node(Op.HOUR, ONE)
"""Stands for the time of day, of which all those are."""


def contradictions(suspect: Suspect) -> Iterator[Finding]:
    """E112: terms that exclude each other."""
    for asked in suspect.asked.values():
        for part in _smallest(asked, Op.AND, _is_impossible):
            first, second = _pair(part, _excludes)
            message = f"can never be true: `{asked.quoted(first)}` and `{asked.quoted(second)}` "
            hint = "was `or` meant, or is a comparison the wrong way round?"
            yield suspect.within(asked, "E112", message + "exclude each other", hint, first, second)


def foregone(suspect: Suspect) -> Iterator[Finding]:
    """E113: alternatives of which one always holds."""
    for asked in suspect.asked.values():
        for part in _smallest(asked, Op.OR, _is_certain):
            first, second = _pair(part, _covers)
            message = f"is always true: `{asked.quoted(first)}` or `{asked.quoted(second)}` "
            hint = "was `and` meant, or is a comparison the wrong way round?"
            yield suspect.within(asked, "E113", message + "always holds", hint, first, second)


def overlap(suspect: Suspect) -> Iterator[Finding]:
    """E114, W107: `when` and `clear` hold together."""
    clear = suspect.asked.get("clear")
    if clear is None:
        return
    fires = frozenset().union(*(variables(wanted.tree) for wanted in suspect.firing))
    terms = clear.tree.args if clear.tree.op is Op.OR else (clear.tree,)
    for term in terms:
        clears = variables(term)
        if not clears or not clears <= fires or not _are_free(clears):
            continue
        example = suspect.logic.example(*suspect.firing, Wanted(term))
        if example is None:
            continue
        certain = _are_free(fires)
        message = f"{'both' if certain else 'both may'} hold: clear.when and when, "
        message += f"for instance with {_told(example, clears, suspect.ranges)}"
        hint = "clear must be false wherever when is true: leave a gap between the two"
        yield suspect.within(clear, "E114" if certain else "W107", message, hint, term)


def covered(suspect: Suspect) -> Iterator[Finding]:
    """E115, W108: `unless` holds whenever `when` does, or never with it."""
    unless = suspect.asked.get("unless")
    if unless is None:
        return
    when = Wanted(suspect.asked["when"].tree)
    if suspect.logic.possible(when) is not True:
        return
    if suspect.logic.possible(*suspect.firing) is False:
        message = "can never fire: unless holds whenever when does"
        hint = "unless must leave something of when"
        yield suspect.within(unless, "E115", message, hint, unless.tree)
    elif suspect.logic.possible(when, Wanted(unless.tree)) is False:
        message = "unless never holds when when does: it changes nothing"
        yield suspect.within(unless, "W108", message, "remove it, or mend it", unless.tree)


def endless(suspect: Suspect) -> Iterator[Finding]:
    """E116: what made it fire is for ever, and forbids `clear`."""
    clear = suspect.asked.get("clear")
    if clear is None or suspect.logic.possible(Wanted(clear.tree)) is False:
        return
    when = suspect.asked["when"].tree
    terms = when.args if when.op is Op.AND else (when,)
    lasting = [
        Wanted(term)
        for term in terms
        if (found := variables(term)) and all(one.op is Op.ATTRIBUTE for one in found)
    ]
    if lasting and suspect.logic.possible(*lasting, Wanted(clear.tree)) is False:
        message = "can never clear: when asks of the asset what clear excludes"
        hint = "attributes of an asset do not change while a fault lasts"
        yield suspect.within(clear, "E116", message, hint, clear.tree)


def redundant(suspect: Suspect) -> Iterator[Finding]:
    """W105: a term that the others imply."""
    for asked in suspect.asked.values():
        for part in asked.parts:
            if part.node.op in (Op.AND, Op.OR) and len(part.node.args) < _TERMS_MAX:
                found = _idle(part)
                if found is not None:
                    idle, reason = found
                    text = asked.quoted(idle)
                    message = f"`{text}` changes nothing: `{asked.quoted(reason)}` decides"
                    hint = f"remove `{text}`, or mend it"
                    yield suspect.within(asked, "W105", message, hint, idle, reason)


def dead_band(suspect: Suspect) -> Iterator[Finding]:
    """W106: it clears where it fires, so that noise around a threshold makes it flap."""
    rule, asked = suspect.rule, suspect.asked["when"]
    if rule.clear_for_ms or rule.scope == "place":
        return
    limit = next(filter(_is_threshold, walk(asked.tree)), None)
    if limit is None:
        return
    clear = suspect.asked.get("clear")
    if clear is None:
        message = "no dead band: without clear it ends as soon as when is false, and noise flaps"
        hint = f"add clear: {{when: {_beyond(asked, limit)}}}, or clear: {{for: 10min}}"
        yield suspect.at(suspect.key("when"), "W106", message, hint)
    elif _is_complement(asked.tree, clear.tree, suspect.logic):
        message = "no dead band: clear.when is just `not` when, and noise flaps"
        hint = f"write {_beyond(asked, limit)}, or add for: 10min"
        yield suspect.within(clear, "W106", message, hint, clear.tree)


PROOFS: tuple[Lint, ...] = (
    contradictions, foregone, overlap, covered, endless, redundant, dead_band,
)  # fmt: skip
"""They hold for templates, too: with the values that a `use:` gives."""

_TERMS_MAX = 12  # of one junction; more are not compared with each other


# -- asking the proofs ----------------------------------------------------------------------------


def _is_impossible(node: Node, logic: Logic) -> bool:
    return logic.possible(Wanted(node)) is False


def _is_certain(node: Node, logic: Logic) -> bool:
    return logic.possible(Wanted(node, truth=False)) is False


def _excludes(first: Node, second: Node, logic: Logic) -> bool:
    return logic.possible(Wanted(first), Wanted(second)) is False


def _is_complement(when: Node, clear: Node, logic: Logic) -> bool:
    return _excludes(when, clear, logic) and _covers(when, clear, logic)


def _covers(first: Node, second: Node, logic: Logic) -> bool:
    return logic.implies([Wanted(first, truth=False)], Wanted(second))


def _smallest(asked: Asked, op: Op, holds: Callable[[Node, Logic], bool]) -> Iterator[Part]:
    """Junctions for which it holds, though for none of their terms; and a whole condition, if the
    reason is hidden in its let names.
    """
    whole = holds(asked.tree, asked.logic)
    found = False
    for part in asked.parts:
        node = part.node
        if node.op is not op or not (whole or holds(node, part.logic)):
            continue
        if holds(node, part.logic) and not any(holds(arg, part.logic) for arg in node.args):
            found = True
            yield part
    if whole and not found:
        yield Part(asked.tree, asked.logic)


def _pair(part: Part, holds: Callable[[Node, Node, Logic], bool]) -> tuple[Node, Node]:
    """The two terms that are to blame; the first and the last if it takes more."""
    terms = part.node.args if part.node.op in (Op.AND, Op.OR) else (part.node,)
    for index, second in enumerate(terms):
        for first in terms[:index]:
            if holds(first, second, part.logic):
                return first, second
    return terms[0], terms[-1]


def _idle(part: Part) -> tuple[Node, Node] | None:
    """A term of a junction that another one makes needless, and that other."""
    node, logic = part.node, part.logic
    if _is_impossible(node, logic) or _is_certain(node, logic):
        return None
    for term in node.args:
        for other in node.args:
            if other is term or not variables(term) & variables(other):
                continue
            weak, strong = (term, other) if node.op is Op.AND else (other, term)
            if logic.implies([Wanted(strong)], Wanted(weak)):
                return term, other
    return None


def _are_free(parts: Sequence[Node] | frozenset[Node]) -> bool:
    """None of them says anything of another: they speak of different fields."""
    seen: set[Node] = set()
    for part in parts:
        mine = {node for node in walk(part) if node.op in (Op.FIELD, Op.ATTRIBUTE)}
        if uses(part, *_BY_THE_SUN):
            mine.add(_CLOCK)
        mine = mine or {part}
        if seen & mine or uses(part, *_INEXACT):
            return False
        seen |= mine
    return True


def _told(example: Example, about: frozenset[Node], ranges: Ranges) -> str:
    """`fill = 82 %, lid_open`."""
    numbers = [
        f"{_name(node, ranges)} = {float(value):g}{_unit(node)}"
        for node, value in example.numbers.items()
        if node in about
    ]
    flags = [
        f"{'' if truth else 'not '}{_name(node, ranges)}"
        for node, truth in example.flags.items()
        if node in about
    ]
    return ", ".join(numbers + flags)


def _name(node: Node, ranges: Ranges) -> str:
    if node.op not in (Op.FIELD, Op.ATTRIBUTE):
        return node.op.value
    prefix = "asset." if node.op is Op.ATTRIBUTE else ""
    found = ranges.get(f"{prefix}{node.detail}")
    return f"{prefix}{found.name if found else node.detail}"


def _unit(node: Node) -> str:
    if node.unit is None or node.unit == ONE:
        return ""
    return "%" if node.unit == PERCENT else f" {node.unit}"


def _is_threshold(node: Node) -> bool:
    """A measured number against a fixed one."""
    if node.op is not Op.COMPARE or node.detail in ("==", "!="):
        return False
    left, right = node.args
    return any(is_measured(a) and b.op is Op.NUMBER for a, b in ((left, right), (right, left)))


def _beyond(asked: Asked, limit: Node) -> str:
    """The opposite comparison, a tenth further on."""
    left, right = limit.args
    measured, number, sign = left, right, str(limit.detail)
    if right.op is not Op.NUMBER:
        measured, number, sign = right, left, "<" if sign in (">", ">=") else ">"
    upwards = sign in (">", ">=")
    step = abs(number.number) / 10 or Fraction(1)
    value = number.number - step if upwards else number.number + step
    name = asked.quoted(measured) or _name(measured, asked.ranges)
    return f"{name} {'<' if upwards else '>'} {float(value):g}{_unit(number)}"
