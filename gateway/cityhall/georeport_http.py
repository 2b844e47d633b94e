"""One HTTP line to a 311 desk: the one file that imports httpx.

An exchange ends within a total time and a total size and says what is known: an answer, or why
there is none and whether a byte of the request may have left. Never raises for what the other side
does, follows no redirect, takes no proxy from the environment, sends nothing twice.
"""

import asyncio
import ipaddress
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from gateway.cityhall.delivery import Cause

# They log addresses and headers, and where a desk wants it so the key stands in one of these.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

MINUTE_S = 60.0
IDLE_S_MAX = 2.0
"""A line idle for longer is not used again: servers hang up after 5 s, and a POST into a line that
is just being closed has an unknown outcome."""
USER_AGENT = "sense311 (city sensors to 311)"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`total_s` bounds an exchange with all its reads, however slowly an answer drips."""

    connect_s: float = 10.0
    read_s: float = 30.0
    write_s: float = 30.0
    total_s: float = 60.0


class EndpointError(ValueError):
    """The address of the desk cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    retry_after_s: float | None = None

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. `sent` is false only where surely no byte of the request left."""

    cause: Cause
    reason: str
    sent: bool = True
    retry_after_s: float | None = None


class Line:
    """Connections to one desk, used by one thread at a time."""

    def __init__(self, timeouts: Timeouts, per_minute: int | None = None) -> None:
        self._timeouts = timeouts
        self._begun_s: deque[float] = deque(maxlen=per_minute)
        """When the last exchanges began, as many as the desk allows in a minute."""
        self._runner = asyncio.Runner()
        self._http: httpx.AsyncClient | None = None

    def close(self) -> None:
        if self._http is not None:
            self._runner.run(self._http.aclose())
            self._http = None
        self._runner.close()

    def exchange(
        self,
        url: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        bytes_max: int,
    ) -> Answer | Failure:
        """One GET, or one POST where there is a form; none before the desk allows it."""
        now_s = time.monotonic()
        if self._begun_s.maxlen and len(self._begun_s) == self._begun_s.maxlen:
            wait_s = self._begun_s[0] + MINUTE_S - now_s
            if wait_s > 0:
                reason = f"the desk allows {self._begun_s.maxlen} calls a minute"
                return Failure(Cause.THROTTLED, reason, sent=False, retry_after_s=wait_s)
        if self._begun_s.maxlen:
            self._begun_s.append(now_s)
        return self._runner.run(self._attempt(url, query, form, headers or {}, bytes_max))

    async def _attempt(
        self,
        url: str,
        query: Mapping[str, str] | None,
        form: Sequence[tuple[str, str]] | None,
        headers: Mapping[str, str],
        bytes_max: int,
    ) -> Answer | Failure:
        try:
            async with asyncio.timeout(self._timeouts.total_s):
                return await self._fetch(url, query, form, headers, bytes_max)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            words = str(error) or type(error).__name__
            return Failure(Cause.UNREACHABLE, f"no connection: {words}", sent=False)
        except (httpx.TimeoutException, TimeoutError):
            return Failure(Cause.TIMEOUT, "no full answer in time")
        except (httpx.HTTPError, OSError) as error:
            return Failure(Cause.DROPPED, f"the line broke ({type(error).__name__})")

    async def _fetch(
        self,
        url: str,
        query: Mapping[str, str] | None,
        form: Sequence[tuple[str, str]] | None,
        headers: Mapping[str, str],
        bytes_max: int,
    ) -> Answer | Failure:
        if self._http is None:
            self._http = self._opened()
        request = self._http.build_request(
            "GET" if form is None else "POST",
            url,
            params=dict(query) if query else None,
            data=None if form is None else _grouped(form),
            headers=dict(headers),
        )
        response = await self._http.send(request, stream=True)
        try:
            return await _read(response, bytes_max)
        finally:
            await response.aclose()

    def _opened(self) -> httpx.AsyncClient:
        limits = self._timeouts
        return httpx.AsyncClient(
            timeout=httpx.Timeout(
                connect=limits.connect_s,
                read=limits.read_s,
                write=limits.write_s,
                pool=limits.connect_s,
            ),
            limits=httpx.Limits(max_connections=2, keepalive_expiry=IDLE_S_MAX),
            # Some desks compress wrongly, and what is not compressed cannot explode.
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
        )


def check_endpoint(endpoint: str) -> str:
    """The address without its last slash. EndpointError: not https (save on loopback) or odd."""
    try:
        parts = urlsplit(endpoint.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise EndpointError("the address of the desk is not a URL") from error
    if parts.username is not None or parts.query or parts.fragment or not host or port == 0:
        raise EndpointError("the address of the desk must be https://host/path and nothing else")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise EndpointError("the address of the desk must begin with https://")
    return endpoint.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _read(response: httpx.Response, bytes_max: int) -> Answer | Failure:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return Failure(Cause.UNREADABLE, "the answer is compressed, which was not asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > bytes_max:
            return Failure(Cause.UNREADABLE, f"the answer is larger than {bytes_max} bytes")
    return Answer(response.status_code, bytes(body), _retry_after_s(response.headers))


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds to wait; a date is taken against the server's own clock."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        gap = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return max(gap.total_seconds(), 0.0)


def _grouped(form: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in form:
        grouped.setdefault(name, []).append(value)
    return grouped
