"""Routes by which programs act: the deeds of people, by token, each written into the audit log.

What is allowed and what comes of it is for `deeds`; here an outcome becomes an answer. 200: it is
done; 202: it is given, and the gateway carries it out when it runs.
"""

import threading
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from gateway.api import forms
from gateway.api.entry import Door
from gateway.api.faults import ErrorCode, Fault, described
from gateway.cases.silences import Silence
from gateway.clock import ms_of
from gateway.staff.deed import Code, Outcome
from gateway.staff.deeds import Deeds
from gateway.staff.people import Person
from gateway.views.books import Books

AT_ONCE_MAX = 8
"""Deeds that wait for the gateway at one time: more would leave no thread to those who look."""
RETRY_AFTER_S = 60


class DeedView(BaseModel):
    """What came of a deed. `told`: the same for a program, by deed."""

    code: Code
    text: str
    told: dict[str, Any]


_STATUS = {
    Code.REFUSED: (409, ErrorCode.REFUSED),
    Code.CONFLICT: (409, ErrorCode.CONFLICT),
    Code.NOT_ALLOWED: (403, ErrorCode.NOT_ALLOWED),
    Code.NOT_FOUND: (404, ErrorCode.NOT_FOUND),
    Code.INVALID: (422, ErrorCode.INVALID),
    Code.TOO_MANY: (429, ErrorCode.TOO_MANY),
    Code.FAILED: (503, ErrorCode.FAILED),
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": DeedView, "description": "It is done."},
    202: {"model": DeedView, "description": "It is given; the gateway has not carried it out yet."},
    **described(403, 409, 429),
}


def routes(books: Books, deeds: Deeds, door: Door) -> APIRouter:
    router = APIRouter(responses=_ANSWERS)
    answered = _Answers().of
    by = Annotated[Person, Depends(door.acting)]
    _on_requests(router, deeds, by, answered)
    _on_incidents(router, deeds, by, answered)
    _on_silences(router, books, deeds, by, answered)
    _on_the_whole(router, deeds, by, answered)
    return router


Do = Callable[[], Outcome]
Answered = Callable[[Response, Do], DeedView]


class _Answers:
    """Deeds as answers, so many at once."""

    def __init__(self) -> None:
        self._gate = threading.BoundedSemaphore(AT_ONCE_MAX)

    def of(self, response: Response, deed: Do) -> DeedView:
        if not self._gate.acquire(blocking=False):
            raise _too_many("too much is being done at once")
        try:
            outcome = deed()
        finally:
            self._gate.release()
        if outcome.code in _STATUS:
            raise _fault(outcome)
        response.status_code = 200 if outcome.done else 202
        return DeedView(code=outcome.code, text=outcome.text, told=dict(outcome.told))


def _fault(outcome: Outcome) -> Fault:
    status, code = _STATUS[outcome.code]
    if code is ErrorCode.TOO_MANY:
        return _too_many(outcome.text)
    hint = outcome.findings[0].help if outcome.findings else ""
    return Fault(status, code, outcome.text, hint=hint)


def _too_many(text: str) -> Fault:
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return Fault(429, ErrorCode.TOO_MANY, text, hint="try again later", headers=headers)


def _on_requests(router: APIRouter, deeds: Deeds, by: Any, answered: Answered) -> None:
    @router.post("/requests/{reference}/approve", tags=["requests"])
    def approve(
        reference: forms.NameInPath, body: forms.MaybeReason, person: by, response: Response
    ) -> DeedView:
        """A request that waits for a person goes. Operator."""
        return answered(response, lambda: deeds.approve(person, reference, body.why))

    @router.post("/requests/{reference}/hold", tags=["requests"])
    def hold(
        reference: forms.NameInPath, body: forms.Reason, person: by, response: Response
    ) -> DeedView:
        """A request that was not sent yet is kept back until it is approved. Operator."""
        return answered(response, lambda: deeds.hold(person, reference, body.why))

    @router.post("/requests/{reference}/retry", tags=["requests"])
    def retry(
        reference: forms.NameInPath, body: forms.MaybeReason, person: by, response: Response
    ) -> DeedView:
        """A refused or held request is tried again. Operator."""
        return answered(response, lambda: deeds.retry(person, reference, body.why))


