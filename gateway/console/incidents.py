"""The page of the incidents: what goes on, the newest first, and what waits for a person.

What is chosen stands in the address. The list goes on while it is read: rows come, change and go,
and the rest stays as it is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

from nicegui import ui

from gateway.cases.incident import State
from gateway.cases.places import subject_name
from gateway.console.case_words import incident_chip, incident_states, request_chip
from gateway.console.city import kinds
from gateway.console.filters import CHARS_MAX, Filter, Pages, filter_form
from gateway.console.frame import Console, Visit
from gateway.console.live_table import Built, Cell, LiveTable, Row
from gateway.staff.deed import NUMBER_MAX
from gateway.views.cityhall import Choices, choices_of, waiting_of
from gateway.views.incidents import IncidentList, IncidentRow, Wanted, incidents_of

HERE = "/incidents"
ROWS = 50
"""On a page: more is slow to draw, and nobody reads it."""
HOURS = (1, 24, 24 * 7, 24 * 30)
ALL, OVER = "all", "over"


def add_to(console: Console) -> None:
    @console.page(HERE)
    async def listed(visit: Visit) -> None:
        wanted, after = _asked(visit.query)
        choices = await asyncio.to_thread(choices_of, visit.books)
        with visit.frame(visit.words.say("Incidents"), HERE):
            page = _Page(visit, wanted, after)
            page.filters(choices)
            page.list()
            await page.refresh()
            visit.on_change(page.refresh)


def incident_path(number: int) -> str:
    return f"{HERE}/{number}"


class _Page:
    def __init__(self, visit: Visit, wanted: Wanted, after: int | None) -> None:
        self._visit = visit
        self._wanted = wanted
        self._after = after

    def filters(self, choices: Choices) -> None:
        visit, wanted = self._visit, self._wanted
        say = visit.words.say
        with ui.element("div").classes("s-row"):
            self._waiting = ui.link("", f"{HERE}?waiting=1").classes("s-filter")
            if wanted.waiting:
                self._waiting.props("aria-current=true")
        fields = [
            Filter("search", say("Asset, address, reference or the city's number"), wanted.search),
            Filter("state", say("State"), _state_of(wanted), self._states()),
            Filter("kind", say("Kind"), wanted.kind, {"": say("All"), **self._kinds()}),
            Filter("zone", say("Zone"), wanted.zone, _all(say("All"), choices.zones)),
            Filter("rule", say("Rule"), wanted.rule, _all(say("All"), choices.rules)),
            Filter("hours", say("Found within"), _hours_text(wanted), self._ages()),
        ]
        kept = {"waiting": "1"} if wanted.waiting else {}
        kept |= {"asset": wanted.asset} if wanted.asset else {}
        filter_form(visit.words, say("Which incidents are shown"), HERE, fields, kept)
        if wanted.asset:
            ui.label(say("Only those of {asset}.", asset=wanted.asset)).classes("s-text")

    def list(self) -> None:
        say = self._visit.words.say
        self._told = ui.label().classes("s-quiet").props("role=status")
        columns = [
            say("Incident"), say("What"), say("Where"), say("State"), say("Found"), say("Request"),
        ]  # fmt: skip
        self._table = LiveTable(say("Incidents"), columns, say("No incident is like that."))
        address = partial(_address, self._wanted)
        self._pages = Pages(self._visit.words, say("Pages of the list"), address, self._after)

    async def refresh(self) -> None:
        books, say = self._visit.books, self._visit.words.say
        found, waiting = await asyncio.to_thread(
            lambda: (incidents_of(books, self._wanted, self._after, ROWS), waiting_of(books))
        )
        self._waiting.text = say("Waiting for a person: {count}", count=f"{waiting:,}")
        self._table.show([self._row(one) for one in found.incidents])
        self._told.text = self._count(found)
        self._pages.show(found.next)

    def _count(self, found: IncidentList) -> str:
        say, count = self._visit.words.say, f"{len(found.incidents):,}"
        if found.next is not None:
            return say("{count} are shown; there are older ones.", count=count)
        return say("{count} are shown.", count=count)

    def _row(self, one: IncidentRow) -> Row:
        words, request = self._visit.words, one.request
        asked = "" if request is None else f"{request.state} {request.request_id or ''}"
        where = _where(one)
        cells: list[Cell] = [
            Built(one.id, lambda: ui.link(f"#{one.id}", incident_path(one.id))),
            Built(one.title or one.rule,
                  lambda: ui.label(one.title or one.rule).classes("s-text")),
            Built(where, lambda: ui.label(where).classes("s-text")),
            Built((one.state, one.open),
                  lambda: incident_chip(words, one.state, is_open=one.open)),
            self._visit.time(one.fired_at),
            Built(asked, lambda: self._request(one)) if request is not None else "-",
        ]  # fmt: skip
        return Row(str(one.id), cells)

    def _request(self, one: IncidentRow) -> None:
        if one.request is not None:
            with ui.element("span"):
                request_chip(self._visit.words, one.request.state)
                if one.request.request_id:
                    ui.label(one.request.request_id).classes("s-code")

    def _states(self) -> Mapping[str, str]:
        say = self._visit.words.say
        named = {state: one.text for state, one in incident_states(self._visit.words).items()}
        return {"": say("Open"), OVER: say("Over"), ALL: say("All"), **named}

    def _kinds(self) -> Mapping[str, str]:
        known = kinds(self._visit.words)
        return {kind: known[kind] for kind in ("streetlight", "cabinet", "road", "bin")}

    def _ages(self) -> Mapping[str, str]:
        say = self._visit.words.say
        texts = [say("1 hour"), say("24 hours"), say("7 days"), say("30 days")]
        return {"": say("Any time")} | {
            str(hours): text for hours, text in zip(HOURS, texts, strict=True)
        }


def _where(one: IncidentRow) -> str:
    return ", ".join(filter(None, [subject_name(one.subject), one.address, one.zone]))


def _all(text: str, names: Sequence[str]) -> Mapping[str, str]:
    return {"": text} | {name: name for name in names}


def number_of(text: str) -> int | None:
    """A number of an incident that an address names; None: it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(NUMBER_MAX))):
        return None
    number = int(text)
    return number if 0 < number < NUMBER_MAX else None


