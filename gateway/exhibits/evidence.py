"""The evidence behind a request: what was measured against what was expected, since when, how sure.

Pure. Made from the incident, its request, and the readings around them, with the limits computed by
the rule's own conditions. What retention has removed is not there any more, and that is said. Names
no device.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cases.incident import Incident
from gateway.cityhall.delivery import Row
from gateway.cityhall.requests import duration, rfc3339
from gateway.inventory.assets import City
from gateway.workbench.inquiry import Received
from gateway.workbench.signals import Limit, Line, Points, Signals, View
from rules.rule import Rule

HOUR_MS = 3_600_000
AROUND_MS_MIN = HOUR_MS
AROUND_MS_MAX = 3 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Case:
    """What an evidence is about. `row` is None where nothing was asked of the city."""

    incident: Incident
    rule: Rule
    row: Row | None = None

    def window(self) -> tuple[int, int]:
        """From when to when it is worth looking: as long before and after as it took to fire."""
        incident = self.incident
        took_ms = incident.fired_ms - incident.started_ms
        around_ms = min(max(took_ms, AROUND_MS_MIN), AROUND_MS_MAX)
        since_ms = min(incident.started_ms, incident.fired_ms) - 2 * around_ms
        return since_ms, min(incident.cleared_ms or 1 << 62, incident.fired_ms + AROUND_MS_MAX)

    def view(self) -> View:
        since_ms, until_ms = self.window()
        subject = self.incident.subject
        asked = self.row.request if self.row is not None else None
        lat, lon = (asked.lat, asked.long) if asked is not None else (0.0, 0.0)
        return View(self.rule, subject, since_ms, until_ms + AROUND_MS_MIN, lat, lon)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`lines` and `limits` as charts draw them; `facts` as people read them."""

    case: Case
    lines: Sequence[Line]
    limits: Sequence[Limit]
    facts: Sequence[tuple[str, str]]

    def as_dict(self) -> dict[str, Any]:
        return {
            "facts": dict(self.facts),
            "signals": [
                {"name": line.key, "unit": line.unit, "points": _told(line.points)}
                for line in self.lines
            ],
            "limits": [
                {"name": limit.key, "role": limit.role, "text": limit.text,
                 "points": _told(limit.points)}
                for limit in self.limits
            ],
        }  # fmt: skip


def gathered(case: Case, city: City, messages: Iterable[Received]) -> Evidence:
    """From the messages of whoever speaks for the subject, in any order."""
    view = case.view()
    signals = Signals(city, [view])
    for received in messages:
        signals.feed(received)
    lines, limits = signals.lines(view), signals.limits(view)
    return Evidence(case, lines, limits, list(_facts(case, lines, limits)))


def _facts(case: Case, lines: Sequence[Line], limits: Sequence[Limit]) -> Iterable[tuple[str, str]]:
    incident, row = case.incident, case.row
    yield "what", row.request.description if row is not None else incident.rule
    yield "since", rfc3339(incident.started_ms)
    yield "fired", rfc3339(incident.fired_ms)
    if incident.cleared_ms is not None:
        yield "over", f"{rfc3339(incident.cleared_ms)}: {incident.why}"
    for line in lines:
        last = _last(line.points, incident.fired_ms)
        if last is not None:
            bounds = [_bound(limit, incident.fired_ms) for limit in limits if limit.key == line.key]
            against = "; ".join(bound for bound in bounds if bound)
            unit = "" if line.unit in ("1", "bool") else f" {line.unit}"
            yield line.key, f"{last:.4g}{unit}" + (f" ({against})" if against else "")
    seen = max((_within(line.points, incident) for line in lines), default=0)
    if seen:
        took = duration(incident.fired_ms - incident.started_ms)
        yield "how sure", f"{seen} reading{'s' * (seen > 1)} in {took}, up to when it fired"
    else:
        yield "how sure", "its readings are not kept any more, or it is about silence or others"
    if incident.earlier:
        yield "earlier", f"request {incident.earlier}, which the city closed"
    if row is not None:
        yield "request", " ".join(filter(None, (row.reference, row.request_id, f"({row.state})")))


def _bound(limit: Limit, at_ms: int) -> str:
    value = _last(limit.points, at_ms)
    return "" if value is None else f"{limit.text} = {value:.4g}"


def _last(points: Points, at_ms: int) -> float | None:
    return next((value for ts_ms, value in reversed(points) if ts_ms <= at_ms), None)


def _within(points: Points, incident: Incident) -> int:
    return sum(incident.started_ms <= ts_ms <= incident.fired_ms for ts_ms, _ in points)


def _told(points: Points) -> list[tuple[str, float]]:
    return [(rfc3339(ts_ms), value) for ts_ms, value in points]
