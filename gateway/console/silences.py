"""Maintenance windows: those there are, the end of one, and the dialog in which one is made.

Times are written on the clocks of the city. What a window would do is tried on the last days before
it is made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from nicegui import ui

from gateway.cases.places import subject_name
from gateway.cases.silences import Silence
from gateway.console.asking import Dialog, Question, ask, text_field
from gateway.console.frame import Visit
from gateway.console.live_table import Built, Cell, LiveTable, Row
from gateway.console.parts import chip, heading, scrolling, table
from gateway.staff.deed import NEEDS, REPEAT_CHARS_MAX, faults_of_window
from gateway.staff.deeds import Deed, may
from gateway.views.cityhall import Choices, WindowPreview, choices_of, window_preview
from gateway.views.silences import SilenceView, silences_of

Refresh = Callable[[], Awaitable[object]]
HOUR_MS = 3_600_000
HOURS = 8
"""How long a window lasts unless somebody says otherwise."""
TEXT_CHARS_MAX = 2_000
_LOCAL = "%Y-%m-%dT%H:%M"


class SilencesPart:
    """The list, and the button for another."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        say = visit.words.say
        heading(say("Maintenance windows"))
        ui.label(
            say("What fires in one waits until it is over, and is filed if it is seen again.")
        ).classes("s-text")
        columns = [
            say("Number"), say("Now"), say("Next"), say("Of what"), say("Who and why"), say("End"),
        ]  # fmt: skip
        self._table = LiveTable(say("Maintenance windows"), columns, say("There is none."))
        self._may = may(visit.person, Deed.SILENCE)
        empty = Silence(who="-", why="-", from_ms=0, for_ms=0)
        button = ui.button(
            say("Add a window"), on_click=lambda: silence_dialog(visit, empty, self.refresh)
        )
        if not self._may:
            button.disable()
            ui.label(say("It asks for the role {role}.", role=NEEDS[Deed.SILENCE].role))

    async def refresh(self) -> None:
        found = await asyncio.to_thread(silences_of, self._visit.books)
        self._table.show([self._row(one) for one in found.silences])

    def _row(self, one: SilenceView) -> Row:
        words, visit = self._visit.words, self._visit
        say = words.say
        state = {"in force": say("in force"), "coming": say("coming")}.get(one.state, say("over"))
        until = say("until {time}", time=visit.time(one.until)) if one.until else ""
        about = "; ".join(filter(None, [one.about, one.repeat, one.time_zone]))
        cells: list[Cell] = [
            str(one.id),
            Built(state, lambda: chip(state, "warn" if one.state == "in force" else "")),
            until or visit.time(one.next_at),
            Built(about, lambda: ui.label(about).classes("s-text")),
            f"{one.who}: {one.why}",
            Built(one.state, lambda: self._end(one)),
        ]
        return Row(str(one.id), cells)

    def _end(self, one: SilenceView) -> None:
        say, deeds = self._visit.words.say, self._visit.console.deeds
        if not self._may or one.next_at is None:
            ui.label("-")
            return
        title = say("End window {number}", number=str(one.id))
        question = Question(
            Deed.END_SILENCE, title, say("From now on, what it was about is filed again.")
        )

        def asked() -> None:
            ask(
                self._visit,
                question,
                lambda person, _said, why: deeds.end_silence(person, one.id, why),
                lambda _: self.refresh(),
            )

        ui.button(say("End"), on_click=asked).props("flat").props["aria-label"] = title


# -- the dialog ------------------------------------------------------------------------------------


def silence_dialog(visit: Visit, start: Silence, after: Refresh, *, circuit: str = "") -> None:
    """`start`: what is filled in already; `circuit`: one that may be meant beside it."""
    _Dialog(visit, start, after, choices_of(visit.books), circuit)


