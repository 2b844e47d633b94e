"""Coverage of rules by their tests: the clauses that no test ever saw go both ways.

Pure. While the cases run, each condition tells what its clauses came to; a clause that was never
true, or never false, has decided nothing. Of the settings around the conditions it counts whether
they ever took effect. Each is told where it stands. It judges nothing itself: values are those of
`rules.interpret`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from gateway.cases.incident import Why
from gateway.workbench.trial import relatives, run
from rules.case import Case
from rules.finding import Finding
from rules.instance import Cause
from rules.interpret import Traced, traced
from rules.mutation import CONDITIONS
from rules.origin import Origin
from rules.rule import Bundle, Condition, Rule, Scene, Values
from rules.tree import Span


@dataclass(frozen=True, slots=True)
class Undecided:
    """A clause, or a setting, that no test puts to the question."""

    rule: str
    clause: str
    missing: str
    origin: Origin
    hint: str

    def finding(self) -> Finding:
        message = f"{self.rule} {self.clause}: {self.missing}"
        return self.origin.finding("coverage", message, self._help)

    def as_dict(self) -> dict[str, Any]:
        told = {"rule": self.rule, "clause": self.clause, "missing": self.missing}
        return told | {"help": self._help} | self.origin.as_dict()

    @property
    def _help(self) -> str:
        return f"add a test {self.hint}"


@dataclass(slots=True)
class _Clause:
    """A clause of a condition, and all that it came to."""

    condition: str
    span: Span
    values: set[bool | None] = field(default_factory=set)


_Seen = dict[str, _Clause]
_JUDGED = MappingProxyType(
    {
        "when": "with samples",
        "unless": "in which when is true",
        "clear": "in which it fires",
        "hit": "with samples",
    }
)
"""What it takes for a condition to be judged at all."""


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
        found += [
            *_one_sided(rule, seen),
            *_never_judged(rule, seen),
            *_without_effect(rule, causes),
        ]
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
            text = f"{name}: {part.name or part.text}"
            seen.setdefault(text, _Clause(name, part.node.span)).values.add(part.value)
        return root.value

    return replace(condition, compiled=lambda: judge)


def _clauses(root: Traced) -> Iterator[Traced]:
    """The parts that are true or false, constants aside."""
    return (part for part in root.all() if part.node.unit is None and not part.node.is_constant)


def _one_sided(rule: Rule, seen: _Seen) -> Iterator[Undecided]:
    for text, clause in seen.items():
        open_ = [str(value).lower() for value in (True, False) if value not in clause.values]
        if open_:
            missing, hint = " nor ".join(open_), " and one in which it is ".join(open_)
            origin = rule.origins.of(clause.condition, clause.span)
            yield Undecided(rule.id, text, f"never {missing}", origin, f"in which it is {hint}")


def _never_judged(rule: Rule, seen: _Seen) -> Iterator[Undecided]:
    judged = {clause.condition for clause in seen.values()}
    for name in CONDITIONS:
        if getattr(rule, name) is not None and name not in judged:
            origin = rule.origins.of(name)
            yield Undecided(rule.id, name, "never judged", origin, _JUDGED[name])


def _without_effect(rule: Rule, causes: set[str]) -> Iterator[Undecided]:
    """Settings that could have been left out."""
    parents = " or ".join(rule.absorbed_by)
    asked = (
        ("for", rule.for_ms > 0, Cause.HELD_LONG_ENOUGH, "that lasts until it fires"),
        ("clear.for", rule.clear_for_ms > 0, Cause.CLEAR_HELD, "that lasts until it is ok again"),
        ("no_data", rule.blind_after_ms is not None, Cause.NO_DATA, "that is silent till blind"),
        ("absorbed_by", bool(parents), Why.EXPLAINED, f"in which {parents} fires, too"),
    )
    for setting, has, cause, hint in asked:
        if has and str(cause) not in causes:
            origin = rule.origins.of(setting)
            yield Undecided(rule.id, setting, "never took effect", origin, hint)
