"""What lies between the gateway and the city: requests on their way, what became of them, orders.

SQL of the tables `outbox`, `deliveries`, `followed`, `news` and `orders`, with `store`, which is
all of this and the batch. Each call is one durable transaction.
"""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from gateway.books.database import Database
from gateway.books.stored_rows import ROW_COLUMNS, ROW_HOLES, columns_of, row_of
from gateway.cases import silences
from gateway.cases.orders import Given, Order, decode, encode
from gateway.cityhall.delivery import CITY, Found, NotReopened, Policy, Row, State, Withdrawn
from gateway.cityhall.following import Followed
from gateway.cityhall.outbox import AHEAD_MS_MAX, RowChangedError, advance, legal
from gateway.cityhall.telling import Message
from gateway.effects import Effects

_FOR_A_PERSON = ("review", "refused", "held")
_MOVING = ("ready", "sending", "uncertain", "tokened")


class CityBook(Database):
    # -- the outbox ---------------------------------------------------------------------------

    def outbox_due(self, now_ms: int, limit: int, desk: str = CITY) -> list[Row]:
        """Rows to look at now, oldest first; also those put off further than any pause, by a clock
        that was set back since.
        """
        return self.outbox_rows(
            f"desk = ? AND state IN {_MOVING} AND (next_ms <= ? OR next_ms > ?) "
            "ORDER BY created_ms, incident_id LIMIT ?",
            (desk, now_ms, now_ms + AHEAD_MS_MAX, limit),
        )

    def outbox_save(self, before: Row, after: Row, event: str, at_ms: int) -> None:
        """One step of a delivery and its line in the log. RowChangedError: somebody was faster."""
        with self.transaction() as db:
            save_row(db, before, after, event, at_ms)

    def outbox_rows(self, where: str = "1 ORDER BY incident_id", values: Any = ()) -> list[Row]:
        with self.reading() as db:
            rows = db.execute(f"SELECT {ROW_COLUMNS} FROM outbox WHERE {where}", values)
            return [row_of(row) for row in rows]

    def outbox_knows(self, references: Collection[str]) -> set[str]:
        """Those that are of a row, in whatever state."""
        with self.reading() as db:
            marks = ", ".join("?" * len(references))
            query = f"SELECT reference FROM outbox WHERE reference IN ({marks})"
            return {reference for (reference,) in db.execute(query, [*references])}

    def sent_since(self, since_ms: int) -> list[tuple[int, str, str]]:
        """Of each request sent since then: when, its service, its district; oldest first."""
        rows = self.outbox_rows("first_sent_ms >= ? AND NOT urgent ORDER BY 1", (since_ms,))
        return sorted((row.first_sent_ms or 0, row.service, row.district) for row in rows)

    def stopped(self) -> str:
        """Who stopped all filing and why; empty where nobody did."""
        with self.reading():
            return str(self.one("SELECT value FROM meta WHERE key = 'stopped'") or "")

    def waiting(self) -> dict[str, int]:
        """How many requests wait for a person, by state."""
        with self.reading() as db:
            found = db.execute(
                f"SELECT state, count(*) FROM outbox WHERE state IN {_FOR_A_PERSON} GROUP BY state"
            )
            return dict(found.fetchall())

    # -- what became of them ------------------------------------------------------------------

    def follow_due(self, now_ms: int, limit: int, desk: str = CITY) -> list[Followed]:
        """Filed requests whose number is known, those first that were never looked at."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT reference, incident_id, request_id, coalesce(status, ''), "
                "coalesce(notes, ''), coalesce(updated, ''), coalesce(since_ms, 0), "
                "coalesce(f.next_ms, 0), coalesce(original, '') "
                "FROM outbox LEFT JOIN followed f USING (reference) WHERE state = 'filed' "
                "AND request_id IS NOT NULL AND desk = ? AND coalesce(f.next_ms, 0) <= ? "
                "ORDER BY coalesce(f.next_ms, 0), incident_id LIMIT ?",
                (desk, now_ms, limit),
            )
            return [Followed(*row) for row in rows]

    def follow_save(
        self,
        rows: Sequence[Followed],
        changed: Sequence[Followed],
        orders: Sequence[Order],
        at_ms: int,
    ) -> None:
        """What the city showed, a line in the log for each that changed, and what follows of it."""
        with self.transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO followed VALUES (?,?,?,?,?,?,?)",
                [
                    (r.reference, r.status, r.notes, r.updated, r.since_ms, r.next_ms, r.original)
                    for r in rows
                ],
            )
            db.executemany(
                "INSERT INTO deliveries VALUES (NULL,?,?,'filed',?,'filed',?)",
                [(r.reference, at_ms, f"city:{r.status}", r.notes) for r in changed],
            )
            for order in orders:
                give(db, order, "the city", "", at_ms)

    # -- what it is told later on -------------------------------------------------------------

    def news_due(self, now_ms: int, limit: int, desk: str = CITY) -> list[Message]:
        """What is to be told of requests that the city has."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT reference, n.incident_id, request_id, n.status, n.description, n.at_ms, "
                "n.attempts FROM news n JOIN outbox o USING (incident_id) WHERE n.state = 'ready' "
                "AND n.next_ms <= ? AND o.state IN ('filed', 'reopening') "
                "AND request_id IS NOT NULL "
                "AND desk = ? ORDER BY n.next_ms, n.incident_id LIMIT ?",
                (now_ms, desk, limit),
            )
            return [Message(*row) for row in rows]

    def news_save(
        self, message: Message, state: str, reason: str, next_ms: int, at_ms: int
    ) -> None:
        """`state`: told, refused, or ready to be tried again at `next_ms`. A request that the city
        will not open again goes out anew.
        """
        with self.transaction() as db:
            db.execute(
                "UPDATE news SET state = ?, reason = ?, next_ms = ?, attempts = attempts + 1 "
                "WHERE incident_id = ? AND status = ?",
                (state, reason, next_ms, message.incident_id, message.status),
            )
            told = (message.reference, at_ms, f"news:{message.status}:{state}", reason)
            db.execute("INSERT INTO deliveries VALUES (NULL,?,?,'',?,'',?)", told)
            row = row_where(db, "reference = ?", message.reference)
            if state != "ready" and row is not None and row.state is State.REOPENING:
                event = NotReopened(reason) if state == "refused" else Found(message.request_id)
                after = advance(row, event, at_ms, Policy())
                save_row(db, row, after, type(event).__name__.lower(), at_ms)

    # -- orders -------------------------------------------------------------------------------

    def orders_waiting(self, limit: int) -> list[Given]:
        """What was given and not yet carried out, oldest first."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT id, what, who FROM orders WHERE state = 'waiting' ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [Given(number, decode(what), who) for number, what, who in rows]


def give(db: sqlite3.Connection, order: Order, who: str, why: str, at_ms: int) -> int:
    """Within a transaction: an order is stored; its number."""
    given = db.execute(
        "INSERT INTO orders (given_ms, who, why, what) VALUES (?,?,?,?)",
        (at_ms, who, why, encode(order)),
    )
    assert given.lastrowid is not None
    return given.lastrowid


def write_city(db: sqlite3.Connection, effects: Effects, at_ms: int) -> None:
    """Within a batch's transaction: what it means for the city, and the orders that it answers."""
    db.executemany(
        f"INSERT INTO outbox ({ROW_COLUMNS}) VALUES ({ROW_HOLES}) ON CONFLICT (reference) "
        "DO UPDATE SET state = 'ready', reason = '' WHERE state = 'withdrawn'",
        map(columns_of, effects.outbox),
    )
    db.executemany(
        "INSERT OR IGNORE INTO news (incident_id, status, description, at_ms) VALUES (?,?,?,?)",
        effects.news,
    )
    for incident_id, reason in effects.unasked.items():
        row = row_where(db, "incident_id = ?", incident_id)
        if row is not None and row.first_sent_ms is None and legal(row.state, Withdrawn):
            after = advance(row, Withdrawn(reason), at_ms, Policy())
            save_row(db, row, after, "withdrawn", at_ms)
    db.executemany(
        "INSERT OR REPLACE INTO silences VALUES (?,?)",
        [(number, silences.encode(silence)) for number, silence in effects.silences.items()],
    )
    db.executemany(
        "UPDATE orders SET state = ?, answer = ?, done_ms = ? WHERE id = ?",
        [
            ("done" if answer.done else "refused", answer.text, at_ms, answer.id)
            for answer in effects.answers
        ],
    )


def save_row(db: sqlite3.Connection, before: Row, after: Row, event: str, at_ms: int) -> None:
    """Within a transaction. RowChangedError: the stored row is not `before` any more."""
    changed = db.execute(
        f"UPDATE outbox SET ({ROW_COLUMNS}) = ({ROW_HOLES}) "
        "WHERE reference = ? AND state = ? AND attempts = ?",
        (*columns_of(after), before.reference, before.state, before.attempts),
    ).rowcount
    if changed != 1:
        raise RowChangedError(before.reference)
    db.execute(
        "INSERT INTO deliveries VALUES (NULL,?,?,?,?,?,?)",
        (before.reference, at_ms, before.state, event, after.state, after.reason),
    )


def row_where(db: sqlite3.Connection, where: str, value: Any) -> Row | None:
    """Within a transaction: the one request that it is true of."""
    found = db.execute(f"SELECT {ROW_COLUMNS} FROM outbox WHERE {where}", (value,)).fetchone()
    return None if found is None else row_of(found)
