"""The timeline: the messages of many devices in one stream, in order of time.

Each device's own stream is in order already and made while it is asked for. Time is cut into
slices; a device waits in the slice of its next message, so that a message costs the same among ten
devices and ten thousand. In memory: one message of each device, and one slice. Equal times come in
the order of their topics, so that the order hangs on the messages alone, not on the slices.
"""

import gc
import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter

from simulators.wire import Message

HOUR_MS = 3_600_000  # several messages of a device are made at once, while it is in the caches
PROMPT_MS = 10_000  # for who sends them at their time: a slice is made in a moment
_TIME_AND_TOPIC = itemgetter(0, 1)


def in_order(streams: Iterable[Iterator[Message]], slice_ms: int = HOUR_MS) -> Iterator[Message]:
    """All of them, by `t_ms`. The slices change how far ahead they are made, nothing else."""
    waiting: dict[int, list[tuple[Message, Iterator[Message]]]] = {}
    for stream in streams:
        message = next(stream, None)
        if message is not None:
            waiting.setdefault(message.t_ms // slice_ms, []).append((message, stream))
    slices = list(waiting)
    heapq.heapify(slices)
    while slices:
        number = heapq.heappop(slices)
        yield from sorted(_one_slice(number, waiting, slices, slice_ms), key=_TIME_AND_TOPIC)


def _one_slice(
    number: int,
    waiting: dict[int, list[tuple[Message, Iterator[Message]]]],
    slices: list[int],
    slice_ms: int,
) -> list[Message]:
    """Its messages in any order; who has more to say waits in a later slice from now on."""
    end_ms = (number + 1) * slice_ms
    messages = []
    for first, stream in waiting.pop(number):
        message: Message | None = first
        while message is not None and message.t_ms < end_ms:
            messages.append(message)
            message = next(stream, None)
        if message is None:
            continue
        later = message.t_ms // slice_ms
        if later in waiting:
            waiting[later].append((message, stream))
        else:
            waiting[later] = [(message, stream)]
            heapq.heappush(slices, later)
    return messages


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: it would look through every waiting device again and again,
    and there are no cycles among them.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
