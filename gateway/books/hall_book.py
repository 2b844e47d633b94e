"""What lies between the gateway and the city, counted: requests by state, what budgets have used.

Reads the store's file from beside the running gateway, and a few facts of the readings that the
evidence of an incident rests on. Owns these queries only.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from gateway.books.ledger import opened

_STATES = """
    SELECT o.state, o.desk, count(*), min(o.created_ms), min(o.next_ms) FROM outbox o
    GROUP BY o.state, o.desk ORDER BY o.state, o.desk
"""
_TROUBLE = """
    SELECT reason FROM outbox WHERE desk = ? AND reason != ''
        AND state IN ('ready', 'uncertain', 'tokened') ORDER BY last_sent_ms DESC LIMIT 1
"""
_SENT = """
    SELECT first_sent_ms, service, coalesce(json_extract(request, '$.extra.zone'), '')
    FROM outbox WHERE first_sent_ms > ? AND NOT urgent ORDER BY 1
"""
_READINGS = """
    SELECT count(*) FROM (SELECT 1 FROM readings WHERE ts_ms BETWEEN :since_ms AND :until_ms AND
        CASE WHEN :devices IS NULL THEN kind = 'road'
        ELSE device IN (SELECT value FROM json_each(:devices)) END LIMIT :limit)
"""


class Heap(NamedTuple):
    """The requests of one desk in one state. `oldest_ms`: when the first was made; `next_ms`: when
    the next of them is looked at.
    """

    state: str
    desk: str
    rows: int
    oldest_ms: int
    next_ms: int


def heaps_of(database: Path) -> list[Heap]:
    """StoreBroken: there are no books yet."""
    with opened(database, "ro") as db:
        return list(map(Heap._make, db.execute(_STATES)))


def sent_after(database: Path, after_ms: int) -> list[tuple[int, str, str]]:
    """Of each request sent since then that counts for budgets: when, its service, its district."""
    with opened(database, "ro") as db:
        return db.execute(_SENT, (after_ms,)).fetchall()


def trouble_of(database: Path, desk: str) -> str:
    """What went wrong last with a request that is still on its way to a desk; empty: nothing."""
    with opened(database, "ro") as db:
        found = db.execute(_TROUBLE, (desk,)).fetchone()
    return "" if found is None else str(found[0])


def received_ms_of(database: Path, reading: int) -> int | None:
    """When a reading came; None: it is not kept any more."""
    query = "SELECT received_ms FROM readings WHERE id = ?"
    with opened(database, "ro") as db:
        found = db.execute(query, (reading,)).fetchone()
    return None if found is None else int(found[0])


def oldest_reading_ms(database: Path) -> int | None:
    """Of which time the first reading speaks that is kept; None: there is none."""
    with opened(database, "ro") as db:
        found = db.execute("SELECT ts_ms FROM readings ORDER BY id LIMIT 1").fetchone()
    return None if found is None else int(found[0])


def readings_up_to(
    database: Path, devices: Collection[str] | None, since_ms: int, until_ms: int, limit: int
) -> int:
    """How many readings there are of these devices (None: of all vehicles), at most `limit`."""
    values = {
        "devices": None if devices is None else json.dumps(sorted(devices)),
        "since_ms": since_ms, "until_ms": until_ms, "limit": limit,
    }  # fmt: skip
    with opened(database, "ro") as db:
        (count,) = db.execute(_READINGS, values).fetchone()
    return int(count)