class _Dialog:
    def __init__(
        self, visit: Visit, start: Silence, after: Refresh, choices: Choices, circuit: str
    ) -> None:
        self._visit, self._after, self._zone = visit, after, ZoneInfo(choices.time_zone)
        say = visit.words.say

        def build() -> None:
            self._about(start, choices, circuit)
            self._when(choices)

        told = say(
            "Nothing of what it is about is filed while it lasts. What burns is filed all the same."
        )
        title = say("Add a maintenance window")
        self._dialog = Dialog(visit, title, told, self._done, build, "s-ask-wide")
        with self._dialog.below:
            ui.button(say("What would it do?"), on_click=self._preview).props("outline")
            self._shown = ui.element("div").props("role=status")

    def _about(self, start: Silence, choices: Choices, circuit: str) -> None:
        say = self._visit.words.say
        self._assets = _text(say("Assets (names, with commas between them)"), start.assets)
        hint = say("Circuits, as {example}", example=circuit) if circuit else say("Circuits")
        self._circuits = _text(hint, start.circuits)
        self._zones = _some(say("Zones"), choices.zones, start.zones)
        self._rules = _some(say("Rules"), choices.rules, start.rules)
        self._services = _some(say("Services"), choices.services, start.services)
        self._within = start.within
        if self._within:
            ui.label(say("Only within 50 m of where it was found.")).classes("s-text")

    def _when(self, choices: Choices) -> None:
        say, now_ms = self._visit.words.say, self._visit.books.now_ms()
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._zone)
        label = say("From (on the clocks of {zone})", zone=choices.time_zone)
        self._from = ui.input(label, value=local.strftime(_LOCAL)).classes("full-width")
        self._from.props("type=datetime-local stack-label")
        self._hours = ui.number(say("For how many hours"), value=HOURS, min=0.1, max=24 * 366)
        self._hours.classes("full-width")
        repeats = {
            "": say("Once"),
            "FREQ=DAILY": say("Every day"),
            "FREQ=WEEKLY": say("Every week"),
            "FREQ=MONTHLY": say("Every month"),
        }
        self._repeat = ui.select(repeats, value="", label=say("How often")).classes("full-width")
        self._rrule = text_field(say("Or by a rule of RFC 5545"), REPEAT_CHARS_MAX)
        self._rrule.props["placeholder"] = "FREQ=WEEKLY;BYDAY=TU"

    def _silence(self, why: str) -> Silence | str:
        """The window that is written there, or what is wrong with it."""
        try:
            local = datetime.strptime(self._from.value or "", _LOCAL).replace(tzinfo=self._zone)
        except ValueError:
            return self._visit.words.say("Say when it begins.")
        made = Silence(
            who="-", why=why or "-", from_ms=round(local.timestamp() * 1000),
            for_ms=round((self._hours.value or 0) * HOUR_MS),
            repeat=self._rrule.value.strip() or self._repeat.value or "",
            time_zone=str(self._zone),
            assets=_names(self._assets.value), circuits=_names(self._circuits.value),
            zones=tuple(self._zones.value), rules=tuple(self._rules.value),
            services=tuple(self._services.value), within=self._within,
        )  # fmt: skip
        return "; ".join(faults_of_window(made)) or made

    async def _preview(self) -> None:
        made = self._silence("-")
        if isinstance(made, str):
            self._dialog.tell(made)
            return
        self._dialog.tell("")
        found = await asyncio.to_thread(window_preview, self._visit.books, made)
        self._shown.clear()
        with self._shown:
            _previewed(self._visit, found)

    async def _done(self) -> None:
        why = self._dialog.why.value.strip()
        made = self._silence(why)
        if self._dialog.lacks([self._dialog.why]):
            return
        if isinstance(made, str):
            self._dialog.tell(made)
            return
        deeds, window = self._visit.console.deeds, made
        await self._dialog.carry_out(
            lambda person: deeds.silence(person, window, why), lambda _: self._after()
        )


def _previewed(visit: Visit, found: WindowPreview) -> None:
    say = visit.words.say
    times = ", ".join(visit.time(at) for at in found.windows)
    heading(say("What it would do"), 3)
    ui.label(say("It begins: {times}", times=times or say("never"))).classes("s-text")
    ui.label(say("It is about {count} things that stand in the city.", count=f"{found.things:,}"))
    told = say(
        "Of the last 30 days, {count} incidents are of its kind; {waited} of them fell into such a "
        "window and would have waited.",
        count=f"{found.of_its_kind:,}", waited=f"{found.would_have_waited:,}",
    )  # fmt: skip
    ui.label(told).classes("s-text")
    if found.incidents:
        yes, no = say("yes"), say("no")
        columns = [say("Rule"), say("Where"), say("Found"), say("Would have waited")]
        rows = [
            [
                one.rule,
                subject_name(one.subject),
                visit.time(one.fired_at),
                yes if one.within else no,
            ]
            for one in found.incidents
        ]
        with scrolling(say("The last of them")):
            table(say("The last of them"), columns, rows).classes("s-live")


def _text(label: str, names: Sequence[str]) -> ui.input:
    return text_field(label, TEXT_CHARS_MAX, ", ".join(names))


def _some(label: str, options: Sequence[str], chosen: Sequence[str]) -> ui.select:
    known = sorted({*options, *chosen})
    made = ui.select(known, label=label, value=list(chosen), multiple=True)
    return made.classes("full-width").props("use-chips")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))
