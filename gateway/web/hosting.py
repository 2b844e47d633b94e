"""How an application of ours is served: where it listens, by which limits, until a signal.

The same for the staff's server and the residents'; both end with code 0 when they are asked to. Who
asks or reads too slowly is hung up on, so that nobody can hold all connections by doing nothing.
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.config import WebSection
from gateway.web.guard import Guard

STOP_S = 3
HEADER_BYTES_MAX = 32 * 1024
"""Cut off here while they come; what the guard takes is less. By h11, which httptools does not."""
KEEP_ALIVE_S = 15
OPEN_MAX = 1000  # where no other number is said
HEAD_S_MAX = 10.0
"""In so long a request's headers are there; for its body the guard has a time of its own."""
READ_S_MAX, READ_BYTES_MIN = 30.0, 16 * 1024
"""A browser takes so much of its answer within so long: the slowest telephone does."""


def host(
    app: Guard,
    section: WebSection,
    name: str,
    ready: Callable[[str], None],
    *,
    port: int | None = None,
    open_max: int,
    **more: Any,
) -> None:
    """Until a signal. `ready` is told the address; `port` goes before the section's. `name`: of the
    section. OSError: the port is taken.
    """
    with _listening(section.address, section.port if port is None else port, name) as ear:
        server = uvicorn.Server(_settings(app, open_max, more))
        shown = f"[{section.address}]" if ":" in section.address else section.address
        with _quiet_signals():
            ready(f"http://{shown}:{ear.getsockname()[1]}")
            asyncio.run(server.serve(sockets=[ear]))


class Hurried(H11Protocol):
    """One connection of HTTP that is not waited for without end: uvicorn itself gives a time only
    to those who have been answered. Of connections on which nothing is being asked only half the
    limit is kept, so that there is always room for who asks.
    """

    _resting: ClassVar[dict["Hurried", None]] = {}
    """Of this process, the longest first."""
    _head: asyncio.TimerHandle | None = None
    _read: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._rest()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._resting.pop(self, None)
        _end(self._head)
        _end(self._read)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        _end(self._read)

    def _rest(self) -> None:
        self._resting[self] = None
        if len(self._resting) > (self.limit_concurrency or OPEN_MAX) // 2:
            longest = next(iter(self._resting))
            del self._resting[longest]
            longest.transport.abort()

    def _wait_for_head(self) -> None:
        """From its first byte on, or from the connection's; more bytes buy no more time."""
        has_all = self.cycle is not None and not self.cycle.response_complete
        if has_all or self.transport.get_protocol() is not self:  # it has become a websocket
            _end(self._head)
            self._head = None
            self._resting.pop(self, None)
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_S_MAX, self.transport.abort)

    def _wait_for_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._read = self.loop.call_later(READ_S_MAX, self._judge_reader, left)

    def _judge_reader(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < READ_BYTES_MIN:
            self.transport.abort()
        else:
            self._wait_for_reader()


def _end(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _settings(app: Guard, open_max: int, more: dict[str, Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app, log_config=None, access_log=False, log_level="warning", server_header=False,
        proxy_headers=False, limit_concurrency=open_max, timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=KEEP_ALIVE_S, http=Hurried,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX, **more,
    )  # fmt: skip


def _listening(address: str, port: int, section: str) -> socket.socket:
    """Named TCP, or asyncio leaves Nagle's algorithm on and every answer takes 40 ms."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ear = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        ear.bind((address, port))
        ear.listen(256)
    except OSError as error:
        ear.close()
        told = f"{address}:{port}: {error.strerror}; [{section}] port names another"
        raise OSError(told) from None
    return ear


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Uvicorn stops on a signal and then raises it again for whoever was there before: nobody
    should be, or a clean stop would end as a kill. Only the main thread may say so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, _ignore) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Has nothing to do: the server has stopped already."""
