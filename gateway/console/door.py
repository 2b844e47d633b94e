"""The door before the pages: who is not signed in gets no further than the way in.

Nothing is made in memory for a stranger but the page with the form. Of the lines that pages are
connected by, strangers hold few at once, and one that belongs to no page is closed after a while;
so they cannot take the place of those who work here.
"""

import asyncio
from contextlib import suppress
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.console.lines import FOR_ALL, Lines, Who
from gateway.web.guard import LINES

STRANGERS_MAX = 50
UNKNOWN_S = 10.0
"""A line that no page of ours has opened is told so at once; then it may go."""
_SOCKETS = LINES.rstrip("/")
_OPEN = ("/_nicegui/", "/api/")
"""What is below them asks by itself who comes, or is the same for all: files of the pages."""
_ALONE = frozenset({"/sign-in", "/sign-out", "/healthz", "/readyz", "/metrics", "/favicon.ico"})
_PREFIX = b"x-forwarded-prefix"
"""NiceGUI would fetch its scripts from what it says; these pages lie at the root always."""
_LOOKS = frozenset({"GET", "HEAD"})


class Door:
    """Stands between the guard and the pages."""

    def __init__(self, app: ASGIApp, lines: Lines, who: Who) -> None:
        self._app = app
        self._lines = lines
        self._who = who
        self._strangers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        said = [one for one in scope["headers"] if one[0].lower() != _PREFIX]
        scope = {**scope, "headers": said}
        if scope["path"].startswith(_SOCKETS):
            await self._line(scope, receive, send)
        elif (answer := self._kept_out(scope)) is not None:
            await _told(answer, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _kept_out(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        if scope["type"] != "http":
            return PlainTextResponse("there is no line here\n", 404)
        if path.startswith(_OPEN) or path in _ALONE:
            return None
        if scope["method"] not in _LOOKS:
            return PlainTextResponse("this can be looked at only\n", 405, {"Allow": "GET"})
        request = Request(scope)
        return None if self._who(request) is not None else to_sign_in(request)

    async def _line(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._lines.page_of(scope)
        if page is not None and page.page.path not in FOR_ALL:
            await self._app(scope, receive, send)
            return
        if self._strangers >= STRANGERS_MAX:
            text = f"{STRANGERS_MAX} lines of those who are not signed in are open already\n"
            answer = PlainTextResponse(text, 503, {"Retry-After": "10"})
            await _told(answer, scope, receive, send)
            return
        self._strangers += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(UNKNOWN_S if page is None else None):
                    await self._app(scope, receive, send)
        finally:
            self._strangers -= 1


async def _told(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # the handshake
    await answer(scope, receive, send)


def to_sign_in(request: Request) -> RedirectResponse:
    """And from there back to what was asked for."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/sign-in?next={quote(request.url.path + query)}", 303)
