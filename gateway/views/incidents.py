"""Incidents as they are shown: a page of them by what is wanted, and one with its whole story.

Kind, zone and address are those of the asset where there is one, else those of the rule and of the
request; of a rule or an asset that is gone the books say what is left. What can be done by hand is
said as the gateway would answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gateway.books.case_book import (
    LAST,
    PAGE_ROWS_MAX,
    explained_by,
    incident_values,
    incidents_page,
    journal_of,
    unfiled_record,
)
from gateway.books.case_book import Wanted as Query
from gateway.cases.incident import State
from gateway.cityhall.delivery import State as Delivery
from gateway.exhibits.evidence import Evidence
from gateway.exhibits.exhibit import evidence_of
from gateway.field.device_status import shown_time
from gateway.inventory.assets import City
from gateway.plans import Plans
from gateway.staff.deed import Deed
from gateway.views.books import Books
from gateway.views.city import titled
from gateway.views.requests import (
    Asked,
    Record,
    RequestView,
    asked_of,
    moves_of,
    request_of_incident,
)

FOR_A_PERSON = (Delivery.REVIEW, Delivery.REFUSED, Delivery.HELD)
HOUR_MS = 3_600_000


class Wanted(NamedTuple):
    """Which incidents; empty and None: any. `waiting`: whose request waits for a person; `search`:
    a part of the name of its asset, of its address or of its reference, or the city's number.
    """

    state: str = ""
    open: bool | None = None
    kind: str = ""
    zone: str = ""
    rule: str = ""
    asset: str = ""
    waiting: bool = False
    hours: float | None = None
    """Found within so many hours."""
    search: str = ""


ANY = Wanted()


class RequestBrief(Record):
    reference: str
    state: Delivery
    request_id: str | None
    city_status: str | None


class IncidentRow(Record):
    """One fault episode. Times in RFC 3339; None: not so, or not known. `why`: of its last step;
    `parent`: the incident that explains it.
    """

    id: int
    rule: str
    title: str
    subject: str
    kind: str
    zone: str
    address: str
    lat: float | None
    long: float | None
    episode: int
    state: State
    open: bool
    started_at: str | None
    fired_at: str | None
    due_at: str | None
    cleared_at: str | None
    closed_at: str | None
    """When the city closed its request."""
    why: str
    parent: int | None
    earlier: str
    """The city's number of the request that this one goes on with."""
    request: RequestBrief | None


class IncidentList(Record):
    """A page, the newest first. `next`: what to give as `after` for the one behind it; None: this
    is the last.
    """

    incidents: list[IncidentRow]
    next: int | None


class JournalStep(Record):
    """`reading`: the number of the one that it was judged by."""

    at: str | None
    before: str
    after: str
    cause: str
    reading: int | None


class WouldHaveFiled(Record):
    """Of an incident in shadow."""

    service: str
    at: str | None
    asked: Asked


class Signal(Record):
    name: str
    unit: str
    points: list[tuple[str, float]]


class LimitLine(Record):
    name: str
    role: str
    text: str
    points: list[tuple[str, float]]


class EvidenceView(Record):
    """What was measured against what was expected."""

    facts: dict[str, str]
    signals: list[Signal]
    limits: list[LimitLine]


class IncidentView(IncidentRow):
    """`explains`: the incidents that are part of this one; `possible`: what a person may do now;
    `evidence` None: not asked for, or its rule is not there any more.
    """

    values: dict[str, Any]
    explains: list[int]
    possible: list[Deed]
    journal: list[JournalStep]
    whole_request: RequestView | None
    would_have_filed: WouldHaveFiled | None
    evidence: EvidenceView | None


def incidents_of(
    books: Books, wanted: Wanted = ANY, after: int | None = None, limit: int = 100
) -> IncidentList:
    """StoreBroken: there are no books yet."""
    limit = min(max(limit, 1), PAGE_ROWS_MAX)
    plans = books.plans()
    query = _query(plans, wanted, books.now_ms())
    found = incidents_page(books.database, query, after or LAST, limit + 1)
    more = found[limit - 1]["id"] if len(found) > limit else None
    rows = [IncidentRow(**_row(plans, one)) for one in found[:limit]]
    return IncidentList(incidents=rows, next=more)


