"""Mutants on trial: which changes of a rule would its tests notice?

Pure. A mutant is killed by the first test of its rule that fails on it; one that passes them all
shows what no test asks about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from gateway.trial import relatives, run
from rules.case import Case
from rules.mutation import mutants
from rules.rule import Bundle, Rule


@dataclass(frozen=True, slots=True)
class Survivor:
    rule: str
    source: str
    """file:line"""
    what: str

    def __str__(self) -> str:
        return f"{self.source}  {self.rule}  {self.what}"

    def as_dict(self) -> dict[str, Any]:
        return {"rule": self.rule, "source": self.source, "what": self.what}


def trial_by_mutants(bundle: Bundle, cases: Sequence[Case]) -> tuple[int, list[Survivor]]:
    """How many mutants of the rules of these cases were killed, and which were not."""
    killed = 0
    survivors: list[Survivor] = []
    for rule_id in dict.fromkeys(case.rule for case in cases):
        rule = bundle.rules[rule_id]
        own = [case for case in cases if case.rule == rule_id]
        family = relatives(rule_id, bundle)
        for mutant in mutants(rule):
            if _notice(own, _with(family, mutant.rule)):
                killed += 1
            else:
                survivors.append(Survivor(rule_id, rule.source, mutant.what))
    return killed, survivors


def _with(bundle: Bundle, rule: Rule) -> Bundle:
    rules: Mapping[str, Rule] = MappingProxyType({**bundle.rules, rule.id: rule})
    return replace(bundle, rules=rules)


def _notice(cases: Sequence[Case], bundle: Bundle) -> bool:
    return any(not run(case, bundle).passed for case in cases)
