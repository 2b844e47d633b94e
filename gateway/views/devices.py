"""Devices as they are shown: a page of the fleet, and one of them with all that is known of it.

Says of each what `devices ls` and `devices show` say, from the same rooms; a fleet of 100,000 is
listed within a second.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from gateway.books.ledger import last_readings, refusals_of
from gateway.books.survey import fleet_of, heard_of, member_of
from gateway.books.survey import now_of as judged_at
from gateway.effects import KeptRefusal, StoredReading
from gateway.field.device_status import DeviceState, in_words, shown_time
from gateway.field.devices import NO_BOOT, Device
from gateway.field.fleet import Member, Now
from gateway.inventory.adoptable import Hearsay, Likely, likely
from gateway.views.books import Books

PAGE_ROWS_MAX = 200
SHOWN_MAX = 10
"""Readings and refusals of one device, as `devices show` has them."""
GAPS_MAX = 20


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class DeviceRow(_Record):
    """One device in a list. Times in RFC 3339; None: never, or not known."""

    device: str
    state: DeviceState
    kind: str
    zone: str
    asset: str | None
    last_seen: str | None
    clock_skew_s: float
    missing: int
    duplicates: int
    late: int
    rejected: int
    resets: int
    battery_v: float | None
    unfit: dict[str, int]
    refused: str | None
    hint: str = ""
    """What mends the last refusal."""


class DeviceList(_Record):
    """A page of those that were asked for; `found`: how many that are. `states`, `kinds` and
    `zones` are those of the whole fleet.
    """

    devices: list[DeviceRow]
    found: int
    page: int
    pages: int
    states: dict[DeviceState, int]
    kinds: list[str]
    zones: list[str]


class ReadingRow(_Record):
    at: str | None
    received_at: str | None
    verdict: str
    values: dict[str, Any]


class RefusalRow(_Record):
    id: int
    received_at: str | None
    device: str
    reason: str
    path: str
    message: str
    hint: str
    topic: str
    size: int
    whole: bool


class Gap(_Record):
    """Numbers that never came. `boot` None: the device does not count its starts."""

    boot: int | None
    first: int
    last: int


class Proposal(_Record):
    """An asset that it may belong to. `metres`: how far it stands from where the device was;
    `same_number`: their names end in the same number; `silent`: nothing speaks for it so far.
    """

    asset: str
    metres: int | None
    same_number: bool
    silent: bool


class DeviceView(DeviceRow):
    clock: str
    readings: list[ReadingRow]
    refusals: list[RefusalRow]
    gaps: list[Gap]
    proposals: list[Proposal]
    """Whose it may be, the likeliest first; only of one that is nobody's."""


class Wanted(NamedTuple):
    """Which devices; empty: any. `search`: a part of its name, or of its asset's."""

    state: str = ""
    kind: str = ""
    zone: str = ""
    search: str = ""


ALL = Wanted()


