"""The lines between pages and browsers: which browser speaks for which page, and how long.

NiceGUI listens to whoever knows the number of a page, on any line. Here a page listens to the
browser that it was sent to and to no other, and only as long as its visitor is signed in; then it
is taken away. What is no message of a page's is dropped, and what browsers say of themselves never
reaches the log. Pages that no browser has opened are bounded, so that nobody fills the memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

import msgspec
from nicegui import Client, core
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from gateway.staff.people import Person
from gateway.web.sessions import COOKIE

PULSE_S = 0.5
UNOPENED_MAX = 100
"""Pages that no browser has opened yet: of visitors, and apart from them of those outside."""
_OF_NO_PAGE = {"QUERY_STRING": "implicit_handshake=true&client_id=none"}
FOR_ALL = frozenset({"/sign-in", ""})
"""Paths of pages that ask nobody who they are; NiceGUI's own of errors have none."""

Who = Callable[[Request], Person | None]
_Handler = Callable[..., Any]
_Short = Annotated[str, msgspec.Meta(max_length=200)]


class _Message(msgspec.Struct):
    client_id: _Short


class _Handshake(_Message):
    tab_id: _Short
    document_id: _Short
    old_tab_id: _Short | None = None
    next_message_id: int | None = None


class _Event(_Message):
    id: int
    listener_id: _Short
    args: list[str | None] = []


class _Answer(_Message):
    request_id: _Short


class _Receipt(_Message):
    next_message_id: int


Form = TypeVar("Form", bound=_Message)
_FORMS: Mapping[str, type[_Message]] = {
    "event": _Event,
    "javascript_response": _Answer,
    "ack": _Receipt,
}


class Lines:
    """Those of one console. `who`: the person behind the request of a page."""

    def __init__(self, who: Who) -> None:
        self._who = who
        self._leaving: set[str] = set()

    def page_of(self, scope: Scope) -> Client | None:
        """The page that a line is to be opened for, if that page listens to this browser."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        client = Client.instances.get(query.get("client_id", [""])[0])
        return client if client is not None and self._listens(client, scope) else None

    def bind(self) -> None:
        """From now on NiceGUI hears only what may be heard."""
        own = _own()
        core.sio.on("connect", handler=self._connecting(own["connect"]))
        core.sio.on("handshake", handler=self._shaking_hands(own["handshake"]))
        core.sio.on("disconnect", handler=lambda sid, *_said: own["disconnect"](sid))
        core.sio.on("log", handler=_ignored)
        for name, form in _FORMS.items():
            core.sio.on(name, handler=self._heard(own[name], form))

    async def watch(self) -> None:
        """Until cancelled: takes pages away whose visitors are gone."""
        while True:
            self.sweep()
            await asyncio.sleep(PULSE_S)

    def sweep(self) -> None:
        """Once. The browser is led to the way in; what it leaves open hears nothing any more."""
        for client in list(Client.instances.values()):
            if self._is_visited(client):
                continue
            if client.environ is None or client.id in self._leaving:
                client.delete()
            elif client.has_socket_connection:
                self._leaving.add(client.id)
                client.open("/sign-in")
        self._leaving &= Client.instances.keys()
        unopened = [client for client in Client.instances.values() if client.environ is None]
        for inside in (True, False):
            some = [client for client in unopened if (client.page.path in FOR_ALL) != inside]
            for client in sorted(some, key=lambda one: one.created)[: -UNOPENED_MAX or None]:
                client.delete()

    # -- what is heard ------------------------------------------------------------------------

    def _is_visited(self, client: Client) -> bool:
        """Whether somebody is behind it, where somebody has to be."""
        return client.page.path in FOR_ALL or self._who(client.request) is not None

    def _listens(self, client: Client, scope: Scope) -> bool:
        its = client.request.cookies.get(COOKIE, "")
        return its == HTTPConnection(scope).cookies.get(COOKIE, "") and self._is_visited(client)

    def _may_open(self, said: object, scope: Scope) -> bool:
        found = _as(_Handshake, said)
        client = Client.instances.get(found.client_id) if found is not None else None
        return client is not None and self._listens(client, scope)

    def _connecting(self, handle: _Handler) -> Callable[..., Awaitable[None]]:
        async def connecting(sid: str, *said: object) -> None:
            environ = core.sio.get_environ(sid)
            if not any(one is environ for one in said):
                return  # the browser said "connect" as a message of its own
            asked = {name: found[0] for name, found in parse_qs(environ["QUERY_STRING"]).items()}
            implicit = asked.get("implicit_handshake") == "true"
            if implicit and not self._may_open(asked, environ["asgi.scope"]):
                await handle(sid, _OF_NO_PAGE)  # refuses it, so that the page loads itself again
            await handle(sid, environ)

        return connecting

    def _shaking_hands(self, handle: _Handler) -> Callable[..., Awaitable[bool]]:
        async def shaking_hands(sid: str, said: object = None, *_more: object) -> bool:
            if not self._may_open(said, core.sio.get_environ(sid)["asgi.scope"]):
                return False
            return bool(await handle(sid, said))

        return shaking_hands

    def _heard(self, handle: _Handler, form: type[_Message]) -> Callable[..., None]:
        def heard(sid: str, said: object = None, *_more: object) -> None:
            found = _as(form, said)
            if found is None or found.client_id not in core.sio.rooms(sid):
                return
            client = Client.instances.get(found.client_id)
            if client is None or not self._is_visited(client):
                return
            try:
                handle(sid, said)
            except (LookupError, ValueError):
                return  # of a part that is not there any more, or not as our pages write it

        return heard


@cache
def _own() -> dict[str, _Handler]:
    """NiceGUI's handlers as they were at first."""
    return dict(core.sio.handlers["/"])


def _ignored(_sid: str, *_said: object) -> None:
    """What a browser would have written into the log."""


def _as(form: type[Form], said: object) -> Form | None:
    try:
        return msgspec.convert(said, form, strict=False)
    except msgspec.ValidationError:
        return None
