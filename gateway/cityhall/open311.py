"""The GeoReport v2 client: what one city's 311 desk can be asked, and what its answers mean.

Every method ends in bounded time with a value that says what is known: never an exception, never a
guess. What may have been stored is never called not sent. The key goes only where the profile says
that the desk looks for it, and is taken out of every text that leaves here; addresses from answers
are not followed. One thread at a time; nothing is sent again from here.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import quote, quote_plus

from gateway.cityhall.catalogue import AWAY, Catalogue
from gateway.cityhall.definition import Form
from gateway.cityhall.delivery import (
    CannotTell,
    Cause,
    Diverted,
    Filed,
    Found,
    NotSent,
    Outcome,
    Refused,
    Row,
    Sighting,
    Tokened,
    TokenResolved,
    Unknown,
)
from gateway.cityhall.georeport_form import date_text, write_form, write_update
from gateway.cityhall.georeport_http import Answer, Failure, Line, Timeouts, check_endpoint
from gateway.cityhall.georeport_read import (
    Record,
    Unreadable,
    errors_of,
    id_of,
    named_by_refusal,
    read_listing,
    read_record,
    read_records,
    sightings,
    token_of,
)
from gateway.cityhall.profile import KeyPlace, Kind, Profile, Wire
from gateway.cityhall.residents import Knows, Residents
from gateway.cityhall.telling import Message

ANSWER_BYTES_MAX = 1_048_576
"""No answer to one request needs more; a larger one is an attack or an accident."""
LISTING_BYTES_MAX = 8_388_608
"""1000 requests with 4000 characters of description each, and their fields."""
PAGES_MAX = 200
"""A listing longer than this is not read to its end, so it proves nothing."""
PAGE_ROWS_SURE = 20
"""The smallest page size known of any desk: fewer rows than this are not a cut-off page."""
WINDOW_MS = 89 * 86_400_000
"""The standard allows 90 days in one query; a day less leaves room for rounding."""
NOTHING: Mapping[str, str] = MappingProxyType({})
_AMBIGUOUS_4XX = frozenset({408, 409, 425})
"""Time ran out, something like it exists, too early: these do not say that nothing was stored."""


class Open311Client:
    """One desk. `endpoint` is the address before `/requests.json`; EndpointError: unusable."""

    def __init__(
        self, endpoint: str, api_key: str, profile: Profile, timeouts: Timeouts | None = None
    ) -> None:
        self._base = check_endpoint(endpoint)
        self._api_key = api_key
        self._profile = profile
        self._line = Line(timeouts or Timeouts(), profile.per_minute)
        self.catalogue = Catalogue(self, time.monotonic)
        """What the city says it takes."""
        self._residents = Residents(self.listed, time.monotonic)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up; the client is of no use afterwards."""
        self._line.close()

    def post(self, row: Row) -> Outcome:
        """Asks the city once, and not at all for what it says it would refuse. Whatever happens is
        told by the outcome.
        """
        form = write_form(row, self._profile)
        if isinstance(form, Refused):
            return form
        if (no := self._would_be_refused(row.service, form)) is not None:
            return no
        answer = self._exchange(
            "requests",
            form=form,
            headers={"Idempotency-Key": row.reference},
        )
        if isinstance(answer, Failure) and not answer.sent:
            return NotSent(answer.cause, answer.reason, answer.retry_after_s)
        if isinstance(answer, Failure):
            return Unknown(answer.cause, answer.reason)
        outcome = self._outcome(answer, self._profile.services[row.service].kind)
        return self._adopted(row, outcome)

    def tell(self, message: Message) -> Outcome:
        """What became of a request since; an update that the city has already is told."""
        form = write_update(message, self._profile)
        answer = self._exchange("servicerequestupdates", form=form)
        if isinstance(answer, Failure):
            return NotSent(answer.cause, answer.reason, answer.retry_after_s)
        outcome = self._outcome(answer, Kind.BLACKBOX)
        there = isinstance(outcome, Refused) and "already exists" in outcome.reason
        return Filed(None) if there else outcome

    def _adopted(self, row: Row, outcome: Outcome) -> Outcome:
        """A refusal because the city has it already is success, under the id that it shows: its
        own list names our reference, or a request of the same service that the refusal names.
        """
        named = named_by_refusal(outcome.reason) if isinstance(outcome, Refused | Unknown) else None
        if named is None:
            return outcome
        sent_ms = row.first_sent_ms or row.created_ms, row.last_sent_ms or row.created_ms
        seen = self.look(row.service, [row.reference], *sent_ms).get(row.reference)
        if isinstance(seen, Found):
            return Filed(seen.request_id)
        code = self._profile.services[row.service].code
        for request_id in named:
            record = self.request(request_id)
            if not isinstance(record, CannotTell) and record.get("service_code") == code:
                return Filed(request_id)
        return outcome

    def look(
        self, service: str, references: Sequence[str], since_ms: int, until_ms: int
    ) -> dict[str, Sighting]:
        """What the city's list shows of the references, sent between the two times.

        A reference that is not in the result is absent from a list read to its end. Where the list
        could not be read so, each reference that was not seen has CannotTell.
        """
        own = self._profile.services.get(service)
        code = own.code if own else None
        seen: dict[str, Sighting] = {}
        skew_ms = 1000 * self._profile.listing.skew_s
        for start_ms, end_ms in _windows(since_ms - skew_ms, until_ms + skew_ms):
            for page in self._pages(code, start_ms, end_ms):
                if isinstance(page, CannotTell):
                    return dict.fromkeys(references, page) | seen
                seen |= sightings(page, references)
        return seen

    def residents(self, row: Row, now_ms: int, knows: Knows) -> Found | Diverted | None:
        """A request about the same fault that is not of our books, as far as the city shows any."""
        policy = self._profile.policy(row.service)
        if not policy.link_radius_m or not policy.read_back:
            return None
        if row.service not in self._profile.services:
            return None
        days = self._profile.link_days, self._profile.link_closed_days
        return self._residents.match(row, policy.link_radius_m, *days, now_ms, knows)

    def listed(
        self, service: str, since_ms: int, until_ms: int, status: str
    ) -> list[Record] | CannotTell:
        """The requests that the city lists of a service, as far as they could be read."""
        code, found = self._profile.services[service].code, list[Record]()
        for page in self._pages(code, since_ms, until_ms, {"status": status}):
            if isinstance(page, CannotTell):
                return found or page
            found += page
        return found

    def token(self, token: str) -> TokenResolved | CannotTell:
        """The id that a token has become, if it has."""
        records = self._list(f"tokens/{_escaped(token)}")
        if isinstance(records, CannotTell):
            return records
        for record in records:
            request_id = id_of(record)
            if request_id is not None and token_of(record) in (None, token):
                return TokenResolved(request_id)
        return CannotTell(Cause.PENDING, "the city has not given an id for the token so far")

    def request(self, request_id: str) -> Record | CannotTell:
        """One request as the city shows it."""
        records = self._list(f"requests/{_escaped(request_id)}")
        if isinstance(records, CannotTell):
            return records
        mine = (record for record in records if id_of(record) in (None, request_id))
        return next(mine, CannotTell(Cause.NO_ID, f"the city shows no request {request_id}"))

    def shown(self, request_ids: Sequence[str]) -> dict[str, Record] | CannotTell:
        """Those of the requests that the city shows, asked for with one call."""
        wanted = {"service_request_id": ",".join(request_ids)}
        records = self.page(wanted | dict(self._profile.listing.parameters))
        if isinstance(records, CannotTell):
            return records
        by_id = {request_id: record for record in records if (request_id := id_of(record))}
        return {request_id: by_id[request_id] for request_id in request_ids if request_id in by_id}

    def services(self) -> list[Record] | CannotTell:
        """The city's services as records of service_code, service_name and so on."""
        return self._list("services")

    def definition(self, code: str) -> Record | CannotTell:
        """The definition of a service: its attributes."""
        body = self._get(f"services/{_escaped(code)}")
        if isinstance(body, CannotTell):
            return body
        record = read_record(body, self._profile.format)
        return _unreadable(record) if isinstance(record, Unreadable) else record

    def _would_be_refused(self, service: str, form: Form) -> Refused | NotSent | None:
        """What the definition forbids; or that the desk is out of reach, so that nothing was sent.
        A desk that does not tell what it takes is asked.
        """
        if not self._profile.definitions:
            return None
        faults = self.catalogue.faults(service, self._profile.services[service].code, form)
        if not isinstance(faults, CannotTell):
            return Refused("; ".join(map(str, faults))) if faults else None
        if faults.cause in AWAY:
            return NotSent(faults.cause, faults.reason, faults.retry_after_s)
        return None

    def _outcome(self, answer: Answer, kind: Kind) -> Outcome:
        wire = self._profile.format
        if answer.status == 429:
            return NotSent(Cause.THROTTLED, "the city asks for a pause", answer.retry_after_s)
        if answer.good:
            return _created(read_records(answer.body, wire), kind)
        words = errors_of(answer.body, wire) or errors_of(answer.body, _other(wire))
        final = 400 <= answer.status < 500 and answer.status not in _AMBIGUOUS_4XX
        if final and words:
            self.catalogue.forget()
            return Refused(f"HTTP {answer.status}: {self._redacted(words)}")
        cause = Cause.SERVER_ERROR if answer.status >= 500 else Cause.UNREADABLE
        said = self._redacted(words) or "without an error of the standard"
        return Unknown(cause, f"HTTP {answer.status}: {said}")

    def _pages(
        self, code: str | None, start_ms: int, end_ms: int, more: Mapping[str, str] = NOTHING
    ) -> Iterator[list[Record] | CannotTell]:
        """The pages of a listing; ends with CannotTell unless all of it was read."""
        listing = self._profile.listing
        query = self._query(code, start_ms, end_ms) | dict(more)
        if listing.page_parameter is None:
            page = self.page(query)
            yield page
            if not isinstance(page, CannotTell) and len(page) >= listing.rows_max:
                yield CannotTell(Cause.INCOMPLETE, "the city's list may have been cut off")
            return
        pages: list[list[Record]] = []
        for number in range(listing.page_first, listing.page_first + PAGES_MAX):
            page = self.page(query | {listing.page_parameter: str(number)})
            yield page
            if isinstance(page, CannotTell) or not page:
                return
            if pages and page in (pages[0], pages[-1]):
                # A desk that repeats its last page is at its end; one that answers page 2 with
                # page 1 may not page at all, and then a full first page proves nothing.
                if page == pages[0] and len(page) >= PAGE_ROWS_SURE:
                    yield CannotTell(Cause.INCOMPLETE, "the city's list repeats its first page")
                return
            pages = [*pages[:1], page]
        yield CannotTell(Cause.INCOMPLETE, "the city's list is too long to be read")

    def _query(self, code: str | None, start_ms: int, end_ms: int) -> dict[str, str]:
        listing = self._profile.listing
        query = {
            "start_date": date_text(start_ms, self._profile),
            "end_date": date_text(end_ms + 999, self._profile),
        }
        # A comma would read as a list of codes: rather read everything than filter wrongly.
        if code is not None and listing.filter_by_service and "," not in code:
            query["service_code"] = code
        if listing.page_size_parameter is not None:
            query[listing.page_size_parameter] = str(listing.rows_max)
        return query | dict(listing.parameters)

    def page(self, query: Mapping[str, str]) -> list[Record] | CannotTell:
        """One page of the city's list of requests."""
        body = self._get("requests", query, LISTING_BYTES_MAX)
        if isinstance(body, CannotTell):
            return body
        records = read_listing(body, self._profile.format)
        return _unreadable(records) if isinstance(records, Unreadable) else records

    def _list(self, path: str) -> list[Record] | CannotTell:
        body = self._get(path)
        if isinstance(body, CannotTell):
            return body
        records = read_records(body, self._profile.format)
        return _unreadable(records) if isinstance(records, Unreadable) else records

    def _get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> bytes | CannotTell:
        answer = self._exchange(path, query=query, bytes_max=bytes_max)
        if isinstance(answer, Failure):
            return CannotTell(answer.cause, answer.reason, answer.retry_after_s)
        if answer.good:
            return answer.body
        if answer.status == 429:
            pause_s = answer.retry_after_s
            return CannotTell(Cause.THROTTLED, "the city asks for a pause", pause_s)
        cause = Cause.SERVER_ERROR if answer.status >= 500 else Cause.UNREADABLE
        return CannotTell(cause, f"HTTP {answer.status} on a read", answer.retry_after_s)

    def _exchange(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        form: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> Answer | Failure:
        url = f"{self._base}/{path}.{self._profile.format}"
        query, form, headers = self._signed(query or {}, form, headers or {})
        answer = self._line.exchange(
            url, query=query, form=form, headers=headers, bytes_max=bytes_max
        )
        if isinstance(answer, Failure):
            return replace(answer, reason=self._redacted(answer.reason))
        return answer

    def _signed(
        self,
        query: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None,
        headers: Mapping[str, str],
    ) -> tuple[Mapping[str, str], Sequence[tuple[str, str]] | None, Mapping[str, str]]:
        """With the key where the desk looks for it, and with its jurisdiction."""
        profile, key = self._profile, self._api_key
        if form is None and profile.jurisdiction_id:
            query = {"jurisdiction_id": profile.jurisdiction_id, **query}
        if not key or (form is None and not profile.key_on_reads):
            return query, form, headers
        if profile.key is KeyPlace.BEARER:
            return query, form, {"Authorization": f"Bearer {key}", **headers}
        if form is None or profile.key is KeyPlace.QUERY:
            return {"api_key": key, **query}, form, headers
        return query, [("api_key", key), *form], headers

    def _redacted(self, text: str) -> str:
        if not self._api_key:
            return text
        for secret in (self._api_key, quote(self._api_key, safe=""), quote_plus(self._api_key)):
            text = text.replace(secret, "***")
        return text


def _created(records: list[Record] | Unreadable, kind: Kind) -> Outcome:
    if isinstance(records, Unreadable):
        return Unknown(Cause.UNREADABLE, records.reason)
    ids = {request_id for record in records if (request_id := id_of(record)) is not None}
    if len(ids) == 1:
        return Filed(ids.pop())
    tokens = {token for record in records if (token := token_of(record)) is not None}
    if not ids and len(tokens) == 1:
        return Tokened(tokens.pop())
    if kind is Kind.BLACKBOX and not ids:
        return Filed(None)
    return Unknown(Cause.NO_ID, "the answer does not name one request")


def _windows(start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    while start_ms <= end_ms:
        yield start_ms, min(start_ms + WINDOW_MS, end_ms)
        start_ms += WINDOW_MS


def _unreadable(what: Unreadable) -> CannotTell:
    return CannotTell(Cause.UNREADABLE, what.reason)


def _escaped(part: str) -> str:
    return quote(part, safe="")


def _other(wire: Wire) -> Wire:
    return Wire.XML if wire is Wire.JSON else Wire.JSON
