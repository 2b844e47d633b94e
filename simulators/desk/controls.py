"""The levers behind the simulated desk: its misbehaviour, its ledger, the closing of a request.

What a real city would not offer and a test needs. Reading is open to whoever reaches the loopback
address; changing anything takes the desk's key. Never part of GeoReport, so it never misbehaves.
"""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.desk.answers import answered, read_body, refused
from simulators.desk.faults import Faults
from simulators.desk.ledger import Update
from simulators.desk.state import Desk
from simulators.desk.wire import Format, Reason, Refusal

Model = TypeVar("Model", bound=BaseModel)


class _Closing(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    notes: str = Field(default="", max_length=4000)


class Controls:
    """The calls under /desk, JSON only."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route("/desk/faults", self._faults, methods=["GET"]),
            Route("/desk/faults", self._misbehave, methods=["PUT"]),
            Route("/desk/ledger", self._ledger, methods=["GET"]),
            Route("/desk/close/{id}", self._close, methods=["POST"]),
        ]

    async def _faults(self, _request: Request) -> Response:
        return answered("faults", self._desk.faults.model_dump(), Format.JSON)

    async def _ledger(self, _request: Request) -> Response:
        rows = [stored.oracle() for stored in self._desk.ledger.all()]
        return answered("ledger", rows, Format.JSON)

    async def _misbehave(self, request: Request) -> Response:
        """Replaces all settings: what is not named goes back to its default."""
        faults = await self._change(request, Faults)
        if isinstance(faults, list):
            return refused(faults, Format.JSON)
        self._desk.misbehave(faults)
        return await self._faults(request)

    async def _close(self, request: Request) -> Response:
        closing = await self._change(request, _Closing)
        if isinstance(closing, list):
            return refused(closing, Format.JSON)
        ledger, now_ms = self._desk.ledger, self._desk.now_ms()
        request_id = request.path_params["id"]
        stored = ledger.close_request(request_id, closing.notes, now_ms)
        if stored is None:
            missing = Refusal(Reason.NOT_FOUND, "service_request_id was not found")
            return refused([missing], Format.JSON)
        name = f"city-{request_id}-{now_ms}"
        ledger.add_update(Update(name, request_id, "CLOSED", closing.notes, None, now_ms))
        return answered("request", stored.oracle(), Format.JSON)

    async def _change(self, request: Request, model: type[Model]) -> Model | list[Refusal]:
        """The body as `model`, once the key is right; an empty body is an empty object."""
        body = await read_body(request)
        refusal = self._desk.key_refusal(request)
        if refusal is not None:
            return [refusal]
        if isinstance(body, Refusal):
            return [body]
        try:
            return model.model_validate_json(body or b"{}")
        except ValidationError as error:
            return [Refusal(Reason.INVALID, line) for line in _complaints(error)]


def faults_from(text: str) -> Faults:
    """Settings from JSON text. Raises ValueError with every complaint, one a line."""
    try:
        return Faults.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("\n".join(_complaints(error))) from error


def _complaints(error: ValidationError) -> list[str]:
    """Path and message of each fault; never the input, which may be anything."""
    return [
        f"{'.'.join(str(part) for part in each['loc']) or 'body'}: {each['msg']}"
        for each in error.errors(include_input=False, include_url=False)
    ]
