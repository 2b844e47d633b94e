"""Following: what became of each filed request at the city.

There is no push in GeoReport v2, so every open request is asked for again, many with one call: each
after its pause, a closed one daily for a month, since cities reopen. One that was closed as the
duplicate of another goes on as that other. A request that the city does not show stays as it was
last seen. That one was closed, or opened again, is handed on as an order; files nothing and changes
no delivery. A desk that does not answer is left alone for a while.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.cases.orders import CityClosed, CityReopened, Order
from gateway.cityhall.delivery import CITY, CannotTell
from gateway.cityhall.georeport_read import Record

AT_ONCE = 50
"""Ids in one call: an address of some two thousand characters."""
DAY_MS = 86_400_000
CLOSED_DAYS = 30
NEVER_MS = 1 << 62
TROUBLE_MS = 60_000
TEXT_CHARS_MAX = 1_000  # of the city's notes
CLOSED = "closed"
DUPLICATE = "duplicate"
"""Closed, though what it was asked for is not done: another request stands for it."""
_CLOSED_WORDS = frozenset({"closed", "fixed", "resolved", "completed", "archived"})
_DUPLICATE_WORDS = re.compile(r"\bduplicate\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Followed:
    """A filed request as the city showed it last; "" where it has not shown it yet. `since_ms`: of
    this status; `next_ms`: asked for again then.
    """

    reference: str
    incident_id: int
    request_id: str
    status: str = ""
    notes: str = ""
    updated: str = ""
    since_ms: int = 0
    next_ms: int = 0
    original: str = ""
    """The request that this one is a duplicate of, which is followed in its place."""

    @property
    def shown_as(self) -> str:
        return self.original or self.request_id


class Book(Protocol):
    """Where they are kept; each call is one durable transaction."""

    def follow_due(self, now_ms: int, limit: int, desk: str) -> list[Followed]: ...

    def follow_save(
        self,
        rows: Sequence[Followed],
        changed: Sequence[Followed],
        orders: Sequence[Order],
        at_ms: int,
    ) -> None:
        """`changed`: those of the rows whose status is another one, for the log. `orders`: what the
        gateway is to make of it.
        """


class City(Protocol):
    def shown(self, request_ids: Sequence[str]) -> Mapping[str, Record] | CannotTell: ...


def seen(before: Followed, record: Record | None, now_ms: int, pause_ms: int) -> Followed:
    """After a look: the record that the city shows of it, if any."""
    status = _status(record) or before.status
    after = before
    if record is not None:
        after = replace(
            before,
            status=status,
            original=_original(record) or before.original,
            notes=_text(record, "status_notes") or before.notes,
            updated=_text(record, "updated_datetime") or before.updated,
            since_ms=now_ms if status != before.status else before.since_ms,
        )
    return replace(after, next_ms=now_ms + _pause_ms(after, now_ms, pause_ms))


def order_of(before: Followed, after: Followed, verify_s: int) -> Order | None:
    """What is to be made of it: closed is a promise that the sensor is to bear out."""
    if after.status == CLOSED and before.status != CLOSED:
        return CityClosed(after.incident_id, after.shown_as, verify_s)
    if before.status == CLOSED and after.status != CLOSED:
        return CityReopened(after.incident_id)
    return None


def _status(record: Record | None) -> str:
    status = _text(record, "status").lower()
    if record is None or status not in _CLOSED_WORDS:
        return status
    duplicate = _original(record) or _DUPLICATE_WORDS.search(_text(record, "status_notes"))
    return DUPLICATE if duplicate else CLOSED


def _original(record: Record) -> str:
    """As Chicago writes it, among the extended attributes or beside them."""
    extended = record.get("extended_attributes")
    for told in (record, extended if isinstance(extended, dict) else {}):
        number = told.get("parent_service_request_id")
        if isinstance(number, str | int) and not isinstance(number, bool) and str(number).strip():
            return str(number).strip()[:100]
    return ""


def _pause_ms(row: Followed, now_ms: int, pause_ms: int) -> int:
    if row.status != CLOSED:
        return pause_ms
    return DAY_MS if now_ms - row.since_ms < CLOSED_DAYS * DAY_MS else NEVER_MS - now_ms


def _text(record: Record | None, name: str) -> str:
    value = record.get(name) if record is not None else None
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return "".join(char for char in text if char.isprintable())[:TEXT_CHARS_MAX]


class Follower:
    """Looks at what is due, one call a step. `pause_ms` 0: nothing is followed. `verify_s`: so long
    after the city has closed a request, the sensor is to show that it is repaired.
    """

    def __init__(
        self,
        book: Book,
        city: City,
        pause_ms: int,
        now_ms: Callable[[], int],
        verify_s: int = 0,
        desk: str = CITY,
    ) -> None:
        self._book = book
        self._city = city
        self._pause_ms = pause_ms
        self._verify_s = verify_s
        self._desk = desk
        self._now_ms = now_ms
        self._not_before_ms = 0

    def step(self) -> int:
        """How many requests were looked at."""
        now_ms = self._now_ms()
        if not self._pause_ms or now_ms < self._not_before_ms:
            return 0
        due = self._book.follow_due(now_ms, AT_ONCE, self._desk)
        if not due:
            self._not_before_ms = now_ms + min(TROUBLE_MS, self._pause_ms) // 10
            return 0
        shown = self._city.shown([row.shown_as for row in due])
        if isinstance(shown, CannotTell):
            asked_ms = int(1000 * (shown.retry_after_s or 0))
            self._not_before_ms = now_ms + max(TROUBLE_MS, asked_ms)
            return 0
        rows = [seen(row, shown.get(row.shown_as), now_ms, self._pause_ms) for row in due]
        pairs = list(zip(due, rows, strict=True))
        changed = [after for before, after in pairs if after.status != before.status]
        told = (order_of(before, after, self._verify_s) for before, after in pairs)
        self._book.follow_save(rows, changed, [order for order in told if order], now_ms)
        return len(rows)
