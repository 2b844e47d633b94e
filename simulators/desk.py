"""The simulated 311 desk: a GeoReport v2 server on the loopback address, with a ledger on disk.

Stands in for a city in tests and in the demo, and misbehaves on demand. It shares no code with the
gateway, so that a mistake in one is not hidden by the same mistake in the other. What it answered
for is in its ledger; it never reaches beyond this machine.
"""

import argparse
import asyncio
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from simulators.desk_app import GeoReport
from simulators.desk_connection import DeskConnection
from simulators.desk_controls import Controls, faults_from
from simulators.desk_faults import Faults
from simulators.desk_ledger import Ledger, LedgerRefusedError
from simulators.desk_services import Services, ServicesRefusedError, read_services
from simulators.desk_state import Desk

_HOST = "127.0.0.1"  # a stand-in for a city is for this machine only
_BACKLOG = 2048  # clients that connect at once
_KEEP_ALIVE_S = 75  # a client that polls each minute keeps its line
_DRAIN_S = 2  # a call held back by delay_s does not hold up the end

_EXIT_USAGE = 2
_EXIT_OUTSIDE = 3


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

    return Starlette(routes=[*GeoReport(desk).routes(), *Controls(desk).routes()], lifespan=ready)


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


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.desk", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--db", type=Path, required=True, help="the ledger, made if absent")
    parser.add_argument("--api-key-file", type=Path, required=True)
    parser.add_argument("--faults", type=faults_from, default=Faults(), help="JSON object")
    parser.add_argument("--jurisdiction-id", help="then every call has to name it")
    parser.add_argument("--services", type=Path, help="a table like desk_services.toml")
    return parser.parse_args(argv)


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Runs the desk as a process of its own; one JSON line on standard output when it is ready."""
    arguments = _arguments(argv)
    try:
        config = DeskConfig(
            port=arguments.port,
            db=arguments.db,
            api_key=arguments.api_key_file.read_text(encoding="utf-8").strip(),
            faults=arguments.faults,
            jurisdiction_id=arguments.jurisdiction_id,
            services=read_services(arguments.services),
        )
        serve(config, _announce)
    except (ServicesRefusedError, ValueError, OverflowError) as error:
        sys.stderr.write(f"desk: {error}\n")
        return _EXIT_USAGE
    except (LedgerRefusedError, OSError) as error:
        sys.stderr.write(f"desk: {error}\n")
        return _EXIT_OUTSIDE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
