"""What is asked of the city: a fault, put into words and coordinates.

Pure. A request says where, since when and on what evidence, so that a crew can go there without
asking back; what is not known reads "unknown", never nothing. What the device itself claims to be
wrong is evidence too, and stands at the end.
"""

from datetime import UTC, datetime

from gateway.incidents import Incident
from gateway.outbox import ServiceRequest
from rules.fields import CLAIM
from rules.rule import Rule, Values
from rules.track import Subject


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
        + claimed(incident.values),
        observed_at_ms=incident.started_ms,
        rule=rule.id,
        address=attributes.get("address"),
        asset_id=None if rule.scope == "place" else group or subject.id,
        place_id=subject.id if rule.scope == "place" else None,
    )


def claimed(values: Values) -> str:
    """The sentence on the device's own claims; nothing where it makes none."""
    names = sorted(key.removeprefix(CLAIM) for key in values if key.startswith(CLAIM))
    told = ", ".join(name.replace("_", " ") for name in names if name)
    return f" The device itself reports: {told}." if told else ""


def rfc3339(ts_ms: int) -> str:
    """2026-01-15T20:05:00Z: what people and servers read."""
    at = datetime.fromtimestamp(ts_ms / 1000, UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(ms: int) -> str:
    minutes = round(ms / 60_000)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