def incident_view(books: Books, number: int, *, evidence: bool = True) -> IncidentView | None:
    """None: there is no such incident. With the evidence it may take a second."""
    found = incidents_page(books.database, Query(), min(number, LAST - 1) + 1, 1)
    if not found or found[0]["id"] != number:
        return None
    plans = books.plans()
    shown = evidence_of(plans, incident=number) if evidence else None
    return IncidentView(
        **_row(plans, found[0]),
        values=incident_values(books.database, number),
        explains=explained_by(books.database, number),
        possible=list(deeds_of(found[0])),
        journal=[JournalStep(**one, at=shown_time(one["at_ms"])) for one in
                 journal_of(books.database, number)],
        whole_request=request_of_incident(books, number),
        would_have_filed=_would_have(books, number),
        evidence=None if shown is None else _evidence(shown),
    )  # fmt: skip


def deeds_of(record: Mapping[str, Any]) -> Iterator[Deed]:
    """What can be done by hand with an incident as it stands in the books."""
    is_open = _is_open(record)
    if record["request_state"] and Deed.LINK in moves_of(record["request_state"]):
        yield Deed.LINK
    if is_open:
        yield Deed.MERGE
    if is_open and record["state"] == State.ABSORBED:
        yield Deed.SPLIT
    if not is_open or record["closed_ms"] is not None:
        yield Deed.REOPEN


def _query(plans: Plans, wanted: Wanted, now_ms: int) -> Query:
    rules = None
    if wanted.rule or wanted.kind:
        known = [rule.id for rule in plans.bundle.rules.values() if rule.sensor == wanted.kind]
        rules = known if wanted.kind else [wanted.rule]
        if wanted.kind and wanted.rule:
            rules = [wanted.rule] if wanted.rule in known else []
    search = wanted.search.strip().lower()
    since_ms = 0 if wanted.hours is None else now_ms - round(wanted.hours * HOUR_MS)
    return Query(
        state=wanted.state, open=wanted.open, rules=rules, zone=wanted.zone,
        subjects=_within(plans.city, wanted.zone), asset=wanted.asset,
        request_states=FOR_A_PERSON if wanted.waiting else None, since_ms=since_ms,
        search=search, found=_at_address(plans.city, search),
    )  # fmt: skip


def _within(city: City, zone: str) -> list[str]:
    return [asset.id for asset in city.assets.values() if asset.zone == zone] if zone else []


def _at_address(city: City, search: str) -> list[str]:
    """Assets by an address that stands in the city's files alone."""
    if not search:
        return []
    return [one.id for one in city.assets.values() if search in (one.address or "").lower()]


def _is_open(record: Mapping[str, Any]) -> bool:
    return record["cleared_ms"] is None and record["state"] != State.WITHDRAWN


def _row(plans: Plans, record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an IncidentRow."""
    asset, rule = plans.city.assets.get(record["subject"]), plans.bundle.rules.get(record["rule"])
    request = None
    if record["reference"] is not None:
        request = RequestBrief(
            reference=record["reference"], state=record["request_state"],
            request_id=record["request_id"], city_status=record["city_status"],
        )  # fmt: skip
    times = {
        f"{name}_at": shown_time(record[f"{name}_ms"] or 0)
        for name in ("started", "fired", "due", "cleared", "closed")
    }
    return {
        **record,
        **times,
        "title": titled(rule.title, record["subject"]) if rule is not None else "",
        "kind": asset.kind if asset is not None else rule.sensor if rule is not None else "",
        "zone": (asset.zone if asset is not None else record["zone"]) or "",
        "address": (asset.address if asset is not None else record["address"]) or "",
        "lat": asset.lat if asset is not None else record["lat"],
        "long": asset.lon if asset is not None else record["long"],
        "open": _is_open(record),
        "request": request,
    }


def _would_have(books: Books, number: int) -> WouldHaveFiled | None:
    found = unfiled_record(books.database, number)
    if found is None:
        return None
    at = shown_time(found["created_ms"])
    return WouldHaveFiled(service=found["service"], at=at, asked=asked_of(found["request"]))


def _evidence(shown: Evidence) -> EvidenceView:
    told = shown.as_dict()
    return EvidenceView.model_validate(told)
