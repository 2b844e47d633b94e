"""The books, opened beside the running gateway: what was decided, what was asked, how it stands.

Reads the store's file through a connection of its own that cannot write; what a person may change
is in `by_hand`.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.books.stored_rows import ROW_COLUMNS, incident_of, row_of
from gateway.cases import silences
from gateway.cases.incident import Incident
from gateway.cases.silences import Silence
from gateway.cityhall.delivery import Row
from gateway.cityhall.requests import rfc3339
from gateway.effects import KeptRefusal, StoredReading
from gateway.errors import StoreBroken
from gateway.field.device_status import SAYS_NOTHING

BUSY_TIMEOUT_S = 10.0
PAGE_ROWS = 5_000
JOURNAL_LINES = 8  # of a subject before an instant: an episode has no more steps
LOOK_BACK_ROWS = 1_000_000  # of readings, for the last ones of a device: a second at the most
CLOCK_SET_BACK_MS = 86_400_000
_REFUSAL_COLUMNS = "id, received_ms, topic, device, reason, path, message, hint, size, payload"
_READING_COLUMNS = "id, device, kind, zone, asset_id, ts_ms, received_ms, verdict, body"
_TIMES = {
    "started_ms", "fired_ms", "due_ms", "cleared_ms", "created_ms", "at_ms", "tick_ms",
    "first_sent_ms", "last_sent_ms", "next_ms", "last_absent_ms", "closed_ms",
    "given_ms", "done_ms",
}  # fmt: skip


def incidents_of(database: Path, *, ended: bool) -> list[dict[str, Any]]:
    """Open incidents, or all; times in RFC 3339."""
    where = "1" if ended else "cleared_ms IS NULL"
    with _reading(database) as db:
        return _rows(db, f"SELECT * FROM incidents WHERE {where} ORDER BY id")


def incident_story(database: Path, number: int) -> dict[str, Any] | None:
    """One incident, its journal and its request; None if there is none."""
    with _reading(database) as db:
        found = _rows(db, "SELECT * FROM incidents WHERE id = ?", (number,))
        if not found:
            return None
        incident = found[0]
        journal = _rows(
            db,
            "SELECT * FROM journal WHERE rule = ? AND subject = ? ORDER BY id",
            (incident["rule"], incident["subject"]),
        )
        request = _rows(
            db, "SELECT reference, state, request_id FROM outbox WHERE incident_id = ?", (number,)
        )
        unfiled = _rows(db, "SELECT * FROM unfiled WHERE incident_id = ?", (number,))
    told = {"request": request[0] if request else None, "journal": journal}
    if unfiled:
        would = {"service": unfiled[0]["service"], "at": unfiled[0]["created_at"]}
        told["would_have_filed"] = would | {"request": json.loads(unfiled[0]["request"])}
    return incident | told


def case_of(database: Path, number: int, reference: str) -> tuple[Incident, Row | None] | None:
    """An incident by its number, or by the reference of its request, and that request."""
    with _reading(database) as db:
        row = db.execute(
            f"SELECT {ROW_COLUMNS} FROM outbox WHERE incident_id = ? OR reference = ?",
            (number, reference),
        ).fetchone()
        asked = row_of(row) if row is not None else None
        incident = db.execute(
            "SELECT * FROM incidents WHERE id = ?", (asked.incident_id if asked else number,)
        ).fetchone()
    return None if incident is None else (incident_of(incident), asked)


def requests_of(database: Path) -> list[dict[str, Any]]:
    """All requests with how they stand, oldest first."""
    with _reading(database) as db:
        return _rows(
            db,
            "SELECT reference, incident_id AS incident, service, state, request_id, token, "
            "attempts, created_ms, reason, status AS city_status, notes AS city_notes, "
            "updated AS city_updated FROM outbox LEFT JOIN followed USING (reference) "
            "ORDER BY incident_id",
        )


def request_story(database: Path, reference: str) -> dict[str, Any] | None:
    """One request: what is asked, and each step of its delivery; None if there is none."""
    with _reading(database) as db:
        found = _rows(
            db,
            "SELECT outbox.*, status AS city_status, notes AS city_notes, updated AS city_updated "
            "FROM outbox LEFT JOIN followed USING (reference) WHERE reference = ?",
            (reference,),
        )
        steps = _rows(db, "SELECT * FROM deliveries WHERE reference = ? ORDER BY id", (reference,))
    if not found:
        return None
    return found[0] | {"request": json.loads(found[0]["request"]), "deliveries": steps}


def progress_of(database: Path) -> dict[str, int]:
    """How far the gateway has come: `readings` stored, `refused` (different messages; one that came
    twice counts once), `latest_ms` of event time.
    """
    with _reading(database) as db:
        readings, latest_ms = db.execute("SELECT count(*), max(ts_ms) FROM readings").fetchone()
        refused = "SELECT DISTINCT topic, payload FROM refusals"
        (count,) = db.execute(f"SELECT count(*) FROM ({refused})").fetchone()
    return {"readings": readings, "refused": count, "latest_ms": latest_ms or 0}


def readings_of(
    database: Path, devices: Collection[str] | None, until_ms: int, *, since_ms: int
) -> list[StoredReading]:
    """The readings of these devices (None: of all vehicles) by the time that they speak of, in the
    order of receipt.
    """
    whose = "kind = 'road'" if devices is None else f"device IN ({_holes(devices)})"
    with _reading(database) as db:
        rows = db.execute(
            f"SELECT {_READING_COLUMNS} FROM readings "
            f"WHERE ts_ms BETWEEN ? AND ? AND {whose} ORDER BY id",
            (since_ms, until_ms, *(devices or ())),
        )
        return list(map(StoredReading._make, rows))


def all_readings(
    database: Path, *, since_ms: int, until_ms: int, by_receipt: bool
) -> Iterator[StoredReading]:
    """Every reading kept, in the order of receipt, between two instants: of receipt, or of the
    time that it speaks of. A page at a time: the gateway's writer is never held up for long.
    """
    clock = "received_ms" if by_receipt else "ts_ms"
    last_id = 0
    with _reading(database) as db:
        while True:
            rows = db.execute(
                f"SELECT {_READING_COLUMNS} FROM readings "
                f"WHERE id > ? AND {clock} BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (last_id, since_ms, until_ms, PAGE_ROWS),
            ).fetchall()
            yield from map(StoredReading._make, rows)
            if len(rows) < PAGE_ROWS:
                return
            last_id = rows[-1][0]


def record_of(database: Path, rule: str, subject: str, at_ms: int) -> dict[str, Any]:
    """What the gateway itself wrote down: the last lines of the journal up to an instant, and the
    incident of that time with its request.
    """
    here = (rule, subject, at_ms)
    with _reading(database) as db:
        journal = _rows(
            db,
            "SELECT * FROM journal WHERE rule = ? AND subject = ? AND at_ms <= ? "
            f"ORDER BY id DESC LIMIT {JOURNAL_LINES}",
            here,
        )
        incidents = _rows(
            db,
            "SELECT incidents.*, reference, outbox.state AS request_state, request_id "
            "FROM incidents LEFT JOIN outbox ON incident_id = incidents.id "
            "WHERE rule = ? AND subject = ? AND fired_ms <= ? ORDER BY episode DESC LIMIT 1",
            here,
        )
    return {"journal": journal[::-1], "incident": incidents[0] if incidents else None}


def rules_in_force(database: Path) -> str:
    """The texts of the rules that the gateway last put in force; empty if it never did."""
    if not database.exists():
        return ""
    with _reading(database) as db:
        found = db.execute("SELECT value FROM meta WHERE key = 'rules'").fetchone()
    return str(found[0]) if found else ""


def states_of(database: Path) -> tuple[dict[str, list[list[str]]], list[tuple[str, bytes]]]:
    """The states of all subjects, and the layout that they are in."""
    with _reading(database) as db:
        db.execute("BEGIN")
        found = db.execute("SELECT value FROM meta WHERE key = 'layout'").fetchone()
        return json.loads(found[0] if found else "{}"), list(db.execute("SELECT * FROM states"))


def unfiled_of(database: Path, rule: str) -> list[dict[str, Any]]:
    """What a rule would have filed while it was in shadow, oldest first."""
    with _reading(database) as db:
        return _rows(
            db,
            "SELECT incident_id AS incident, subject, service, fired_ms, cleared_ms, created_ms, "
            "state, request FROM unfiled JOIN incidents ON id = incident_id WHERE rule = ? "
            "ORDER BY incident_id",
            (rule,),
        )


def silences_of(database: Path) -> list[tuple[int, Silence]]:
    """Every maintenance window that was ever in force, with its number."""
    with _reading(database) as db:
        rows = db.execute("SELECT id, silence FROM silences ORDER BY id")
        return [(number, silences.decode(text)) for number, text in rows]


def orders_of(database: Path, limit: int = 100) -> list[dict[str, Any]]:
    """What people and the city had the gateway do, the last first."""
    with _reading(database) as db:
        rows = _rows(db, "SELECT * FROM orders ORDER BY id DESC LIMIT ?", (limit,))
    return [row | {"what": json.loads(row["what"])} for row in rows]


def mark_of(database: Path) -> tuple[int, ...]:
    """Another value after whatever happened to incidents, requests and orders; cheap to ask."""
    with _reading(database) as db:
        row = db.execute(
            "SELECT (SELECT max(id) FROM journal), (SELECT max(id) FROM deliveries), "
            "(SELECT max(id) FROM orders), (SELECT max(done_ms) FROM orders)"
        ).fetchone()
    return tuple(number or 0 for number in row)


def fired_between(database: Path, since_ms: int, until_ms: int) -> list[tuple[str, str, int, str]]:
    """Rule, subject, when it fired and state of the incidents of that time."""
    with _reading(database) as db:
        return db.execute(
            "SELECT rule, subject, fired_ms, state FROM incidents WHERE fired_ms BETWEEN ? AND ? "
            "ORDER BY fired_ms",
            (since_ms, until_ms),
        ).fetchall()


# -- devices, and what was refused ----------------------------------------------------------------


def device_of(database: Path, name: str) -> bytes | None:
    with _reading(database) as db:
        found = db.execute("SELECT state FROM devices WHERE device = ?", (name,)).fetchone()
    return found[0] if found else None


def last_refusals(database: Path) -> list[KeptRefusal]:
    """The last refusal of each device that tells something of it."""
    with _reading(database) as db:
        rows = db.execute(
            f"SELECT {_REFUSAL_COLUMNS} FROM refusals WHERE id IN (SELECT max(id) FROM refusals "
            f"WHERE device != '' AND reason NOT IN ({_holes(SAYS_NOTHING)}) GROUP BY device)",
            SAYS_NOTHING,
        )
        return list(map(KeptRefusal._make, rows))


def refusals_of(
    database: Path, *, reason: str = "", device: str = "", limit: int = -1
) -> list[KeptRefusal]:
    """What was refused, the latest first; of a reason, of a device, or all."""
    with _reading(database) as db:
        rows = db.execute(
            f"SELECT {_REFUSAL_COLUMNS} FROM refusals WHERE (? IN ('', reason)) "
            "AND (? IN ('', device)) ORDER BY id DESC LIMIT ?",
            (reason, device, limit),
        )
        return list(map(KeptRefusal._make, rows))


def refusals_by_id(database: Path, numbers: Collection[int]) -> list[KeptRefusal]:
    """Those that are there, oldest first."""
    with _reading(database) as db:
        rows = []
        for number in sorted(set(numbers)):
            query = f"SELECT {_REFUSAL_COLUMNS} FROM refusals WHERE id = ?"
            rows += db.execute(query, (number,)).fetchall()
    return list(map(KeptRefusal._make, rows))


def refusals_like(database: Path, kept: KeptRefusal) -> tuple[int, int, int]:
    """How many were refused of this device for this reason; when the first and the last came."""
    with _reading(database) as db:
        row = db.execute(
            "SELECT count(*), min(received_ms), max(received_ms) FROM refusals "
            "WHERE device = ? AND reason = ?",
            (kept.device, kept.reason),
        ).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def last_readings(database: Path, device: str, limit: int) -> list[StoredReading]:
    """The last readings of a device, the latest first, among the last LOOK_BACK_ROWS of all."""
    with _reading(database) as db:
        rows = db.execute(
            f"SELECT {_READING_COLUMNS} FROM readings WHERE device = ? AND id > "
            "(SELECT max(id) FROM readings) - ? ORDER BY id DESC LIMIT ?",
            (device, LOOK_BACK_ROWS, limit),
        )
        return list(map(StoredReading._make, rows))


def stored_among(
    database: Path, bodies: Collection[bytes], since_ms: int
) -> set[tuple[str, bytes]]:
    """Which of these messages, UTF-8 all, were stored since about that time of receipt: as (device,
    message).
    """
    texts = json.dumps([body.decode("utf-8") for body in bodies])
    with _reading(database) as db:
        first = _first_received(db, since_ms - CLOCK_SET_BACK_MS)
        rows = db.execute(
            "SELECT device, body FROM readings WHERE id >= ? "
            "AND body IN (SELECT CAST(value AS BLOB) FROM json_each(?))",
            (first, texts),
        )
        return {(device, bytes(body)) for device, body in rows}


def _first_received(db: sqlite3.Connection, since_ms: int) -> int:
    """The number of the first reading received then or later: numbers and times grow together, so
    that a few looks find it among millions.
    """
    low, high = db.execute("SELECT min(id), max(id) FROM readings").fetchone()
    while low is not None and low < high:
        middle = (low + high) // 2
        (at_ms,) = db.execute(
            "SELECT received_ms FROM readings WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
        ).fetchone()
        low, high = (middle + 1, high) if at_ms < since_ms else (low, middle)
    return int(low or 0)


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    with opened(database, "ro") as db:
        yield db


@contextmanager
def opened(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """The store's file, "ro" or "rw". StoreBroken."""
    try:
        db = sqlite3.connect(
            f"{database.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
        )
    except sqlite3.Error:
        raise StoreBroken(f"{database}: no such database; has the gateway run?") from None
    try:
        db.execute("PRAGMA synchronous = FULL")
        yield db
    except sqlite3.Error as error:
        raise StoreBroken(f"{database}: {error}") from error
    finally:
        db.close()


def _holes(values: Collection[Any]) -> str:
    return ",".join("?" * len(values))


def _rows(db: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    cursor = db.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [_shown(dict(zip(names, row, strict=True))) for row in cursor]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Times as people read them: `fired_ms` becomes `fired_at`."""
    return {
        key.removesuffix("_ms") + "_at" if key in _TIMES and key != "at_ms" else
        "at" if key == "at_ms" else key: rfc3339(value) if key in _TIMES and value else value
        for key, value in row.items()
    }  # fmt: skip
