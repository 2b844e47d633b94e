"""The books as rule engineers ask of them: what each rule has open, filed and was told by the city.

Reads the store's file from beside. Each query has a bound of its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway.books.ledger import opened
from gateway.workbench.outcomes import Answered, verdict_of

ANSWERED_MAX = 20_000
"""Requests of one period, the newest: more than a city files in a year."""

_COUNTS = {
    "open": "SELECT rule, count(*) FROM incidents WHERE cleared_ms IS NULL "
    "AND state != 'withdrawn' GROUP BY rule",
    "filed": "SELECT rule, count(*) FROM outbox JOIN incidents ON incidents.id = incident_id "
    "WHERE outbox.state = 'filed' AND last_sent_ms >= :since GROUP BY rule",
    "shadow": "SELECT rule, count(*) FROM unfiled JOIN incidents ON incidents.id = incident_id "
    "WHERE created_ms >= :since GROUP BY rule",
}
_ENDS = (
    "SELECT received_ms, ts_ms FROM readings ORDER BY id LIMIT 1",
    "SELECT received_ms, ts_ms FROM readings ORDER BY id DESC LIMIT 1",
)


class Tally(NamedTuple):
    """Of one rule. `shadow`: what it would have filed, had it not been in shadow."""

    open: int = 0
    filed: int = 0
    shadow: int = 0


def tallies(database: Path, since_ms: int) -> dict[str, Tally]:
    """Rule -> what is open now, and what was filed since then."""
    counts: dict[str, dict[str, int]] = {}
    with opened(database, "ro") as db:
        for name, query in _COUNTS.items():
            for rule, count in db.execute(query, {"since": since_ms}):
                counts.setdefault(rule, {})[name] = count
    return {rule: Tally(**told) for rule, told in counts.items()}


def span_of(database: Path, *, by_receipt: bool) -> tuple[int, int] | None:
    """When the first reading that is kept was received, or made, and the last; None: there is
    none.
    """
    with opened(database, "ro") as db:
        ends = [db.execute(query).fetchone() for query in _ENDS]
    known = [received_ms if by_receipt else ts_ms for received_ms, ts_ms in filter(None, ends)]
    return (known[0], known[-1]) if known else None


def answered_between(database: Path, since_ms: int, until_ms: int) -> list[Answered]:
    """The requests that the gateway filed for faults of that time, with what the city made of
    them.
    """
    with opened(database, "ro") as db:
        rows = db.execute(
            "SELECT rule, service, subject, request, started_ms, cleared_ms, "
            "coalesce(status, ''), coalesce(notes, '') "
            "FROM outbox JOIN incidents ON incidents.id = incident_id "
            "LEFT JOIN followed USING (reference) "
            "WHERE outbox.state = 'filed' AND fired_ms BETWEEN ? AND ? "
            "ORDER BY incidents.id DESC LIMIT ?",
            (since_ms, until_ms, ANSWERED_MAX),
        ).fetchall()
    return list(_answered(rows))[::-1]


def _answered(
    rows: list[tuple[str, str, str, str, int, int | None, str, str]],
) -> Iterator[Answered]:
    for rule, service, subject, request, started_ms, cleared_ms, status, notes in rows:
        asked = json.loads(request)
        yield Answered(
            rule, service, subject, asked.get("asset_id"), asked["lat"], asked["long"],
            started_ms, cleared_ms, verdict_of(status, notes),
        )  # fmt: skip
