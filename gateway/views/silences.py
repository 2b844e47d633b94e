"""Maintenance windows as they are shown: when each comes next, what it is about, who asked for it.

Says what `silence ls` says, and the lists that it is made of.
"""

from gateway.books.ledger import silences_of as known_silences
from gateway.cases.preview import told
from gateway.cases.silences import Silence
from gateway.field.device_status import shown_time
from gateway.views.books import Books
from gateway.views.requests import Record

SHOWN_MAX = 1_000


class SilenceView(Record):
    """`next_at` None: it never comes again; `until` None: it is not in force now. `within`: the
    ring of its polygon, as pairs of latitude and longitude.
    """

    id: int
    state: str
    next_at: str | None
    until: str | None
    about: str
    since: str | None
    lasts_s: int
    repeat: str
    time_zone: str
    assets: list[str]
    circuits: list[str]
    zones: list[str]
    rules: list[str]
    services: list[str]
    within: list[tuple[float, float]]
    who: str
    why: str


class SilenceList(Record):
    silences: list[SilenceView]


def silences_of(books: Books, *, over: bool = False) -> SilenceList:
    """The newest first; with `over` those too that never come again. StoreBroken."""
    now_ms = books.now_ms()
    found = [silence_view(*one, now_ms) for one in reversed(known_silences(books.database))]
    shown = [one for one in found if over or one.next_at is not None]
    return SilenceList(silences=shown[:SHOWN_MAX])


def silence_view(number: int, silence: Silence, now_ms: int) -> SilenceView:
    return SilenceView(
        id=number,
        **told(silence, now_ms),
        since=shown_time(silence.from_ms),
        lasts_s=silence.for_ms // 1000,
        assets=list(silence.assets),
        circuits=list(silence.circuits),
        zones=list(silence.zones),
        rules=list(silence.rules),
        services=list(silence.services),
        within=list(silence.within),
    )
