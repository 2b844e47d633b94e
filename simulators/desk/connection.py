"""A connection of the simulated desk that can be hung up on.

A dropped answer must look to the client as a crashed server does: the line closes and not one byte
of HTTP comes back. An ASGI application cannot ask for that, so the connection hands itself to the
request. Never decides who is hung up on.
"""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "desk_transport"


class DeskConnection(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, _TRANSPORT: transport}
        super().connection_made(transport)


class HangUp(Response):
    """In place of an answer: closes the line."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        scope["state"][_TRANSPORT].close()
        # The server would answer 500 for an application that ends before the line has.
        while (await receive())["type"] != "http.disconnect":
            pass
