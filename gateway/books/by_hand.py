"""What a person does from beside the running gateway: orders given, requests let pass or kept back.

Each call is one transaction on the store's file, with the entry in the audit log in it. An order
waits until the gateway takes it up; what is done to a request goes through the delivery state
machine like everything else, so nothing that may have been sent can be sent again by hand.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from gateway.books import audit
from gateway.books.audit import Entry
from gateway.books.city_book import give, row_where, save_row
from gateway.books.ledger import opened
from gateway.books.schema import MIGRATIONS
from gateway.cases.orders import Order
from gateway.cityhall.delivery import Approved, Diverted, Event, Found, Policy, Retry, Row
from gateway.cityhall.outbox import REASON_CHARS_MAX, advance, legal
from gateway.errors import StoreBroken
from gateway.staff.deed import Code

ANSWER_S_MAX = 5.0
"""A gateway that runs looks for orders twice a second."""
POLL_S = 0.1
WAITING_MAX = 1_000
"""Orders that wait for a gateway that does not run: who gives more has not looked."""
_REFUSALS = {
    Approved: "it does not wait for approval",
    Diverted: "it is not waiting to be sent",
    Found: "it may be at the city already; see `requests show`",
    Retry: "it is not refused or held",
}


class NotPossibleError(Exception):
    """It is not in a state for it; the message says which. Nothing has changed."""


class NotThereError(NotPossibleError):
    """There is no such request."""


def order(database: Path, what: Order, entry: Entry) -> int:
    """Its number; the gateway carries it out when it runs."""
    with _writing(database) as db:
        (waiting,) = db.execute("SELECT count(*) FROM orders WHERE state = 'waiting'").fetchone()
        if waiting >= WAITING_MAX:
            raise NotPossibleError(f"{waiting} orders wait already: start the gateway")
        number = give(db, what, entry.who, entry.why, entry.at_ms)
        audit.enter(db, entry, Code.WAITING, f"order {number}", number)
        return number


def answer_to(database: Path, number: int, wait_s: float = ANSWER_S_MAX) -> tuple[str, str]:
    """What became of an order: done, refused, or waiting still; and in words."""
    until_s = time.monotonic() + wait_s
    while True:
        with opened(database, "ro") as db:
            state, answer = db.execute(
                "SELECT state, answer FROM orders WHERE id = ?", (number,)
            ).fetchone()
        if state != "waiting" or time.monotonic() >= until_s:
            return state, answer or "it is carried out when the gateway runs"
        time.sleep(POLL_S)


def move(
    database: Path, reference: str, event: Event, now_ms: int, entry: Entry | None = None
) -> Row:
    """The request after what was done to it. NotPossibleError: it is as it was."""
    with _writing(database) as db:
        row = row_where(db, "reference = ?", reference)
        if row is None:
            raise NotThereError(f"no request {reference}")
        if not legal(row.state, type(event)):
            raise NotPossibleError(f"{reference} is {row.state}: {_REFUSALS[type(event)]}")
        after = advance(row, event, now_ms, Policy())
        save_row(db, row, after, type(event).__name__.lower(), now_ms)
        if entry is not None:
            audit.enter(db, entry, Code.DONE, f"{reference}: {after.state}")
    return after


def stop(database: Path, entry: Entry) -> str:
    """Nothing is sent any more until `go_on`; who stopped it and why."""
    told = f"by {entry.who}: {entry.why}"[:REASON_CHARS_MAX]
    with _writing(database) as db:
        if before := _stopped(db):
            raise NotPossibleError(f"filing is stopped already, {before}")
        db.execute("INSERT INTO meta VALUES ('stopped', ?)", (told,))
        audit.enter(db, entry, Code.DONE, "filing is stopped")
    return told


def go_on(database: Path, entry: Entry) -> None:
    with _writing(database) as db:
        if not _stopped(db):
            raise NotPossibleError("filing is not stopped")
        db.execute("DELETE FROM meta WHERE key = 'stopped'")
        audit.enter(db, entry, Code.DONE, "filing goes on")


def stopped(database: Path) -> str:
    """Who stopped all filing and why; empty where nobody did."""
    with opened(database, "ro") as db:
        return _stopped(db)


def record(database: Path, entry: Entry, code: Code, text: str) -> int:
    """An entry alone: what was refused, or a longer deed that begins; its number."""
    with _writing(database) as db:
        return audit.enter(db, entry, code, text)


def record_end(database: Path, number: int, at_ms: int, code: Code, text: str) -> None:
    """How the deed of an entry ended."""
    with _writing(database) as db:
        audit.end(db, number, at_ms, code, text)


def _stopped(db: Connection) -> str:
    found = db.execute("SELECT value FROM meta WHERE key = 'stopped'").fetchone()
    return str(found[0]) if found else ""


@contextmanager
def _writing(database: Path) -> Iterator[Connection]:
    with opened(database, "rw") as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version != len(MIGRATIONS):
            help_ = "start the gateway of this version once"
            raise StoreBroken(f"{database} is of version {version}, not {len(MIGRATIONS)}: {help_}")
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
