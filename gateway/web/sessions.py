"""People who are signed in, and the cookie that says so.

Sessions live in the memory of the console: a restart ends them all. Each ends by itself, when its
person is removed, gets another role or another password, and when they sign out. The cookie's value
is known to the browser alone; here stands its hash. Never takes the word of a cookie for a role.
"""

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from gateway.staff.accounts import Standing
from gateway.staff.people import Person, Role

COOKIE = "sense311_session"
SESSIONS_MAX = 1000
_HEADER_CHARS_MAX = 8192


class Register(Protocol):
    """Who is asked about people: `Accounts`."""

    def standing(self, name: str) -> Standing | None: ...


class _Session(NamedTuple):
    name: str
    role: Role
    mark: str
    until_ms: int


class Sessions:
    """Those of one console. Any thread may ask."""

    def __init__(self, accounts: Register, hours: float) -> None:
        self._accounts = accounts
        self._length_ms = int(hours * 3_600_000)
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    @property
    def seconds(self) -> int:
        """How long one lasts: the age that the cookie gets."""
        return self._length_ms // 1000

    def begin(self, person: Person, now_ms: int) -> str:
        """The value of the cookie. Beyond SESSIONS_MAX the oldest session ends."""
        value = secrets.token_urlsafe(32)
        standing = self._accounts.standing(person.name)
        mark = standing.mark if standing else ""
        session = _Session(person.name, person.role, mark, now_ms + self._length_ms)
        with self._lock:
            self._sessions[_key(value)] = session
            while len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        return value

    def who(self, cookie: str | None, now_ms: int) -> Person | None:
        """Asked anew each time: what was ended meanwhile counts at once."""
        session = self._sessions.get(_key(cookie)) if cookie else None
        if cookie is None or session is None:
            return None
        standing = self._accounts.standing(session.name)
        if now_ms >= session.until_ms or standing != Standing(session.role, session.mark):
            self.end(cookie)
            return None
        return Person(session.name, session.role)

    def end(self, cookie: str | None) -> None:
        if cookie:
            with self._lock:
                self._sessions.pop(_key(cookie), None)

    def __len__(self) -> int:
        return len(self._sessions)


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


# -- the cookie ------------------------------------------------------------------------------------


def set_cookie(value: str, seconds: int, *, secure: bool) -> str:
    """The header `Set-Cookie`. Lax, not Strict: who follows a link out of an e-mail is signed in;
    nothing is changed by a GET, and `guard` looks at everything else.
    """
    tail = "; Secure" if secure else ""
    return f"{COOKIE}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{tail}"


def drop_cookie(*, secure: bool) -> str:
    """The header that has the browser forget it."""
    return set_cookie("", 0, secure=secure)


def cookie_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The value that the browser sent, out of the headers of an ASGI scope."""
    for name, value in headers:
        if name.lower() == b"cookie" and len(value) <= _HEADER_CHARS_MAX:
            for pair in value.decode("latin-1").split(";"):
                key, _, found = pair.strip().partition("=")
                if key == COOKIE and found:
                    return found
    return None


def is_secure(scheme: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the browser came by https, here or at the server before the console. Who pretends it
    has only a cookie that is not sent back.
    """
    proto = [value for name, value in headers if name.lower() == b"x-forwarded-proto"]
    said = proto[-1].decode("latin-1").partition(",")[0].strip().lower() if proto else scheme
    return said in ("https", "wss")
