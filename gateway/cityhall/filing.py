"""Filing: takes outbox rows to the city's desk, one at a time, and brings back what became of them.

One sender. Each step of a row is durable before the next: the claim before the connection, the
answer before anything else. A row in doubt is looked up, all of a service with one listing, before
it may be sent again. A desk that is down is left alone for growing pauses and then asked with one
row. Never decides what is legal (that is `outbox`), never knows HTTP or SQL.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.cityhall.clearance import Clearance, Terms
from gateway.cityhall.delivery import (
    CITY,
    Absent,
    CannotTell,
    Cause,
    Claimed,
    Diverted,
    Event,
    Found,
    NoReadBack,
    NotSent,
    Outcome,
    Recovered,
    Row,
    Sighting,
    State,
    TokenResolved,
    Unknown,
)
from gateway.cityhall.outbox import RowChangedError, advance, in_doubt, pause_ms
from gateway.cityhall.profile import Profile
from gateway.watch.logs import Log, Said

ROWS_PER_PASS = 100
"""Few enough that a pass over a desk with normal answers takes seconds."""
TOKENS_PER_PASS = 10
"""Polls must not keep new faults waiting at a slow desk."""
FAILURES_IN_A_ROW_MAX = 5
"""Then the desk is taken to be down; fewer are single bad answers."""
DOWN_PAUSE_MS_MIN = 1_000
DOWN_PAUSE_MS_MAX = 300_000
"""5 minutes: what a desk that has come back waits for us at most."""
IDLE_S = 0.5
"""How long a new row waits at most when nobody wakes the filer."""
TROUBLE_S = 5.0
"""Wait after a pass that broke, the store being full or locked."""

_log = Log(__name__)
_FAILING = frozenset({Cause.UNREACHABLE, Cause.TIMEOUT, Cause.DROPPED, Cause.SERVER_ERROR})


class Ledger(Protocol):
    """The stored rows; each call is one durable transaction."""

    def outbox_due(self, now_ms: int, limit: int, desk: str) -> list[Row]:
        """Rows of this desk in READY, SENDING, UNCERTAIN or TOKENED with next_ms <= now_ms, the
        oldest first.
        """

    def outbox_save(self, before: Row, after: Row, event: str, at_ms: int) -> None:
        """Replaces `before`, with a line in the journal. RowChangedError: it is not there so."""

    def outbox_knows(self, references: Collection[str]) -> set[str]:
        """Those that are of a row, in whatever state."""

    def stopped(self) -> str:
        """Who stopped all filing and why; empty where nobody did."""


class Client(Protocol):
    """A 311 desk as `open311` speaks to it: answers with values, never raises."""

    def post(self, row: Row) -> Outcome: ...

    def look(
        self, service: str, references: Sequence[str], since_ms: int, until_ms: int
    ) -> Mapping[str, Sighting]:
        """What the desk lists; a reference that is missing is absent from a complete list."""

    def residents(
        self, row: Row, now_ms: int, knows: Callable[[Collection[str]], Collection[str]]
    ) -> Found | Diverted | None:
        """A request that is there for the same fault, or may be, and that the books do not know.
        `knows`: which of some references they do.
        """

    def token(self, token: str) -> TokenResolved | CannotTell: ...


@dataclass(frozen=True, slots=True)
class Health:
    """How the desk does. `failures` counts in a row; `paused_until_ms` is 0 when it is asked."""

    failures: int = 0
    paused_until_ms: int = 0
    reason: str = ""
    answered_ms: int | None = None

    @property
    def down(self) -> bool:
        return self.failures >= FAILURES_IN_A_ROW_MAX

    @property
    def told(self) -> str:
        return "down: " + self.reason if self.down else "up"


def judged(health: Health, event: Event, now_ms: int) -> Health:
    """The desk's health after an exchange with it."""
    if not isinstance(event, NotSent | Unknown | CannotTell):
        return Health(answered_ms=now_ms)
    if event.cause is Cause.THROTTLED:
        asked_s = event.retry_after_s if isinstance(event, NotSent | CannotTell) else None
        pause = min(max(int((asked_s or 0.0) * 1000), DOWN_PAUSE_MS_MIN), DOWN_PAUSE_MS_MAX)
        return Health(0, now_ms + pause, event.reason, now_ms)
    if event.cause not in _FAILING:
        return Health(reason=event.reason, answered_ms=now_ms)
    failures = health.failures + 1
    over = failures - FAILURES_IN_A_ROW_MAX + 1
    pause = pause_ms("desk", over, DOWN_PAUSE_MS_MIN, DOWN_PAUSE_MS_MAX) if over > 0 else 0
    until_ms = now_ms + pause if pause else 0
    return replace(health, failures=failures, paused_until_ms=until_ms, reason=event.reason)


