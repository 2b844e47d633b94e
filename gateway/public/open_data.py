"""Open data: the entries of the record as GeoJSON and CSV, and the response times as CSV.

A page at a time, newest first; where there is more the answer says where it goes on. Texts that a
spreadsheet would take for a formula are quoted. Columns are never renamed; they are explained on
the page `about`.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from gateway.cityhall.requests import rfc3339
from gateway.public.answers import Answer
from gateway.public.asked import Asked, Page, choice_of, page_of
from gateway.public.names import kinds
from gateway.public.tongue import Tongue
from gateway.views.public_record import Entry, Record
from gateway.views.response_times import Times, times_of

LIMIT = 1_000
LIMIT_MAX = 10_000
PAGES_MAX = 1_000_000
CSV_TYPE = "text/csv; charset=utf-8; header=present"
COLUMNS = (
    "service_request_id", "status", "state", "kind", "kind_name", "zone", "address", "lat", "long",
    "found_at", "requested_datetime", "updated_datetime", "closed_at",
)  # fmt: skip
TIMES_COLUMNS = (
    "kind", "kind_name", "zone", "filed", "open", "closed", "half_closed_within_h",
    "nine_in_ten_closed_within_h", "confirmed_share",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def geojson(record: Record, asked: Asked, tongue: Tongue) -> Answer:
    """A FeatureCollection of points, longitude first."""
    page = _page(record, asked)
    names = kinds(record.services, tongue.words)
    features = [_feature(entry, names) for entry in page.entries]
    body = msgspec.json.encode(
        {
            "type": "FeatureCollection",
            "total": page.total,
            "page": page.number,
            "pages": page.last,
            "features": features,
        }
    )
    return Answer(body, "application/geo+json", headers=page.header(asked))


def rows_csv(record: Record, asked: Asked, tongue: Tongue) -> Answer:
    """The same as RFC 4180, with a header."""
    page = _page(record, asked)
    names = kinds(record.services, tongue.words)
    rows = (_cells(entry, names) for entry in page.entries)
    headers = page.header(asked) | _saved_as("sense311-requests.csv")
    return Answer(written(COLUMNS, rows), CSV_TYPE, headers=headers)


def times_csv(record: Record, asked: Asked, tongue: Tongue) -> Answer:
    """A row for each kind, with zone `*`, and for each of its districts."""
    names = kinds(record.services, tongue.words)
    rows = (_time_cells(times, names) for times in times_of(record, choice_of(asked)))
    return Answer(
        written(TIMES_COLUMNS, rows), CSV_TYPE, headers=_saved_as("sense311-response-times.csv")
    )


def written(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """RFC 4180: lines end in CR LF, quotes are doubled."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _safe(cell: Any) -> Any:
    """Numbers are what they are; a text is never a formula."""
    if isinstance(cell, str) and cell.lstrip().startswith(_FORMULA):
        return f"'{cell}"
    return "" if cell is None else cell


def _page(record: Record, asked: Asked) -> Page:
    size = asked.number("limit", LIMIT, LIMIT_MAX)
    return page_of(choice_of(asked).of(record), asked.number("page", 1, PAGES_MAX), size)


def _saved_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _cells(entry: Entry, names: dict[str, str]) -> Iterator[Any]:
    yield entry.number
    yield "open" if entry.closed_ms is None else "closed"
    yield str(entry.standing)
    yield entry.service
    yield names[entry.service]
    yield entry.zone
    yield entry.address
    yield entry.lat
    yield entry.long
    yield rfc3339(entry.found_ms)
    yield rfc3339(entry.requested_ms)
    yield rfc3339(entry.updated_ms)
    yield None if entry.closed_ms is None else rfc3339(entry.closed_ms)


def _feature(entry: Entry, names: dict[str, str]) -> dict[str, Any]:
    properties = dict(zip(COLUMNS, _cells(entry, names), strict=True))
    place = [properties.pop("long"), properties.pop("lat")]
    return {
        "type": "Feature",
        "id": entry.number,
        "geometry": {"type": "Point", "coordinates": place},
        "properties": properties,
    }


def _time_cells(times: Times, names: dict[str, str]) -> Iterator[Any]:
    yield times.service
    yield names[times.service]
    yield "*" if times.zone is None else times.zone
    yield from (times.filed, times.open, times.closed)
    for ms in (times.half_ms, times.nine_in_ten_ms):
        yield None if ms is None else round(ms / 3_600_000, 2)
    yield None if times.confirmed is None else round(times.confirmed, 4)
