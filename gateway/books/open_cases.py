"""What stands open now: each open incident with its request and what can be known of its position.

Read from beside the running gateway, in one look, for those who show the whole city. Owns these
queries only; what is made of the rows is for `views`.
"""

from pathlib import Path
from typing import NamedTuple

from gateway.books.ledger import opened

_OPEN = """
    SELECT i.id, i.rule, i.subject, i.state, i.fired_ms, i.parent, i.closed_ms,
        coalesce(o.reference, ''), coalesce(o.state, ''), coalesce(o.request_id, ''),
        json_extract(o.request, '$.lat'), json_extract(o.request, '$.long'),
        coalesce(json_extract(o.request, '$.address'), ''),
        coalesce(json_extract(o.request, '$.extra.zone'), ''), p.state
    FROM incidents i LEFT JOIN outbox o ON o.incident_id = i.id
        LEFT JOIN places p ON p.place = i.subject
    WHERE i.cleared_ms IS NULL AND i.state != 'withdrawn' ORDER BY i.id
"""


class OpenCase(NamedTuple):
    """An open incident. Of its request "" and None where there is none; `place`: packed, of what
    is no asset.
    """

    id: int
    rule: str
    subject: str
    state: str
    fired_ms: int
    parent: int | None
    closed_ms: int | None
    reference: str
    request_state: str
    city_id: str
    lat: float | None
    long: float | None
    address: str
    zone: str
    place: bytes | None


def open_cases(database: Path) -> list[OpenCase]:
    """Oldest first; none where the gateway has never run. StoreBroken."""
    if not database.exists():
        return []
    with opened(database, "ro") as db:
        return list(map(OpenCase._make, db.execute(_OPEN)))
