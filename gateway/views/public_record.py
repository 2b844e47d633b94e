"""The public record: what sensors found and the city was asked to repair, as everybody may see it.

One entry for each request that has a number of the city: what kind, where, when, how it stands. It
holds no device, no asset, no person and no free text; places are rounded to about a metre, and what
cannot be printed is taken out of every text. Made anew from the books, never changed.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.books.ledger import mark_of
from gateway.books.public_book import FiledRequest, filed_of
from gateway.cases.incident import Why
from gateway.cityhall.following import CLOSED, DUPLICATE
from gateway.cityhall.profile import Profile
from gateway.clock import ms_of

DECIMALS = 5  # of a degree: a metre, the lamp and not its neighbour
TEXT_CHARS_MAX = 300
CLOCKS_APART_MS = 300_000  # the city's clock and ours


Mark = tuple[int, ...]
"""Of the books at one instant: another one where something may have changed since."""


class Standing(StrEnum):
    """How a request stands: what the city says, and what the sensor shows."""

    OPEN = "open"
    OVER = "over"
    REPAIRED = "repaired"
    CLOSED = "closed"
    NOT_REPAIRED = "not_repaired"
    DUPLICATE = "duplicate"
    MISTAKEN = "mistaken"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One request. Times in ms since the epoch; `closed_ms` None: the city has not closed it."""

    number: str
    """The city's own: `service_request_id`."""
    service: str
    zone: str
    address: str
    lat: float
    long: float
    found_ms: int
    requested_ms: int
    updated_ms: int
    closed_ms: int | None
    standing: Standing


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """All entries, the newest request first."""

    entries: tuple[Entry, ...]
    by_number: Mapping[str, Entry]
    services: tuple[str, ...]
    """What the city offers and what was asked of it, sorted."""
    zones: tuple[str, ...]
    version: str
    """The same for the same content."""
    updated_ms: int
    """When something changed last; 0 where there is nothing."""
    mark: Mark
    """Of the books that it was read from."""
    worked_out: dict[Hashable, Any] = field(default_factory=dict)
    """What took long to work out of it, kept as long as it is."""
    _ages: Sequence[int] = ()
    """`-requested_ms` of the entries, so that they rise."""

    def between(self, since_ms: int | None, until_ms: int | None) -> Sequence[Entry]:
        """Those requested from the one time on and before the other."""
        start = 0 if until_ms is None else bisect_right(self._ages, -until_ms)
        end = len(self.entries) if since_ms is None else bisect_right(self._ages, -since_ms)
        return self.entries[start:end]


def read_record(database: Path, profile: Profile, before: Record | None = None) -> Record:
    """Of the books as they are now; the one before, where nothing changed since. StoreError."""
    mark = mark_of(database)
    if before is not None and before.mark == mark:
        return before
    return record_of(filed_of(database), profile, mark)


def record_of(rows: Iterable[FiledRequest], profile: Profile, mark: Mark = ()) -> Record:
    """The record of these rows, oldest first: of two with one number the later says how it stands,
    the earlier since when.
    """
    zone = ZoneInfo(profile.timezone)
    found: dict[str, Entry] = {}
    for row in rows:
        entry = _entry(row, zone)
        earlier = found.get(entry.number)
        found[entry.number] = entry if earlier is None else _joined(earlier, entry)
    entries = tuple(sorted(found.values(), key=lambda e: (e.requested_ms, e.number), reverse=True))
    services = {*profile.services, *(entry.service for entry in entries)}
    return Record(
        entries=entries,
        by_number=found,
        services=tuple(sorted(services)),
        zones=tuple(sorted({entry.zone for entry in entries} - {""})),
        version=hashlib.sha256(
            msgspec.msgpack.encode((entries, sorted(services)))
        ).hexdigest()[:20],
        updated_ms=max((entry.updated_ms for entry in entries), default=0),
        mark=mark,
        _ages=[-entry.requested_ms for entry in entries],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """Which entries: "" and None choose all. From `since_ms` on, before `until_ms`."""

    service: str = ""
    zone: str = ""
    standing: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    def of(self, record: Record) -> Sequence[Entry]:
        """In the record's order, newest first."""
        found = record.between(self.since_ms, self.until_ms)
        if self.service:
            found = [entry for entry in found if entry.service == self.service]
        if self.zone:
            found = [entry for entry in found if entry.zone == self.zone]
        if self.standing:
            found = [entry for entry in found if entry.standing == self.standing]
        return found


def _joined(earlier: Entry, later: Entry) -> Entry:
    return msgspec.structs.replace(
        later,
        found_ms=min(earlier.found_ms, later.found_ms),
        requested_ms=min(earlier.requested_ms, later.requested_ms),
    )


def _entry(row: FiledRequest, zone: ZoneInfo) -> Entry:
    closed_ms = _closed_ms(row, zone)
    changes = (row.requested_ms, row.since_ms if closed_ms is None else closed_ms, row.over_ms or 0)
    return Entry(
        number=_printed(row.number),
        service=_printed(row.service),
        zone=_printed(row.spot.zone),
        address=_printed(row.spot.address or ""),
        lat=round(row.spot.lat, DECIMALS),
        long=round(row.spot.long, DECIMALS),
        found_ms=row.found_ms,
        requested_ms=row.requested_ms,
        updated_ms=max(changes),
        closed_ms=closed_ms,
        standing=_standing(row),
    )


def _standing(row: FiledRequest) -> Standing:
    if row.status == DUPLICATE:
        return Standing.DUPLICATE
    if row.why == Why.LATE_SAMPLE:
        return Standing.MISTAKEN
    over = row.over_ms is not None and row.why == Why.CLEARED
    if row.status != CLOSED:
        return Standing.OVER if over else Standing.OPEN
    if row.why in (Why.NOT_REPAIRED, Why.REOPENED):
        return Standing.NOT_REPAIRED
    return Standing.REPAIRED if over else Standing.CLOSED


def _closed_ms(row: FiledRequest, zone: ZoneInfo) -> int | None:
    """By the city's word where that can be so; else when it was first seen to be."""
    if row.status not in (CLOSED, DUPLICATE):
        return None
    said_ms = _said_ms(row.updated, zone)
    if said_ms is not None and row.requested_ms <= said_ms <= row.since_ms + CLOCKS_APART_MS:
        return said_ms
    return max(row.since_ms, row.requested_ms)


def _said_ms(text: str, zone: ZoneInfo) -> int | None:
    """A time as the city writes it; one without a zone is by its own clocks."""
    if (ms := ms_of(text)) is not None:
        return ms
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)


def _printed(text: str) -> str:
    if text.isprintable():
        return text[:TEXT_CHARS_MAX]
    return "".join(char if char.isprintable() else " " for char in text)[:TEXT_CHARS_MAX].strip()
