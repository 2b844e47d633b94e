"""What is on disk: SQLite, one file, one writer.

All SQL of the gateway is here, in `schema` (the tables) and in `ledger` (the books, from beside).
A batch's effects are one transaction; when `commit` returns they survive a crash of the process,
the machine and the power (WAL with synchronous=FULL, checked at start). When it raises, nothing of
the batch is in effect. A full disk is told apart from a broken one: the first may pass, after the
second nothing may be trusted. Incidents and requests are never deleted; readings, refusals and
journal lines are, by age and size.
"""

import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import devices
from gateway.effects import Effects, HistoryReading, Saved
from gateway.errors import StoreBroken, StoreFull
from gateway.following import Followed
from gateway.incidents import ENDED_MAX
from gateway.outbox import AHEAD_MS_MAX, Row, RowChangedError
from gateway.schema import MIGRATIONS
from gateway.stored_rows import ROW_COLUMNS, columns_of, incident_of, incident_row, row_of

BALLAST_BYTES = 64 * 1024 * 1024  # given up when the disk is full, so that recovery has room
REFUSALS_MAX = 100_000
JOURNAL_DAYS = 400  # over a year: a request may be disputed long after it was filed
PRUNE_ROWS = 5_000  # per call: the writer is never away for long
BUSY_TIMEOUT_S = 10.0
WAL_BYTES_MAX = 64 * 1024 * 1024

_MOVING = ("ready", "sending", "uncertain", "tokened")