def _asked(query: Mapping[str, str]) -> tuple[Wanted, int | None]:
    """What the address asks for; what it cannot ask for is left out. Open ones by default; what is
    waiting and what a state names may be over.
    """
    text = {name: query.get(name, "")[:CHARS_MAX] for name in ("kind", "zone", "rule", "asset")}
    state, waiting = query.get("state", ""), query.get("waiting") == "1"
    hours = query.get("hours", "")
    known = state in list(State)
    is_open = {"": None if waiting else True, OVER: False}.get(state)
    wanted = Wanted(
        **text,
        state=state if known else "",
        open=True if not (known or state in ("", OVER, ALL)) else is_open,
        waiting=waiting,
        hours=float(hours) if hours in map(str, HOURS) else None,
        search=query.get("search", "")[:CHARS_MAX].strip(),
    )
    return wanted, number_of(query.get("after", ""))


def _state_of(wanted: Wanted) -> str:
    if wanted.state:
        return wanted.state
    return {True: "", False: OVER, None: "" if wanted.waiting else ALL}[wanted.open]


def _hours_text(wanted: Wanted) -> str:
    return "" if wanted.hours is None else f"{wanted.hours:.0f}"


def _address(wanted: Wanted, after: int | None = None) -> str:
    asked = {
        "search": wanted.search, "state": _state_of(wanted), "kind": wanted.kind,
        "zone": wanted.zone, "rule": wanted.rule, "asset": wanted.asset,
        "hours": _hours_text(wanted), "waiting": "1" if wanted.waiting else "",
        "after": "" if after is None else str(after),
    }  # fmt: skip
    return f"{HERE}?{urlencode({name: text for name, text in asked.items() if text})}".rstrip("?")
