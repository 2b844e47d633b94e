"""What comes in over HTTP is looked at here before anything else sees it, or it does not get in.

Guarantees to what stands behind it: the host is one of ours (no name of a stranger's that leads
here), what changes something or opens a line comes from a page of ours, paths climb nowhere, a body
is there as a whole and bounded, and so is how much is open at once. Every answer carries the
headers that bind the browser. Knows no person; that is for the pages and the interface.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.sessions import is_secure

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
LINES = "/_nicegui_ws/"
"""Where NiceGUI's pages are connected; a GET there opens a line as well."""
_LOOKS_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"(https?)://([^/@\s]+)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_TILES = re.compile(r"(https?://)([^/?#]+)/")
_DECODED_MAX = 4  # %25252e is no way round


class Reason(StrEnum):
    """Why something does not get in; counted in `Guard.refused`."""

    HOST = "host"
    CROSS_SITE = "cross_site"
    PATH = "path"
    TARGET_TOO_LONG = "target_too_long"
    HEADERS_TOO_LARGE = "headers_too_large"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TOO_SLOW = "body_too_slow"
    BUSY = "busy"


class Refusal(NamedTuple):
    status: int
    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one process. `open_max`: so many lines, apart from them so many requests whose bodies are
    still to come, and apart from both so many that are being answered. So a hundred open tabs, or
    a hundred who send without end, leave room for those who watch the service.
    """

    target_bytes_max: int = 8 * 1024
    header_bytes_max: int = 16 * 1024
    body_bytes_max: int = 1024 * 1024
    body_s_max: float = 30.0
    open_max: int = 200


def policy(tiles: str | None = None) -> str:
    """The Content-Security-Policy of pages made by NiceGUI: Vue compiles templates in the browser,
    and the page starts with a script of its own. `tiles`: the address of the map's, as configured.
    """
    found = _TILES.match(tiles or "")
    pictures = f" {found[1]}{found[2].replace('{s}', '*')}" if found else ""
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        f"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:{pictures}; "
        "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


class Guard:
    """Stands before an application, for HTTP and websockets. `section`: of the configuration, the
    one whose `hosts` these are.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = (),
        *,
        tiles: str | None = None,
        section: str = "console",
        limits: Limits | None = None,
    ) -> None:
        self.app = app
        self.refused: Counter[Reason] = Counter()
        self._hosts = LOCAL | {host.lower() for host in hosts}
        self._section = section
        self._limits = limits or Limits()
        self._headers = _headers(policy(tiles))
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        send = self._with_headers(send)
        refusal = self._judge(scope)
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
            return
        if kind == "http":
            await self._answer(scope, receive, send)
            return
        with self._counted(kind):
            await self.app(scope, receive, send)

    @contextmanager
    def _counted(self, kind: str) -> Iterator[None]:
        self._open[kind] += 1
        try:
            yield
        finally:
            self._open[kind] -= 1

    def _judge(self, scope: Scope) -> Refusal | None:
        limits = self._limits
        refusal = (
            too_large(scope, limits)
            or wrong_path(scope)
            or wrong_host(scope, self._hosts, self._section)
            or cross_site(scope)
        )
        return refusal or self._busy(_stage(scope))

    def _busy(self, kind: str) -> Refusal | None:
        most = self._limits.open_max
        if self._open[kind] < most:
            return None
        text = f"{most} are open already: close some, or come back in a moment"
        return Refusal(503, Reason.BUSY, text)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application gets the body whole: who goes away in its midst has asked nothing."""
        with self._counted(_stage(scope)):
            body = await _whole(receive, self._limits)
        if body is None:
            return
        refusal = body if isinstance(body, Refusal) else self._busy("http")
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
            return
        assert isinstance(body, bytes)
        again = _Again(body, receive)
        with self._counted("http"):
            try:
                await self.app(scope, again, send)
            except RuntimeError:  # starlette's, of an answer that nobody waits for any more
                if not again.is_over:
                    raise

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
        self.refused[refusal.reason] += 1
        if scope["type"] == "http":
            kind = "http"
        else:
            await receive()  # the handshake
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})
                return
            kind = "websocket.http"
        text = f"{refusal.text}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"connection", b"close"),
        ]
        if refusal.reason is Reason.BUSY:
            headers.append((b"retry-after", b"5"))
        start = {"type": f"{kind}.response.start", "status": refusal.status, "headers": headers}
        await send(start)
        await send({"type": f"{kind}.response.body", "body": text})

    def _with_headers(self, send: Send) -> Send:
        """What the application says itself stays as it is."""

        async def sending(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                said = [(bytes(name).lower(), value) for name, value in message.get("headers", ())]
                names = {name for name, _ in said}
                own = [header for header in self._headers if header[0] not in names]
                message = {**message, "headers": [*said, *own]}
            await send(message)

        return sending


def _headers(csp: str) -> list[tuple[bytes, bytes]]:
    """`same-origin` of referrers: with less, browsers say `Origin: null` when a form is sent."""
    told = {
        "content-security-policy": csp,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "cache-control": "no-store",
    }
    return [(name.encode(), value.encode()) for name, value in told.items()]


# -- what is looked at -----------------------------------------------------------------------------


def too_large(scope: Scope, limits: Limits) -> Refusal | None:
    """By what is said before the body comes."""
    if len(_raw_path(scope)) + len(scope.get("query_string", b"")) > limits.target_bytes_max:
        return Refusal(414, Reason.TARGET_TOO_LONG, "the address is too long")
    if (
        sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        > limits.header_bytes_max
    ):
        return Refusal(431, Reason.HEADERS_TOO_LARGE, "the headers are too large")
    for said in _values(scope, b"content-length"):
        if not said.isdigit() or len(said) > 18 or int(said) > limits.body_bytes_max:
            return _body_too_large(limits)
    return None


def wrong_path(scope: Scope) -> Refusal | None:
    """One that climbs, however it is encoded, or holds what no path of ours does."""
    text = _raw_path(scope).decode("latin-1")
    refusal = Refusal(400, Reason.PATH, "there is no such path")
    if not text.startswith("/"):
        return refusal
    for _ in range(_DECODED_MAX):
        if ".." in text.split("/") or any(sign < " " or sign in "\\\x7f" for sign in text):
            return refusal
        decoded = unquote(text, "latin-1")
        if decoded == text:
            return None
        text = decoded
    return refusal


def wrong_host(scope: Scope, hosts: Collection[str], section: str) -> Refusal | None:
    """A stranger's name that leads here would make his page one of ours."""
    found = [_HOST.fullmatch(host.lower()) for host in _values(scope, b"host")]
    if len(found) == 1 and found[0] is not None and found[0][1] in hosts:
        return None
    text = (
        "this host is not served here; if it should be, name it in the configuration: "
        f"hosts in section [{section}]"
    )
    return Refusal(421, Reason.HOST, text)


