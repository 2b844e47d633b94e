"""The page of the requests to the city: what waits for a person and why, budgets, windows.

Each state with what it means and what to do. Requests can be let pass several at once; all filing
can be stopped and resumed here. It goes on while it is read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

from nicegui import ui

from gateway.cases.places import subject_name
from gateway.cityhall.delivery import State
from gateway.clock import ms_of
from gateway.console.asking import Question, ask
from gateway.console.case_words import request_chip, request_states
from gateway.console.filing_part import FilingPart
from gateway.console.filters import Pages
from gateway.console.frame import Console, Visit
from gateway.console.incidents import incident_path, number_of
from gateway.console.live_table import Built, Cell, LiveTable, Row
from gateway.console.parts import heading
from gateway.console.silences import SilencesPart
from gateway.phrases import Phrases
from gateway.staff.deeds import Code, Deed, Outcome, may
from gateway.staff.people import Person
from gateway.views.cityhall import cityhall_of
from gateway.views.requests import RequestRow, requests_of

HERE = "/requests"
ROWS = 50
LOOK_AGAIN_S = 30.0
"""Ages and the use of budgets move on though nothing happens."""
TROUBLED = (State.UNCERTAIN, State.HELD, State.REFUSED)
MINUTE_MS = 60_000
Refresh = Callable[[], Awaitable[object]]


def add_to(console: Console) -> None:
    @console.page(HERE)
    async def shown(visit: Visit) -> None:
        state = visit.query.get("state", "")
        with visit.frame(visit.words.say("Requests to the city"), HERE):
            page = _Page(visit)
            if state in list(State):
                page.one_state(State(state), number_of(visit.query.get("after", "")))
            else:
                page.all_parts()
            await page.refresh()
            visit.on_change(page.refresh)
            ui.timer(LOOK_AGAIN_S, page.refresh)


class _Page:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._filing = FilingPart(visit, self.refresh)
        self._lists: list[_Listed] = []
        self._silences: SilencesPart | None = None

    def all_parts(self) -> None:
        words = self._visit.words
        self._filing.heads()
        heading(words.say("Waiting for approval"))
        self._lists.append(_Listed(self._visit, State.REVIEW, None, self.refresh))
        for state in TROUBLED:
            heading(_titles(words)[state])
            self._lists.append(_Listed(self._visit, state, None, self.refresh))
        self._filing.states()
        self._filing.budgets()
        with ui.element("section").classes("s-stack"):
            self._silences = SilencesPart(self._visit)

    def one_state(self, state: State, after: int | None) -> None:
        words = self._visit.words
        with ui.element("div").classes("s-row"):
            ui.link(words.say("All of filing"), HERE)
        heading(words.say("Requests: {state}", state=request_states(words)[state].text))
        self._lists.append(_Listed(self._visit, state, after, self.refresh))

    async def refresh(self) -> None:
        hall = await asyncio.to_thread(cityhall_of, self._visit.books)
        self._filing.show(hall)
        for one in self._lists:
            await one.refresh()
        if self._silences is not None:
            await self._silences.refresh()


class _Listed:
    """The requests in one state, the newest first."""

    def __init__(self, visit: Visit, state: State, after: int | None, refresh: Refresh) -> None:
        self._visit, self._state, self._after, self._again = visit, state, after, refresh
        self._chosen: dict[str, bool] = {}
        self._rows: Sequence[RequestRow] = ()
        self._drawn = 0
        words = visit.words
        say = words.say
        self._approves = state is State.REVIEW and may(visit.person, Deed.APPROVE)
        self._means = ui.label(request_states(words)[state].means).classes("s-text")
        with ui.element("div").classes("s-row") as self._choosing:
            if self._approves:
                self._button = ui.button(say("Approve those chosen"), on_click=self._approve)
                ui.button(say("Choose all"), on_click=self._choose_all).props("flat")
        columns = [say("Incident"), say("Service"), say("Where"), say("Age"), say("Reason"),
                   say("State")]  # fmt: skip
        if self._approves:
            columns = [say("Choose"), *columns]
        title = _titles(words).get(state, request_states(words)[state].text)
        self._table = LiveTable(title, columns, say("There is none."))
        label = say("Pages of the list: {title}", title=title)
        self._pages = Pages(words, label, partial(_address, state), after)

    async def refresh(self) -> None:
        found = await asyncio.to_thread(
            requests_of, self._visit.books, self._after, ROWS, state=self._state
        )
        there = {one.reference for one in found.requests}
        self._chosen = {name: on for name, on in self._chosen.items() if name in there}
        now_ms = self._visit.books.now_ms()
        self._rows = found.requests
        self._draw(now_ms)
        self._means.visible = bool(self._rows)
        self._choosing.visible = self._approves and bool(self._rows)
        self._pages.show(found.next)

    def _draw(self, now_ms: int) -> None:
        self._table.show([self._row(one, now_ms) for one in self._rows])
        if self._approves:
            self._button.set_enabled(any(self._chosen.values()))

    def _row(self, one: RequestRow, now_ms: int) -> Row:
        words = self._visit.words
        where = ", ".join(filter(None, [subject_name(one.subject), one.address, one.zone]))
        told = f"{one.state} {one.request_id or ''}"
        cells: list[Cell] = [
            Built(one.reference, lambda: self._name(one)),
            one.service,
            Built(where, lambda: ui.label(where).classes("s-text")),
            age_text(words, one.created_at, now_ms),
            Built(one.reason, lambda: ui.label(one.reason or "-").classes("s-text")),
            Built(told, lambda: self._stands(one)),
        ]
        if self._approves:
            cells = [Built(self._drawn, lambda: self._choice(one)), *cells]
        return Row(one.reference, cells)

    def _name(self, one: RequestRow) -> None:
        with ui.element("div"):
            ui.link(f"#{one.incident}", incident_path(one.incident))
            ui.label(one.reference).classes("s-code")

    def _stands(self, one: RequestRow) -> None:
        with ui.element("div"):
            request_chip(self._visit.words, one.state)
            if one.request_id:
                ui.label(one.request_id).classes("s-code")
            if Deed.RETRY in one.possible and may(self._visit.person, Deed.RETRY):
                words = self._visit.words
                button = ui.button(words.say("Try again"), on_click=lambda: self._retry(one))
                button.props("flat dense").props["aria-label"] = words.say(
                    "Try again: {reference}", reference=one.reference
                )

    # -- choosing -----------------------------------------------------------------------------

    def _choice(self, one: RequestRow) -> None:
        box = ui.checkbox(value=self._chosen.get(one.reference, False))
        box.on_value_change(lambda event: self._choose(one.reference, on=bool(event.value)))
        box.props["aria-label"] = self._visit.words.say(
            "Choose {reference}", reference=one.reference
        )

    def _choose(self, reference: str, *, on: bool) -> None:
        self._chosen[reference] = on
        self._button.set_enabled(any(self._chosen.values()))

    def _choose_all(self) -> None:
        self._chosen = {one.reference: True for one in self._rows}
        self._drawn += 1
        self._draw(self._visit.books.now_ms())

    def _approve(self) -> None:
        say, deeds = self._visit.words.say, self._visit.console.deeds
        chosen = [one.reference for one in self._rows if self._chosen.get(one.reference)]
        question = Question(
            Deed.APPROVE,
            say("Approve {count}", count=str(len(chosen))),
            say("These requests are sent to the city, whatever the budgets say."),
        )

        def each(person: Person, _said: object, why: str) -> Outcome:
            return together(
                self._visit.words,
                [(name, deeds.approve(person, name, why)) for name in chosen],
            )

        ask(self._visit, question, each, lambda _: self._again())

    def _retry(self, one: RequestRow) -> None:
        say, deeds = self._visit.words.say, self._visit.console.deeds
        question = Question(
            Deed.RETRY,
            say("Try again"),
            say(
                "The request is sent once more. If the city had stored it after all, it may have "
                "two then."
            ),
        )
        ask(
            self._visit,
            question,
            lambda person, _said, why: deeds.retry(person, one.reference, why),
            lambda _: self._again(),
        )


def together(words: Phrases, each: Sequence[tuple[str, Outcome]]) -> Outcome:
    """Several deeds as one: done where all are; else why the first of the others was not."""
    done = sum(outcome.done for _, outcome in each)
    others = [(name, outcome) for name, outcome in each if not outcome.done]
    if not others:
        return Outcome(Code.DONE, words.say("{count} are approved.", count=str(done)))
    name, first = others[0]
    text = words.say(
        "{done} are approved, {others} are not; {name}: {why}",
        done=str(done), others=str(len(others)), name=name, why=first.text,
    )  # fmt: skip
    return Outcome(first.code, text)


def age_text(words: Phrases, since: str | None, now_ms: int) -> str:
    """How long ago, in the largest unit that says something."""
    since_ms = ms_of(since or "")
    if since_ms is None:
        return "-"
    minutes = max(0, now_ms - since_ms) // MINUTE_MS
    if minutes < 120:
        return words.say("{count} min", count=str(minutes))
    if minutes < 48 * 60:
        return words.say("{count} h", count=str(minutes // 60))
    return words.say("{count} days", count=str(minutes // (24 * 60)))


def _titles(words: Phrases) -> Mapping[State, str]:
    say = words.say
    return {
        State.REVIEW: say("Waiting for approval"),
        State.UNCERTAIN: say("Unknown: may have arrived"),
        State.HELD: say("Kept: may have arrived"),
        State.REFUSED: say("Refused by the city"),
    }


def _address(state: State, after: int | None = None) -> str:
    asked = {"state": str(state)} | ({} if after is None else {"after": str(after)})
    return f"{HERE}?{urlencode(asked)}"