class Filer:
    """The one sender to one desk. `run` in a thread of its own; `wake` it when rows are new.

    `now_ms` is real time and should not run backwards; a row whose time is far ahead waits.
    `beside` is done when no row is due, and says how much it did.
    """

    def __init__(
        self,
        ledger: Ledger,
        client: Client,
        profile: Profile,
        now_ms: Callable[[], int],
        wake: threading.Event | None = None,
        beside: Callable[[], int] = lambda: 0,
        clearance: Clearance | None = None,
        desk: str = CITY,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._profile = profile
        self._now_ms = now_ms
        self._wake = wake or threading.Event()
        self._beside = beside
        self._clearance = clearance or Clearance(Terms())
        self._desk = desk
        self._stopping = threading.Event()
        self._health = Health()

    @property
    def health(self) -> Health:
        return self._health

    def run(self) -> None:
        """Files until `stop`. Whatever breaks a pass, the next one starts from what is durable."""
        while not self._stopping.is_set():
            try:
                pause_s = 0.0 if self.step() or self._aside() else IDLE_S
            except Exception:  # noqa: BLE001 -- told below
                # A broken pass leaves at worst a row in SENDING, which is then looked up, so
                # going on is safe whatever broke; ending the thread would lose faults in silence.
                _log.exception(Said.FILER_FAILED, "a pass of the filer broke", desk=self._desk)
                pause_s = TROUBLE_S
            if pause_s and self._wake.wait(pause_s):
                self._wake.clear()

    def stop(self) -> None:
        """Ends `run` after the exchange under way; nothing is undone or left half written."""
        self._stopping.set()
        self._wake.set()

    def step(self) -> int:
        """One pass over the rows that are due; how many of them moved."""
        now_ms = self._now_ms()
        if self._paused(now_ms):
            return 0
        limit = 1 if self._health.down else ROWS_PER_PASS
        rows = self._ledger.outbox_due(now_ms, limit, self._desk)
        moved = sum(self._recover(row) for row in rows if row.state is State.SENDING)
        moved_by_looks, sure = self._look_up([row for row in rows if in_doubt(row)])
        fresh = [row for row in rows if row.state is State.READY and not in_doubt(row)]
        if sure or fresh:
            moved += 0 if self._ledger.stopped() else self._send_all(sure + fresh)
        moved += moved_by_looks
        return moved + self._poll_all([row for row in rows if row.state is State.TOKENED])

    def _aside(self) -> int:
        """What is done beside, while the desk has not asked to be left alone."""
        return 0 if self._halted() else self._beside()

    def _paused(self, now_ms: int) -> bool:
        # A pause further off than any pause lasts comes from a clock that was set back.
        left_ms = self._health.paused_until_ms - now_ms
        return 0 < left_ms <= 2 * DOWN_PAUSE_MS_MAX

    def _halted(self) -> bool:
        return self._stopping.is_set() or self._paused(self._now_ms())

    def _recover(self, row: Row) -> int:
        return int(self._move(row, Recovered()) is not None)

    def _look_up(self, doubtful: Sequence[Row]) -> tuple[int, list[Row]]:
        """How many rows moved, and which ones in READY may be sent because nothing was found."""
        moved, sure = 0, list[Row]()
        for service in dict.fromkeys(row.service for row in doubtful):
            if self._halted():
                break
            rows = [row for row in doubtful if row.service == service]
            if self._profile.policy(service).read_back:
                events = self._sightings(service, rows)
            else:
                events = [NoReadBack() for _ in rows]
            for row, event in zip(rows, events, strict=True):
                if row.state is State.READY and isinstance(event, Absent | NoReadBack):
                    sure.append(row)
                else:
                    moved += self._move(row, event) is not None
        return moved, sure

    def _sightings(self, service: str, rows: Sequence[Row]) -> list[Event]:
        read_ms = self._now_ms()
        since_ms = min(row.first_sent_ms or row.created_ms for row in rows)
        seen = self._client.look(service, [row.reference for row in rows], since_ms, read_ms)
        absent = Absent(read_ms)
        blind = (event for event in seen.values() if isinstance(event, CannotTell))
        self._note(next((event for event in blind if event.cause is not Cause.NO_ID), absent))
        return [seen.get(row.reference, absent) for row in rows]

    def _send_all(self, rows: Sequence[Row]) -> int:
        sent = 0
        for row in rows:
            if self._halted():
                break
            sent += self._send(row)
        return sent

    def _send(self, row: Row) -> int:
        """One attempt; none for what is there already, or a person sees first."""
        objection = self._clearance.objection(row, self._now_ms()) if row.attempts == 0 else None
        if objection is not None:
            return int(self._move(row, Diverted(objection)) is not None)
        known = self._known(row) if row.attempts == 0 else None
        if known is not None:
            return int(self._move(row, known) is not None)
        claimed = self._move(row, Claimed())
        if claimed is None:
            return 0
        if row.attempts == 0:
            self._clearance.note(row, self._now_ms())
        outcome = self._client.post(claimed)
        self._note(outcome)
        self._move(claimed, outcome)
        return 1

    def _known(self, row: Row) -> Found | Diverted | None:
        """What the city shows of the fault already; a person is asked once, and not if it is
        urgent.
        """
        known = self._client.residents(row, self._now_ms(), self._ledger.outbox_knows)
        asks = isinstance(known, Diverted)
        return None if asks and (row.approved or row.urgent) else known

    def _poll_all(self, rows: Sequence[Row]) -> int:
        """Polls a few tokens; the others are put off, lest they crowd out new rows."""
        for nth, row in enumerate(rows):
            if self._halted():
                return nth
            assert row.token is not None, f"{row.reference}: tokened without a token"
            event: TokenResolved | CannotTell = CannotTell(Cause.POSTPONED, row.reason)
            if nth < TOKENS_PER_PASS:
                event = self._client.token(row.token)
                self._note(event)
            self._move(row, event)
        return len(rows)

    def _note(self, event: Event) -> None:
        before, self._health = self._health, judged(self._health, event, self._now_ms())
        if before.down != self._health.down:
            self._tell_health()

    def _tell_health(self) -> None:
        desk, why = self._desk, self._health.reason
        if self._health.down:
            _log.warning(Said.DESK_DOWN, "the 311 desk does not answer", desk=desk, why=why)
        else:
            _log.warning(Said.DESK_BACK, "the 311 desk answers again", desk=desk)

    def _move(self, row: Row, event: Event) -> Row | None:
        """The row after the event, stored; None where somebody else moved it meanwhile."""
        at_ms = self._now_ms()
        after = advance(row, event, at_ms, self._profile.policy(row.service))
        try:
            self._ledger.outbox_save(row, after, event_name(event), at_ms)
        except RowChangedError:
            about = {"request": row.reference, "state": row.state}
            _log.warning(Said.REQUEST_CHANGED, "a request was changed by another hand", **about)
            return None
        return after


def event_name(event: Event) -> str:
    """The event as the journal calls it: `claimed`, `unknown:timeout`."""
    name = type(event).__name__.lower()
    cause = getattr(event, "cause", None)
    return name if cause is None else f"{name}:{cause}"
