"""What somebody asks for: the parameters of one address, read and bounded.

Empty and absent are the same. What is no answer to any question is a BadQuestionError that says
which parameter and what it may be; it never quotes what was sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from gateway.clock import ms_of
from gateway.views.public_record import Choice, Entry, Standing

QUERY_CHARS_MAX = 4_000
DAY_MS = 86_400_000
PARAMS = frozenset(
    {
        "kind", "zone", "state", "days", "since", "until", "limit", "page", "page_size",
        "service_request_id", "service_code", "status", "start_date", "end_date",
    }
)  # fmt: skip
"""What a question may hold; the rest is not looked at."""


class BadQuestionError(Exception):
    """A parameter that cannot be meant."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question. The same question has the same answer until the record changes."""

    path: str
    params: tuple[tuple[str, str], ...] = ()
    language: str = "en"
    chosen: bool = False
    """The language was named in the address."""
    request_id: str = ""
    """Of the one request that is asked for."""
    root: str = ""
    """Of this server, as the asker knows it: https://open311.example.org"""
    today: date = date.min
    """By the city's calendar."""

    def on_page(self, number: int) -> str:
        """The address of another page of the same."""
        spoken = {"lang": self.language} if self.chosen else {}
        return f"{self.path}?{urlencode(dict(self.params) | spoken | {'page': number})}"

    def text(self, name: str) -> str:
        return dict(self.params).get(name, "")

    def several(self, name: str) -> list[str]:
        """Parts of a list with commas."""
        return [part.strip() for part in self.text(name).split(",") if part.strip()]

    def number(self, name: str, usual: int, most: int) -> int:
        """1 to `most`."""
        text = self.text(name)
        if not text:
            return usual
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
            raise BadQuestionError(f"{name} is a whole number, 1 to {most}")
        return int(text)

    def time_ms(self, name: str) -> int | None:
        """RFC 3339, or a day, which begins at midnight UTC."""
        text = self.text(name).replace(" ", "+")  # a plus that was not escaped
        if not text:
            return None
        at_ms = ms_of(f"{text}T00:00:00Z" if len(text) == len("2026-01-15") else text)
        if at_ms is None:
            raise BadQuestionError(f"{name} is a time with zone: 2026-01-15T00:00:00Z")
        return at_ms


def midnight_ms(day: date, time_zone: str, days_before: int) -> int:
    """When the day began that was so many days before."""
    try:
        start = datetime.combine(day, datetime.min.time(), ZoneInfo(time_zone))
        return round((start - timedelta(days=days_before)).astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        return 0


def choice_of(asked: Asked) -> Choice:
    """As programs ask. BadQuestionError."""
    standing = asked.text("state")
    if standing not in ("", *Standing):
        raise BadQuestionError(f"state is one of {', '.join(Standing)}")
    return Choice(
        asked.text("kind"), asked.text("zone"), standing,
        asked.time_ms("since"), asked.time_ms("until"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """One page of many entries."""

    entries: Sequence[Entry]
    number: int
    last: int
    total: int

    def header(self, asked: Asked) -> dict[str, str]:
        """Where it goes on, as RFC 8288."""
        if self.number >= self.last:
            return {}
        return {"Link": f'<{asked.on_page(self.number + 1)}>; rel="next"'}


def page_of(entries: Sequence[Entry], number: int, size: int) -> Page:
    start = (number - 1) * size
    last = max(1, -(-len(entries) // size))
    return Page(entries[start : start + size], number, last, len(entries))
