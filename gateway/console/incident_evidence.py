"""What speaks for an incident, on its page: how sure it is, the chart, the clauses, and as a table.

It may take seconds to be found out: the page stands before, and this fills itself in. One at a time
for all pages together, so that a hundred of them do not hold up the others.
"""

import asyncio
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.frame import Visit
from gateway.console.parts import Tone, chip, facts, heading, scrolling, table
from gateway.console.rule_charts import chart_height_px, phase_names, signal_chart, unit_text
from gateway.console.rule_parts import is_dark, more
from gateway.errors import ConfigError, StoreError
from gateway.phrases import Phrases
from gateway.views.incident_page import (
    ClauseView,
    IncidentEvidence,
    Missing,
    Named,
    Trial,
    incident_evidence,
)
from gateway.views.incidents import IncidentView
from gateway.views.rule_results import SignalChart

ROWS = 200
"""Of the table: those nearest to when it fired."""
_one_at_a_time = asyncio.Semaphore(1)


class EvidencePart:
    """Of one page. `zone`: whose clocks it is told by."""

    def __init__(self, visit: Visit, zone: str) -> None:
        self._visit = visit
        self._zone = ZoneInfo(zone)
        self._of: tuple[object, ...] = ()
        self._place = ui.element("div").classes("s-stack")

    async def show(self, incident: IncidentView) -> None:
        """Of the incident as it stands; nothing is done where it stands as before."""
        what = (incident.id, incident.started_at, incident.fired_at, incident.cleared_at)
        if what == self._of:
            return
        self._of = what
        if not self._place.default_slot.children:
            with self._place:
                ui.label(self._visit.words.say("Its readings are being looked through …"))
        dark = await is_dark(self._visit)
        async with _one_at_a_time:
            if self._place.is_deleted:
                return
            found = await self._found(incident.id)
        if found is None or self._place.is_deleted or what != self._of:
            return
        self._place.clear()
        with self._place:
            self._fill(incident, found, dark=dark)

    async def _found(self, number: int) -> IncidentEvidence | None:
        try:
            return await asyncio.to_thread(incident_evidence, self._visit.books, number)
        except (ConfigError, StoreError) as error:
            self._place.clear()
            with self._place:
                ui.label(str(error)).classes("s-state s-state-red")
            return None

    def _fill(self, incident: IncidentView, found: IncidentEvidence, *, dark: bool) -> None:
        words = self._visit.words
        with ui.element("section").classes("s-card"):
            heading(words.say("How sure it is"))
            for text in _sure(words, incident, found):
                ui.label(text).classes("s-text")
        with ui.element("section").classes("s-card"):
            heading(words.say("What was measured"))
            if found.chart is None:
                ui.label(missing_text(words, found.chart_missing)).classes("s-text")
            else:
                self._chart(found.chart, dark=dark)
        with ui.element("section").classes("s-card"):
            heading(words.say("What the rule saw when it fired"))
            if found.trial is None:
                ui.label(missing_text(words, found.trial_missing)).classes("s-text")
            else:
                _trial(self._visit, found.trial)

    def _chart(self, chart: SignalChart, *, dark: bool) -> None:
        words = self._visit.words
        options = signal_chart(chart, words, self._zone, dark=dark)
        options["tooltip"] |= {"renderMode": "richText"}  # names come from rules: they stay text
        label = words.say("Chart of {rule} at {where}; the same stands in the table below",
                          rule=chart.rule, where=chart.where)  # fmt: skip
        shown = ui.echart(options).style(f"height: {chart_height_px(chart)}px")
        shown.props("role=img").props["aria-label"] = label
        phases = phase_names(words)
        with ui.element("ul").classes("s-list"):
            for span in chart.spans:
                text = words.say(
                    "{phase}: from {since} to {until}", phase=phases.get(span.phase, span.phase),
                    since=self._visit.time(span.start_ms), until=self._visit.time(span.end_ms),
                )  # fmt: skip
                TextElement(tag="li", text=text)
        title = words.say("The same as a table")
        with more(title), scrolling(title):
            _as_table(self._visit, chart)


def missing_text(words: Phrases, missing: Missing) -> str:
    """Why something is not shown."""
    say = words.say
    return {
        Missing.NOTHING: "",
        Missing.RULE: say("Its rule is not in force any more, so it cannot be judged again."),
        Missing.ASSET: say("It does not stand in the city's files any more: nobody can say which "
                           "readings were its."),
        Missing.READINGS: say("Its readings are not kept any more."),
        Missing.SIGNAL: say("Nothing that the rule reads was reported at that time: it is about "
                            "silence, or about others."),
        Missing.TOO_MANY: say("There are too many readings to look through for a page; the command "
                              "sense311 rules explain does it."),
    }[missing]  # fmt: skip


