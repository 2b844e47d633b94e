"""The file on disk: SQLite, one file, one writer, and what to do when the disk is full or broken.

When a transaction returns it survives a crash of the process, the machine and the power (WAL with
synchronous=FULL, checked at start); when it raises, nothing of it is in effect. A full disk is told
apart from a broken one: the first may pass, after the second nothing may be trusted. Knows the
tables only by their migrations.
"""

import fcntl
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.books.schema import MIGRATIONS
from gateway.errors import StoreBroken, StoreFull

BALLAST_BYTES = 64 * 1024 * 1024  # given up when the disk is full, so that recovery has room
BUSY_TIMEOUT_S = 10.0
WAL_BYTES_MAX = 64 * 1024 * 1024


class Database:
    """The open file. Safe to share between threads: one transaction at a time."""

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

    def make_room(self) -> None:
        """The disk is full: give up the ballast and fold the log into the file."""
        self._ballast.unlink(missing_ok=True)
        with self.reading() as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def probe(self) -> None:
        """Whether a transaction goes through; raises as `commit` does."""
        with self.transaction() as db:
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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.reading() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
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

    def one(self, query: str) -> Any:
        row = self._db.execute(query).fetchone()
        return row[0] if row else None

    def pragma(self, name: str) -> int:
        with self.reading():
            return int(self.one(f"PRAGMA {name}"))


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
