"""The books, surveyed: what takes a look over months or over all that there is.

Reads the store's file from beside, each query with a bound of its own: what lies further back than
it can look is not looked at, and the answer says from when on it knows.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.msgpack import Decoder

from gateway.books.ledger import device_of, last_refusals, opened, refusals_of
from gateway.cases.places import Place
from gateway.field import devices
from gateway.field.device_status import SAYS_NOTHING
from gateway.field.fleet import Fleet, Member, Now, member
from gateway.inventory.assets import City
from gateway.planning import Episode

EPISODES_MAX = 200_000
PLACES_MAX = 50_000
LOOK_BACK_ROWS = 2_000_000
"""Of all readings, the newest: half a second where few of them are of bins."""
FILLS_MAX = 200_000
"""Of bins: about as long again to be read."""
REFUSALS_MAX = 10
"""Of a device, among which one tells something of it."""


_place = Decoder(Place).decode


class Fills(NamedTuple):
    """(asset, time, message) of bins, the newest first; `since_ms`: all from then on are there."""

    rows: list[tuple[str, int, bytes]]
    since_ms: int


def episodes_since(database: Path, since_ms: int) -> list[Episode]:
    """Those that fired since then, oldest first. What was withdrawn, or ran in shadow, is none; one
    that another fault explains is one, unfiled.
    """
    with opened(database, "ro") as db:
        rows = db.execute(
            "SELECT rule, subject, fired_ms, cleared_ms, "
            "incidents.state = 'queued' AND coalesce(outbox.state, '') != 'withdrawn', "
            "earlier != '' FROM incidents LEFT JOIN outbox ON incident_id = incidents.id "
            "WHERE fired_ms >= ? AND incidents.state NOT IN ('withdrawn', 'shadow') "
            "ORDER BY incidents.id DESC LIMIT ?",
            (since_ms, EPISODES_MAX),
        )
        found = [Episode._make((*who, bool(filed), bool(again))) for *who, filed, again in rows]
    return found[::-1]


def known_since_ms(database: Path) -> int | None:
    """When the first reading that is kept, or the first incident, was; None: there is neither."""
    with opened(database, "ro") as db:
        found = db.execute(
            "SELECT (SELECT ts_ms FROM readings ORDER BY id LIMIT 1), "
            "(SELECT fired_ms FROM incidents ORDER BY id LIMIT 1)"
        ).fetchone()
    return min((at_ms for at_ms in found if at_ms is not None), default=None)


def places_of(database: Path) -> Iterator[Place]:
    """The places on the road that are remembered, with their passes, each opened when its turn
    comes.
    """
    with opened(database, "ro") as db:
        rows = db.execute("SELECT state FROM places LIMIT ?", (PLACES_MAX,)).fetchall()
    yield from (_place(blob) for (blob,) in rows)


def fills_since(database: Path, since_ms: int) -> Fills:
    """What bins said since then, as far back as can be looked."""
    with opened(database, "ro") as db:
        (last,) = db.execute("SELECT coalesce(max(id), 0) FROM readings").fetchone()
        floor = last - LOOK_BACK_ROWS
        rows = db.execute(
            "SELECT asset_id, ts_ms, body FROM readings WHERE id > ? "
            "AND kind = 'bin' AND asset_id IS NOT NULL AND ts_ms >= ? "
            "ORDER BY id DESC LIMIT ?",
            (floor, since_ms, FILLS_MAX),
        ).fetchall()
        first = db.execute(
            "SELECT ts_ms FROM readings WHERE id > ? ORDER BY id LIMIT 1", (floor,)
        ).fetchone()
    covered_ms = rows[-1][1] if len(rows) == FILLS_MAX else first[0] if first else since_ms
    return Fills(rows, max(since_ms, covered_ms))


def fleet_of(database: Path, city: City, now: Now) -> Fleet:
    """Every device that was ever heard of."""
    with opened(database, "ro") as db:
        records = dict(db.execute("SELECT device, state FROM devices"))
    return Fleet(records, {one.device: one for one in last_refusals(database)}, city, now)


def member_of(database: Path, name: str, city: City, now: Now) -> Member | None:
    """One of them. None: nobody has heard of it, and no asset has it."""
    blob = device_of(database, name)
    kept = refusals_of(database, device=name, limit=REFUSALS_MAX)
    telling = next((one for one in kept if one.reason not in SAYS_NOTHING), None)
    if blob is None and telling is None and name not in city.by_device:
        return None
    return member(name, None if blob is None else devices.load(blob), telling, city, now)


def now_of(database: Path, now_ms: int, *, follows: bool) -> Now:
    """The time by which devices are judged. `follows`: it is that of the data (0: nobody said)."""
    if not follows:
        return Now(now_ms)
    with opened(database, "ro") as db:
        found = db.execute("SELECT value FROM meta WHERE key = 'follow_ms'").fetchone()
    return Now(int(found[0]) if found else 0, follows=True)


def heard_of(database: Path, names: Sequence[str]) -> set[str]:
    """Which of these devices have ever been heard."""
    with opened(database, "ro") as db:
        query = "SELECT device FROM devices WHERE device IN (SELECT value FROM json_each(?))"
        return {name for (name,) in db.execute(query, (json.dumps(list(names)),))}