def devices_of(
    books: Books, wanted: Wanted = ALL, page: int = 1, rows: int = PAGE_ROWS_MAX
) -> DeviceList:
    """By name; a page beyond the last is the last. StoreBroken: there are no books yet."""
    fleet = fleet_of(books.database, books.plans().city, now_of(books))
    rows = min(max(rows, 1), PAGE_ROWS_MAX)
    wanted = wanted._replace(search=wanted.search.strip().casefold())
    states, groups, found = Counter[DeviceState](), set[tuple[str, str]](), list[str]()
    for name in fleet.names():
        one = fleet.member(name)
        states[one.state] += 1
        groups.add((one.device.kind, one.device.zone))
        if _is_wanted(one, wanted):
            found.append(name)
    pages = max(1, -(-len(found) // rows))
    page = min(max(page, 1), pages)
    chosen = found[(page - 1) * rows : page * rows]
    return DeviceList(
        devices=[_row(fleet.member(name)) for name in chosen],
        found=len(found),
        page=page,
        pages=pages,
        states={state: states[state] for state in DeviceState},
        kinds=sorted({kind for kind, _ in groups} - {""}),
        zones=sorted({zone for _, zone in groups} - {""}),
    )


def standings_of(books: Books) -> dict[str, int]:
    """How many devices stand how; each looked at once. StoreBroken: there are no books yet."""
    fleet = fleet_of(books.database, books.plans().city, now_of(books))
    counted = Counter(str(fleet.member(name).state) for name in fleet.names())
    return {str(state): counted[state] for state in DeviceState}


def device_view(books: Books, name: str) -> DeviceView | None:
    """None: nobody has heard of it, and no asset has it."""
    database = books.database
    one = member_of(database, name, books.plans().city, now_of(books))
    if one is None:
        return None
    kept = refusals_of(database, device=name, limit=SHOWN_MAX)
    return DeviceView(
        **_row(one).model_dump(),
        clock=in_words(one.device),
        readings=[reading_row(row) for row in last_readings(database, name, SHOWN_MAX)],
        refusals=[refusal_row(row) for row in kept],
        gaps=list(_gaps(one.device))[:GAPS_MAX],
        proposals=_proposals(books, one, kept) if one.asset is None else [],
    )


def now_of(books: Books) -> Now:
    """The time by which devices are judged: that of the data where the gateway follows them."""
    follows = books.config.ingest.clock == "follow"
    return judged_at(books.database, books.now_ms(), follows=follows)


# -- one of many -----------------------------------------------------------------------------------


def _is_wanted(one: Member, wanted: Wanted) -> bool:
    """`search` in small letters."""
    device, asset = one.device, one.asset.id if one.asset is not None else ""
    return (
        wanted.state in ("", one.state)
        and wanted.kind in ("", device.kind)
        and wanted.zone in ("", device.zone)
        and (wanted.search in device.name.casefold() or wanted.search in asset.casefold())
    )


def _row(one: Member) -> DeviceRow:
    hint = one.refused.hint if one.refused is not None else ""
    return DeviceRow(**one.as_dict(), hint=hint)


# -- one alone -------------------------------------------------------------------------------------


def reading_row(row: StoredReading) -> ReadingRow:
    return ReadingRow(
        at=shown_time(row.ts_ms),
        received_at=shown_time(row.received_ms),
        verdict=row.verdict,
        values=json.loads(row.body)["values"],
    )


def refusal_row(row: KeptRefusal) -> RefusalRow:
    return RefusalRow(
        id=row.id,
        received_at=shown_time(row.received_ms),
        device=row.device,
        reason=row.reason,
        path=row.path,
        message=row.message,
        hint=row.hint,
        topic=row.topic,
        size=row.size,
        whole=row.is_whole,
    )


def _gaps(device: Device) -> Iterator[Gap]:
    """The latest first."""
    for life in reversed(device.lives):
        boot = None if life.boot == NO_BOOT else life.boot
        for earlier, later in reversed(list(zip(life.runs, life.runs[1:], strict=False))):
            yield Gap(boot=boot, first=earlier[1] + 1, last=later[0] - 1)


def _proposals(books: Books, one: Member, refused: list[KeptRefusal]) -> list[Proposal]:
    said = Hearsay(one.device.name, one.device.kind, one.device.zone, _place(refused))
    found = likely(said, books.plans().city)
    heard = heard_of(books.database, [name for x in found for name in x.devices])
    return [_proposal(x, is_silent=heard.isdisjoint(x.devices)) for x in found]


def _proposal(found: Likely, *, is_silent: bool) -> Proposal:
    metres = None if found.metres is None else round(found.metres)
    return Proposal(
        asset=found.asset, metres=metres, same_number=found.same_number, silent=is_silent
    )


def _place(refused: list[KeptRefusal]) -> tuple[float, float] | None:
    """Where it was, by what was kept of it word for word."""
    for one in refused:
        try:
            lat, lon = map(float, json.loads(one.payload)["loc"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        if -90 <= lat <= 90 and -180 <= lon <= 180:
            return lat, lon
    return None
