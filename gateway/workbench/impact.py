"""Impact: what a change of rules does to what is running now, before it is done.

Pure. Joins the changes between two bundles with the states and open incidents of the store: which
timers go on, which begin again, what happens to open incidents. It says what `Core` does when it is
built from that store with the new bundle; it never does it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.cases.incident import State
from rules.instance import Phase
from rules.plan import Change, Kind
from rules.rule import Bundle
from rules.saved import phases

Phases = Mapping[str, Counter[Phase]]
"""Rule -> how many subjects are in each phase other than ok."""
Open = Mapping[str, Counter[str]]
"""Rule -> how many open incidents are in each state."""


class Impact(NamedTuple):
    change: Change
    pending: int
    """Subjects on their way to firing."""
    firing: int
    """Subjects with an episode going on, clearing ones too."""
    open: Mapping[str, int]
    """Open incidents by state."""
    effects: Sequence[str]
    """What happens to these, as sentences."""

    def to_dict(self) -> dict[str, Any]:
        return self.change.to_dict() | {
            "pending": self.pending,
            "firing": self.firing,
            "open_incidents": dict(self.open),
            "effects": list(self.effects),
        }


def phases_of(
    rows: Iterable[tuple[str, bytes]],
    layout: Mapping[str, Sequence[Sequence[str]]],
    kinds: Mapping[str, str],
) -> dict[str, Counter[Phase]]:
    """Stored states, counted. `kinds`: subject -> its kind; others are places."""
    found: dict[str, Counter[Phase]] = {}
    for subject, blob in rows:
        rules = layout.get(kinds.get(subject, "place"), ())
        for (rule, _), phase in zip(rules, phases(blob), strict=False):
            if phase is not Phase.OK:
                found.setdefault(rule, Counter())[phase] += 1
    return found


def impacts(
    found: Iterable[Change], old: Bundle, new: Bundle, running: Phases, open_: Open
) -> list[Impact]:
    impact = []
    for change in found:
        phase = running.get(change.rule, Counter())
        states = open_.get(change.rule, Counter())
        firing = phase[Phase.FIRING] + phase[Phase.CLEARING]
        effects = list(_effects(change, old, new, phase[Phase.PENDING], states))
        impact.append(Impact(change, phase[Phase.PENDING], firing, states, effects))
    return impact


def rewritten(found: Iterable[Change], old: Bundle, new: Bundle) -> list[str]:
    """Kinds of subjects whose states are laid out anew: their late samples from before then are
    kept, but not judged any more.
    """
    rules = [
        (new.rules.get(change.rule) or old.rules[change.rule])
        for change in found
        if not change.keeps_state
    ]
    return sorted({rule.sensor if rule.scope == "asset" else rule.scope for rule in rules})


def _effects(
    change: Change, old: Bundle, new: Bundle, pending: int, states: Counter[str]
) -> Iterator[str]:
    count = states.total()
    if change.kind is Kind.REMOVED:
        told = [
            ("timers in progress, dropped", pending),
            ("open incidents, kept as they are, asleep until the rule is back", count),
            ("of these held, NOT filed while the rule is gone", states[State.HELD]),
        ]
    elif change.kind is Kind.ADDED:
        told = [("open incidents from when it was there before, going on", count)]
    else:
        was, will = old.rules[change.rule].in_shadow, new.rules[change.rule].in_shadow
        kept = change.keeps_state
        told = [
            ("timers in progress, " + ("kept" if kept else "RESET"), pending),
            ("open incidents, going on" + ("" if kept else " under the new rule"), count),
            ("open in shadow, FILED now, once each", states[State.SHADOW] * (was and not will)),
            ("held, will not be filed", states[State.HELD] * (will and not was)),
        ]
    return (f"{what}: {number}" for what, number in told if number)
