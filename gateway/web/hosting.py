"""How an application of ours is served: where it listens, by which limits, until a signal.

The same for the staff's server and the residents'; both end with code 0 when they are asked to.
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from gateway.config import WebSection
from gateway.web.guard import Guard

STOP_S = 3
HEADER_BYTES_MAX = 32 * 1024
"""Cut off here while they come; what the guard takes is less. By h11, which httptools does not."""
KEEP_ALIVE_S = 15


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


def _settings(app: Guard, open_max: int, more: dict[str, Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False,
        limit_concurrency=open_max, timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=KEEP_ALIVE_S, http="h11", h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        **more,
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
