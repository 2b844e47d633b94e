"""What a person does from beside the running gateway: orders given, requests let pass or kept back.

Each call is one transaction on the store's file, with who did it in the log. An order waits until
the gateway takes it up; what is done to a request goes through the delivery state machine like
everything else, so nothing that may have been sent can be sent again by hand.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from gateway.city_book import give, row_where, save_row
from gateway.delivery import Approved, Diverted, Event, Found, Policy, Retry, Row
from gateway.ledger import opened
from gateway.orders import Order
from gateway.outbox import REASON_CHARS_MAX, advance, legal

ANSWER_S_MAX = 5.0
"""A gateway that runs looks for orders twice a second."""
POLL_S = 0.1
_REFUSALS = {
    Approved: "it does not wait for approval",
    Diverted: "it is not waiting to be sent",
    Found: "it may be at the city already; see `requests show`",
    Retry: "it is not refused or held",
}


class NotPossibleError(Exception):
    """The request is not in a state for it, or there is none; the message says which."""


def order(database: Path, what: Order, who: str, why: str, now_ms: int) -> int:
    """Its number; the gateway carries it out when it runs."""
    with _writing(database) as db:
        return give(db, what, who[:100], why[:REASON_CHARS_MAX], now_ms)


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


def move(database: Path, reference: str, event: Event, now_ms: int) -> Row:
    """The request after what was done to it. NotPossibleError: it is as it was."""
    with _writing(database) as db:
        row = row_where(db, "reference = ?", reference)
        if row is None:
            raise NotPossibleError(f"no request {reference}")
        if not legal(row.state, type(event)):
            raise NotPossibleError(f"{reference} is {row.state}: {_REFUSALS[type(event)]}")
        after = advance(row, event, now_ms, Policy())
        save_row(db, row, after, type(event).__name__.lower(), now_ms)
    return after


def stop(database: Path, who: str, why: str) -> None:
    """Nothing is sent any more until `go_on`."""
    told = f"by {who}: {why}"[:REASON_CHARS_MAX]
    with _writing(database) as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('stopped', ?)", (told,))


def go_on(database: Path) -> None:
    with _writing(database) as db:
        db.execute("DELETE FROM meta WHERE key = 'stopped'")


@contextmanager
def _writing(database: Path) -> Iterator[Connection]:
    with opened(database, "rw") as db:
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
