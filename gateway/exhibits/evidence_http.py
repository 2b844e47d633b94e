"""The evidence behind each request over HTTP, for whoever has its reference: a picture, and JSON.

Listens at the loopback address only; a server that the operator puts before it makes it public.
Answers GET alone, for one reference at a time, from the books; a reference cannot be guessed. What
it serves holds no device and no key.
"""

import re
import threading
from collections import OrderedDict

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import StoreError
from gateway.exhibits.evidence import Evidence
from gateway.exhibits.exhibit import Find
from gateway.exhibits.plot import drawn
from gateway.watch.logs import Log, Said

HOST = "127.0.0.1"
KEPT_MAX = 64  # pictures, of some 40 KB each
_REFERENCE = re.compile(r"SCG-[0-9a-f]{32}")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=300",
}

log = Log(__name__)


class EvidenceServer:
    """`run` in a thread of its own until `stop`. `port` 0: any that is free."""

    def __init__(self, find: Find, port: int, time_zone: str) -> None:
        self._find = find
        self._time_zone = time_zone
        self._drawing = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        routes = [
            Route("/{reference}.png", self._picture, methods=["GET"]),
            Route("/{reference}.json", self._record, methods=["GET"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), host=HOST, port=port, log_config=None, access_log=False,
            proxy_headers=False, server_header=False, ws="none", lifespan="off",
            limit_concurrency=32, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # uvicorn's word for a port that is taken
            log.error(Said.EVIDENCE_PORT_TAKEN, "the port for evidence is taken")  # noqa: TRY400

    def stop(self) -> None:
        self._server.should_exit = True

    async def _picture(self, request: Request) -> Response:
        reference = request.path_params["reference"]
        evidence = await run_in_threadpool(self._look, reference)
        if evidence is None:
            return _not_found()
        picture = await run_in_threadpool(self._drawn, reference, evidence)
        return Response(picture, media_type="image/png", headers=_HEADERS)

    async def _record(self, request: Request) -> Response:
        evidence = await run_in_threadpool(self._look, request.path_params["reference"])
        if evidence is None:
            return _not_found()
        return JSONResponse(evidence.as_dict(), headers=_HEADERS)

    def _look(self, reference: str) -> Evidence | None:
        if not _REFERENCE.fullmatch(reference):
            return None
        try:
            return self._find(reference)
        except StoreError as error:
            log.warning(Said.EVIDENCE_UNREADABLE, "evidence cannot be read", why=error)
            return None

    def _drawn(self, reference: str, evidence: Evidence) -> bytes:
        """One at a time: drawing is a thing of a tenth of a second."""
        key = (reference, repr(evidence.as_dict()))
        with self._drawing:
            if key not in self._kept:
                self._kept[key] = drawn(evidence, self._time_zone)
                if len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
            return self._kept[key]


def _not_found() -> Response:
    return Response("there is no such evidence", 404, media_type="text/plain", headers=_HEADERS)
