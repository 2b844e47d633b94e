"""Mutants on trial: which changes of a rule would its tests notice?

Pure. A mutant is killed by the first test of its rule that fails on it; one that passes them all
shows what no test asks about, and is told where it stands, with a test that would ask.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from gateway.workbench.trial import relatives, run
from rules.case import Case
from rules.finding import Finding
from rules.mutation import Mutant, mutants
from rules.rule import Bundle, Rule


@dataclass(frozen=True, slots=True)
class Survivor:
    rule: str
    mutant: Mutant

    @property
    def what(self) -> str:
        return self.mutant.what

    def finding(self) -> Finding:
        message = f"{self.rule} survives {self.what}"
        return self.mutant.origin.finding("mutant", message, self._help)

    def as_dict(self) -> dict[str, Any]:
        told = {"rule": self.rule, "what": self.what, "help": self._help}
        return told | self.mutant.origin.as_dict()

    @property
    def _help(self) -> str:
        return f"add a test {self.mutant.hint}"


@dataclass(frozen=True, slots=True)
class Tried:
    """One mutant after its trial."""

    rule: str
    survivor: Survivor | None


Watch = Callable[[Iterator[Tried]], Iterable[Tried]]
"""Passes on what it is given, and may tell of it."""


def trial_by_mutants(
    bundle: Bundle, cases: Sequence[Case], watch: Watch = iter
) -> tuple[int, list[Survivor]]:
    """How many mutants of the rules of these cases were killed, and which were not."""
    tried = list(watch(_trials(bundle, cases)))
    survivors = [one.survivor for one in tried if one.survivor]
    return len(tried) - len(survivors), survivors


def _trials(bundle: Bundle, cases: Sequence[Case]) -> Iterator[Tried]:
    for rule_id in dict.fromkeys(case.rule for case in cases):
        own = [case for case in cases if case.rule == rule_id]
        family = relatives(rule_id, bundle)
        for mutant in mutants(bundle.rules[rule_id]):
            killed = _notice(own, _with(family, mutant.rule))
            yield Tried(rule_id, None if killed else Survivor(rule_id, mutant))


def _with(bundle: Bundle, rule: Rule) -> Bundle:
    rules: Mapping[str, Rule] = MappingProxyType({**bundle.rules, rule.id: rule})
    return replace(bundle, rules=rules)


def _notice(cases: Sequence[Case], bundle: Bundle) -> bool:
    return any(not run(case, bundle).passed for case in cases)
