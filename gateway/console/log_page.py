"""The log: what people did or tried through the console, the interface and the commands, and why.

Shows; nothing in it can be changed. For those who act themselves: it names people.
"""

import asyncio
from urllib.parse import urlencode

from nicegui import ui

from gateway.console.case_words import Worded, deed_words, outcome_words
from gateway.console.filters import CHARS_MAX, Filter, Pages, filter_form
from gateway.console.frame import Console, Visit
from gateway.console.incidents import number_of
from gateway.console.live_table import Built, Cell, LiveTable, Row
from gateway.console.parts import chip
from gateway.phrases import Phrases
from gateway.staff.people import Role
from gateway.views.audit import AuditLine, audit_of

HERE = "/log"
ROWS = 50


def add_to(console: Console) -> None:
    @console.page(HERE)
    async def shown(visit: Visit) -> None:
        with visit.frame(visit.words.say("Log"), HERE):
            if not visit.person.role.covers(Role.OPERATOR):
                text = visit.words.say("It asks for the role {role}.", role=Role.OPERATOR)
                ui.label(text)
                return
            page = _Page(visit)
            await page.refresh()
            visit.on_change(page.refresh)


class _Page:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        say = visit.words.say
        self._asked = {
            name: visit.query.get(name, "")[:CHARS_MAX].strip()
            for name in ("who", "deed", "subject")
        }
        self._before = number_of(visit.query.get("before", ""))
        deeds = deed_words(visit.words)
        fields = [
            Filter("who", say("Who"), self._asked["who"]),
            Filter("deed", say("What"), self._asked["deed"], {"": say("All"), **deeds}),
            Filter("subject", say("Of what, exactly"), self._asked["subject"]),
        ]
        filter_form(visit.words, say("Which entries are shown"), HERE, fields, {})
        columns = [
            say("When"), say("Who"), say("What"), say("Of what"), say("Why"),
            say("What came of it"),
        ]  # fmt: skip
        self._table = LiveTable(say("Log"), columns, say("There is no entry like that."))
        self._pages = Pages(visit.words, say("Pages of the log"), self._address, self._before)

    async def refresh(self) -> None:
        found = await asyncio.to_thread(
            lambda: audit_of(self._visit.books, self._before, ROWS, **self._asked)
        )
        self._table.show([self._row(one) for one in found.entries])
        self._pages.show(found.next)

    def _address(self, before: int | None) -> str:
        asked = {name: text for name, text in self._asked.items() if text}
        asked |= {} if before is None else {"before": str(before)}
        return f"{HERE}?{urlencode(asked)}".rstrip("?")

    def _row(self, one: AuditLine) -> Row:
        words = self._visit.words
        who = words.say("{who} ({role}), {via}", who=one.who, role=one.role, via=one.via)
        cells: list[Cell] = [
            self._visit.time(one.at),
            Built(who, lambda: ui.label(who).classes("s-text")),
            deed_words(words).get(one.deed, one.deed),
            Built(one.subject, lambda: ui.label(one.subject).classes("s-text")),
            Built(one.why, lambda: ui.label(one.why or "-").classes("s-text")),
            Built((one.code, one.text), lambda: _outcome(words, one)),
        ]
        return Row(str(one.id), cells)


def _outcome(words: Phrases, one: AuditLine) -> None:
    worded = outcome_words(words).get(one.code, Worded(one.code, "", ""))
    with ui.element("div"):
        chip(worded.text, worded.tone)
        ui.label(one.text).classes("s-text")
