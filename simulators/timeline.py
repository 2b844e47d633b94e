"""The timeline: the messages of many devices in one stream, in order of time.

Each device's own stream is in order already and made while it is asked for. Time is cut into
slices; a device waits in the slice of its next message, so that a message costs the same among ten
devices and ten thousand. In memory: one message of each device, and one slice. Equal times come in
the order of their topics, so that the order hangs on the messages alone.
"""

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter

from simulators.wire import Message

SLICE_MS = 10_000
_TIME_AND_TOPIC = itemgetter(0, 1)


def in_order(streams: Iterable[Iterator[Message]]) -> Iterator[Message]:
    """All of them, by `t_ms`."""
    waiting: dict[int, list[tuple[Message, Iterator[Message]]]] = {}
    for stream in streams:
        message = next(stream, None)
        if message is not None:
            waiting.setdefault(message.t_ms // SLICE_MS, []).append((message, stream))
    slices = list(waiting)
    heapq.heapify(slices)
    while slices:
        number = heapq.heappop(slices)
        yield from sorted(_one_slice(number, waiting, slices), key=_TIME_AND_TOPIC)


def _one_slice(
    number: int,
    waiting: dict[int, list[tuple[Message, Iterator[Message]]]],
    slices: list[int],
) -> list[Message]:
    """Its messages in any order; who has more to say waits in a later slice from now on."""
    end_ms = (number + 1) * SLICE_MS
    messages = []
    for first, stream in waiting.pop(number):
        message: Message | None = first
        while message is not None and message.t_ms < end_ms:
            messages.append(message)
            message = next(stream, None)
        if message is None:
            continue
        later = message.t_ms // SLICE_MS
        if later in waiting:
            waiting[later].append((message, stream))
        else:
            waiting[later] = [(message, stream)]
            heapq.heappush(slices, later)
    return messages
