"""Coverage of rules by their tests: the clauses that no test ever saw go both ways.

Pure. While the cases run, each condition tells what its clauses came to; a clause that was never
true, or never false, has decided nothing. Of the settings around the conditions it counts whether
they ever took effect. It judges nothing itself: values are those of `rules.interpret`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from gateway.incidents import Why
from gateway.trial import relatives, run
from rules.case import Case
from rules.instance import Cause
from rules.interpret import Traced, traced
from rules.mutation import CONDITIONS
from rules.rule import Bundle, Condition, Rule, Scene, Values


@dataclass(frozen=True, slots=True)
class Undecided:
    """A clause, or a setting, that no test puts to the question."""

    rule: str
    source: str
    """file:line"""
    clause: str
    missing: str

    def __str__(self) -> str:
        return f"{self.source}  {self.rule}  {self.clause}: {self.missing}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "source": self.source,
            "clause": self.clause,
            "missing": self.missing,
        }


_Seen = dict[str, set[bool | None]]


def undecided(bundle: Bundle, cases: Sequence[Case]) -> list[Undecided]:
    """What the tests of each rule leave open, in the order of the rules."""
    found: list[Undecided] = []
    for rule_id in dict.fromkeys(case.rule for case in cases):
        rule = bundle.rules[rule_id]
        seen: _Seen = {}
        family = relatives(rule_id, bundle)
        watched = MappingProxyType({**family.rules, rule_id: _watched(rule, seen)})
        causes: set[str] = set()
        for case in cases:
            if case.rule == rule_id:
                causes |= run(case, replace(family, rules=watched)).causes
        found += [Undecided(rule_id, rule.source, *gap) for gap in _gaps(rule, seen, causes)]
    return found


def _watched(rule: Rule, seen: _Seen) -> Rule:
    """The rule with conditions that note what their clauses came to."""
    parts: dict[str, Any] = {}
    for name in CONDITIONS:
        condition = getattr(rule, name)
        if condition is not None:
            parts[name] = _noting(name, condition, seen)
    return replace(rule, **parts)


def _noting(name: str, condition: Condition, seen: _Seen) -> Condition:
    assert condition.tree is not None
    trace = traced(condition.tree, condition.first_slot, condition.text)

    def judge(values: Values, attributes: Values, scene: Scene, slots: list[Any]) -> Any:
        root = trace(values, attributes, scene, slots)
        for part in _clauses(root):
            seen.setdefault(f"{name}: {part.name or part.text}", set()).add(part.value)
        return root.value

    return replace(condition, judge=judge)


def _clauses(root: Traced) -> Iterator[Traced]:
    """The parts that are true or false, constants aside."""
    return (part for part in root.all() if part.node.unit is None and not part.node.is_constant)


def _gaps(rule: Rule, seen: _Seen, causes: set[str]) -> Iterator[tuple[str, str]]:
    for clause, values in seen.items():
        never = [word for word, value in (("true", True), ("false", False)) if value not in values]
        if never:
            yield clause, f"never {' nor '.join(never)}"
    for name in CONDITIONS:
        if getattr(rule, name) is not None and not any(c.startswith(f"{name}: ") for c in seen):
            yield name, "never judged"
    asked = (
        ("for", rule.for_ms > 0, Cause.HELD_LONG_ENOUGH),
        ("clear.for", rule.clear_for_ms > 0, Cause.CLEAR_HELD),
        ("no_data", rule.blind_after_ms is not None, Cause.NO_DATA),
        ("absorbed_by", bool(rule.absorbed_by), Why.EXPLAINED),
    )
    for setting, has, cause in asked:
        if has and str(cause) not in causes:
            yield setting, "never took effect"
