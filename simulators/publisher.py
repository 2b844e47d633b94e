"""Plays messages into a broker: a simulated city live, or a recording.

Time may run faster than the clock: a message is sent when its `t_ms` is due at that pace, and
when the broker or the machine is slower, later, but always in order on each connection and never
left out. Delivery is the uplinks' promise: at least once, none lost.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from simulators.excerpt import Excerpt, Playing
from simulators.recording import read_recording
from simulators.uplink import OUTSTANDING_MAX, Login, Uplink
from simulators.wire import Message

PROGRESS_EVERY_S = 0.2
YIELD_EVERY = 25  # messages handed over before the connections get a turn


@dataclass(frozen=True, slots=True)
class Pace:
    """Simulated time `start_ms` happens at `origin_s` (Unix time) and runs `speed` times as fast
    as the clock; `speed` infinite: as fast as the broker takes it.
    """

    start_ms: int
    origin_s: float
    speed: float = math.inf

    def due_s(self, t_ms: int) -> float:
        """When a message is due, Unix time."""
        return self.origin_s + (t_ms - self.start_ms) / 1000 / self.speed


@dataclass(frozen=True, slots=True)
class Published:
    """`given_up`: with `await_ack`, messages the broker has and the gateway never spoke for."""

    messages: int
    reconnects: int
    given_up: int = 0


Progress = Callable[[int, int], None]
"""Called with (simulated time in ms, messages acknowledged so far), a few times a second."""


async def publish(
    messages: Iterable[Message],
    url: str,
    logins: Mapping[str, Login],
    pace: Pace,
    *,
    await_ack: bool = False,
    outstanding: int = OUTSTANDING_MAX,
    lag_ms_max: int | None = None,
    on_progress: Progress | None = None,
) -> Published:
    """One connection for each concentrator, logged in as `logins[concentrator]` (anonymous where
    there is none). `lag_ms_max`: when a connection falls behind by more simulated time, time stands
    still for all of them; at a thousandfold pace a hiccup would otherwise silence a part of the
    city for hours. Returns when every message has been acknowledged. Raises LoginRefusedError.
    """
    room = _Room(url, logins, await_ack=await_ack, outstanding=outstanding)
    try:
        async with asyncio.TaskGroup() as running:
            await _feed(messages, pace, room, running, lag_ms_max, on_progress)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    if on_progress is not None:
        on_progress(room.sim_ms, room.acknowledged)
    lines = room.lines.values()
    reconnects, given_up = (sum(line.reconnects for line in lines), sum(x.given_up for x in lines))
    return Published(room.acknowledged, reconnects, given_up)


async def replay(
    recording: Path,
    url: str,
    login: Login | None = None,
    *,
    speed: float = math.inf,
    shift_to_ms: int | None = None,
    await_ack: bool = False,
    on_progress: Progress | None = None,
) -> Published:
    """A recording over one connection. `speed` 1 keeps its gaps. `shift_to_ms`: its first message
    happens then; the times inside payloads of our own format move along, other formats' do not.
    """
    playing = Playing(lambda: read_recording(recording), Excerpt(shift_to_ms=shift_to_ms))
    return await play(
        playing.messages(), url, login, speed=speed, await_ack=await_ack, on_progress=on_progress
    )


async def play(
    messages: Iterable[Message],
    url: str,
    login: Login | None = None,
    *,
    speed: float = math.inf,
    await_ack: bool = False,
    on_progress: Progress | None = None,
) -> Published:
    """Messages of whatever origin over one connection, the first of them at once."""
    messages = iter(messages)
    first = next(messages, None)
    if first is None:
        return Published(0, 0)
    logins = {} if login is None else {"": login}
    pace = Pace(first.t_ms, time.time(), speed)
    return await publish(
        chain((first,), messages), url, logins, pace, await_ack=await_ack, on_progress=on_progress
    )


class _Room:
    """The uplinks, made as their concentrators first speak."""

    def __init__(
        self, url: str, logins: Mapping[str, Login], *, await_ack: bool, outstanding: int
    ) -> None:
        self._url, self._logins = url, logins
        self._await_ack, self._outstanding = await_ack, outstanding
        self.lines: dict[str, Uplink] = {}
        self.acknowledged = 0
        self.sim_ms = 0
        self._moved = asyncio.Event()

    async def keep_together(self, t_ms: int) -> None:
        """Until no connection holds a message from before `t_ms`."""
        while any(line.oldest_ms < t_ms for line in self.lines.values()):
            self._moved.clear()
            await self._moved.wait()

    def line(self, name: str, running: asyncio.TaskGroup) -> Uplink:
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = Uplink(
                name or "replay",
                self._url,
                self._logins.get(name),
                await_ack=self._await_ack,
                outstanding=self._outstanding,
                on_done=self._count,
            )
            running.create_task(line.run())
        return line

    def _count(self, message: Message) -> None:
        self.acknowledged += 1
        self._moved.set()
        self.sim_ms = max(self.sim_ms, message.t_ms)


async def _feed(
    messages: Iterable[Message],
    pace: Pace,
    room: _Room,
    running: asyncio.TaskGroup,
    lag_ms_max: int | None,
    on_progress: Progress | None,
) -> None:
    told_s, together_ms = 0.0, 0
    for number, message in enumerate(messages):
        if lag_ms_max is not None and message.t_ms > together_ms + lag_ms_max // 2:
            together_ms = message.t_ms
            await room.keep_together(message.t_ms - lag_ms_max // 2)
        wait_s = pace.due_s(message.t_ms) - time.time()
        if wait_s > 0 or number % YIELD_EVERY == 0:
            await asyncio.sleep(max(0.0, wait_s))
        await room.line(message.concentrator, running).put(message)
        if on_progress is not None and time.monotonic() - told_s > PROGRESS_EVERY_S:
            on_progress(message.t_ms, room.acknowledged)
            told_s = time.monotonic()
    for line in room.lines.values():
        line.close()
