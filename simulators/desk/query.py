"""A listing query: which stored requests a reader asks the simulated desk for.

Reads the parameters of GET /requests as the standard defines them, with its default limits: the
last 90 days, the first 1,000. What cannot be understood is refused, never ignored: a client whose
filter is silently dropped would believe a request absent. Never reads the ledger or the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulators.desk.dialect import STANDARD, Dialect
from simulators.desk.wire import Reason, Refusal

SPAN_MS_MAX = 90 * 86_400_000  # GeoReport v2: a range of dates covers at most 90 days
_ITEMS_MAX = 1000  # as many ids as a page could name
_PAGE_MAX = 1_000_000

_STATUSES = frozenset({"open", "closed"})


@dataclass(frozen=True, slots=True)
class Query:
    """`ids` given: they alone decide. Times are inclusive, of the published (whole) second."""

    ids: tuple[str, ...]
    service_codes: tuple[str, ...]
    statuses: tuple[str, ...]
    start_ts_ms: int
    end_ts_ms: int
    page: int
    page_size: int


def read_query(
    parameters: Mapping[str, str], now_ms: int, dialect: Dialect = STANDARD
) -> Query | list[Refusal]:
    """The query, or every reason why it is none. Page sizes over the limit are cut to it."""
    refusals: list[Refusal] = []
    span = _span(parameters, now_ms, dialect, refusals)
    usual, most = dialect.page_size_usual, dialect.page_size_max
    size = _whole(parameters, dialect.page_size, usual, _PAGE_MAX, refusals)
    page = _whole(parameters, dialect.page, 1, _PAGE_MAX, refusals)
    query = Query(
        ids=_items(parameters, "service_request_id", refusals),
        service_codes=_items(parameters, "service_code", refusals),
        statuses=() if dialect.any_status else _items(parameters, "status", refusals),
        start_ts_ms=span[0],
        end_ts_ms=span[1],
        page=page if dialect.pages else 1,
        page_size=min(most, size),
    )
    if not set(query.statuses) <= _STATUSES:
        refusals.append(Refusal(Reason.INVALID, "status must be open, closed or both"))
    return refusals or query


def _span(
    parameters: Mapping[str, str], now_ms: int, dialect: Dialect, refusals: list[Refusal]
) -> tuple[int, int]:
    """The range asked for; one end alone reaches 90 days from there."""
    start = _date(parameters, "start_date", dialect, refusals)
    end = _date(parameters, "end_date", dialect, refusals)
    if start is not None and end is not None and not 0 <= end - start <= SPAN_MS_MAX:
        refusals.append(Refusal(Reason.INVALID, "start_date to end_date must span 0 to 90 days"))
    if end is None:
        end = now_ms if start is None else start + SPAN_MS_MAX
    return (end - SPAN_MS_MAX if start is None else start), end


def _date(
    parameters: Mapping[str, str], name: str, dialect: Dialect, refusals: list[Refusal]
) -> int | None:
    text = parameters.get(name, "")
    value = dialect.date_ms(text) if text else None
    if text and value is None:
        wanted = "RFC 3339 with a time zone" if dialect.zone is None else "without a time zone"
        refusals.append(Refusal(Reason.INVALID, f"{name} must be a time, {wanted}"))
    return value


def _items(parameters: Mapping[str, str], name: str, refusals: list[Refusal]) -> tuple[str, ...]:
    items = tuple(item for raw in parameters.get(name, "").split(",") if (item := raw.strip()))
    if len(items) > _ITEMS_MAX:
        refusals.append(Refusal(Reason.INVALID, f"{name} names more than {_ITEMS_MAX}"))
    return items


def _whole(
    parameters: Mapping[str, str], name: str, default: int, limit: int, refusals: list[Refusal]
) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= limit:
        return int(text)
    refusals.append(Refusal(Reason.INVALID, f"{name} must be a whole number from 1"))
    return default