def _sure(words: Phrases, incident: IncidentView, found: IncidentEvidence) -> Sequence[str]:
    say, told = words.say, []
    passes, share = incident.values.get("passes"), incident.values.get("hit_share")
    if isinstance(passes, int | float) and isinstance(share, int | float):
        told.append(say("{passes} vehicles passed, and {share} % of them felt it.",
                        passes=f"{passes:.0f}", share=f"{100 * share:.0f}"))  # fmt: skip
    elif found.judged and found.took_s:
        told.append(say("{count} readings in {minutes} minutes said so before it fired.",
                        count=f"{found.judged:,}", minutes=f"{found.took_s / 60:.0f}"))  # fmt: skip
    elif found.judged:
        told.append(say("It fired at once, with the first reading that said so."))
    else:
        told.append(missing_text(words, found.chart_missing))
    if found.trial is not None and found.trial.same:
        told.append(say("Judged again from what is kept, it fires as it did then."))
    elif found.trial is not None:
        told.append(say("Judged again from what is kept, it does not fire then: its rule, the "
                        "asset or the readings were others."))  # fmt: skip
    return told


# -- the table -------------------------------------------------------------------------------------


def _as_table(visit: Visit, chart: SignalChart) -> None:
    say = visit.words.say
    fired_ms = next((one.start_ms for one in chart.spans if one.phase == "firing"), chart.until_ms)
    times = sorted({at_ms for line in chart.lines for at_ms, _ in line.points})
    near = sorted(sorted(times, key=lambda at_ms: abs(at_ms - fired_ms))[:ROWS])
    points = [dict(line.points) for line in chart.lines]
    units = [unit_text(line.unit) for line in chart.lines]
    names = [
        f"{line.name} ({unit})" if unit else line.name
        for line, unit in zip(chart.lines, units, strict=True)
    ]
    rows = [
        [visit.time(at_ms), *(f"{one[at_ms]:.4g}" if at_ms in one else "-" for one in points)]
        for at_ms in near
    ]
    table(say("What was measured"), [say("Time"), *names], rows).classes("s-live")
    if len(near) < len(times):
        told = say("The {shown} nearest to when it fired, of {count}.",
                   shown=str(len(near)), count=f"{len(times):,}")  # fmt: skip
        ui.label(told).classes("s-quiet")


# -- the clauses -----------------------------------------------------------------------------------


def _trial(visit: Visit, trial: Trial) -> None:
    say = visit.words.say
    ui.label(say("Every clause of the rule, as it was at {time}.", time=visit.time(trial.at)))
    titles = {
        "when": say("It fires when"),
        "unless": say("It does not fire when"),
        "clear": say("It is over when"),
    }
    for name, clause in trial.clauses.items():
        heading(titles.get(name, name), 3)
        with ui.element("ul").classes("s-trial"):
            _clause(visit.words, clause)
    for title, named in (
        (say("What it read"), trial.sample),
        (say("Its parameters and names"), trial.names),
    ):
        if named:
            with more(title):
                facts({one.name: one.value for one in named})


def _clause(words: Phrases, clause: ClauseView) -> None:
    """With its parts below it, for as deep as they go."""
    with ui.element("li"):
        with ui.element("div").classes("s-row"):
            chip(*_truth(words, clause.truth))
            TextElement(tag="code", text=clause.text).classes("s-code")
        for text in _said(words, clause):
            ui.label(text).classes("s-quiet s-text")
        if clause.parts:
            with ui.element("ul").classes("s-trial"):
                for part in clause.parts:
                    _clause(words, part)


def _said(words: Phrases, clause: ClauseView) -> Sequence[str]:
    told = [clause.said] if clause.said else []
    if clause.margin:
        told = [words.say("{said} (by {margin})", said=clause.said, margin=clause.margin)]
    if clause.values:
        told.append(_values(clause.values))
    return [*told, *clause.unknown]


def _values(values: Sequence[Named]) -> str:
    return ", ".join(f"{one.name} = {one.value}" for one in values)


def _truth(words: Phrases, truth: bool | None) -> tuple[str, Tone]:
    if truth is None:
        return words.say("? unknown"), "warn"
    return (words.say("✓ true"), "good") if truth else (words.say("✗ false"), "bad")
