"""Response times: how long the city takes, by kind of fault and by district, and what it is worth.

Pure. Each number has one definition, which the page prints beside it: a time counts from the filing
to the city's closing, for requests that were closed; a share is of those closed requests that the
sensor can judge.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from gateway.views.public_record import Choice, Entry, Record, Standing

KEPT_MAX = 100  # choices of one record
_REPAIRS = frozenset({Standing.REPAIRED, Standing.CLOSED, Standing.NOT_REPAIRED})
"""Closed as done; a duplicate or a mistake was not for the city to repair."""


class Times(NamedTuple):
    """Of one kind, in one district; `zone` None: in all of them."""

    service: str
    zone: str | None
    filed: int
    open: int
    """Not closed by the city yet."""
    closed: int
    """Closed as done."""
    half_ms: int | None
    """Half of those were closed within it: their median."""
    nine_in_ten_ms: int | None
    """Nine in ten of those were closed within it."""
    confirmed: float | None
    """The share of those whose sensor shows that the fault is over."""


def times_of(record: Record, choice: Choice) -> list[Times]:
    """Those of a choice; worked out once for each record."""
    key = ("times", choice)
    found: list[Times] | None = record.worked_out.get(key)
    if found is None:
        found = response_times(choice.of(record))
        if len(record.worked_out) < KEPT_MAX:
            record.worked_out[key] = found
    return found


def response_times(entries: Iterable[Entry]) -> list[Times]:
    """A row for each kind, followed by its districts where there is more than one."""
    groups: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        groups.setdefault(entry.service, {}).setdefault(entry.zone, []).append(entry)
    rows = []
    for service, zones in sorted(groups.items()):
        counts = [(zone, _counted(found)) for zone, found in sorted(zones.items())]
        rows.append(_times(service, None, _together([count for _, count in counts])))
        if len(zones) > 1:
            rows += [_times(service, zone, count) for zone, count in counts]
    return rows


class _Count(NamedTuple):
    filed: int
    open: int
    took_ms: list[int]
    """Sorted, of those closed as done."""
    confirmed: int


def _counted(entries: Sequence[Entry]) -> _Count:
    took_ms = [
        entry.closed_ms - entry.requested_ms
        for entry in entries
        if entry.closed_ms is not None and entry.standing in _REPAIRS
    ]
    confirmed = sum(entry.standing is Standing.REPAIRED for entry in entries)
    is_open = sum(entry.closed_ms is None for entry in entries)
    return _Count(len(entries), is_open, sorted(took_ms), confirmed)


def _together(counts: Sequence[_Count]) -> _Count:
    return _Count(
        sum(count.filed for count in counts),
        sum(count.open for count in counts),
        sorted(chain.from_iterable(count.took_ms for count in counts)),
        sum(count.confirmed for count in counts),
    )


def _times(service: str, zone: str | None, count: _Count) -> Times:
    closed = len(count.took_ms)
    return Times(
        service,
        zone,
        filed=count.filed,
        open=count.open,
        closed=closed,
        half_ms=within(count.took_ms, 50),
        nine_in_ten_ms=within(count.took_ms, 90),
        confirmed=count.confirmed / closed if closed else None,
    )


def within(took_ms: Sequence[int], percent: int) -> int | None:
    """The shortest of these sorted times within which so many of a hundred ended."""
    if not took_ms:
        return None
    return took_ms[-(-len(took_ms) * percent // 100) - 1]
