"""The audit log: what each person did or tried to do, with the role, the reason and the outcome.

SQL of the tables `audit` and `audit_ends`. An entry is written in the transaction of what it is
about, or before it; how a longer deed ended is an entry beside it. Nothing is ever changed or taken
away, which the database itself sees to. It grows by a few hundred bytes for each deed and is kept
whole: people do not do much, and programs are held to so many deeds a minute.
"""

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from gateway.books.ledger import opened
from gateway.cityhall.requests import rfc3339
from gateway.staff.deed import Code, Deed, Via
from gateway.staff.people import Role

PAGE_ROWS_MAX = 500
NEWEST = 2**63 - 1


class Entry(NamedTuple):
    """Who did what, to what, whence and why."""

    at_ms: int
    who: str
    role: Role
    via: Via
    deed: Deed
    subject: str
    why: str


class Line(NamedTuple):
    """An entry as it is read, with how the deed ended as far as is known."""

    id: int
    at: str
    who: str
    role: str
    via: str
    deed: str
    subject: str
    why: str
    code: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


def enter(
    db: sqlite3.Connection, entry: Entry, code: Code, text: str, order: int | None = None
) -> int:
    """Within a transaction: its number. `order`: where the gateway's answer will stand."""
    entered = db.execute(
        "INSERT INTO audit (at_ms, who, role, via, deed, subject, why, code, text, order_id) "
        "VALUES (?,?,?,?,?,?,?,?,?,?)",
        (*entry, code, text, order),
    )
    assert entered.lastrowid is not None
    return entered.lastrowid


def end(db: sqlite3.Connection, number: int, at_ms: int, code: Code, text: str) -> None:
    """Within a transaction: how the deed of an entry ended."""
    db.execute("INSERT INTO audit_ends VALUES (?,?,?,?)", (number, at_ms, code, text))


def entries_of(
    database: Path,
    *,
    before: int = NEWEST,
    limit: int = 100,
    who: str = "",
    deed: str = "",
    subject: str = "",
) -> list[Line]:
    """The last first. `before`: only those with a lower number, for the next page."""
    with opened(database, "ro") as db:
        rows = db.execute(
            "SELECT audit.id, audit.at_ms, audit.who, role, via, deed, subject, audit.why, "
            "coalesce(ends.code, orders.state, audit.code), "
            "coalesce(ends.text, nullif(orders.answer, ''), audit.text) FROM audit "
            "LEFT JOIN audit_ends ends ON ends.entry = audit.id "
            "LEFT JOIN orders ON orders.id = audit.order_id "
            "WHERE audit.id < ? AND ? IN ('', audit.who) AND ? IN ('', deed) "
            "AND ? IN ('', subject) ORDER BY audit.id DESC LIMIT ?",
            (before, who, deed, subject, min(limit, PAGE_ROWS_MAX + 1)),
        ).fetchall()
    return [Line(number, rfc3339(at_ms), *rest) for number, at_ms, *rest in rows]
