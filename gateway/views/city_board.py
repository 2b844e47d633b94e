"""The city on a map, kept ready: worked out once for all who ask, however many pages are open.

Owns when it is looked again: after whatever happened to incidents and requests, when other plans
are in force, and for who has fallen silent every half minute. A browser asks by the tag that it
has, and hears that nothing is new.
"""

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel

from gateway.books.open_cases import open_cases
from gateway.errors import ConfigError, StoreError
from gateway.views.books import Books
from gateway.views.city import Ground, Quiet, ground_of, quiet, silent_assets, states_of, tag_of
from gateway.watch.logs import Log, Said

LOOK_MS = 250
"""A hundred open pages are one look at the books."""
SILENCE_MS = 30_000
"""Who is silent is looked up so seldom: devices are judged by hours."""


class Answer(NamedTuple):
    """As it is sent, and the tag that it is known by."""

    tag: str
    body: bytes


NOTHING = Answer("", b"")

log = Log(__name__)


@dataclass(slots=True)
class CityBoard:
    """The answers of one gateway, for all who ask. Any thread may."""

    books: Books
    _ground: Ground | None = None
    _known: Quiet | None = None
    _assets: Answer = NOTHING
    _states: Answer = NOTHING
    _mark: tuple[int, ...] | None = None
    _heard_ms: int = 0
    _looked_ms: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def assets(self) -> Answer:
        """What stands in the city, an AssetsView. ConfigError, StoreError."""
        with self._lock:
            self._look()
            return self._assets

    def states(self) -> Answer:
        """How it is now, a StatesView. ConfigError, StoreError."""
        with self._lock:
            self._look()
            return self._states

    def _look(self) -> None:
        """Bring both up to date, if something has changed since the last look."""
        now_ms = self.books.now_ms()
        if 0 <= now_ms - self._looked_ms < LOOK_MS:
            return
        plans, mark = self.books.plans(), self.books.mark()
        if self._ground is None or self._ground.plans is not plans:
            self._ground = ground_of(plans)
            self._assets = _answer(self._ground.view)
            self._known = None
        if self._known is None:
            self._mark, self._heard_ms = None, now_ms
            self._known = quiet(self._ground, silent_assets(self._ground, self.books))
        elif not 0 <= now_ms - self._heard_ms < SILENCE_MS:
            self._heard_ms = now_ms
            threading.Thread(target=self._listen, args=(self._ground,), daemon=True).start()
        if mark != self._mark:
            cases = open_cases(self.books.database)
            self._states = _answer(states_of(self._ground, cases, self._known))
        self._mark, self._looked_ms = mark, now_ms

    def _listen(self, ground: Ground) -> None:
        """Who is silent, found out while the answers of before go on: it takes a while."""
        try:
            known = quiet(ground, silent_assets(ground, self.books))
        except (ConfigError, StoreError) as error:
            log.warning(Said.BOOKS_UNREADABLE, "who is silent cannot be read", why=error)
            return
        with self._lock:
            if self._ground is ground and known != self._known:
                self._known, self._mark = known, None


def _answer(view: BaseModel) -> Answer:
    body = view.model_dump_json().encode("utf-8")
    return Answer(tag_of(body), body)
