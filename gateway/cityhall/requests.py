"""What is asked of the city: a fault, put into words and coordinates.

Pure. A request says where, since when and on what evidence, so that a crew can go there without
asking back; what is not known reads "unknown", never nothing. What the device itself claims to be
wrong is evidence too, and stands at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gateway.cases.incident import Incident, State, Step, Why
from gateway.cases.incidents import FLAPS
from gateway.cases.silences import Spot
from gateway.cityhall.delivery import CITY, EMERGENCY, Row, ServiceRequest
from gateway.cityhall.delivery import State as Delivery
from gateway.cityhall.outbox import reference_for
from gateway.cityhall.telling import FIXED, REOPEN
from gateway.effects import News, Settings
from gateway.phrases import ENGLISH, Phrases
from rules.fields import CLAIM
from rules.rule import Rule, Values
from rules.track import Subject

FACT_CHARS_MAX = 200
MINUTE_MS = 60_000


def service_request(
    incident: Incident,
    rule: Rule,
    subject: Subject,
    *,
    at_ms: int,
    absorbed: int,
    phrases: Phrases = ENGLISH,
) -> ServiceRequest:
    """The request for an incident, as it stands at `at_ms`. `absorbed`: how many faults below this
    one it explains.
    """
    assert rule.file is not None
    assert subject.lat is not None
    assert subject.lon is not None
    attributes = subject.attributes
    facts = {
        "asset.id": subject.id,
        "circuit.id": str(attributes.get("circuit", "")),
        "zone.id": str(attributes.get("zone", "")),
        "place.id": subject.id,
        "started_at": rfc3339(incident.started_ms),
        "firing_for": duration(max(at_ms, incident.fired_ms) - incident.started_ms),
        "absorbed.count": str(absorbed),
    }
    template = rule.file.description_in(phrases.language)
    text = template.render(incident.values, attributes, facts)
    group = attributes.get(rule.scope) if rule.scope in ("circuit", "zone") else None
    return ServiceRequest(
        lat=subject.lat,
        long=subject.lon,
        description=_joined([text, *_further(incident, phrases)]),
        observed_at_ms=incident.started_ms,
        rule=rule.id,
        address=attributes.get("address"),
        asset_id=None if rule.scope == "place" else group or subject.id,
        place_id=subject.id if rule.scope == "place" else None,
        extra=_facts_of(attributes),
    )


def _facts_of(attributes: Values) -> dict[str, str]:
    """What the asset file says in single words and numbers."""
    return {
        name: str(value)[:FACT_CHARS_MAX]
        for name, value in attributes.items()
        if isinstance(value, str | int | float) and name != "address"
    }


def _joined(sentences: Sequence[str]) -> str:
    """A rule's own text may want its full stop."""
    first, *rest = sentences
    stop = "." if rest and first and first[-1] not in ".!?。" else ""
    return " ".join([first + stop, *rest])


def _further(incident: Incident, phrases: Phrases) -> Iterator[str]:
    """How sure it is, what the device itself says, and what the city has heard of it already."""
    took_ms = incident.fired_ms - incident.started_ms
    if took_ms >= MINUTE_MS:
        yield phrases.say("Confirmed over {duration}.", duration=duration(took_ms))
    if claims := claimed(incident.values):
        yield phrases.say("The device itself reports: {claims}.", claims=claims)
    if incident.earlier:
        text = "Request {number} about it was closed; the sensor still shows the fault."
        yield phrases.say(text, number=incident.earlier)
    times = len(incident.recent_ms) + 1
    if times > FLAPS:
        yield phrases.say("It comes and goes: {times} times within 24 hours.", times=str(times))


def claimed(values: Values) -> str:
    """The device's own claims; nothing where it makes none."""
    names = sorted(key.removeprefix(CLAIM) for key in values if key.startswith(CLAIM))
    return ", ".join(name.replace("_", " ") for name in names if name)


def news_of(step: Step, phrases: Phrases = ENGLISH) -> list[News]:
    """What the city is told of a request that was filed, when the sensor shows that it is over."""
    incident = step.incident
    if step.why is not Why.CLEARED or incident.state is not State.QUEUED:
        return []
    text = "The sensor shows since {time} that the fault is over."
    text = phrases.say(text, time=rfc3339(step.at_ms))
    return [News(incident.id, FIXED, text, step.at_ms)]


def row_for(
    incident: Incident, rule: Rule, asked: ServiceRequest, key: str, now_ms: int, to: Settings
) -> Row:
    """The request on its way. Where the city opens closed requests again, none is sent for what it
    closed unrepaired: the earlier one goes on.
    """
    assert rule.file is not None
    reference, urgent = reference_for(key), rule.file.urgent
    if to.evidence_url:
        asked = replace(asked, media_url=f"{to.evidence_url}/{reference}.png")
    row = Row(
        reference=reference,
        incident_id=incident.id,
        service=rule.file.service,
        request=asked,
        created_ms=now_ms,
        desk=EMERGENCY if urgent and to.emergency else CITY,
        urgent=urgent,
    )
    if not (to.reopens and incident.earlier):
        return row
    note = f"{incident.earlier} is to be opened again"
    return replace(row, state=Delivery.REOPENING, request_id=incident.earlier, reason=note)


def reopening(row: Row, at_ms: int) -> list[News]:
    """How the city is asked for that."""
    if row.state is not Delivery.REOPENING:
        return []
    return [News(row.incident_id, REOPEN, row.request.description, at_ms)]


def spot_of(subject: Subject, rule: Rule) -> Spot:
    """What a maintenance window looks at."""
    attributes = subject.attributes
    return Spot(
        rule=rule.id,
        service=rule.file.service if rule.file is not None else "",
        subject=subject.id,
        circuit=str(attributes.get("circuit", "")),
        zone=str(attributes.get("zone", "")),
        lat=subject.lat,
        lon=subject.lon,
    )


def rfc3339(ts_ms: int) -> str:
    """2026-01-15T20:05:00Z: what people and servers read."""
    at = datetime.fromtimestamp(ts_ms / 1000, UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(ms: int) -> str:
    minutes = round(ms / 60_000)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
