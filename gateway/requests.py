"""What is asked of the city: a fault, put into words and coordinates.

Pure. A request says where, since when and on what evidence, so that a crew can go there without
asking back; what is not known reads "unknown", never nothing. What the device itself claims to be
wrong is evidence too, and stands at the end.
"""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.delivery import Row, ServiceRequest
from gateway.delivery import State as Delivery
from gateway.effects import News
from gateway.incident import Incident, State, Step, Why
from gateway.incidents import FLAPS
from gateway.silences import Spot
from gateway.telling import FIXED, REOPEN
from rules.fields import CLAIM
from rules.rule import Rule, Values
from rules.track import Subject

FACT_CHARS_MAX = 200


def service_request(
    incident: Incident, rule: Rule, subject: Subject, *, at_ms: int, absorbed: int
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
    group = attributes.get(rule.scope) if rule.scope in ("circuit", "zone") else None
    return ServiceRequest(
        lat=subject.lat,
        long=subject.lon,
        description=rule.file.description.render(incident.values, attributes, facts)
        + claimed(incident.values)
        + before(incident),
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


def claimed(values: Values) -> str:
    """The sentence on the device's own claims; nothing where it makes none."""
    names = sorted(key.removeprefix(CLAIM) for key in values if key.startswith(CLAIM))
    told = ", ".join(name.replace("_", " ") for name in names if name)
    return f" The device itself reports: {told}." if told else ""


def before(incident: Incident) -> str:
    """The sentence on what the city has heard of it already; nothing where that is nothing."""
    if incident.earlier:
        return f" Request {incident.earlier} about it was closed; the sensor still shows the fault."
    times = len(incident.recent_ms) + 1
    return f" It comes and goes: {times} times within 24 hours." if times > FLAPS else ""


def news_of(step: Step) -> list[News]:
    """What the city is told of a request that was filed, when the sensor shows that it is over."""
    incident = step.incident
    if step.why is not Why.CLEARED or incident.state is not State.QUEUED:
        return []
    text = f"The sensor shows since {rfc3339(step.at_ms)} that the fault is over."
    return [News(incident.id, FIXED, text, step.at_ms)]


def reopened(row: Row, incident: Incident) -> Row:
    """Where the city opens closed requests again, no other is filed: the earlier one goes on."""
    if not incident.earlier:
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
