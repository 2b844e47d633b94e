"""The buffer of a concentrator: what has not surely arrived yet, in the order it was said.

An entry waits, is in flight, is taken (the broker has it, the gateway has not said so yet), or
gone for good. Lost flights and entries nobody speaks for in time wait again, in their old place in
the order. Pure: it sends nothing and reads no clock.
"""

import itertools
import json
import math
from collections import deque
from dataclasses import dataclass

from simulators.wire import Message

PATIENCE_S = 20.0  # for the gateway's acknowledgement, before the message is sent again
TRIES_MAX = 5  # then the gateway is taken to have refused it; the broker has had it every time


@dataclass(slots=True, eq=False)
class Entry:
    number: int
    message: Message
    key: tuple[int, int] | None
    """(boot, seq), where the gateway's acknowledgement is awaited and possible."""
    tries: int = 0
    taken_s: float = 0.0


class Buffer:
    """`await_ack`: entries with a message number stay until `cover` speaks for them."""

    def __init__(self, *, await_ack: bool) -> None:
        self._await_ack = await_ack
        self._waiting: deque[Entry] = deque()
        self._flying: dict[int, Entry] = {}
        self._taken: dict[str, dict[int, Entry]] = {}
        self._count = 0
        self.given_up = 0

    def __len__(self) -> int:
        taken = sum(len(entries) for entries in self._taken.values())
        return len(self._waiting) + len(self._flying) + taken

    @property
    def flying(self) -> int:
        return len(self._flying)

    @property
    def oldest_ms(self) -> float:
        """The time of the oldest message; infinite when there is none."""
        taken = (entry for entries in self._taken.values() for entry in entries.values())
        held = [*self._flying.values(), *itertools.islice(self._waiting, 1), *taken]
        return min((entry.message.t_ms for entry in held), default=math.inf)

    def put(self, message: Message) -> None:
        self._count += 1
        key = message_number(message) if self._await_ack else None
        self._waiting.append(Entry(self._count, message, key))

    def take_off(self) -> Entry | None:
        """The next entry to send; it is in flight from now on."""
        if not self._waiting:
            return None
        entry = self._waiting.popleft()
        entry.tries += 1
        self._flying[entry.number] = entry
        return entry

    def landed(self, entry: Entry, now_s: float) -> bool:
        """The broker has it. True: it is gone for good."""
        del self._flying[entry.number]
        if entry.key is None:
            return True
        entry.taken_s = now_s
        self._taken.setdefault(entry.message.device, {})[entry.number] = entry
        return False

    def cover(self, device: str, boot: int, upto: int) -> list[Message]:
        """The gateway has everything of this device up to there: the messages gone for good."""
        entries = self._taken.get(device, {})
        numbers = [n for n, entry in entries.items() if entry.key and entry.key <= (boot, upto)]
        return [entries.pop(number).message for number in numbers]

    def connection_lost(self) -> None:
        """What was in flight waits again."""
        self._return(list(self._flying.values()))
        self._flying.clear()

    def overdue(self, now_s: float) -> list[Message]:
        """Entries nobody spoke for in time wait again; those tried too often are given up, and
        returned.
        """
        late = [
            entry
            for entries in self._taken.values()
            for entry in entries.values()
            if now_s - entry.taken_s > PATIENCE_S
        ]
        for entry in late:
            del self._taken[entry.message.device][entry.number]
        tired = [entry.message for entry in late if entry.tries >= TRIES_MAX]
        self._return([entry for entry in late if entry.tries < TRIES_MAX])
        self.given_up += len(tired)
        return tired

    def _return(self, entries: list[Entry]) -> None:
        if entries:
            everything = sorted([*entries, *self._waiting], key=lambda entry: entry.number)
            self._waiting = deque(everything)


def message_number(message: Message) -> tuple[int, int] | None:
    """(boot, seq) of a telemetry message; None where no acknowledgement can name it."""
    if message.leaf != "telemetry" or message.retain:
        return None
    try:
        body = json.loads(message.payload)
        return int(body["boot"]), int(body["seq"])
    except (ValueError, KeyError, TypeError):
        return None
