"""What the interface says when it does not do as asked: one form for every error, and its codes.

Nothing of what was sent is sent back, and nothing of the machine is told.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from gateway.errors import ConfigError, StoreError

MESSAGE_CHARS_MAX = 500


class ErrorCode(StrEnum):
    """Why it was not done."""

    BAD_REQUEST = "bad_request"
    """The body cannot be read."""
    TOKEN_MISSING = "token_missing"  # noqa: S105 -- a word, not a secret
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    NOT_ALLOWED = "not_allowed"
    """The role is too low."""
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REFUSED = "refused"
    """The state of things does not allow it."""
    CONFLICT = "conflict"
    """Somebody else has changed it meanwhile: look again."""
    INVALID = "invalid"
    TOO_MANY = "too_many"
    FAILED = "failed"
    """A file or the store did not take it."""
    UNAVAILABLE = "unavailable"
    """The books, the rules or the accounts cannot be read now."""
    INTERNAL = "internal"


class ErrorView(BaseModel):
    """`path`: the part of the request that is meant, as `body.why` or `query.limit`, where it is
    one; `hint`: what to do.
    """

    model_config = ConfigDict(extra="forbid")

    code: ErrorCode
    text: str
    path: str = ""
    hint: str = ""


class Fault(Exception):  # noqa: N818
    """Ends a request with an error."""

    def __init__(
        self,
        status: int,
        code: ErrorCode,
        text: str,
        *,
        path: str = "",
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.view = ErrorView(code=code, text=text[:MESSAGE_CHARS_MAX], path=path, hint=hint)
        self.headers = dict(headers or {})


HOW_TO_ASK = "Authorization: Bearer s311_..., from `sense311 tokens add NAME --role ROLE`"
SAID: Mapping[int, tuple[str, bool]] = {
    400: ("The body cannot be read.", True),
    401: ("Nobody known asks: no token, an unknown one, or one that has expired.", True),
    403: ("The role of who asks is too low.", False),
    404: ("There is no such thing.", True),
    409: ("The state of things does not allow it, or somebody else was faster.", False),
    422: ("Something in the request cannot be used; `path` says what.", True),
    429: ("More deeds than one may do at once, or in a minute.", False),
    503: ("The books or the files cannot be read or written now.", True),
}
"""Status -> what it means, and whether every route may answer so."""


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI document: those of every route, and further ones."""
    chosen = [status for status, (_, always) in SAID.items() if always or status in statuses]
    found: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorView, "description": SAID[status][0]} for status in chosen
    }
    found[401]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
    if 429 in found:
        found[429]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": True}}
    return found


def add_to(app: FastAPI) -> None:
    """Every error of the application in the one form."""

    @app.exception_handler(Fault)
    def of_ours(_request: Request, fault: Fault) -> JSONResponse:
        return _answer(fault.status, fault.view, fault.headers)

    @app.exception_handler(RequestValidationError)
    def of_form(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        path = ".".join(str(part)[:64] for part in first["loc"][:8])
        view = ErrorView(code=ErrorCode.INVALID, text=first["msg"][:MESSAGE_CHARS_MAX], path=path)
        return _answer(422, view)

    @app.exception_handler(HTTPException)
    def of_http(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {
            404: ErrorCode.NOT_FOUND,
            405: ErrorCode.METHOD_NOT_ALLOWED,
        }
        code = codes.get(error.status_code, ErrorCode.BAD_REQUEST)
        view = ErrorView(code=code, text=str(error.detail)[:MESSAGE_CHARS_MAX])
        return _answer(error.status_code, view, error.headers)

    @app.exception_handler(StoreError)
    def of_store(_request: Request, _error: StoreError) -> JSONResponse:
        hint = "has the gateway run? `sense311 status` says how it stands"
        text = "the books cannot be read now"
        return _answer(503, ErrorView(code=ErrorCode.UNAVAILABLE, text=text, hint=hint))

    @app.exception_handler(ConfigError)
    def of_files(_request: Request, _error: ConfigError) -> JSONResponse:
        text, hint = "the rules or assets cannot be used", "`sense311 check` says why"
        return _answer(503, ErrorView(code=ErrorCode.UNAVAILABLE, text=text, hint=hint))

    @app.exception_handler(Exception)
    def of_program(_request: Request, _error: Exception) -> JSONResponse:
        text = "a fault of the gateway's own: it stands in its log"
        return _answer(500, ErrorView(code=ErrorCode.INTERNAL, text=text))


def _answer(status: int, view: ErrorView, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(view.model_dump(), status, headers=dict(headers or {}))
