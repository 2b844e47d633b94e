"""Rules that get in each other's way: the lints of more than one rule.

Two rules with the same meaning, one that fires only where another already asks for the same, a
parent that shares nothing with its child. Bounded: of many rules for one service, only so many are
compared with each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from rules.finding import Finding
from rules.proof import Wanted, variables
from rules.suspect import Suspect
from rules.tree import canonical

_RIVALS_MAX = 16
_ON_CIRCUITS = ("streetlight", "cabinet")


def rivals(suspects: Mapping[str, Suspect]) -> Iterator[Finding]:
    """W211, W212, W214."""
    meanings: dict[tuple[str, ...], Suspect] = {}
    services: dict[tuple[str, str, str], list[Suspect]] = {}
    for suspect in suspects.values():
        meaning = _meaning(suspect)
        if meaning in meanings:
            yield _same(suspect, meanings[meaning])
            continue
        meanings[meaning] = suspect
        rule = suspect.rule
        if rule.file is not None:
            services.setdefault((rule.file.service, rule.sensor, rule.scope), []).append(suspect)
    for group in services.values():
        yield from _shadowed(group[:_RIVALS_MAX])
    for suspect in suspects.values():
        yield from _strangers(suspect, suspects)


def _meaning(suspect: Suspect) -> tuple[str, ...]:
    rule = suspect.rule
    conditions = [f"{name} {canonical(one.tree)}" for name, one in sorted(suspect.asked.items())]
    times = f"{rule.for_ms} {rule.samples_min}"
    return (rule.sensor, rule.scope, times, *conditions)


def _same(suspect: Suspect, first: Suspect) -> Finding:
    message = f"{suspect.rule.id} means the same as {first.rule.id} "
    message += f"({first.home.file}:{first.home.line})"
    return suspect.at(None, "W211", message, "keep one of them")


def _shadowed(group: Sequence[Suspect]) -> Iterator[Finding]:
    """The narrower of two rules that ask for the same service."""
    for one, other in combinations(group, 2):
        for narrow, wide in ((one, other), (other, one)):
            if _is_shadowed(narrow, wide):
                message = f"whenever {narrow.rule.id} holds, so does {wide.rule.id}: "
                message += f"both ask for {narrow.rule.file.service if narrow.rule.file else ''}"
                hint = f"let one absorb the other, or leave {wide.rule.id} out with unless"
                yield narrow.at(narrow.key("when"), "W212", message, hint)
                break


def _is_shadowed(narrow: Suspect, wide: Suspect) -> bool:
    if _are_related(narrow, wide) or _are_related(wide, narrow):
        return False
    if narrow.rule.hit is not None or narrow.rule.for_ms < wide.rule.for_ms:
        return False
    wanted = wide.asked["when"].tree
    if "unless" in wide.asked or not variables(wanted) <= variables(narrow.asked["when"].tree):
        return False
    return narrow.logic.implies(narrow.firing, Wanted(wanted))


def _are_related(parent: Suspect, child: Suspect) -> bool:
    return child.rule.id in {scalar.text for scalar in parent.children}


def _strangers(suspect: Suspect, suspects: Mapping[str, Suspect]) -> Iterator[Finding]:
    """A child whose assets hang on no circuit, under a parent of circuits."""
    if suspect.rule.sensor in _ON_CIRCUITS:
        return
    for parent in suspect.parents:
        if parent.text in suspects and suspects[parent.text].rule.scope == "circuit":
            message = (
                f"{parent.text} is about circuits; what {suspect.rule.id} watches hangs on none"
            )
            hint = "remove it here and from absorbs of the parent"
            yield suspect.at(parent, "W214", message, hint)
