"""What somebody reported already: a request that is there about the same fault.

A fault that a resident reported is not asked for again; it is followed under the request that is
there. Looks only at requests of the same service that are open, or were closed not long ago and
after the fault began, and never at those of our books. One that carries a reference which the books
do not know is of a gateway too: of this one, before its books were lost or put back, or of another.
It is taken for the same fault where it has the very reference or names the asset; where it is only
near, a person sees it first. What cannot be read stops nothing. Keeps each list for some minutes;
never sends.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gateway.cases.places import metres
from gateway.cityhall.delivery import CannotTell, Diverted, Found, Row
from gateway.cityhall.georeport_read import Record, id_of, references_in, texts_of
from gateway.cityhall.outbox import REFERENCE_PREFIX

FRESH_S = 300.0
"""A storm of faults reads the list once."""
NAMED_M_MAX = 200.0
"""A request that names the asset may have been pinned this far from it."""
NAMED_SCORE = 0.95
ID_CHARS_MIN = 4
"""A shorter asset id may stand in any text."""
REFERENCES_MAX = 20
"""A request with more of them is nobody's honest one."""
DAY_MS = 86_400_000

Read = Callable[[str, int, int, str], Sequence[Record] | CannotTell]
"""service, from ms, to ms, status -> what the city lists of it."""
Knows = Callable[[Collection[str]], Collection[str]]
"""Which of some references the books know."""
OPEN, CLOSED = "open", "closed"


@dataclass(frozen=True, slots=True)
class Match:
    """`score`: 1 at the very spot, a half at the edge of the radius. `by`: whose request it is.
    `sure`: it is taken for the same fault without a person.
    """

    request_id: str
    score: float
    why: str
    by: str = "reported by somebody else"
    names_it: bool = False
    sure: bool = True

    def event(self) -> Found | Diverted:
        if self.sure:
            words = f"linked to {self.request_id}, {self.by}: {self.why}"
            return Found(self.request_id, f"{words} (score {self.score:.2f})")
        words = f"{self.request_id}, {self.by}, is {self.why}"
        return Diverted(f"{words}: link it if it is the same fault, else approve")


class Residents:
    """The open requests of one desk. `now_s`: a clock that never goes back."""

    def __init__(self, read: Read, now_s: Callable[[], float]) -> None:
        self._read = read
        self._now_s = now_s
        self._known: dict[tuple[str, str], tuple[float, Sequence[Record]]] = {}

    def match(
        self, row: Row, radius_m: float, days: int, closed_days: int, now_ms: int, knows: Knows
    ) -> Found | Diverted | None:
        """The request that is about the row's fault, or may be; None where there is none, or no
        telling. One that was closed `closed_days` ago at most is asked for only where none is open.
        """
        best = best_of(self._list(row.service, OPEN, days, now_ms), row, radius_m, knows)
        if best is None and closed_days:
            closed = self._list(row.service, CLOSED, days, now_ms)
            since_ms = max(row.request.observed_at_ms, now_ms - closed_days * DAY_MS)
            late = [record for record in closed if closed_ms(record) >= since_ms]
            best = best_of(late, row, radius_m, knows)
        return None if best is None else best.event()

    def _list(self, service: str, status: str, days: int, now_ms: int) -> Sequence[Record]:
        until_s, records = self._known.get((service, status), (0.0, ()))
        if self._now_s() >= until_s:
            read = self._read(service, now_ms - days * DAY_MS, now_ms, status)
            seen = () if isinstance(read, CannotTell) else read
            records = [record for record in seen if status_of(record) == status]
            self._known[service, status] = self._now_s() + FRESH_S, records
        return records


def status_of(record: Record) -> str:
    status = record.get("status")
    return status.strip().lower() if isinstance(status, str) else ""


def closed_ms(record: Record) -> int:
    """When a closed request was closed; 0 where that cannot be told."""
    text = record.get("updated_datetime")
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return 0
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def best_of(records: Sequence[Record], row: Row, radius_m: float, knows: Knows) -> Match | None:
    """The likeliest of them; of equals the one that was listed first."""
    matches = list(_matches(records, row, radius_m, knows))
    return max(matches, key=lambda match: (match.sure, match.score), default=None)


def _matches(records: Sequence[Record], row: Row, radius_m: float, knows: Knows) -> Iterator[Match]:
    named = _name_of(row.request.asset_id)
    for record in records:
        request_id, references = id_of(record), references_in(record)
        if request_id is None:
            continue
        if row.reference in references:
            why = "it carries this very reference"
            match: Match | None = Match(request_id, 1.0, why, "asked for before books were lost")
        else:
            match = _match(request_id, record, row, radius_m, named)
            if match is not None and _is_of_a_gateway(record):
                match = _of_a_gateway(match, references, knows)
        if match is not None:
            yield match


def _match(
    request_id: str, record: Record, row: Row, radius_m: float, named: re.Pattern[str] | None
) -> Match | None:
    """By name and place alone, whoever made the request."""
    distance_m = _distance_m(record, row)
    names_it = named is not None and any(named.search(text) for text in texts_of(record))
    if names_it and (distance_m is None or distance_m <= NAMED_M_MAX):
        return Match(request_id, NAMED_SCORE, f"it names {row.request.asset_id}", names_it=True)
    if distance_m is not None and distance_m <= radius_m:
        score = 1 - distance_m / radius_m / 2
        return Match(request_id, score, f"{distance_m:.0f} m from here")
    return None


def _of_a_gateway(match: Match, references: Collection[str], knows: Knows) -> Match | None:
    """None: it is in the books, or its reference cannot be read."""
    if not 0 < len(references) <= REFERENCES_MAX or knows(references):
        return None
    by = "asked for by a gateway that is not these books"
    return replace(match, by=by, sure=match.names_it)


def _is_of_a_gateway(record: Record) -> bool:
    return any(REFERENCE_PREFIX in text.upper() for text in texts_of(record))


def _distance_m(record: Record, row: Row) -> float | None:
    try:
        lat, long = float(_number(record, "lat")), float(_number(record, "long"))
    except ValueError:
        return None
    if not (-90 <= lat <= 90 and -180 <= long <= 180) or lat == long == 0:
        return None
    return metres(lat, long, row.request.lat, row.request.long)


def _number(record: Record, name: str) -> Any:
    value = record.get(name)
    return value if isinstance(value, str | float | int) else ""


def _name_of(asset_id: str | None) -> re.Pattern[str] | None:
    if asset_id is None or len(asset_id) < ID_CHARS_MIN or not any(map(str.isdigit, asset_id)):
        return None
    return re.compile(rf"(?<![\w-]){re.escape(asset_id)}(?![\w-])", re.IGNORECASE)
