"""What a maintenance window would do: when it comes, what stands in it, what it would have hushed.

Pure. Looks at the city, the rules and past incidents with the very test that the gateway uses.
"""

from collections.abc import Sequence
from typing import Any

from gateway.cases.silences import Silence
from gateway.cityhall.requests import rfc3339, spot_of
from gateway.inventory.assets import City
from rules.rule import Bundle

COMING = 5
"""So many coming windows are shown."""

Past = Sequence[tuple[str, str, int, str]]
"""Rule, subject, when it fired, state."""


def preview(
    silence: Silence, city: City, bundle: Bundle, past: Past, now_ms: int
) -> dict[str, Any]:
    """`incidents` are the past ones of its kind; `within`: one that fired in such a window. A place
    on the road is no asset, and is only told by its rule.
    """
    subjects = {subject.id: subject for subject in city.subjects()}
    rules = [rule for rule in bundle.rules.values() if rule.file is not None]
    about = [
        subject.id
        for subject in subjects.values()
        if any(silence.is_about(spot_of(subject, rule)) for rule in rules)
    ]
    hushed = []
    for rule_id, subject_id, fired_ms, state in past:
        rule, subject = bundle.rules.get(rule_id), subjects.get(subject_id)
        if rule is None or subject is None or not silence.is_about(spot_of(subject, rule)):
            continue
        hushed.append(
            {
                "rule": rule_id,
                "subject": subject_id,
                "fired_at": rfc3339(fired_ms),
                "state": state,
                "within": silence.until_ms(fired_ms) is not None,
            }
        )
    return {
        "windows": [rfc3339(at_ms) for at_ms in _coming(silence, now_ms)],
        "assets": len(about),
        "of_its_kind": len(hushed),
        "would_have_waited": sum(bool(one["within"]) for one in hushed),
        "incidents": hushed,
    }


def told(silence: Silence, now_ms: int) -> dict[str, Any]:
    """A window as people read it; `next_at` is null when it never comes again."""
    until_ms, next_ms = silence.until_ms(now_ms), silence.next_ms(now_ms)
    lists = {
        "assets": silence.assets,
        "circuits": silence.circuits,
        "zones": silence.zones,
        "rules": silence.rules,
        "services": silence.services,
    }
    about = [f"{name}: {', '.join(values)}" for name, values in lists.items() if values]
    about += [f"a polygon of {len(silence.within)} points"] if silence.within else []
    return {
        "state": "over" if next_ms is None else "coming" if until_ms is None else "in force",
        "next_at": rfc3339(next_ms) if next_ms is not None else None,
        "until": rfc3339(until_ms) if until_ms is not None else None,
        "about": "; ".join(about),
        "repeat": silence.repeat,
        "time_zone": silence.time_zone,
        "who": silence.who,
        "why": silence.why,
    }


def _coming(silence: Silence, now_ms: int) -> list[int]:
    found: list[int] = []
    at_ms = max(now_ms, silence.from_ms)
    while len(found) < COMING and (next_ms := silence.next_ms(at_ms)) is not None:
        found.append(next_ms)
        at_ms = next_ms + silence.for_ms
    return found
