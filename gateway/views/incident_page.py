"""What speaks for an incident, as its page shows it: its signal as a chart, its rule's clauses.

The history is read and judged again from beside the running gateway, which may take seconds: call
it in a thread. What is not there any more (the rule, the asset, the readings) is left out, and the
view says which of them it is. Changes nothing.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from gateway.books.case_book import Wanted, incidents_page, journal_of
from gateway.books.hall_book import oldest_reading_ms, readings_up_to, received_ms_of
from gateway.books.ledger import case_of
from gateway.cases.incident import Incident, State
from gateway.cityhall.georeport_form import write_form
from gateway.cityhall.requests import rfc3339
from gateway.exhibits.evidence import Case, Evidence
from gateway.exhibits.exhibit import evidence_of, explanation_of
from gateway.plans import Plans
from gateway.staff.deed import NUMBER_MAX
from gateway.views.books import Books
from gateway.views.requests import Record
from gateway.views.rule_results import SignalChart, SignalLine, Span
from gateway.workbench.charts import thinned
from gateway.workbench.inquiry import HISTORY_MS, Question, Unanswerable, inquire
from rules.clause import Clause
from rules.explain import Explanation
from rules.instance import Phase
from rules.rule import Rule

READINGS_MAX = 100_000
"""So many are judged again; more would take minutes, and gigabytes."""
BRIEFS_MAX = 50
PHASES = frozenset({Phase.PENDING, Phase.FIRING, Phase.CLEARING})


class Missing(StrEnum):
    """What is not there any more, so that something cannot be shown."""

    NOTHING = ""
    RULE = "rule"
    """It is not among the rules in force."""
    ASSET = "asset"
    """It does not stand in the city any more."""
    READINGS = "readings"
    """Retention has removed them."""
    SIGNAL = "signal"
    """What the rule reads was not reported at that time: it is about silence, or about others."""
    TOO_MANY = "too_many"
    """More readings than are judged again for a page."""


class Named(Record):
    name: str
    value: str


class Brief(Record):
    """Another incident, in a line."""

    id: int
    rule: str
    subject: str
    state: str


class ClauseView(Record):
    """`truth` None: unknown. `said`: the comparison in values; `unknown`: why nobody knows."""

    text: str
    truth: bool | None
    said: str
    margin: str
    unknown: list[str]
    values: list[Named]
    parts: list["ClauseView"]


class Trial(Record):
    """The rule's conditions as they stood when it fired, by name: when, unless, clear."""

    at: str
    phase: str
    clauses: dict[str, ClauseView]
    names: list[Named]
    sample: list[Named]
    same: bool
    """Judged again it fires as it did then; else rules, assets or readings were others."""


class IncidentEvidence(Record):
    """`judged`: readings between its beginning and its firing; `took_s`: how long that was."""

    chart: SignalChart | None
    chart_missing: Missing
    trial: Trial | None
    trial_missing: Missing
    judged: int
    took_s: float


def time_zone_of(books: Books, subject: str) -> str:
    """Whose clocks an incident is told by: those of its asset, else the city's."""
    city = books.plans().city
    asset = city.assets.get(subject)
    return (city.time_zone_of(asset) if asset is not None else city.time_zone) or "UTC"


def circuit_of(books: Books, subject: str) -> str:
    """On which an asset is; empty where it is on none."""
    asset = books.plans().city.assets.get(subject)
    return str(asset.attributes.get("circuit", "")) if asset is not None else ""


def briefs_of(books: Books, numbers: Sequence[int]) -> dict[int, Brief]:
    """Of the first BRIEFS_MAX of them, by number. StoreBroken."""
    found = {}
    for number in numbers[:BRIEFS_MAX]:
        for record in incidents_page(books.database, Wanted(), number + 1, 1):
            if record["id"] == number:
                found[number] = Brief(**{name: record[name] for name in Brief.model_fields})
    return found


def is_missing(books: Books, rule: str, subject: str) -> Missing:
    """What of an incident is not in force any more, known without a look at its readings."""
    plans = books.plans()
    found = plans.bundle.rules.get(rule)
    if found is None:
        return Missing.RULE
    known = found.scope == "place" or any(one.id == subject for one in plans.city.subjects())
    return Missing.NOTHING if known else Missing.ASSET


def fields_of(books: Books, number: int) -> list[Named] | str:
    """The request as the city gets it, field by field, without the key; or why there is none."""
    plans = books.plans()
    found = case_of(books.database, number, "")
    if found is None or found[1] is None:
        return []
    profiles = {name: profile for name, _, _, profile in plans.desks()}
    form = write_form(found[1], profiles.get(found[1].desk, plans.profile))
    if not isinstance(form, list):
        return form.reason
    return [Named(name=name, value=value) for name, value in form]


def incident_evidence(books: Books, number: int) -> IncidentEvidence | None:
    """None: there is no such incident. StoreBroken."""
    plans = books.plans()
    found = case_of(books.database, number, "") if 0 < number <= NUMBER_MAX else None
    if found is None:
        return None
    incident, row = found
    rule = plans.bundle.rules.get(incident.rule)
    took_s = max(0, incident.fired_ms - incident.started_ms) / 1000
    if rule is None:
        gone = Missing.RULE
        return IncidentEvidence(
            chart=None, chart_missing=gone, trial=None, trial_missing=gone, judged=0, took_s=took_s
        )
    lost = _lost(books, incident, rule)
    chart, chart_missing, judged = None, lost, 0
    view = Case(incident, rule, row).view()
    if not _are_many(books, plans, incident, rule, (view.since_ms, view.until_ms)):
        shown = evidence_of(plans, incident=number)
        if shown is not None and shown.lines:
            chart, chart_missing = _chart(books, shown), Missing.NOTHING
            judged = max(_within(line.points, incident) for line in shown.lines)
    else:
        chart_missing = Missing.TOO_MANY
    trial, trial_missing = _trial(books, plans, incident, rule)
    return IncidentEvidence(
        chart=chart, chart_missing=chart_missing, trial=trial,
        trial_missing=trial_missing if trial is None else Missing.NOTHING,
        judged=judged, took_s=took_s,
    )  # fmt: skip


