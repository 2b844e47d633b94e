"""Serving the simulated desk: a listening socket, uvicorn on it, a clean stop on a signal.

Whoever is told the address may call at once. A stop lets calls in hand be answered and closes the
ledger. Never listens beyond the loopback address.
"""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from simulators.desk.app import GeoReport
from simulators.desk.connection import DeskConnection
from simulators.desk.controls import Controls
from simulators.desk.dialect import Dialect
from simulators.desk.faults import Faults
from simulators.desk.ledger import Ledger
from simulators.desk.services import Services, read_services
from simulators.desk.state import Desk
from simulators.desk.updates import Updates

_HOST = "127.0.0.1"  # a stand-in for a city is for this machine only
_BACKLOG = 2048  # clients that connect at once
_KEEP_ALIVE_S = 75  # a client that polls each minute keeps its line
_DRAIN_S = 2  # a call held back by delay_s does not hold up the end


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class DeskConfig:
    """`port` 0 picks a free one. `services` None is the built-in table. `now_ms` gives the desk's
    time in milliseconds since the epoch, UTC; a demo on accelerated time passes its own.
    """

    port: int
    db: Path
    api_key: str = field(repr=False)
    faults: Faults = field(default_factory=Faults)
    jurisdiction_id: str | None = None
    services: Services | None = None
    dialect: Dialect = field(default_factory=Dialect)
    now_ms: Callable[[], int] = _wall_clock_ms


def serve(config: DeskConfig, on_ready: Callable[[str], None] = lambda _url: None) -> None:
    """Serves until SIGTERM or SIGINT, then returns. `on_ready` gets the base URL (without path)
    once calls are answered.

    Raises LedgerRefusedError for a ledger that cannot be opened, OSError for a port in use,
    ServicesRefusedError for a table that cannot be used, ValueError for an empty key.
    """
    if not config.api_key:
        raise ValueError("the desk needs an api key that is not empty")
    desk = Desk(
        ledger=Ledger(config.db),
        services=read_services() if config.services is None else config.services,
        api_key=config.api_key,
        jurisdiction_id=config.jurisdiction_id,
        now_ms=config.now_ms,
        faults=config.faults,
        dialect=config.dialect,
    )
    try:
        with _listening(config.port) as listener, _quiet_signals():
            url = f"http://{_HOST}:{listener.getsockname()[1]}"
            asyncio.run(_server(_application(desk, url, on_ready)).serve([listener]))
    finally:
        desk.ledger.close()


def _application(desk: Desk, url: str, on_ready: Callable[[str], None]) -> Starlette:
    @asynccontextmanager
    async def ready(_app: Starlette) -> AsyncIterator[None]:
        on_ready(url)
        yield

    return Starlette(
        routes=[*GeoReport(desk).routes(), *Updates(desk).routes(), *Controls(desk).routes()],
        lifespan=ready,
    )


def _server(application: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=DeskConnection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_DRAIN_S,
        )
    )


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """A socket that already queues callers: whoever is told the address may call at once."""
    # Named TCP, or asyncio leaves Nagle's algorithm on and every answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(_BACKLOG)
        yield listener


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
