"""The rehearsal: what each rule would send to the city today, made up of what stands there.

For every rule that files, one request about the first thing that it watches, with the words that it
has before anything was measured. Nothing is sent from here. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import Row
from gateway.cityhall.outbox import reference_for
from gateway.cityhall.requests import service_request
from gateway.inventory.assets import City
from rules.rule import Bundle, Rule
from rules.track import ZONE, Subject


@dataclass(frozen=True, slots=True)
class Part:
    """One rule's request; `row` is None where it watches nothing in this city."""

    rule: Rule
    row: Row | None
    without_address: int = 0
    """Of the things that it watches, those for which no address is known."""
    watched: int = 0


def rehearse(bundle: Bundle, city: City, now_ms: int) -> Iterator[Part]:
    """Every rule that files, in the order of the bundle."""
    by_kind: dict[str, list[Subject]] = {}
    for subject in city.subjects():
        by_kind.setdefault(subject.kind, []).append(subject)
    for rule in bundle.rules.values():
        if rule.file is not None:
            yield _part(rule, _watched(rule, by_kind), now_ms)


def _watched(rule: Rule, by_kind: Mapping[str, list[Subject]]) -> list[Subject]:
    if rule.scope == "place":  # anywhere; where the first asset stands is somewhere
        anywhere = next((s for all_ in by_kind.values() for s in all_ if s.lat is not None), None)
        if anywhere is None:
            return []
        return [Subject("place:rehearsal", "place", {}, anywhere.lat, anywhere.lon)]
    if rule.scope == "zone":
        return by_kind.get(f"{ZONE}{rule.sensor}", [])
    return by_kind.get(rule.sensor if rule.scope == "asset" else rule.scope, [])


def _part(rule: Rule, watched: list[Subject], now_ms: int) -> Part:
    assert rule.file is not None
    placed = [subject for subject in watched if subject.lat is not None]
    if not placed:
        return Part(rule, None, watched=len(watched))
    subject = placed[0]
    incident = Incident(0, rule.id, subject.id, 1, State.QUEUED, now_ms, now_ms, now_ms, {})
    row = Row(
        reference=reference_for(f"rehearsal:{rule.id}"),
        incident_id=0,
        service=rule.file.service,
        request=service_request(incident, rule, subject, at_ms=now_ms, absorbed=0),
        created_ms=now_ms,
    )
    nameless = sum(not subject.attributes.get("address") for subject in watched)
    return Part(rule, row, nameless, len(watched))
