"""Requests to the city as they are shown: a page of them, and one with every step of its delivery.

What a person may do with one now is said by the delivery's own table, so that no button promises
what the books would refuse.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from gateway.books.case_book import (
    LAST,
    PAGE_ROWS_MAX,
    deliveries_of,
    request_record,
    requests_page,
)
from gateway.cityhall.delivery import Approved, Diverted, Event, Found, Retry, State
from gateway.cityhall.outbox import legal
from gateway.field.device_status import shown_time
from gateway.staff.deed import Deed
from gateway.views.books import Books

_MOVES: Mapping[Deed, type[Event]] = {
    Deed.APPROVE: Approved,
    Deed.HOLD: Diverted,
    Deed.RETRY: Retry,
    Deed.LINK: Found,
}


class Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class RequestRow(Record):
    """One request. Times in RFC 3339; None: not yet, or not known. `possible`: what a person may
    do with it as it stands.
    """

    reference: str
    incident: int
    rule: str
    subject: str
    service: str
    state: State
    desk: str
    urgent: bool
    approved: bool
    request_id: str | None
    token: str | None
    attempts: int
    created_at: str | None
    next_at: str | None
    first_sent_at: str | None
    last_sent_at: str | None
    reason: str
    city_status: str
    city_notes: str
    city_updated: str
    address: str | None
    zone: str | None
    possible: list[Deed]


class RequestList(Record):
    """A page, the newest first. `next`: what to give as `after` for the one behind it; None: this
    is the last.
    """

    requests: list[RequestRow]
    next: int | None


class Asked(Record):
    """What the city is asked."""

    lat: float
    long: float
    description: str
    observed_at: str | None
    address: str | None
    asset_id: str | None
    place_id: str | None
    media_url: str | None
    extra: dict[str, str]


class DeliveryStep(Record):
    at: str | None
    before: str
    event: str
    after: str
    reason: str


class RequestView(RequestRow):
    asked: Asked
    deliveries: list[DeliveryStep]


def requests_of(
    books: Books,
    after: int | None = None,
    limit: int = 100,
    *,
    state: str = "",
    service: str = "",
    desk: str = "",
    zone: str = "",
) -> RequestList:
    """StoreBroken: there are no books yet."""
    limit = min(max(limit, 1), PAGE_ROWS_MAX)
    wanted = {"state": state, "service": service, "desk": desk, "zone": zone}
    found = requests_page(books.database, after or LAST, limit + 1, **wanted)
    more = found[limit - 1]["incident"] if len(found) > limit else None
    return RequestList(requests=[RequestRow(**row_of(one)) for one in found[:limit]], next=more)


def request_view(books: Books, reference: str) -> RequestView | None:
    """None: there is no such request."""
    found = request_record(books.database, reference=reference)
    return None if found is None else _view(books, found)


def request_of_incident(books: Books, incident: int) -> RequestView | None:
    """None: the incident has asked nothing of the city."""
    found = request_record(books.database, incident=incident)
    return None if found is None else _view(books, found)


def asked_of(text: str) -> Asked:
    """From a request as it is stored."""
    said = json.loads(text)
    return Asked(**said | {"observed_at": shown_time(said["observed_at_ms"])})


def moves_of(state: str) -> Iterator[Deed]:
    """What can be done by hand with a request in this state."""
    for deed, event in _MOVES.items():
        if legal(State(state), event):
            yield deed


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a RequestRow."""
    times = {
        f"{name}_at": shown_time(record[f"{name}_ms"] or 0)
        for name in ("created", "next", "first_sent", "last_sent")
    }
    return {**record, **times, "possible": list(moves_of(record["state"]))}


def _view(books: Books, record: Mapping[str, Any]) -> RequestView:
    steps = [
        DeliveryStep(**one, at=shown_time(one["at_ms"]))
        for one in deliveries_of(books.database, record["reference"])
    ]
    return RequestView(**row_of(record), asked=asked_of(record["request"]), deliveries=steps)
