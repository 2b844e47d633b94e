"""Telling: what the city hears of a request later on, where it takes updates.

mySociety's `servicerequestupdates`: that the sensor shows the fault over, or that a request is to
be opened again. Each has an id of ours that counts once at the city, so it may be sent again until
it is answered. What is refused is kept with the reason. Files nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.cityhall.delivery import CITY, Filed, NotSent, Outcome, Refused
from gateway.cityhall.outbox import pause_ms

FIXED = "FIXED"
REOPEN = "REOPEN"
PAUSE_MS_MIN = 5_000
PAUSE_MS_MAX = 3_600_000
IDLE_MS = 1_000


@dataclass(frozen=True, slots=True)
class Message:
    """`status` in the words of mySociety's extension; `at_ms`: when it became so."""

    reference: str
    incident_id: int
    request_id: str
    status: str
    description: str
    at_ms: int
    attempts: int = 0

    @property
    def update_id(self) -> str:
        return f"{self.reference}-{self.status.lower()}"


class Book(Protocol):
    def news_due(self, now_ms: int, limit: int, desk: str) -> list[Message]: ...

    def news_save(
        self, message: Message, state: str, reason: str, next_ms: int, at_ms: int
    ) -> None: ...


class City(Protocol):
    def tell(self, message: Message) -> Outcome: ...


class Teller:
    """Tells what is due, one message a step."""

    def __init__(self, book: Book, city: City, now_ms: Callable[[], int], desk: str = CITY) -> None:
        self._book = book
        self._city = city
        self._now_ms = now_ms
        self._desk = desk
        self._not_before_ms = 0

    def step(self) -> int:
        """How many messages were sent."""
        now_ms = self._now_ms()
        if now_ms < self._not_before_ms:
            return 0
        due = self._book.news_due(now_ms, 1, self._desk)
        if not due:
            self._not_before_ms = now_ms + IDLE_MS
            return 0
        message = due[0]
        state, reason, next_ms = outcome_of(message, self._city.tell(message), self._now_ms())
        self._book.news_save(message, state, reason, next_ms, self._now_ms())
        return 1


def outcome_of(message: Message, outcome: Outcome, now_ms: int) -> tuple[str, str, int]:
    """The state of a message after an attempt, the reason, and when it is tried again."""
    if isinstance(outcome, Filed):
        return "told", "", now_ms
    if isinstance(outcome, Refused):
        return "refused", outcome.reason, now_ms
    asked_ms = 0
    if isinstance(outcome, NotSent):
        asked_ms = int(1000 * min(outcome.retry_after_s or 0, PAUSE_MS_MAX / 1000))
    pause = pause_ms(message.update_id, message.attempts + 1, PAUSE_MS_MIN, PAUSE_MS_MAX)
    reason = getattr(outcome, "reason", "no answer that can be read")
    return "ready", reason, now_ms + max(pause, asked_ms)