# -- the chart -------------------------------------------------------------------------------------


def _chart(books: Books, shown: Evidence) -> SignalChart:
    incident, view = shown.case.incident, shown.case.view()
    units = {line.key: line.unit for line in shown.lines}
    lines = [
        SignalLine(name=line.key, unit=line.unit, role="", points=thinned(line.points))
        for line in shown.lines
    ]
    lines += [
        SignalLine(
            name=f"{limit.key}: {limit.text}", unit=units[limit.key], role=limit.role,
            points=thinned(limit.points),
        )
        for limit in shown.limits if limit.key in units
    ]  # fmt: skip
    ends = [points[-1][0] for line in lines if (points := line.points)]
    until_ms = max([*ends, incident.cleared_ms or incident.fired_ms])
    steps = journal_of(books.database, incident.id)
    queued = [step["at_ms"] for step in steps if step["after"] == State.QUEUED]
    return SignalChart(
        rule=incident.rule, where=incident.subject, verdict="", since_ms=view.since_ms,
        until_ms=until_ms, filed_ms=queued[0] if queued else 0, lines=lines,
        spans=list(spans_of(incident, steps, until_ms)),
    )  # fmt: skip


def spans_of(incident: Incident, steps: Sequence[Any], until_ms: int) -> Iterator[Span]:
    """The phases of the episode, as the journal has them; what it has not is made up of what the
    incident itself knows.
    """
    end_ms = incident.cleared_ms or until_ms
    turns = [(incident.started_ms, Phase.PENDING), (incident.fired_ms, Phase.FIRING)]
    turns += [
        (step["at_ms"], Phase(step["after"]))
        for step in steps
        if step["after"] in PHASES and incident.fired_ms < step["at_ms"] < end_ms
    ]
    for (start_ms, phase), (next_ms, _) in zip(
        turns, [*turns[1:], (end_ms, Phase.OK)], strict=True
    ):
        if start_ms < next_ms:
            yield Span(phase=phase, start_ms=start_ms, end_ms=next_ms)


def _within(points: Sequence[tuple[int, float]], incident: Incident) -> int:
    return sum(incident.started_ms <= at_ms <= incident.fired_ms for at_ms, _ in points)


# -- the clauses -----------------------------------------------------------------------------------


def _trial(
    books: Books, plans: Plans, incident: Incident, rule: Rule
) -> tuple[Trial | None, Missing]:
    """The rule judged again on the history up to the instant at which it fired."""
    lost = _lost(books, incident, rule)
    if lost in (Missing.ASSET, Missing.READINGS):
        return None, lost
    at_ms = _fired_at_ms(books, plans, incident)
    if _are_many(books, plans, incident, rule, (at_ms - HISTORY_MS, at_ms)):
        return None, Missing.TOO_MANY
    try:
        inquiry = inquire(Question(rule.id, incident.subject, at_ms), plans.city, plans.bundle)
        told = explanation_of(plans, inquiry, rfc3339)
    except Unanswerable:
        return None, Missing.SIGNAL if lost is Missing.NOTHING else lost
    return _told(told), Missing.NOTHING


def _fired_at_ms(books: Books, plans: Plans, incident: Incident) -> int:
    """When the gateway knew it: with the reading that it was judged by."""
    if plans.config.ingest.clock == "follow":
        return incident.fired_ms
    for step in journal_of(books.database, incident.id):
        if step["after"] == Phase.FIRING and step["reading"] is not None:
            return max(incident.fired_ms, received_ms_of(books.database, step["reading"]) or 0)
    return incident.fired_ms


def _told(told: Explanation) -> Trial:
    return Trial(
        at=told.at, phase=told.phase, same=told.phase in (Phase.FIRING, Phase.CLEARING),
        clauses={name: _clause(clause) for name, clause in told.clauses.items()},
        names=[Named(name=one.name, value=one.value) for one in told.names],
        sample=[Named(name=one.name, value=one.value) for one in told.sample],
    )  # fmt: skip


def _clause(clause: Clause) -> ClauseView:
    return ClauseView(
        text=clause.text, truth=clause.truth, said=clause.said, margin=clause.margin,
        unknown=list(clause.unknown), parts=[_clause(part) for part in clause.parts],
        values=[Named(name=one.name, value=one.value) for one in clause.from_values],
    )  # fmt: skip


# -- what there is ---------------------------------------------------------------------------------


def _lost(books: Books, incident: Incident, rule: Rule) -> Missing:
    """Why there is no signal, where there is none."""
    if is_missing(books, rule.id, incident.subject) is Missing.ASSET:
        return Missing.ASSET
    oldest_ms = oldest_reading_ms(books.database)
    if oldest_ms is None or oldest_ms > incident.fired_ms:
        return Missing.READINGS
    return Missing.SIGNAL


def _are_many(
    books: Books, plans: Plans, incident: Incident, rule: Rule, window: tuple[int, int]
) -> bool:
    try:
        inquiry = inquire(Question(rule.id, incident.subject, window[1]), plans.city, plans.bundle)
    except Unanswerable:
        return False
    devices = None if inquiry.needs_road else inquiry.devices
    return readings_up_to(books.database, devices, *window, READINGS_MAX + 1) > READINGS_MAX
