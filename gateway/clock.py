"""What time it is: for people and for the rules, and how it is written.

`Clock` is the only source of the time of day in the gateway. `Frontier` says how far the rules may
take time to have passed: with the data while there is a backlog (after an outage the clock is far
ahead of the messages, and silence must not be judged then), with the clock once it is worked off.
Deterministic: the frontier depends on the order of the messages, not on how they were batched.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

TICK_MS = 60_000  # rules on silence and on circuits are judged once a minute
QUORUM = 3  # devices that must agree that a minute has begun: one wrong clock moves nothing
HOURS_KNOWN_MAX = 4096  # parsed hours kept (half a year); beyond that they are parsed anew


def minute_from(ms: int) -> int:
    """The first whole minute at or after it."""
    return -(-ms // TICK_MS) * TICK_MS


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since the epoch."""


class SystemClock:
    """The time of day."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """Stands still until it is told; for tests."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms


class Frontier:
    """The instant up to which enough devices have reported, on a grid of minutes."""

    def __init__(self, tick_ms: int = 0, *, quorum: int = QUORUM) -> None:
        self.tick_ms = tick_ms
        """The last minute that was passed."""
        self.next_ms = tick_ms + TICK_MS
        """A reading at or after this calls for `pass_`."""
        self._quorum = max(1, quorum)
        self._votes: dict[str, int] = {}

    def pass_(self, device: str, ts_ms: int, now_ms: int) -> int | None:
        """A reading came from beyond the next minute. The minute to tick, if enough devices agree.

        `now_ms` is the latest that the time can be; a device whose clock runs ahead is not heard.
        """
        if not self.next_ms <= ts_ms <= now_ms:
            return None
        self._votes[device] = max(ts_ms, self._votes.get(device, 0))
        if len(self._votes) < self._quorum:
            return None
        return self.move_to(sorted(self._votes.values(), reverse=True)[self._quorum - 1])

    def move_to(self, ms: int) -> int | None:
        """The last minute up to `ms`, if it is a new one. It never goes back."""
        minute_ms = ms - ms % TICK_MS
        if minute_ms <= self.tick_ms:
            return None
        self.tick_ms = minute_ms
        self.next_ms = minute_ms + TICK_MS
        self._votes = {who: at_ms for who, at_ms in self._votes.items() if at_ms >= self.next_ms}
        return minute_ms


# -- time as it is written --------------------------------------------------------------------

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:(?P<second>[0-5][0-9]|60)"
    r"(\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

# "2026-01-15T20:" + "05:00" + "Z": the usual layout is three look-ups. Hours enter their table only
# through the strict parser.
_hours: dict[str, int] = {}
_SECONDS = {f"{s // 60:02}:{s % 60:02}": s * 1000 for s in range(3600)}
_TAILS = {"Z": 0} | {f".{ms:03}Z": ms for ms in range(1000)}


def ms_of(text: str) -> int | None:
    """RFC 3339 with zone -> ms since the epoch, finer parts cut off; None if it is not one."""
    try:
        return _hours[text[:14]] + _SECONDS[text[14:19]] + _TAILS[text[19:]]
    except KeyError:
        return _parse_time(text)


def _parse_time(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    leaps = match["second"] == "60"
    plain = f"{text[:17]}59{text[19:]}" if leaps else text
    try:
        ms = (datetime.fromisoformat(plain.upper()) - _EPOCH) // _MS
    except ValueError:  # a day that is not in the calendar
        return None
    if leaps:
        return ms + 1000 if ms // 1000 % 86_400 == 86_399 else None  # only at midnight UTC
    if len(_hours) >= HOURS_KNOWN_MAX:
        _hours.clear()
    if text[19:] in _TAILS:
        _hours[text[:14]] = ms - ms % 3_600_000
    return ms
