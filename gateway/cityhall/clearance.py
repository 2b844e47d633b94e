"""Clearance: whether a request may go to the city now, or a person looks at it first.

Pure. Budgets per service and district, and one for all, keep a storm from becoming a flood of
trucks: what is over them waits for a person, never disappears. In approval mode everything waits.
What is urgent, and what a person has let pass, is sent whatever the budgets say.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gateway.cityhall.delivery import Row

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Mode(StrEnum):
    """`dry-run`: nothing is ever sent, and all that would have been is on record."""

    LIVE = "live"
    APPROVE = "approve"
    DRY_RUN = "dry-run"


@dataclass(frozen=True, slots=True)
class Terms:
    """`per_hour` and `per_day` are of one service in one district; None: no limit."""

    mode: Mode = Mode.LIVE
    per_hour: int | None = None
    per_day: int | None = None
    all_per_hour: int | None = None


class Clearance:
    """What was sent in the last day, and what may be sent now."""

    def __init__(self, terms: Terms, sent: Iterable[tuple[int, str, str]] = ()) -> None:
        """`sent`: when, service and district of each request of the last day, oldest first."""
        self.terms = terms
        self._sent = deque(sent)
        self._day = Counter((service, district) for _, service, district in self._sent)

    def objection(self, row: Row, now_ms: int) -> str | None:
        """Why it is not to be sent now; None: it may be."""
        if self.terms.mode is Mode.DRY_RUN:
            return "dry run: it would have been sent now"
        if row.urgent or row.approved:
            return None
        if self.terms.mode is Mode.APPROVE:
            return "it waits for approval"
        return self._over_budget(row, now_ms)

    def note(self, row: Row, now_ms: int) -> None:
        """It is sent; what is urgent counts nowhere."""
        if not row.urgent:
            self._sent.append((now_ms, row.service, row.district))
            self._day[row.service, row.district] += 1

    def _over_budget(self, row: Row, now_ms: int) -> str | None:
        self._forget(now_ms - DAY_MS)
        terms, key = self.terms, (row.service, row.district)
        where = f"{row.service} in {row.district}" if row.district else row.service
        if terms.per_day is not None and self._day[key] >= terms.per_day:
            return f"over the budget of {terms.per_day} a day for {where}"
        hour = Counter[tuple[str, str]]()
        for at_ms, *of in reversed(self._sent):
            if at_ms <= now_ms - HOUR_MS:
                break
            hour[of[0], of[1]] += 1
        if terms.per_hour is not None and hour[key] >= terms.per_hour:
            return f"over the budget of {terms.per_hour} an hour for {where}"
        if terms.all_per_hour is not None and hour.total() >= terms.all_per_hour:
            return f"over the budget of {terms.all_per_hour} an hour for everything"
        return None

    def _forget(self, oldest_ms: int) -> None:
        while self._sent and self._sent[0][0] <= oldest_ms:
            _, service, district = self._sent.popleft()
            self._day[service, district] -= 1
