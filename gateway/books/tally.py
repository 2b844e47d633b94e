"""The tally: how many of what lie in the store, counted beside the running gateway.

SQL that only counts, on a connection that cannot write, for metrics. What is never deleted
(incidents, requests) is counted whole, so that these counts outlive the process.
"""

import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.books.ledger import opened


class RequestCount(NamedTuple):
    """Requests of a service in a state; `oldest_ms` is when the oldest of them was made."""

    service: str
    state: str
    total: int
    oldest_ms: int


class Figures(NamedTuple):
    """Of one store, at one instant."""

    fired: Mapping[str, int]
    """Incidents by rule, ever."""
    open: Mapping[tuple[str, str], int]
    """Open incidents by rule and state."""
    requests: list[RequestCount]
    devices: int
    history_lag_readings: int
    """Stored and not yet in the history, where there is one."""
    stopped: bool
    store_bytes: int
    free_bytes: int


def figures_of(database: Path) -> Figures:
    """StoreBroken: there is no such store, or it cannot be read."""
    with opened(database, "ro") as db:
        db.execute("BEGIN")  # all of one instant
        return Figures(
            dict(db.execute("SELECT rule, count(*) FROM incidents GROUP BY rule")),
            {
                (rule, state): count
                # The plus keeps SQLite to the index of the open ones, which are few.
                for rule, state, count in db.execute(
                    "SELECT rule, state, count(*) FROM incidents WHERE cleared_ms IS NULL "
                    "AND state != 'withdrawn' GROUP BY +rule, +state"
                )
            },
            [
                RequestCount(*row)
                for row in db.execute(
                    "SELECT service, state, count(*), min(created_ms) FROM outbox "
                    "GROUP BY service, state"
                )
            ],
            int(db.execute("SELECT count(*) FROM devices").fetchone()[0]),
            _history_lag(db),
            db.execute("SELECT 1 FROM meta WHERE key = 'stopped'").fetchone() is not None,
            _size_of(database),
            shutil.disk_usage(database.parent).free,
        )


def _history_lag(db: sqlite3.Connection) -> int:
    """Readings are numbered without end, and those before the cursor are in the history."""
    newest, cursor = db.execute(
        "SELECT (SELECT max(id) FROM readings), (SELECT value FROM meta WHERE key = 'history')"
    ).fetchone()
    return max(0, (newest or 0) - int(cursor or 0))


def _size_of(database: Path) -> int:
    """With the log beside it, which comes and goes."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return sum(path.stat().st_size for path in files if path.exists())
