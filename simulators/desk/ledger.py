"""The desk's ledger: every request ever filed, on disk, in the order it came.

It is the ground truth a test compares with, so a request counts as stored only when SQLite has
synced it (WAL, synchronous FULL): kill -9 after `store` loses nothing. Rows are never deleted. One
thread uses it. Never knows of HTTP, and never the caller's key.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from simulators.desk.intake import Report
from simulators.desk.query import Query
from simulators.desk.services import ServiceType
from simulators.desk.wire import Reason, Refusal, date_text

_BUSY_S = 5.0  # a restarted desk waits this long for the one before it to let go

_FOR_EVER_MS = 1 << 62

_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    seq INTEGER PRIMARY KEY,
    service_request_id TEXT NOT NULL UNIQUE,
    token TEXT UNIQUE,
    answer TEXT NOT NULL CHECK (answer IN ('realtime', 'batch', 'blackbox')),
    service_code TEXT NOT NULL,
    service_name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    status_notes TEXT,
    received_ts_ms INTEGER NOT NULL,
    updated_ts_ms INTEGER NOT NULL,
    lat REAL,
    long REAL,
    fields TEXT NOT NULL,
    attributes TEXT NOT NULL,
    form TEXT NOT NULL,
    idempotency_key TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS request_received ON request (received_ts_ms);
CREATE TABLE IF NOT EXISTS request_update (
    seq INTEGER PRIMARY KEY,
    update_id TEXT NOT NULL UNIQUE,
    service_request_id TEXT NOT NULL,
    status TEXT NOT NULL,
    description TEXT NOT NULL,
    media_url TEXT,
    updated_ts_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS honoured_key (
    idempotency_key TEXT PRIMARY KEY,
    seq INTEGER NOT NULL REFERENCES request
) STRICT;
"""

# What readers see by now; a request that answered neither id nor token is never seen.
_SHOWN = (
    "answer <> 'blackbox' AND received_ts_ms <= :listed"
    " AND (token IS NULL OR received_ts_ms <= :token)"
)


class Update(NamedTuple):
    """What somebody said of a request later on."""

    update_id: str
    service_request_id: str
    status: str
    description: str
    media_url: str | None
    updated_ts_ms: int


class LedgerRefusedError(OSError):
    """The ledger file cannot be opened; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One request. `fields` are the standard form fields, `form` all pairs but the key."""

    seq: int
    service_request_id: str
    token: str | None
    answer: ServiceType
    service_code: str
    service_name: str
    status: str
    status_notes: str | None
    received_ts_ms: int
    updated_ts_ms: int
    lat: float | None
    long: float | None
    fields: dict[str, str]
    attributes: dict[str, str | list[str]]
    form: list[list[str]]
    idempotency_key: str | None

    def record(self, date: Callable[[int], str] = date_text) -> dict[str, Any]:
        """The request as GeoReport v2 publishes it."""
        return {
            "service_request_id": self.service_request_id,
            "status": self.status,
            "status_notes": self.status_notes,
            "service_name": self.service_name,
            "service_code": self.service_code,
            "description": self.fields.get("description"),
            "agency_responsible": None,
            "service_notice": None,
            "requested_datetime": date(self.received_ts_ms),
            "updated_datetime": date(self.updated_ts_ms),
            "expected_datetime": None,
            "address": self.fields.get("address_string"),
            "address_id": self.fields.get("address_id"),
            "zipcode": None,
            "lat": self.lat,
            "long": self.long,
            "media_url": self.fields.get("media_url"),
        }

    def oracle(self) -> dict[str, Any]:
        """The same with all the desk knows, for whoever checks what was filed."""
        return {
            "seq": self.seq,
            **self.record(),
            **self.fields,
            "token": self.token,
            "answer": self.answer,
            "received_ts_ms": self.received_ts_ms,
            "updated_ts_ms": self.updated_ts_ms,
            "attributes": self.attributes,
            "form": self.form,
            "idempotency_key": self.idempotency_key,
        }