def _on_incidents(router: APIRouter, deeds: Deeds, by: Any, answered: Answered) -> None:
    @router.post("/incidents/{number}/link", tags=["incidents"])
    def link(
        number: forms.NumberInPath, body: forms.Linked, person: by, response: Response
    ) -> DeedView:
        """The city has a request for it already: that one is followed. Operator."""
        return answered(response, lambda: deeds.link(person, number, body.request_id, body.why))

    @router.post("/incidents/{number}/merge", tags=["incidents"])
    def merge(
        number: forms.NumberInPath, body: forms.MergedInto, person: by, response: Response
    ) -> DeedView:
        """It is part of another one, and asks nothing of the city on its own. Operator."""
        return answered(response, lambda: deeds.merge(person, number, body.into, body.why))

    @router.post("/incidents/{number}/split", tags=["incidents"])
    def split(
        number: forms.NumberInPath, body: forms.Reason, person: by, response: Response
    ) -> DeedView:
        """It is a fault of its own, whatever explains it. Operator."""
        return answered(response, lambda: deeds.split(person, number, body.why))

    @router.post("/incidents/{number}/reopen", tags=["incidents"])
    def reopen(
        number: forms.NumberInPath, body: forms.Reason, person: by, response: Response
    ) -> DeedView:
        """It is not repaired, whatever was said: asked for again. Operator."""
        return answered(response, lambda: deeds.reopen(person, number, body.why))


def _on_silences(
    router: APIRouter, books: Books, deeds: Deeds, by: Any, answered: Answered
) -> None:
    @router.post("/silences", tags=["silences"])
    def silence(body: forms.Window, person: by, response: Response) -> DeedView:
        """A maintenance window: what fires in it is filed after it, if it is seen again. Operator;
        its number is `told.order`.
        """
        window = _window(body, books.plans().profile.timezone)
        return answered(response, lambda: deeds.silence(person, window, body.why))

    @router.post("/silences/{number}/end", tags=["silences"])
    def end_silence(
        number: forms.NumberInPath, body: forms.Reason, person: by, response: Response
    ) -> DeedView:
        """A maintenance window is over from now on. Operator."""
        return answered(response, lambda: deeds.end_silence(person, number, body.why))


def _on_the_whole(router: APIRouter, deeds: Deeds, by: Any, answered: Answered) -> None:
    @router.post("/filing/stop", tags=["gateway"])
    def stop_filing(body: forms.Reason, person: by, response: Response) -> DeedView:
        """Nothing is sent to any desk any more; what is found waits. Admin."""
        return answered(response, lambda: deeds.stop_filing(person, body.why))

    @router.post("/filing/resume", tags=["gateway"])
    def resume_filing(body: forms.Reason, person: by, response: Response) -> DeedView:
        """Requests are sent again. Admin."""
        return answered(response, lambda: deeds.resume_filing(person, body.why))

    @router.post("/devices/{device}/adopt", tags=["devices"])
    def adopt(
        device: forms.NameInPath, body: forms.Adopted, person: by, response: Response
    ) -> DeedView:
        """A device is entered among those of an asset, in the asset file. Operator."""
        return answered(response, lambda: deeds.adopt(person, device, body.asset_id, body.why))

    @router.post("/rules/reload", tags=["rules"])
    def reload(body: forms.MaybeReason, person: by, response: Response) -> DeedView:
        """The gateway takes up rules and assets as they lie in their files. Admin."""
        return answered(response, lambda: deeds.reload(person, body.why))

    @router.post("/rules/{rule}/promote", tags=["rules"])
    def promote(
        rule: forms.NameInPath, body: forms.Reason, person: by, response: Response
    ) -> DeedView:
        """A rule out of the shadow: what it finds is filed. Admin."""
        return answered(response, lambda: deeds.promote(person, rule, body.why))

    @router.post("/rules/{rule}/shadow", tags=["rules"])
    def shadow(
        rule: forms.NameInPath, body: forms.Reason, person: by, response: Response
    ) -> DeedView:
        """A rule into the shadow: judged and recorded, not filed. Admin."""
        return answered(response, lambda: deeds.shadow(person, rule, body.why))


def _window(body: forms.Window, time_zone: str) -> Silence:
    from_ms = ms_of(body.since)
    if from_ms is None:
        hint = "RFC 3339 with a zone: 2026-01-15T22:00:00-06:00"
        raise Fault(422, ErrorCode.INVALID, "not a time", path="body.since", hint=hint)
    return Silence(
        who="", why="", from_ms=from_ms, for_ms=1000 * body.lasts_s, repeat=body.repeat,
        time_zone=body.time_zone or time_zone, assets=tuple(body.assets),
        circuits=tuple(body.circuits), zones=tuple(body.zones), rules=tuple(body.rules),
        services=tuple(body.services), within=tuple(body.within),
    )  # fmt: skip
