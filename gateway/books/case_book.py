"""Incidents and requests as they are looked through: by what is wanted, the newest first, in pages.

Reads the store's file from beside the running gateway. A page is cut by the database, so that one
of five thousand costs what one of fifty does.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gateway.books.ledger import opened

PAGE_ROWS_MAX = 500
JOURNAL_LINES_MAX = 500
LAST = 2**63 - 1

# A list that is NULL stands for any; ZONE is known by the asset, or by what the request says.
_INCIDENTS = """
    SELECT i.id, i.rule, i.subject, i.episode, i.state, i.started_ms, i.fired_ms, i.due_ms,
        i.cleared_ms, i.closed_ms, i.why, i.parent, i.city_id, i.earlier, o.reference,
        o.state AS request_state, o.request_id, f.status AS city_status,
        json_extract(o.request, '$.address') AS address,
        json_extract(o.request, '$.extra.zone') AS zone,
        json_extract(o.request, '$.lat') AS lat, json_extract(o.request, '$.long') AS long
    FROM incidents i LEFT JOIN outbox o ON o.incident_id = i.id
        LEFT JOIN followed f ON f.reference = o.reference
    WHERE i.id < :after AND (:state = '' OR i.state = :state)
        AND (:open IS NULL OR :open = (i.cleared_ms IS NULL AND i.state != 'withdrawn'))
        AND (:rules IS NULL OR i.rule IN (SELECT value FROM json_each(:rules)))
        AND (:zone = '' OR i.subject IN (SELECT value FROM json_each(:subjects))
            OR json_extract(o.request, '$.extra.zone') = :zone)
        AND (:asset = '' OR i.subject = :asset)
        AND (:request_states IS NULL
            OR o.state IN (SELECT value FROM json_each(:request_states)))
        AND i.fired_ms >= :since_ms
        AND (:search = '' OR instr(lower(i.subject), :search) OR instr(lower(o.reference), :search)
            OR o.request_id = :search OR instr(lower(json_extract(o.request, '$.address')), :search)
            OR i.subject IN (SELECT value FROM json_each(:found)))
    ORDER BY i.id DESC LIMIT :limit
"""
_REQUEST_COLUMNS = """
    SELECT reference, incident_id AS incident, i.rule, i.subject, service, o.state, desk, urgent,
        approved, o.request_id, token, attempts, created_ms, o.next_ms, first_sent_ms,
        last_sent_ms, o.reason, coalesce(f.status, '') AS city_status,
        coalesce(f.notes, '') AS city_notes, coalesce(f.updated, '') AS city_updated,
        json_extract(o.request, '$.address') AS address,
        json_extract(o.request, '$.extra.zone') AS zone, o.request
    FROM outbox o JOIN incidents i ON i.id = o.incident_id LEFT JOIN followed f USING (reference)
"""
_REQUESTS = (
    _REQUEST_COLUMNS
    + """
    WHERE incident_id < :after AND (:state = '' OR o.state = :state)
        AND (:service = '' OR service = :service) AND (:desk = '' OR desk = :desk)
        AND (:zone = '' OR json_extract(o.request, '$.extra.zone') = :zone)
    ORDER BY incident_id DESC LIMIT :limit
"""
)
_REQUEST = _REQUEST_COLUMNS + "WHERE reference = :reference OR incident_id = :incident"


class Wanted(NamedTuple):
    """Which incidents; empty and None: any. `open`: those that go on, or those that are over.
    `subjects`: of the zone; `found`: those that `search`, in small letters, finds by more than the
    books know.
    """

    state: str = ""
    open: bool | None = None
    rules: Sequence[str] | None = None
    zone: str = ""
    subjects: Sequence[str] = ()
    asset: str = ""
    request_states: Sequence[str] | None = None
    since_ms: int = 0
    search: str = ""
    found: Sequence[str] = ()


Record = Mapping[str, Any]


def incidents_page(database: Path, wanted: Wanted, after: int, limit: int) -> list[Record]:
    """Those with a lower number than `after`, the newest first. StoreBroken."""
    values = wanted._asdict() | {"after": after, "limit": limit}
    for name in ("rules", "subjects", "found", "request_states"):
        values[name] = None if values[name] is None else json.dumps(list(values[name]))
    return _records(database, _INCIDENTS, values)


def requests_page(
    database: Path,
    after: int,
    limit: int,
    *,
    state: str = "",
    service: str = "",
    desk: str = "",
    zone: str = "",
) -> list[Record]:
    """Those of an incident with a lower number than `after`, the newest first."""
    values = {"state": state, "service": service, "desk": desk, "zone": zone}
    return _records(database, _REQUESTS, values | {"after": after, "limit": limit})


def request_record(database: Path, *, reference: str = "", incident: int = 0) -> Record | None:
    found = _records(database, _REQUEST, {"reference": reference, "incident": incident})
    return found[0] if found else None


def incident_values(database: Path, number: int) -> dict[str, Any]:
    """What was measured when it fired."""
    query = "SELECT vals FROM incidents WHERE id = :number"
    (found,) = _records(database, query, {"number": number})
    values: dict[str, Any] = json.loads(found["vals"])
    return values


def journal_of(database: Path, number: int) -> list[Record]:
    """The steps of an incident, oldest first, and those of its rule that led to it."""
    query = (
        "SELECT * FROM (SELECT j.id, j.at_ms, j.before, j.after, j.cause, j.reading, j.incident "
        "FROM journal j JOIN incidents i ON i.rule = j.rule AND i.subject = j.subject "
        "WHERE i.id = :number AND (j.incident = i.id OR (j.incident IS NULL "
        "AND j.at_ms BETWEEN i.started_ms AND coalesce(i.cleared_ms, :last))) "
        "ORDER BY j.id DESC LIMIT :limit) ORDER BY id"
    )
    values = {"number": number, "last": LAST, "limit": JOURNAL_LINES_MAX}
    return _records(database, query, values)


def explained_by(database: Path, number: int) -> list[int]:
    """The incidents that this one explains."""
    query = "SELECT id FROM incidents WHERE parent = :number AND state = 'absorbed' LIMIT :limit"
    found = _records(database, query, {"number": number, "limit": PAGE_ROWS_MAX})
    return [int(record["id"]) for record in found]


def deliveries_of(database: Path, reference: str) -> list[Record]:
    """The steps of a request's delivery, oldest first."""
    query = (
        "SELECT * FROM (SELECT id, at_ms, before, event, after, reason FROM deliveries "
        "WHERE reference = :reference ORDER BY id DESC LIMIT :limit) ORDER BY id"
    )
    return _records(database, query, {"reference": reference, "limit": JOURNAL_LINES_MAX})


def unfiled_record(database: Path, number: int) -> Record | None:
    """What would have been asked, of an incident in shadow."""
    query = "SELECT service, request, created_ms FROM unfiled WHERE incident_id = :number"
    found = _records(database, query, {"number": number})
    return found[0] if found else None


def _records(database: Path, query: str, values: Mapping[str, Any]) -> list[Record]:
    with opened(database, "ro") as db:
        cursor = db.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
