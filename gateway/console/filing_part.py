"""How filing stands, on the page of the requests: the city's servers, stop and resume, budgets.

What is shown is what the running gateway said last; where it does not run, that is said instead.
"""

from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.cityhall.delivery import EMERGENCY
from gateway.console.asking import Question, ask
from gateway.console.case_words import request_states
from gateway.console.frame import Visit
from gateway.console.live_table import Built, Cell, LiveTable, Row
from gateway.console.parts import Cell as Fact
from gateway.console.parts import Tone, chip, facts, heading
from gateway.staff.deed import NEEDS
from gateway.staff.deeds import Deed, may
from gateway.views.cityhall import BudgetUse, CityHall, DeskView, StateCount

Refresh = Callable[[], Awaitable[object]]


class FilingPart:
    """Parts that are placed one by one, then `show`n together."""

    def __init__(self, visit: Visit, refresh: Refresh) -> None:
        self._visit = visit
        self._refresh = refresh
        self._head: ui.element | None = None
        self._shows: object = None
        self._states: LiveTable | None = None
        self._budgets: LiveTable | None = None

    def heads(self) -> None:
        """Where the desks, and whether anything is sent at all, will stand."""
        self._head = ui.element("div").classes("s-stack")

    def states(self) -> None:
        say = self._visit.words.say
        heading(say("All requests, by state"))
        columns = [say("State"), say("Requests"), say("Oldest made"), say("What it means")]
        self._states = LiveTable(say("All requests, by state"), columns, say("There is none."))

    def budgets(self) -> None:
        say = self._visit.words.say
        heading(say("Budgets"))
        ui.label(
            say("What is over a budget waits for approval. What is urgent counts nowhere.")
        ).classes("s-text")
        columns = [say("Of what"), say("Used"), say("Allowed")]
        none = say("No budget is set.")
        self._budgets = LiveTable(say("Budgets"), columns, none)

    def show(self, hall: CityHall) -> None:
        what = hall.model_copy(update={"states": [], "budgets": []})
        if self._head is not None and what != self._shows:
            self._shows = what
            self._head.clear()
            with self._head:
                self._whether(hall)
                with ui.element("div").classes("s-desks"):
                    for desk in hall.desks:
                        self._desk(desk)
        if self._states is not None:
            self._states.show([self._state(one) for one in hall.states])
        if self._budgets is not None:
            self._budgets.show([self._budget(one) for one in hall.budgets])

    # -- whether anything is sent -------------------------------------------------------------

    def _whether(self, hall: CityHall) -> None:
        say, person = self._visit.words.say, self._visit.person
        modes = {
            "live": say("Requests are sent by themselves, within the budgets."),
            "approve": say("Each request waits until somebody approves it."),
            "dry-run": say("Nothing is ever sent: this is a dry run."),
        }
        deed = Deed.RESUME_FILING if hall.stopped else Deed.STOP_FILING
        with ui.element("section").classes("s-card"):
            heading(say("Filing"))
            if not hall.running:
                text = say("The gateway is not running: nothing is sent, and what is shown is old.")
                ui.label(text).classes("s-state s-state-red")
            if hall.stopped:
                text = say("All filing is stopped, {who}", who=hall.stopped)
                ui.label(text).classes("s-state s-state-amber")
            ui.label(modes.get(hall.mode, hall.mode)).classes("s-text")
            title = say("Resume filing") if hall.stopped else say("Stop all filing")
            button = ui.button(title, on_click=lambda: self._ask(deed, title))
            if not may(person, deed):
                button.disable()
                ui.label(say("It asks for the role {role}.", role=NEEDS[deed].role))

    def _ask(self, deed: Deed, title: str) -> None:
        say, deeds = self._visit.words.say, self._visit.console.deeds
        if deed is Deed.STOP_FILING:
            told = say("Nothing is sent to any desk any more; what is found waits.")
            question, act = Question(deed, title, told), deeds.stop_filing
        else:
            told = say("Requests are sent again, those that waited first.")
            question, act = Question(deed, title, told), deeds.resume_filing
        ask(
            self._visit,
            question,
            lambda person, _said, why: act(person, why),
            lambda _: self._refresh(),
        )

    def _desk(self, desk: DeskView) -> None:
        say = self._visit.words.say
        name = say("The desk for emergencies") if desk.name == EMERGENCY else say("The city's desk")
        word: tuple[str, Tone] = (say("not known"), "warn")
        if desk.up is not None:
            word = (say("answers"), "good") if desk.up else (say("down"), "bad")
        limit, paused = desk.per_minute, self._visit.time(desk.paused_until)
        pairs: dict[str, Fact] = {
            say("State"): lambda: chip(*word),
            say("The gateway says"): desk.told or "-",
            say("City"): desk.title,
            say("Server"): lambda: TextElement(tag="span", text=desk.host).classes("s-code"),
            say("Left alone until"): ": ".join(filter(None, [paused, desk.pause_reason])),
            say("Calls it allows in a minute"): say("not said") if limit is None else str(limit),
            say("To be sent"): f"{desk.unsent:,}",
            say("Next attempt"): self._visit.time(desk.next_at),
            say("What holds it up"): desk.trouble or "-",
        }
        with ui.element("section").classes("s-card"):
            heading(name)
            facts(pairs)

    # -- the tables ---------------------------------------------------------------------------

    def _state(self, one: StateCount) -> Row:
        worded = request_states(self._visit.words)[one.state]
        cells: list[Cell] = [
            Built(one.state, lambda: ui.link(worded.text, f"/requests?state={one.state}")),
            f"{one.count:,}",
            self._visit.time(one.oldest_at),
            worded.means,
        ]
        return Row(one.state, cells)

    def _budget(self, one: BudgetUse) -> Row:
        say = self._visit.words.say
        of = {
            "everything": say("everything"),
            "each": say("each other service in each district"),
            "one": one.service,
        }
        where = of[one.of]
        if one.district:
            where = say("{service} in {district}", service=one.service, district=one.district)
        text = (
            say("{what}, in an hour", what=where)
            if one.per == "hour"
            else say("{what}, in a day", what=where)
        )
        cells: list[Cell] = [text, f"{one.used:,}", f"{one.allowed:,}"]
        return Row(f"{one.of} {one.per} {one.service} {one.district}", cells)
