"""What happens to messages between a device and the broker: nothing to most of them.

On the air some are lost, some bent, some sent twice, some come minutes late and out of order: each
device has its own luck, so that one device more changes nobody else's. A concentrator without
uplink keeps what it hears, as much as its buffer holds, and sends it in a burst on return. What is
lost for ever is written down. Never makes up a reading.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random

from simulators.losses import Cause, Losses
from simulators.outages import Outage, Turn, turns
from simulators.scenario import Network
from simulators.spoilt import corrupt
from simulators.wire import Message, is_whole

TWICE_MS = (1_000, 30_000)
BATCH_MAX = 500  # messages in one, says the contract
WILL_MS = 45_000  # an unheard connection is given up after one and a half keep-alives of 30 s

Words = Callable[[str, int, bool], Iterable[Message]]
"""(concentrator, time, online): what the broker holds retained of its devices from then on."""


def on_the_air(
    network: Network, rng: Random, messages: Iterable[Message], losses: Losses
) -> Iterator[Message]:
    """The messages of one device as they reach its concentrator, in order again."""
    shares = (network.loss, network.corrupt, network.late, network.duplicate)
    trouble = 1 - math.prod(1 - share for share in shares)
    if not trouble:
        return iter(messages)
    return _through_the_air(network, trouble, rng, messages, losses)


def _through_the_air(
    network: Network, trouble: float, rng: Random, messages: Iterable[Message], losses: Losses
) -> Iterator[Message]:
    number, waiting = 0, list[tuple[int, int, Message]]()
    for message in messages:
        while waiting and waiting[0][0] <= message.t_ms:
            yield heapq.heappop(waiting)[2]
        if message.retain or (luck := rng.random()) >= trouble:
            yield message
            continue
        for copy in _with_bad_luck(network, luck, message, rng, losses):
            number += 1
            heapq.heappush(waiting, (copy.t_ms, number, copy))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _with_bad_luck(
    network: Network, luck: float, message: Message, rng: Random, losses: Losses
) -> Iterator[Message]:
    """One throw decides over everything, each by its own share: the lowest part of what is left of
    it is where it happens.
    """
    lost, luck = _split(luck, network.loss)
    if lost:
        losses.add(message, Cause.RADIO)
        return
    bent, luck = _split(luck, network.corrupt)
    if bent:
        losses.add(message, Cause.CORRUPT)
        message = message._replace(payload=corrupt(message.payload, rng))
    late, luck = _split(luck, network.late)
    if late:
        low_s, high_s = network.late_by
        delay_ms = rng.randint(round(low_s * 1000), round(max(low_s, high_s) * 1000))
        message = message._replace(t_ms=message.t_ms + delay_ms)
    yield message
    if _split(luck, network.duplicate)[0]:
        yield message._replace(t_ms=message.t_ms + rng.randint(*TWICE_MS))


def _split(luck: float, share: float) -> tuple[bool, float]:
    """(does it happen, the luck that is left, between 0 and 1 again)"""
    if luck < share:
        return True, luck / share
    return False, (luck - share) / (1 - share)


def over_the_uplinks(
    outages: Mapping[str, Sequence[Outage]],
    messages: Iterable[Message],
    words: Words,
    losses: Losses,
    end_ms: int,
) -> Iterator[Message]:
    """The messages of all devices as they reach the broker. In memory: what concentrators keep."""
    plan = turns(outages, WILL_MS)
    if not plan:
        return iter(messages)
    return _Uplinks(words, losses).carry(plan, messages, end_ms)


class _Uplinks:
    """`_down`: the concentrators without uplink, and what they keep meanwhile."""

    def __init__(self, words: Words, losses: Losses) -> None:
        self._words, self._losses = words, losses
        self._down: dict[str, tuple[Outage, deque[Message]]] = {}

    def carry(
        self, plan: Iterable[Turn], messages: Iterable[Message], end_ms: int
    ) -> Iterator[Message]:
        upcoming, down = deque(plan), self._down
        for message in messages:
            while upcoming and upcoming[0].t_ms <= message.t_ms:
                yield from self._take(upcoming.popleft())
            if message.concentrator in down:
                self._keep(message)
            else:
                yield message
        while upcoming and upcoming[0].t_ms < end_ms:
            yield from self._take(upcoming.popleft())
        for outage, kept in down.values():
            for message in kept:
                self._losses.add(message, Cause.NEVER_BACK, outage.start_ms)

    def _keep(self, message: Message) -> None:
        outage, kept = self._down[message.concentrator]
        kept.append(message)
        if outage.keeps is not None and len(kept) > outage.keeps:
            cause = Cause.BUFFER_FULL if outage.keeps else Cause.NO_UPLINK
            self._losses.add(kept.popleft(), cause, outage.start_ms)

    def _take(self, turn: Turn) -> Iterator[Message]:
        name = turn.concentrator
        if turn.what == "down":
            self._down[name] = (turn.outage, deque())
        elif turn.what == "will":
            yield from self._words(name, turn.t_ms, False)
        else:
            _, kept = self._down.pop(name)
            if turn.told:
                yield from self._words(name, turn.t_ms, True)
            yield from bursts(kept, turn.t_ms)


def bursts(kept: Iterable[Message], t_ms: int) -> Iterator[Message]:
    """What a concentrator sends on return: of each device one batch or several, in the order in
    which they were first heard; what fits in no batch, singly.
    """
    by_topic: dict[str, list[Message]] = {}
    for message in kept:
        if _fits_a_batch(message):
            by_topic.setdefault(message.topic, []).append(message)
        else:
            yield message._replace(t_ms=t_ms)
    for topic, messages in by_topic.items():
        for first in range(0, len(messages), BATCH_MAX):
            part = messages[first : first + BATCH_MAX]
            if len(part) == 1:
                yield part[0]._replace(t_ms=t_ms)
                continue
            payload = b"[" + b",".join(message.payload for message in part) + b"]"
            batch = topic.removesuffix("telemetry") + "batch"
            yield part[0]._replace(t_ms=t_ms, topic=batch, payload=payload)


def _fits_a_batch(message: Message) -> bool:
    """Telemetry of our own format that is whole: one that is bent would bend the others."""
    own = message.topic.startswith("city/v1/") and message.leaf == "telemetry"
    return own and not message.retain and is_whole(message.payload)
