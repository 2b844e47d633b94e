"""An excerpt of a recording: which of its messages are played, when, and how often.

Times inside payloads of our own format move with their messages; other formats' do not, and are
counted. A further round is later by the length of the excerpt and its devices have started anew, so
that no (boot, seq) is said twice. Pure.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from simulators.recording import faithful
from simulators.topics import matches
from simulators.wire import Message, encode, parse_rfc3339, rfc3339

CLOCK_SET_MS = 946_684_800_000  # stamps before the year 2000 come from clocks never set: not moved
MINUTE_MS = 60_000
OURS = "city/v1/"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`topics`: filters, none for all; `exclude`: filters of what is left out of these. `from_ms`,
    `to_ms`: times of receipt, both included. `shift_to_ms`: when the first message is to happen.
    """

    topics: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    shift_to_ms: int | None = None
    rounds: int = 1

    def chosen(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Those that are played, at their own times."""
        for message in messages:
            if self.to_ms is not None and message.t_ms > self.to_ms:
                return  # recordings are ordered by time
            if (self.from_ms is None or message.t_ms >= self.from_ms) and self._names(message):
                yield message

    def _names(self, message: Message) -> bool:
        topic = message.topic
        if self.topics and not any(matches(one, topic) for one in self.topics):
            return False
        return not any(matches(one, topic) for one in self.exclude)


@dataclass(slots=True)
class Playing:
    """One playing of an excerpt. `read` opens the recording anew for each round. `unmoved`: so far,
    the messages whose own times stay as they were recorded, though they are played at another.
    """

    read: Callable[[], Iterable[Message]]
    excerpt: Excerpt
    unmoved: int = 0
    _boots: list[int] = field(default_factory=list)
    """The lowest and the highest boot number of the first round."""

    def messages(self) -> Iterator[Message]:
        first_ms: int | None = None
        last_ms = period_ms = delta_ms = 0
        for number in range(self.excerpt.rounds):
            for message in self.excerpt.chosen(self.read()):
                if first_ms is None:
                    first_ms, shift_ms = message.t_ms, self.excerpt.shift_to_ms
                    delta_ms = 0 if shift_ms is None else shift_ms - first_ms
                last_ms = max(last_ms, message.t_ms)
                yield self._moved(message, delta_ms + number * period_ms, number)
            if first_ms is None:
                return
            # The next whole minute: a day's recording goes round in a day.
            period_ms = (last_ms - first_ms) // MINUTE_MS * MINUTE_MS + MINUTE_MS

    def _moved(self, message: Message, delta_ms: int, number: int) -> Message:
        if not delta_ms and not number and self.excerpt.rounds == 1:
            return message
        low, high = self._boots or (0, 0)
        payload = _moved_payload(message.payload, delta_ms, number * (high - low + 1))
        if payload is None:
            self.unmoved += bool(delta_ms) and not message.topic.startswith(OURS)
            payload = message.payload
        elif not number and self.excerpt.rounds > 1:
            self._note_boots(payload)
        return message._replace(t_ms=message.t_ms + delta_ms, payload=payload)

    def _note_boots(self, payload: bytes) -> None:
        found = [entry["boot"] for entry in _entries(faithful(payload)) if _is_count(entry, "boot")]
        seen = [*self._boots, *found]
        self._boots = [min(seen), max(seen)] if seen else []


def shifted(messages: Iterable[Message], delta_ms: int) -> Iterator[Message]:
    """The same messages at another time."""
    for message in messages:
        payload = _moved_payload(message.payload, delta_ms, 0) if delta_ms else None
        yield message._replace(
            t_ms=message.t_ms + delta_ms, payload=message.payload if payload is None else payload
        )


def _moved_payload(payload: bytes, delta_ms: int, boots: int) -> bytes | None:
    """None: not of our format, or spoilt; it is sent as recorded."""
    try:
        body = faithful(payload)
        for entry in _entries(body):
            _move(entry, delta_ms, boots)
        return encode(body)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _entries(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def _move(entry: dict[str, Any], delta_ms: int, boots: int) -> None:
    if entry["ts"] is not None and (ts_ms := parse_rfc3339(entry["ts"])) >= CLOCK_SET_MS:
        entry["ts"] = rfc3339(ts_ms + delta_ms)
    if boots and _is_count(entry, "boot"):
        entry["boot"] += boots


def _is_count(entry: Any, key: str) -> bool:
    return isinstance(entry.get(key), int) and not isinstance(entry[key], bool)
