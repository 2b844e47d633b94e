"""The simulated desk's HTTP face: GeoReport v2 as a city serves it.

Every call meets its fate first (see faults.py); a POST that is answered or hung up on "after" is
on disk by then. One event loop serves all clients and the ledger is used without a pause inside a
call, so concurrent calls cannot mix. Never writes to standard output, never logs a key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.desk.answers import answered, read_body, refused
from simulators.desk.connection import HangUp
from simulators.desk.dialect import Receipt
from simulators.desk.faults import Fate, draw_fate
from simulators.desk.intake import read_form, read_report, value_of
from simulators.desk.ledger import Stored
from simulators.desk.query import read_query
from simulators.desk.services import Attribute, ServiceType
from simulators.desk.state import Desk
from simulators.desk.wire import Format, Reason, Refusal, date_text

ROOT = "/open311/v2"

Endpoint = Callable[[Request], Awaitable[Response]]


class GeoReport:
    """The calls of the standard, under ROOT."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        reads: dict[str, Endpoint] = {
            "/discovery.{fmt}": self._discovery,
            "/services.{fmt}": self._read(self._services),
            "/services/{code}.{fmt}": self._read(self._definition),
            "/requests/{id}.{fmt}": self._read(self._request),
            "/tokens/{token}.{fmt}": self._read(self._token),
        }
        return [
            *(Route(ROOT + path, endpoint, methods=["GET"]) for path, endpoint in reads.items()),
            Route(ROOT + "/requests.{fmt}", self._read(self._requests), methods=["GET"]),
            Route(ROOT + "/requests.{fmt}", self._post, methods=["POST"]),
        ]

    def _read(self, call: Callable[[Request, Format], Response]) -> Endpoint:
        """A read: fate, jurisdiction, the call itself, the delay."""

        async def endpoint(request: Request) -> Response:
            fmt, desk = _format(request), self._desk
            fate, status = Fate.SERVE, 500
            if desk.faults.reads_fail:
                fate, status = draw_fate(desk.faults, desk.source, read=True)
            given = request.query_params.get("jurisdiction_id", "")
            refusal = desk.jurisdiction_refusal(given)
            if refusal is None and desk.dialect.key_on_reads:
                refusal = desk.key_refusal(request)
            if (wait_s := desk.too_soon_s()) is not None:
                return _throttled(wait_s, fmt)
            response = self._no([refusal], fmt) if refusal else call(request, fmt)
            return await self._meet(fate, status, response, fmt)

        return endpoint

    async def _meet(self, fate: Fate, status: int, response: Response, fmt: Format) -> Response:
        """Waits as long as the desk is slow, then gives the answer or what fate puts for it."""
        faults = self._desk.faults
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        match fate:
            case Fate.SERVE:
                return response
            case Fate.THROTTLE:
                return _throttled(faults.retry_after_s, fmt)
            case Fate.DROP_BEFORE | Fate.DROP_AFTER:
                return HangUp()
            case Fate.ERROR_BEFORE | Fate.ERROR_AFTER:
                return _broken(status, fmt)

    async def _post(self, request: Request) -> Response:
        fmt, desk = _format(request), self._desk
        body = await read_body(request)
        if (wait_s := desk.too_soon_s()) is not None:
            return _throttled(wait_s, fmt)
        fate, status = draw_fate(desk.faults, desk.source)
        if fate in (Fate.THROTTLE, Fate.DROP_BEFORE, Fate.ERROR_BEFORE):
            return await self._meet(fate, status, Response(), fmt)
        result = self._file(request, body)
        if isinstance(result, Stored):
            response = self._list("service_requests", [self._receipt(result)], fmt, 201)
        else:
            # Nothing was stored, so there is no "after": a refusal is always told.
            fate, response = Fate.SERVE, self._no(result, fmt)
        return await self._meet(fate, status, response, fmt)

    def _file(self, request: Request, body: bytes | Refusal) -> Stored | list[Refusal]:
        desk = self._desk
        if isinstance(body, Refusal):
            return [body]
        pairs = read_form(request.headers.get("content-type", ""), body)
        if isinstance(pairs, Refusal):
            return [pairs]
        given = value_of(pairs, "jurisdiction_id") or request.query_params.get(
            "jurisdiction_id", ""
        )
        refusal = desk.key_refusal(request, pairs) or desk.jurisdiction_refusal(given)
        if refusal is not None:
            return [refusal]
        report = read_report(pairs, desk.services, desk.dialect)
        if isinstance(report, list):
            return report
        stored = desk.ledger.store(
            report,
            desk.published_type(report.service),
            desk.now_ms(),
            request.headers.get("idempotency-key"),
            honour=desk.faults.honour_idempotency_key,
        )
        return [stored] if isinstance(stored, Refusal) else stored

    def _services(self, _request: Request, fmt: Format) -> Response:
        records = [
            {
                "service_code": service.code,
                "service_name": service.name,
                "description": service.description,
                "metadata": bool(service.attributes),
                "type": self._desk.published_type(service),
                "keywords": ",".join(service.keywords),
                "group": service.group,
            }
            for service in self._desk.services.values()
        ]
        return self._list("services", records, fmt)

    def _definition(self, request: Request, fmt: Format) -> Response:
        desk = self._desk
        service = desk.services.get(request.path_params["code"])
        if service is None or not service.attributes:
            return self._no([Refusal(Reason.NOT_FOUND, "service_code was not found")], fmt)
        attributes = [
            _attribute_record(order, attribute)
            for order, attribute in enumerate(service.attributes, start=1)
        ]
        record = {"service_code": service.code, "attributes": attributes}
        return answered(
            "service_definition", record, fmt, name=desk.dialect.roots.get("service_definition")
        )

    def _requests(self, request: Request, fmt: Format) -> Response:
        desk = self._desk
        query = read_query(request.query_params, desk.now_ms(), desk.dialect)
        if isinstance(query, list):
            return self._no(query, fmt)
        unfinished = desk.dialect.shows_unfinished
        found = desk.ledger.find(
            query, desk.listed_ts_ms(), desk.token_ts_ms(), unfinished=unfinished
        )
        return self._list("service_requests", list(map(self._shown, found)), fmt)

    def _request(self, request: Request, fmt: Format) -> Response:
        desk = self._desk
        stored = desk.ledger.by_id(
            request.path_params["id"], desk.listed_ts_ms(), desk.token_ts_ms()
        )
        if stored is None:
            return self._no([Refusal(Reason.NOT_FOUND, "service_request_id was not found")], fmt)
        return self._list("service_requests", [self._shown(stored)], fmt)

    def _token(self, request: Request, fmt: Format) -> Response:
        desk = self._desk
        stored = desk.ledger.by_token(request.path_params["token"])
        if stored is None:
            return self._no([Refusal(Reason.NOT_FOUND, "token was not found")], fmt)
        record = {"token": stored.token}
        if stored.received_ts_ms <= desk.token_ts_ms():
            record = {"service_request_id": stored.service_request_id, **record}
        return self._list("service_requests", [record], fmt)

    def _shown(self, stored: Stored) -> Any:
        """A request as the dialect lists it; without an id as long as it has none."""
        desk = self._desk
        record = stored.record(desk.dialect.date_text)
        if stored.token is not None and stored.received_ts_ms > desk.token_ts_ms():
            del record["service_request_id"]
        return desk.dialect.shown(record, stored.attributes)

    def _receipt(self, stored: Stored) -> dict[str, Any]:
        """Id, token or neither; of some dialects both, or the whole request."""
        told: dict[str, Any] = {"service_notice": None, "account_id": None}
        kind = self._desk.dialect.receipt
        if stored.answer is ServiceType.BLACKBOX:
            return told
        if stored.answer is ServiceType.BATCH:
            return {"token": stored.token, **told}
        if kind is Receipt.WHOLE:
            return stored.record(self._desk.dialect.date_text)
        if kind is Receipt.BOTH:
            told["token"] = f"t-{stored.seq:08x}"
        return {"service_request_id": stored.service_request_id, **told}

    def _list(self, root: str, records: list[Any], fmt: Format, status: int = 200) -> Response:
        dialect = self._desk.dialect
        wrap = dialect.wrapped and fmt is Format.JSON
        return answered(
            root,
            {root: records} if wrap else records,
            fmt,
            status,
            name=dialect.roots.get(root),
            attributes=dialect.root_attributes,
        )

    def _no(self, refusals: list[Refusal], fmt: Format) -> Response:
        if not self._desk.dialect.html_errors:
            return refused(refusals, fmt)
        words = "<br>".join(each.description for each in refusals)
        page = f"<html><body><h1>Sorry</h1><p>{words}</p></body></html>"
        return Response(page, refusals[0].reason.status, media_type="text/html")

    async def _discovery(self, request: Request) -> Response:
        changed = date_text(0)  # the desk's interface does not change
        record = {
            "changeset": changed,
            "contact": "This desk is simulated: nothing filed here reaches a city.",
            "key_service": "The key is given to the desk when it starts.",
            "endpoints": [
                {
                    "specification": "http://wiki.open311.org/GeoReport_v2",
                    "url": str(request.base_url).rstrip("/") + ROOT,
                    "changeset": changed,
                    "type": "test",
                    "formats": ["text/xml", "application/json"],
                }
            ],
        }
        return answered("discovery", record, _format(request))


def _format(request: Request) -> Format:
    try:
        return Format(request.path_params["fmt"])
    except ValueError:
        raise HTTPException(404, "formats are xml and json") from None


def _throttled(wait_s: int, fmt: Format) -> Response:
    record = [{"code": 429, "description": "too many requests"}]
    return answered("errors", record, fmt, 429, {"retry-after": str(wait_s)})


def _broken(status: int, fmt: Format) -> Response:
    """500 is the desk's own error; the others come from a proxy that knows no GeoReport."""
    if status == 500:
        return answered("errors", [{"code": 500, "description": "internal error"}], fmt, 500)
    page = f"<html><body><h1>{status}</h1></body></html>"
    return Response(page, status, media_type="text/html")


def _attribute_record(order: int, attribute: Attribute) -> dict[str, Any]:
    return {
        "variable": attribute.variable,
        "code": attribute.code,
        "datatype": attribute.datatype,
        "required": attribute.required,
        "datatype_description": attribute.datatype_description or None,
        "order": order,
        "description": attribute.description,
        "values": [{"key": choice.key, "name": choice.name} for choice in attribute.values],
    }