class Store:
    """The open database. Safe to share between threads: one transaction at a time."""

    def __init__(self, folder: Path) -> None:
        """StoreBroken: the folder is in use, or the file is not ours to use. StoreFull: no room."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / "sense311.db"
        self._ballast = folder / "ballast"
        self._lock = threading.RLock()
        self._reader_lock = threading.RLock()
        self._own = _claim(folder)
        opened: list[sqlite3.Connection] = []
        try:
            with self._told():
                self._db = self._open(opened)
                self._reader = _connect(self.path, opened)
        except BaseException:
            for db in opened:
                db.close()
            self._own.close()
            raise
        self._keep_ballast()

    def _open(self, opened: list[sqlite3.Connection]) -> sqlite3.Connection:
        """The writer. A disk that is full at the start gets the ballast's room."""
        db = _connect(self.path, opened)
        try:
            _migrate(db)
        except sqlite3.Error as error:
            if not _is_full(error):
                raise
            self._ballast.unlink(missing_ok=True)
            _migrate(db)
        return db

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._db.close()
            self._own.close()

    # -- the batch ----------------------------------------------------------------------------

    def commit(self, effects: Effects) -> None:
        """All effects of a batch, in one transaction. StoreFull, StoreBroken: none of them."""
        with self._transaction() as db:
            db.executemany("INSERT INTO readings VALUES (?,?,?,?,?,?,?,?,?)", effects.readings)
            if effects.refusals:
                db.executemany(
                    "INSERT INTO refusals VALUES (NULL,?,?,?,?,?,?,?,?,?)", effects.refusals
                )
            db.executemany(
                "INSERT OR REPLACE INTO devices VALUES (?,?)",
                [(name, devices.dump(device)) for name, device in effects.devices.items()],
            )
            db.executemany("INSERT OR REPLACE INTO states VALUES (?,?)", effects.states)
            if effects.places:
                db.executemany("INSERT OR REPLACE INTO places VALUES (?,?)", effects.places)
            for place in effects.places_gone:
                db.execute("DELETE FROM places WHERE place = ?", (place,))
                db.execute("DELETE FROM states WHERE subject = ?", (place,))
            if effects.incidents:
                db.executemany(
                    "INSERT INTO incidents VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
                    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
                    "started_ms = excluded.started_ms, fired_ms = excluded.fired_ms, "
                    "due_ms = excluded.due_ms, vals = excluded.vals, parent = excluded.parent, "
                    "cleared_ms = excluded.cleared_ms, why = excluded.why",
                    map(incident_row, effects.incidents.values()),
                )
            if effects.outbox:
                db.executemany(
                    f"INSERT INTO outbox ({ROW_COLUMNS}) VALUES ({','.join('?' * 16)})",
                    map(columns_of, effects.outbox),
                )
            for row in effects.unfiled:  # the first time counts, should it leave and come back
                db.execute("INSERT OR IGNORE INTO unfiled VALUES (?,?,?,?)", columns_of(row)[1:5])
            if effects.journal:
                db.executemany(
                    "INSERT INTO journal VALUES (NULL,?,?,?,?,?,?,?,?,?)", effects.journal
                )
            db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?,?)",
                [("tick_ms", effects.tick_ms), ("follow_ms", effects.follow_ms)],
            )

    def save_rules(self, texts: str, layout: dict[str, list[list[str]]], states: Effects) -> None:
        """Other rules are in force: their texts, their layout and the states in it, together."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?,?)",
                [("rules", texts), ("layout", json.dumps(layout))],
            )
            db.executemany("INSERT OR REPLACE INTO states VALUES (?,?)", states.states)

    def load(self) -> Saved:
        """The world as it was when the last transaction ended."""
        with self._reading() as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            # The ended ones too, the latest of them: a late sample may show that one goes on.
            incidents = db.execute(
                "SELECT * FROM incidents WHERE cleared_ms IS NULL OR id IN (SELECT id FROM "
                "incidents WHERE cleared_ms IS NOT NULL ORDER BY id DESC LIMIT ?) ORDER BY id",
                (ENDED_MAX,),
            )
            return Saved(
                installation=meta["installation"],
                tick_ms=int(meta.get("tick_ms", 0)),
                follow_ms=int(meta.get("follow_ms", 0)),
                reading_id=max(
                    self._one("SELECT max(id) FROM readings") or 0,
                    int(meta.get("pruned_id", 0)),
                ),
                incident_id=self._one("SELECT max(id) FROM incidents") or 0,
                texts=meta.get("rules", ""),
                layout=json.loads(meta.get("layout", "{}")),
                devices=[row[0] for row in db.execute("SELECT state FROM devices")],
                states=list(db.execute("SELECT subject, state FROM states")),
                places=[row[0] for row in db.execute("SELECT state FROM places")],
                incidents=[incident_of(row) for row in incidents],
                episodes={
                    (rule, subject): episode
                    for rule, subject, episode in db.execute(
                        "SELECT rule, subject, max(episode) FROM incidents GROUP BY rule, subject"
                    )
                },
            )

    # -- the outbox ---------------------------------------------------------------------------

    def outbox_due(self, now_ms: int, limit: int) -> list[Row]:
        """Rows to look at now, oldest first; also those put off further than any pause, by a clock
        that was set back since.
        """
        return self.outbox_rows(
            f"state IN {_MOVING} AND (next_ms <= ? OR next_ms > ?) "
            "ORDER BY created_ms, incident_id LIMIT ?",
            (now_ms, now_ms + AHEAD_MS_MAX, limit),
        )

    def outbox_save(self, before: Row, after: Row, event: str, at_ms: int) -> None:
        """One step of a delivery and its line in the log. RowChangedError: somebody was faster."""
        columns = columns_of(after)
        with self._transaction() as db:
            changed = db.execute(
                f"UPDATE outbox SET ({ROW_COLUMNS}) = ({','.join('?' * 16)}) "
                "WHERE reference = ? AND state = ? AND attempts = ?",
                (*columns, before.reference, before.state, before.attempts),
            ).rowcount
            if changed != 1:
                raise RowChangedError(before.reference)
            db.execute(
                "INSERT INTO deliveries VALUES (NULL,?,?,?,?,?,?)",
                (before.reference, at_ms, before.state, event, after.state, after.reason),
            )

    def outbox_rows(self, where: str = "1 ORDER BY incident_id", values: Any = ()) -> list[Row]:
        with self._reading() as db:
            rows = db.execute(f"SELECT {ROW_COLUMNS} FROM outbox WHERE {where}", values)
            return [row_of(row) for row in rows]

    def follow_due(self, now_ms: int, limit: int) -> list[Followed]:
        """Filed requests whose number is known, those first that were never looked at."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT reference, request_id, coalesce(status, ''), coalesce(notes, ''), "
                "coalesce(updated, ''), coalesce(since_ms, 0), coalesce(f.next_ms, 0) "
                "FROM outbox LEFT JOIN followed f USING (reference) WHERE state = 'filed' "
                "AND request_id IS NOT NULL AND coalesce(f.next_ms, 0) <= ? "
                "ORDER BY coalesce(f.next_ms, 0), incident_id LIMIT ?",
                (now_ms, limit),
            )
            return [Followed(*row) for row in rows]

    def follow_save(
        self, rows: Sequence[Followed], changed: Sequence[Followed], at_ms: int
    ) -> None:
        """What the city showed, and a line in the log for each that changed."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO followed VALUES (?,?,?,?,?,?)",
                [(r.reference, r.status, r.notes, r.updated, r.since_ms, r.next_ms) for r in rows],
            )
            db.executemany(
                "INSERT INTO deliveries VALUES (NULL,?,?,'filed',?,'filed',?)",
                [(r.reference, at_ms, f"city:{r.status}", r.notes) for r in changed],
            )

    # -- history ------------------------------------------------------------------------------

    def history_cursor(self) -> int:
        with self._reading():
            found = self._one("SELECT value FROM meta WHERE key = 'history'")
            return int(found or 0)

    def history_advance(self, reading_id: int) -> None:
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('history', ?)", (reading_id,))

    def readings_after(self, reading_id: int, limit: int) -> list[HistoryReading]:
        with self._reader_lock, self._told():
            rows = self._reader.execute(
                "SELECT id, device, kind, zone, asset_id, ts_ms, body FROM readings "
                "WHERE id > ? ORDER BY id LIMIT ?",
                (reading_id, limit),
            ).fetchall()
        return [HistoryReading._make((*row[:6], _numbers(row[6]))) for row in rows]

    # -- keeping house ------------------------------------------------------------------------

    def prune(self, oldest_ms: int, size_bytes_max: int, history_cursor: int | None) -> int:
        """Delete readings that are too old, or the oldest while the file is too large; never one
        that history still waits for. At most PRUNE_ROWS; returns how many.
        """
        used = self._pragma("page_count") - self._pragma("freelist_count")
        too_large = used * self._pragma("page_size") > size_bytes_max
        with self._transaction() as db:
            oldest = db.execute(
                "SELECT id, received_ms FROM readings ORDER BY id LIMIT ?", (PRUNE_ROWS,)
            ).fetchall()
            ids = [
                reading_id
                for reading_id, received_ms in oldest
                if (too_large or received_ms < oldest_ms)
                and (history_cursor is None or reading_id <= history_cursor)
            ]
            if ids:
                # The numbers go on where they were, even when every reading is gone.
                db.execute("DELETE FROM readings WHERE id <= ?", (ids[-1],))
                db.execute("INSERT OR REPLACE INTO meta VALUES ('pruned_id', ?)", (ids[-1],))
            db.execute(
                "DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?",
                (REFUSALS_MAX,),
            )
            db.execute(
                "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE at_ms < ? LIMIT ?)",
                (oldest_ms - JOURNAL_DAYS * 86_400_000, PRUNE_ROWS),
            )
        return len(ids)

    def make_room(self) -> None:
        """The disk is full: give up the ballast and fold the log into the file."""
        self._ballast.unlink(missing_ok=True)
        with self._reading() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def probe(self) -> None:
        """Whether a transaction goes through; raises as `commit` does."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('probe', ?)", (secrets.token_hex(8),))

    def keep_ballast(self) -> None:
        """Take the ballast again, once there is much more room than it needs."""
        if not self._ballast.exists() and shutil.disk_usage(self.path).free > 4 * BALLAST_BYTES:
            self._keep_ballast()

    def _keep_ballast(self) -> None:
        if self._ballast.exists():
            return
        try:
            with self._ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except OSError:
            self._ballast.unlink(missing_ok=True)  # no room: then it has done its work already

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection, alone."""
        with self._lock, self._told():
            yield self._db

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite raises, told apart by what has to be done about it."""
        try:
            yield
        except sqlite3.Error as error:
            kind = StoreFull if _is_full(error) else StoreBroken
            raise kind(f"{self.path}: {error}") from error

    def _one(self, query: str) -> Any:
        row = self._db.execute(query).fetchone()
        return row[0] if row else None

    def _pragma(self, name: str) -> int:
        with self._reading():
            return int(self._one(f"PRAGMA {name}"))


