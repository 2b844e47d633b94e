"""What rules say of each other: parents and children, phases that are asked for.

Guarantees that parent and child name each other, that whoever is named is there, and that no rule
depends on its own phase. Pure, on rules that are built one by one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from rules.builder import Built
from rules.document import Scalar, near
from rules.finding import Finding
from rules.head import Head
from rules.rule import Rule


def relation_faults(built: Mapping[str, Built], heads: Mapping[str, Head]) -> Iterator[Finding]:
    """All that does not fit together."""
    for rule_id, one in built.items():
        for parent in one.absorbed_by:
            yield from _one_sided(parent, built, rule_id, "absorbs")
        for child in one.absorbs:
            yield from _one_sided(child, built, rule_id, "absorbed_by")
    yield from _circle(built, heads)


def _circle(built: Mapping[str, Built], heads: Mapping[str, Head]) -> Iterator[Finding]:
    """Rules of which each waits for the next: one circle at a time is enough to mend."""
    try:
        TopologicalSorter({i: one.refers & built.keys() for i, one in built.items()}).prepare()
    except CycleError as error:
        circle = error.args[1]
        first = min(circle)
        message = f"rule {first} asks for the phase of a rule that asks for its own: "
        hint = "one of them must judge without the other"
        home = heads[first].home
        yield home.finding(0, "E107", message + " <- ".join(circle[:6]), hint)


def _one_sided(
    other: Scalar, built: Mapping[str, Built], rule_id: str, key: str
) -> Iterator[Finding]:
    if other.text not in built:
        yield other.finding(0, "E101", f"there is no rule {other.text!r}", near(other.text, built))
        return
    named = built[other.text].absorbs if key == "absorbs" else built[other.text].absorbed_by
    if rule_id not in {scalar.text for scalar in named}:
        hint = f"parent and child must name each other: add {rule_id} to {key} of {other.text}"
        yield other.finding(0, "E007", f"{other.text} does not say so: {key} {rule_id}", hint)


def related(rule_id: str, built: Mapping[str, Built]) -> Rule:
    """A rule that knows its parents and children."""
    one = built[rule_id]
    assert one.rule is not None
    parents = tuple(scalar.text for scalar in one.absorbed_by)
    return replace(
        one.rule,
        absorbed_by=parents,
        absorbs=tuple(scalar.text for scalar in one.absorbs),
        hold_ms=max((built[parent].hold_ms for parent in parents), default=0),
    )
