"""The latest record: read from the books at most once in ten seconds, however many ask, and less
often where that takes long: nine tenths of the time are for those who ask.

Whoever asks meanwhile gets the one from before. Only the first is waited for. When the books cannot
be read the last record stays; where there is none yet, StoreError is told and it is tried again.
"""

import threading
import time
from collections.abc import Callable

from gateway.errors import StoreError
from gateway.views.public_record import Record
from gateway.watch.logs import Log, Said

FRESH_S = 10.0
REST = 9  # times as long as the last reading took
AGAIN_S = 1.0  # while there is no record at all

log = Log(__name__)


class Latest:
    """`read` gives the record of now, and may be given the one before. Any thread may ask."""

    def __init__(
        self,
        read: Callable[[Record | None], Record],
        seconds: Callable[[], float] = time.monotonic,
        in_background: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._in_background = in_background or _thread
        self._record: Record | None = None
        self._next_s = 0.0
        self._reading = False
        self._lock = threading.Lock()
        self._failure: StoreError | None = None
        self._failed_s = 0.0

    def record(self) -> Record:
        """StoreError: there is none yet."""
        with self._lock:
            if self._record is None:
                return self._first()
            record = self._record
            stale = self._seconds() >= self._next_s and not self._reading
            self._reading = self._reading or stale
        if stale:
            self._in_background(self._again)
        return record

    def _first(self) -> Record:
        now_s = self._seconds()
        if self._failure is not None and now_s - self._failed_s < AGAIN_S:
            raise self._failure
        try:
            self._record = self._read(None)
        except StoreError as error:
            self._failure, self._failed_s = error, now_s
            raise
        self._next_s = self._pause_from(now_s)
        return self._record

    def _again(self) -> None:
        record, began_s = self._record, self._seconds()
        try:
            record = self._read(record)
        except StoreError as error:
            log.warning(Said.BOOKS_UNREADABLE, "the record from before stays", why=error)
        finally:
            with self._lock:
                self._record, self._reading = record, False
                self._next_s = self._pause_from(began_s)

    def _pause_from(self, began_s: float) -> float:
        now_s = self._seconds()
        return now_s + max(FRESH_S, REST * (now_s - began_s))


def _thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="public-record", daemon=True).start()