def _claim(folder: Path) -> Any:
    """Two gateways on one store would file everything twice: the second one stops here."""
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreBroken(f"{folder}: another gateway is using this folder") from error
    return file


def _is_full(error: sqlite3.Error) -> bool:
    """No room, also where it shows in the small file beside the log."""
    code = getattr(error, "sqlite_errorcode", None)  # the module's own errors have none
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


def _connect(path: Path, opened: list[sqlite3.Connection]) -> sqlite3.Connection:
    db = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )
    opened.append(db)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    _assert_durable(db)
    return db


def _assert_durable(db: sqlite3.Connection) -> None:
    mode = db.execute("PRAGMA journal_mode").fetchone()[0]
    level = db.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or level != 2:
        raise StoreBroken(f"not durable: journal_mode={mode}, synchronous={level}")


def _migrate(db: sqlite3.Connection) -> None:
    """Each migration and the note that it ran are one transaction."""
    done = db.execute("PRAGMA user_version").fetchone()[0]
    if done > len(MIGRATIONS):
        raise StoreBroken(f"the file is of a newer version ({done}) than this program")
    for version, script in enumerate(MIGRATIONS[done:], done + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {version}; COMMIT;")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    db.execute("INSERT OR IGNORE INTO meta VALUES ('installation', ?)", (secrets.token_hex(16),))


def _numbers(body: bytes) -> dict[str, float | bool]:
    values = json.loads(body)["values"]
    return {key: value for key, value in values.items() if isinstance(value, int | float)}
