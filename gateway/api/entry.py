"""Who asks: a program by its token, or for looking only a person by the cookie of the console.

A token goes before a cookie. What changes something is never done by a cookie, which a browser
sends along by itself.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from gateway.api.faults import HOW_TO_ASK, ErrorCode, Fault
from gateway.clock import Clock
from gateway.staff.accounts import Accounts, NotLetIn
from gateway.staff.people import Person, Role
from gateway.web.sessions import COOKIE

Who = Callable[[Request], Person | None]
"""The person of a session of the console."""

BEARER = HTTPBearer(auto_error=False, scheme_name="token", description=HOW_TO_ASK)
SESSION = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="Of the console, to look."
)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
_Cookie = Annotated[str | None, Security(SESSION)]


class Door:
    """The dependencies by which routes learn who asks. Each ends with a Fault, or a person."""

    def __init__(self, accounts: Accounts, clock: Clock, who: Who) -> None:
        self._accounts = accounts
        self._clock = clock
        self._who = who

    def looking(self, request: Request, bearer: _Bearer, _cookie: _Cookie) -> Person:
        """To look: by token, or by the cookie."""
        if bearer is None and "authorization" not in request.headers:
            person = self._who(request)
            if person is not None:
                return person
        return self.acting(bearer)

    def acting(self, bearer: _Bearer) -> Person:
        """To act: by token."""
        if bearer is None:
            raise _outside(ErrorCode.TOKEN_MISSING, "say who asks", HOW_TO_ASK)
        found = self._accounts.by_token(bearer.credentials, self._clock.now_ms())
        if isinstance(found, Person):
            return found
        if found is NotLetIn.EXPIRED:
            hint = "have a new one made: `sense311 tokens add`"
            raise _outside(ErrorCode.TOKEN_EXPIRED, "the token has expired", hint)
        if found is NotLetIn.CLOSED:
            hint = "`sense311 tokens ls` says why"
            raise Fault(503, ErrorCode.UNAVAILABLE, "nobody can be let in now", hint=hint)
        raise _outside(ErrorCode.TOKEN_UNKNOWN, "no such token, or not any more", HOW_TO_ASK)

    def overseeing(self, request: Request, bearer: _Bearer, cookie: _Cookie) -> Person:
        """To look at what people did: an operator or more."""
        person = self.looking(request, bearer, cookie)
        if not person.role.covers(Role.OPERATOR):
            text = f"this asks for the role {Role.OPERATOR}"
            raise Fault(403, ErrorCode.NOT_ALLOWED, text, hint="ask an admin for another token")
        return person


def _outside(code: ErrorCode, text: str, hint: str) -> Fault:
    challenge = 'Bearer realm="sense311"'
    if code is not ErrorCode.TOKEN_MISSING:
        challenge += ', error="invalid_token"'
    return Fault(401, code, text, hint=hint, headers={"WWW-Authenticate": challenge})