def cross_site(scope: Scope) -> Refusal | None:
    """A page of another site asks in the name of who looks at it. Programs say no origin."""
    opens_line = scope["type"] == "websocket" or scope["path"].startswith(LINES)
    if not opens_line and scope["method"] in _LOOKS_ONLY:
        return None
    host = "".join(_values(scope, b"host")).lower()
    origins = _values(scope, b"origin")
    sites = _values(scope, b"sec-fetch-site")
    strange = any(site not in ("same-origin", "none") for site in sites)
    secure = is_secure(scope.get("scheme", "http"), scope["headers"])
    ours = len(origins) == 1 and _leads_to(origins[0], host, secure=secure)
    if not strange and (not origins or ours):
        return None
    text = (
        "this came from a page of another site; if it did not, the server before this one has to "
        "pass on the header Host as the browser sent it, with its port"
    )
    return Refusal(403, Reason.CROSS_SITE, text)


def _leads_to(origin: str, host: str, *, secure: bool) -> bool:
    """`secure`: we are asked through TLS, so a page that came without is not ours."""
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None or (secure and found[1] != "https"):
        return False
    port = _DEFAULT_PORTS[found[1]]
    return found[2].removesuffix(port) == host.removesuffix(port)


def _stage(scope: Scope) -> str:
    """What is counted first: a line, a body that is to come, or what is answered at once."""
    if scope["type"] != "http":
        return "websocket"
    comes = any(length != "0" for length in _values(scope, b"content-length"))
    return "body" if comes or _values(scope, b"transfer-encoding") else "http"


def _raw_path(scope: Scope) -> bytes:
    found: bytes = scope.get("raw_path") or scope["path"].encode()
    return found.partition(b"?")[0]


def _values(scope: Scope, name: bytes) -> list[str]:
    """Of a header, as often as it is there."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


# -- the body --------------------------------------------------------------------------------------


def _body_too_large(limits: Limits) -> Refusal:
    text = f"larger than {limits.body_bytes_max} bytes"
    return Refusal(413, Reason.BODY_TOO_LARGE, text)


async def _whole(receive: Receive, limits: Limits) -> bytes | Refusal | None:
    """The body, or None: the browser is gone."""
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s_max):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > limits.body_bytes_max:
                    return _body_too_large(limits)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        text = f"the request was not there after {limits.body_s_max:g} seconds"
        return Refusal(408, Reason.BODY_TOO_SLOW, text)


class _Again:
    """What was read already, then what comes: that the browser is gone, and nothing else."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self.is_over = False

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        self.is_over = message["type"] == "http.disconnect"
        return message
