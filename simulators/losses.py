"""What the network lost for ever: whose messages, how many, from when to when, and why.

Written while the messages of a run go by, so that a score can say which evidence was never
delivered. A message that comes late or twice is not lost; one that comes as rubbish is.
"""

from enum import StrEnum
from typing import NamedTuple

from simulators.wire import Message


class Cause(StrEnum):
    RADIO = "radio"
    CORRUPT = "corrupt"
    NO_UPLINK = "no uplink"
    BUFFER_FULL = "buffer full"
    NEVER_BACK = "never back"


class Loss(NamedTuple):
    """Sent between `first_ms` and `last_ms`, delivered never."""

    device: str
    cause: Cause
    messages: int
    first_ms: int
    last_ms: int


class Losses:
    """One entry for each device and cause; of an uplink, for each time that it was down."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, Cause, int], list[int]] = {}

    def add(self, message: Message, cause: Cause, since_ms: int = 0) -> None:
        """`since_ms`: when the uplink went down."""
        t_ms = message.t_ms
        entry = self._entries.setdefault((message.speaker, cause, since_ms), [0, t_ms, t_ms])
        entry[0] += 1
        entry[1], entry[2] = min(entry[1], t_ms), max(entry[2], t_ms)

    def clear(self) -> None:
        self._entries.clear()

    def all(self) -> list[Loss]:
        """By time, then device."""
        found = [Loss(device, cause, *entry) for (device, cause, _), entry in self._entries.items()]
        return sorted(found, key=lambda loss: (loss.first_ms, loss.device, loss.cause))
