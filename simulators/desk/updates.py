"""What is said of a request later on: mySociety's extension of GeoReport v2, as the desk speaks it.

`servicerequestupdates` lists what the city and its citizens said since, and takes what a client has
to say. An update's id is the client's own and counts once. Updates change no request: the city
decides. It has no part in the desk's misbehaviour, and keeps to the rules of its dialect on time.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.desk.answers import answered, read_body, refused
from simulators.desk.intake import Pairs, read_form, value_of
from simulators.desk.ledger import Update
from simulators.desk.state import Desk
from simulators.desk.wire import Format, Reason, Refusal

PATH = "/open311/v2/servicerequestupdates.{fmt}"
_SPAN_MS = 90 * 86_400_000
_NEEDED = ("service_request_id", "update_id", "status", "updated_datetime", "description")
STATUSES = frozenset(
    {
        "OPEN", "INVESTIGATING", "IN_PROGRESS", "ACTION_SCHEDULED", "FIXED", "CLOSED", "DUPLICATE",
        "NOT_COUNCILS_RESPONSIBILITY", "NO_FURTHER_ACTION", "INTERNAL_REFERRAL", "REOPEN",
        "CANCELLED", "FOR_TRIAGE",
    }
)  # fmt: skip


class Updates:
    """The two calls under PATH."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route(PATH, self._listed, methods=["GET"]),
            Route(PATH, self._taken, methods=["POST"]),
        ]

    async def _listed(self, request: Request) -> Response:
        desk, fmt = self._desk, _format(request)
        refusal = desk.jurisdiction_refusal(request.query_params.get("jurisdiction_id", ""))
        end_ms = self._date(request, "end_date", desk.now_ms())
        start_ms = self._date(request, "start_date", (end_ms or 0) - _SPAN_MS)
        if start_ms is None or end_ms is None:
            refusal = Refusal(Reason.INVALID, "start_date and end_date must be times")
        if refusal is not None:
            return refused([refusal], fmt)
        assert start_ms is not None
        assert end_ms is not None
        records = [self._record(update) for update in desk.ledger.updates(start_ms, end_ms)]
        return answered("service_request_updates", records, fmt)

    async def _taken(self, request: Request) -> Response:
        desk, fmt = self._desk, _format(request)
        body = await read_body(request)
        pairs = body if isinstance(body, Refusal) else read_form(
            request.headers.get("content-type", ""), body
        )  # fmt: skip
        if isinstance(pairs, Refusal):
            return refused([pairs], fmt)
        refusal = desk.key_refusal(request, pairs)
        if refusal is not None:
            return refused([refusal], fmt)
        update = self._read(pairs)
        if isinstance(update, list):
            return refused(update, fmt)
        if not desk.ledger.has_request(update.service_request_id):
            return refused([Refusal(Reason.NOT_FOUND, "service_request_id was not found")], fmt)
        if not desk.ledger.add_update(update):
            return refused([Refusal(Reason.INVALID, "the update already exists")], fmt)
        record = [{"update_id": update.update_id}]
        return answered("service_request_updates", record, fmt)

    def _read(self, pairs: Pairs) -> Update | list[Refusal]:
        said = {name: value_of(pairs, name) for name in (*_NEEDED, "media_url")}
        refusals = [
            Refusal(Reason.MISSING, f"{name} was not provided")
            for name in _NEEDED
            if not said[name]
        ]
        updated_ms = self._desk.dialect.date_ms(said["updated_datetime"])
        if said["updated_datetime"] and updated_ms is None:
            refusals.append(Refusal(Reason.INVALID, "updated_datetime must be a time"))
        if said["status"] and said["status"].upper() not in STATUSES:
            words = f"status must be one of {', '.join(sorted(STATUSES))}"
            refusals.append(Refusal(Reason.INVALID, words))
        if refusals or updated_ms is None:
            return refusals
        return Update(
            said["update_id"], said["service_request_id"], said["status"].upper(),
            said["description"], said["media_url"] or None, updated_ms,
        )  # fmt: skip

    def _record(self, update: Update) -> dict[str, str | None]:
        return {
            "update_id": update.update_id,
            "service_request_id": update.service_request_id,
            "status": update.status,
            "updated_datetime": self._desk.dialect.date_text(update.updated_ts_ms),
            "description": update.description,
            "media_url": update.media_url,
        }

    def _date(self, request: Request, name: str, default_ms: int) -> int | None:
        text = request.query_params.get(name, "")
        return self._desk.dialect.date_ms(text) if text else default_ms


def _format(request: Request) -> Format:
    """As the path says it; JSON where it says something else."""
    wanted = request.path_params["fmt"]
    return Format(wanted) if wanted in tuple(Format) else Format.JSON
