"""What watchdogs ask: /metrics, /healthz and /readyz, answered from beside the gateway.

Any of them may be asked as often as one likes: the store is counted once a second at the most, and
the devices, each of which is looked at, once a minute. Each
answers whatever state the gateway, its files or its store are in. Reads, and never writes.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.books.tally import Figures, figures_of
from gateway.errors import GatewayError
from gateway.views.books import NOT_RUNNING, Books
from gateway.views.devices import standings_of
from gateway.watch.health import Verdict, live, ready
from gateway.watch.logs import Log, Said
from gateway.watch.metrics import CONTENT_TYPE, exposition

COUNTED_FOR_MS = 1_000
STOOD_FOR_MS = 60_000
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

log = Log(__name__)
Judge = Callable[..., Verdict]


def routes(books: Books) -> list[Route]:
    """For the server; they run in its threads."""
    vitals = Vitals(books)
    return [
        Route("/metrics", vitals.metrics, methods=["GET"]),
        Route("/healthz", vitals.healthz, methods=["GET"]),
        Route("/readyz", vitals.readyz, methods=["GET"]),
    ]


class Vitals:
    """Of one gateway. Any thread may ask."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._lock = threading.Lock()
        self._counted: tuple[int, Figures | None] | None = None
        self._fleet_lock = threading.Lock()
        self._stood: tuple[int, dict[str, int] | None] | None = None

    def metrics(self, _request: Request) -> Response:
        now_ms = self._books.now_ms()
        counted, standings = self._figures(now_ms), self._standings(now_ms)
        text = exposition(self._status(), counted, now_ms, standings)
        return Response(text, headers=_HEADERS | {"Content-Type": CONTENT_TYPE})

    def healthz(self, _request: Request) -> Response:
        return self._judged(live)

    def readyz(self, _request: Request) -> Response:
        return self._judged(ready)

    def _judged(self, judge: Judge) -> Response:
        now_ms = self._books.now_ms()
        readable = self._figures(now_ms) is not None
        ok, reasons = judge(self._status(), now_ms, store_readable=readable)
        return JSONResponse({"ok": ok, "reasons": reasons}, 200 if ok else 503, headers=_HEADERS)

    def _status(self) -> Mapping[str, Any]:
        try:
            return self._books.status()
        except GatewayError:  # there are no plans in force yet: it never ran
            return NOT_RUNNING

    def _figures(self, now_ms: int) -> Figures | None:
        """One at a time, so that many who ask cannot hold the store up."""
        with self._lock:
            if self._counted is None or not 0 <= now_ms - self._counted[0] < COUNTED_FOR_MS:
                self._counted = now_ms, self._count()
            return self._counted[1]

    def _standings(self, now_ms: int) -> dict[str, int] | None:
        with self._fleet_lock:
            if self._stood is None or not 0 <= now_ms - self._stood[0] < STOOD_FOR_MS:
                self._stood = now_ms, self._stand()
            return self._stood[1]

    def _stand(self) -> dict[str, int] | None:
        try:
            return standings_of(self._books)
        except (GatewayError, OSError):  # the figures say why, or it never ran
            return None

    def _count(self) -> Figures | None:
        try:
            return figures_of(self._books.database)
        except (GatewayError, OSError) as error:
            log.warning(Said.FIGURES_UNREADABLE, "the store cannot be counted", why=error)
            return None
