"""A backtest on a page: asked for, watched, stopped, and shown with charts and tables.

What runs is `views.rule_runs`; here is the form. A run that nobody waits for any more is ended.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from nicegui import events, ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.backtest_answer import show
from gateway.console.frame import Visit
from gateway.console.rule_parts import Running, is_dark, more, tell_trouble
from gateway.plans import RuleTexts
from gateway.views.rule_results import Period, Progress, Trouble
from gateway.views.rule_runs import BENCH, LABELS_CHARS_MAX, RUN_S, SOFT_S, History, history_of
from gateway.views.workbench import DAY_MS

NAME_CHARS_MAX = 100
_READ = (
    "async (event) => { const file = event.target.files[0]; emit({name: file?.name ?? '', "
    f"text: file ? (await file.text()).slice(0, {LABELS_CHARS_MAX + 1}) : ''"
    "}); }"
)
"""In the browser: the text of the file that was chosen, or of none."""
_SPANS = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be run: the rules, the file or the rules in question."""

    file: str
    texts: RuleTexts
    focus: tuple[str, ...] = ()


class Panel:
    """The form and its answer. `ask`: what to run, when it is to run. `compares`: against what is
    in force, if that is wanted.
    """

    def __init__(self, visit: Visit, ask: Callable[[], Ask], *, compares: bool) -> None:
        self._visit, self._ask = visit, ask
        self._running = Running(visit)
        self._labels = ""
        self._zone = ZoneInfo(visit.time_zone)
        history = history_of(visit.books)
        if history is None:
            ui.label(visit.words.say("There are no readings yet to run rules over."))
            return
        self._history = history
        self._form(history, compares=compares)

    # -- the form -----------------------------------------------------------------------------

    def _form(self, history: History, *, compares: bool) -> None:
        say = self._visit.words.say
        kept = say(
            "Readings are kept from {first} to {last}.",
            first=self._visit.time(history.first_ms), last=self._visit.time(history.last_ms),
        )  # fmt: skip
        ui.label(kept).classes("s-text")
        spans = {
            "day": say("The last day of it"),
            "week": say("The last 7 days of it"),
            "month": say("The last 30 days of it"),
            "all": say("All of it"),
            "own": say("From one day to another"),
        }
        with ui.element("div").classes("s-fields"):
            self._span = ui.select(spans, value="week", label=say("Period"))
            self._from = self._day(say("From"), history.first_ms)
            self._to = self._day(say("To, with that day"), history.last_ms)
            self._compare = ui.checkbox(say("Compare with what is in force"), value=compares)
            self._compare.visible = compares
            self._button = ui.button(say("Run the backtest"), on_click=self._run)
            self._stop = ui.button(say("Stop"), on_click=self._running.stop).props("flat")
            self._stop.visible = False
        with more(say("Judge it by labels of your own")):
            self._labels_form()
        self._told = ui.label().props('role="status"').classes("s-text")
        self._bar = ui.element("progress").classes("s-progress").props("max=1 value=0")
        self._bar.props["aria-label"] = say("Progress")
        self._bar.visible = False
        self._place = ui.element("div")

    def _day(self, label: str, at_ms: int) -> ui.input:
        there = datetime.fromtimestamp(at_ms / 1000, self._zone).date().isoformat()
        day = ui.input(label, value=there).props("type=date stack-label")
        day.bind_visibility_from(self._span, "value", value="own")
        return day

    def _labels_form(self) -> None:
        say = self._visit.words.say
        ui.label(
            say(
                "A CSV file with start, end, rule, asset_id, lat, long, must_file: what was really "
                "wrong, and what only looked like it. Without labels the city's word on its "
                "requests judges, as far as there is any."
            )
        ).classes("s-text")
        with ui.element("label").classes("s-file"):
            TextElement(tag="span", text=say("Labels, as CSV"))
            chosen = ui.element("input").props('type="file" accept=".csv,text/csv"')
        state = ui.label().props('role="status"')

        def taken(event: events.GenericEventArguments) -> None:
            told = event.args if isinstance(event.args, dict) else {}
            name, text = str(told.get("name", ""))[:NAME_CHARS_MAX], str(told.get("text", ""))
            too_large = len(text) > LABELS_CHARS_MAX
            self._labels = "" if too_large else text
            state.text = say("The labels of {file} judge.", file=name) if self._labels else ""
            if too_large:
                state.text = say("This file is too large.")

        chosen.on("change", taken, js_handler=_READ)

    # -- the run ------------------------------------------------------------------------------

    async def _run(self) -> None:
        say = self._visit.words.say
        period = self._period()
        if period is None:
            self._told.text = say("The first day is after the last one.")
            return
        self._place.clear()
        self._set_running(say("Waiting for another run to end…") if BENCH.is_full else "")
        ask = self._ask()
        run = BENCH.backtest(
            self._visit.books, ask.file, ask.texts, period, compare=bool(self._compare.value),
            focus=ask.focus, labels=self._labels, told=self._progress,
        )  # fmt: skip
        found = await self._running.of(run)
        if self._running.is_on:  # another one has begun meanwhile
            return
        if not self._visit.client.has_socket_connection:
            return
        self._set_idle("" if found else say("Stopped."))
        if found is None:
            return
        dark = await is_dark(self._visit)
        with self._place:
            if isinstance(found, Trouble):
                tell_trouble(found, self._visit.words)
            else:
                show(found, self._visit, self._zone, dark=dark)

    def _set_running(self, waiting: str) -> None:
        limit = self._visit.words.say(
            "It runs for at most {seconds} s; what it has by {soft} s is shown.",
            seconds=f"{RUN_S:g}", soft=f"{SOFT_S:g}",
        )  # fmt: skip
        self._told.text = waiting or limit
        self._bar.props["value"] = 0
        self._bar.visible = self._stop.visible = True
        self._button.disable()

    def _set_idle(self, text: str) -> None:
        self._told.text = text
        self._bar.visible = self._stop.visible = False
        self._button.enable()

    def _progress(self, progress: Progress) -> None:
        self._bar.props["value"] = round(progress.share, 3)
        self._told.text = self._visit.words.say(
            "{count} messages, up to {time}",
            count=f"{progress.messages:,}", time=self._visit.time(progress.at_ms),
        )  # fmt: skip

    def _period(self) -> Period | None:
        """None: it ends before it begins."""
        span = str(self._span.value)
        if span == "all":
            return Period()
        if span in _SPANS:
            since_ms = self._history.last_ms - _SPANS[span] * DAY_MS
            return Period(since_ms=max(0, since_ms))
        first, last = (_date(str(day.value or "")) for day in (self._from, self._to))
        if first is None or last is None or first > last:
            return None
        until_ms = self._midnight_ms(last + timedelta(days=1)) - 1
        return Period(since_ms=max(0, self._midnight_ms(first)), until_ms=max(0, until_ms))

    def _midnight_ms(self, day: date) -> int:
        return int(datetime.combine(day, time(), self._zone).timestamp() * 1000)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