class Ledger:
    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises LedgerRefusedError."""
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LedgerRefusedError(f"{path}: {error}") from error
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        self._db.close()

    def store(
        self, report: Report, answer: ServiceType, ts_ms: int, key: str | None, *, honour: bool
    ) -> Stored | Refusal:
        """Puts the report on disk. With `honour`, a key that was honoured before gives the request
        it made then, or a refusal where the form differs.
        """
        with self._transaction():
            if honour and key is not None:
                before = self._honoured(key)
                if before is not None:
                    return before if before.form == _lists(report) else _reused(key)
            seq = self._append(report, answer, ts_ms, key)
            if honour and key is not None:
                self._db.execute("INSERT INTO honoured_key VALUES (?, ?)", (key, seq))
        return self._one("seq = ?", seq)

    def find(
        self, query: Query, listed_ts_ms: int, token_ts_ms: int, *, unfinished: bool = False
    ) -> list[Stored]:
        """The newest first. Requests received after `listed_ts_ms` are not shown yet, nor those
        with a token after `token_ts_ms`, unless the unfinished ones are asked for too.
        """
        if query.ids:
            chosen = "service_request_id IN (SELECT value FROM json_each(:ids))"
        else:
            chosen = (
                "received_ts_ms >= :start AND received_ts_ms < :end"
                " AND (:codes = '[]' OR service_code IN (SELECT value FROM json_each(:codes)))"
                " AND (:statuses = '[]' OR status IN (SELECT value FROM json_each(:statuses)))"
            )
        rows = self._db.execute(
            f"SELECT * FROM request WHERE {_SHOWN} AND {chosen}"  # noqa: S608 (constants above)
            " ORDER BY seq DESC LIMIT :size OFFSET :skip",
            {
                "listed": listed_ts_ms,
                "token": _FOR_EVER_MS if unfinished else token_ts_ms,
                "ids": json.dumps(query.ids),
                "codes": json.dumps(query.service_codes),
                "statuses": json.dumps(query.statuses),
                # Published times are whole seconds: one asked for as published must be found.
                "start": query.start_ts_ms // 1000 * 1000,
                "end": query.end_ts_ms // 1000 * 1000 + 1000,
                "size": query.page_size,
                "skip": (query.page - 1) * query.page_size,
            },
        )
        return [_stored(row) for row in rows]

    def by_id(self, service_request_id: str, listed_ts_ms: int, token_ts_ms: int) -> Stored | None:
        """The request as readers see it by now (as in `find`), or None."""
        row = self._db.execute(
            f"SELECT * FROM request WHERE {_SHOWN} AND service_request_id = :id",  # noqa: S608
            {"id": service_request_id, "listed": listed_ts_ms, "token": token_ts_ms},
        ).fetchone()
        return None if row is None else _stored(row)

    def by_token(self, token: str) -> Stored | None:
        return self._first("token = ?", token)

    def all(self) -> list[Stored]:
        """Every request in the order of receipt."""
        return [_stored(row) for row in self._db.execute("SELECT * FROM request ORDER BY seq")]

    def close_request(self, service_request_id: str, notes: str, ts_ms: int) -> Stored | None:
        """The closed request, or None for an id that does not exist."""
        with self._transaction():
            self._db.execute(
                "UPDATE request SET status = 'closed', status_notes = ?, updated_ts_ms = ?"
                " WHERE service_request_id = ?",
                (notes, ts_ms, service_request_id),
            )
        return self._first("service_request_id = ?", service_request_id)

    def has_request(self, request_id: str) -> bool:
        return self._first("service_request_id = ?", request_id) is not None

    def add_update(self, update: Update) -> bool:
        """Puts an update of a request that is there on disk; False where its id is there too."""
        with self._transaction():
            if self._update_is_there(update.update_id):
                return False
            self._db.execute(
                "INSERT INTO request_update (update_id, service_request_id, status, description,"
                " media_url, updated_ts_ms) VALUES (?, ?, ?, ?, ?, ?)",
                update,
            )
        return True

    def updates(self, start_ts_ms: int, end_ts_ms: int) -> list[Update]:
        """Those within the two times, both included, in the order in which they came."""
        rows = self._db.execute(
            "SELECT update_id, service_request_id, status, description, media_url, updated_ts_ms"
            " FROM request_update WHERE updated_ts_ms BETWEEN ? AND ? ORDER BY seq LIMIT 1000",
            (start_ts_ms // 1000 * 1000, end_ts_ms // 1000 * 1000 + 999),
        )
        return [Update(*row) for row in rows]

    def _update_is_there(self, update_id: str) -> bool:
        query = "SELECT 1 FROM request_update WHERE update_id = ?"
        return self._db.execute(query, (update_id,)).fetchone() is not None

    def _append(self, report: Report, answer: ServiceType, ts_ms: int, key: str | None) -> int:
        (seq,) = self._db.execute("SELECT coalesce(max(seq), 0) + 1 FROM request").fetchone()
        token = f"t-{seq:08x}" if answer is ServiceType.BATCH else None
        self._db.execute(
            "INSERT INTO request (seq, service_request_id, token, answer, service_code,"
            " service_name, received_ts_ms, updated_ts_ms, lat, long, fields, attributes, form,"
            " idempotency_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                f"{date_text(ts_ms)[2:4]}-{seq:08d}",
                token,
                answer,
                report.service.code,
                report.service.name,
                ts_ms,
                ts_ms,
                report.lat,
                report.long,
                json.dumps(report.fields),
                json.dumps(report.attributes),
                json.dumps(report.pairs),
                key,
            ),
        )
        return int(seq)

    def _honoured(self, key: str) -> Stored | None:
        return self._first("seq = (SELECT seq FROM honoured_key WHERE idempotency_key = ?)", key)

    def _one(self, where: str, value: int | str) -> Stored:
        found = self._first(where, value)
        assert found is not None, "a row just stored is there"
        return found

    def _first(self, where: str, value: int | str) -> Stored | None:
        query = f"SELECT * FROM request WHERE {where}"  # noqa: S608 (`where` is a constant)
        row = self._db.execute(query, (value,)).fetchone()
        return None if row is None else _stored(row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _stored(row: sqlite3.Row) -> Stored:
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118 (a Row iterates its values)
    for name in ("fields", "attributes", "form"):
        values[name] = json.loads(values[name])
    values["answer"] = ServiceType(values["answer"])
    return Stored(**values)


def _lists(report: Report) -> list[list[str]]:
    return [list(pair) for pair in report.pairs]


def _reused(key: str) -> Refusal:
    return Refusal(Reason.KEY_REUSED, f"Idempotency-Key {key!r} was sent with another form")
