"""The page of one incident: what was found, what speaks for it, what was asked, what can be done.

Shows first what the books say, then what must be looked through the readings for. Each part is made
anew only when what it shows has changed, so that nobody loses their place. What is gone since then
is left out, and said.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.cases.incident import Why
from gateway.cases.places import subject_name
from gateway.clock import ms_of
from gateway.console.case_words import (
    causes,
    event_text,
    incident_chip,
    incident_states,
    means_of,
    request_chip,
    request_states,
    step_words,
)
from gateway.console.city import kinds
from gateway.console.frame import Console, Visit
from gateway.console.incident_deeds import buttons
from gateway.console.incident_evidence import EvidencePart, missing_text
from gateway.console.incidents import HERE, incident_path, number_of
from gateway.console.parts import Cell, facts, heading, scrolling, table
from gateway.console.rules import rule_path
from gateway.views.incident_page import (
    Brief,
    Missing,
    Named,
    briefs_of,
    circuit_of,
    fields_of,
    is_missing,
    time_zone_of,
)
from gateway.views.incidents import IncidentView, incident_view
from gateway.views.requests import RequestView

ENDED = frozenset({Why.CLEARED, Why.OVER_BEFORE_DUE})
"""After these it is over, in whatever state."""


class _Story(NamedTuple):
    """All that the books say of an incident."""

    incident: IncidentView
    fields: list[Named] | str
    others: Mapping[int, Brief]
    missing: Missing
    circuit: str


def add_to(console: Console) -> None:
    @console.page(f"{HERE}/{{number}}")
    async def shown(visit: Visit) -> None:
        text = str(visit.path["number"])
        number = number_of(text)
        story = None if number is None else await asyncio.to_thread(_story_of, visit, number)
        if story is None:
            with visit.frame(visit.words.say("Incident {number}", number=text[:20]), HERE):
                ui.label(visit.words.say("There is no incident of this number."))
            return
        visit.time_zone = time_zone_of(visit.books, story.incident.subject)
        title = visit.words.say("Incident {number}", number=str(story.incident.id))
        with visit.frame(title, HERE):
            page = _Page(visit)
            page.show(story)
            visit.on_change(page.refresh)
            ui.timer(0.1, page.evidence, once=True)


def _story_of(visit: Visit, number: int) -> _Story | None:
    books = visit.books
    incident = incident_view(books, number, evidence=False)
    if incident is None:
        return None
    others = [*incident.explains, *([incident.parent] if incident.parent is not None else [])]
    return _Story(
        incident,
        fields_of(books, number),
        briefs_of(books, others),
        is_missing(books, incident.rule, incident.subject),
        circuit_of(books, incident.subject),
    )


class _Page:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._story: _Story | None = None
        self._found = _Part()
        self._deeds = _Part()
        self._evidence = EvidencePart(visit, visit.time_zone)
        self._request = _Part()
        self._others = _Part()
        self._journal = _Part()

    async def refresh(self) -> None:
        assert self._story is not None
        number = self._story.incident.id
        story = await asyncio.to_thread(_story_of, self._visit, number)
        if story is not None:
            self.show(story)
            await self.evidence()

    async def evidence(self) -> None:
        assert self._story is not None
        await self._evidence.show(self._story.incident)

    def show(self, story: _Story) -> None:
        self._story = story
        one = story.incident
        bare = one.model_copy(update={"journal": [], "explains": [], "whole_request": None})
        self._found.show((repr(bare), repr(one.whole_request)), lambda: self._what(story))
        moves = one.whole_request.possible if one.whole_request is not None else None
        self._deeds.show(
            (tuple(one.possible), repr(moves), one.whole_request is None),
            lambda: self._buttons(story),
        )
        self._request.show(
            (repr(one.whole_request), repr(one.would_have_filed), repr(story.fields)),
            lambda: self._asked(story),
        )
        self._others.show((one.parent, repr(story.others)), lambda: self._beside(story))
        self._journal.show(repr(one.journal), lambda: self._steps(one))

    # -- what was found -----------------------------------------------------------------------

    def _what(self, story: _Story) -> None:
        visit, one, say = self._visit, story.incident, self._visit.words.say
        heading(say("What was found"))
        ui.label(description_of(one)).classes("s-lead")
        since, found = visit.time(one.started_at), visit.time(one.fired_at)
        if one.cleared_at is None:
            text = say("It began {since}, was found {found}, and goes on.",
                       since=since, found=found)  # fmt: skip
        else:
            text = say("It began {since}, was found {found}, and was over {over}.",
                       since=since, found=found, over=visit.time(one.cleared_at))  # fmt: skip
        ui.label(text).classes("s-text")
        if story.missing is not Missing.NOTHING:
            ui.label(missing_text(visit.words, story.missing)).classes("s-state s-state-amber")
        facts(dict(self._facts(story)))

    def _facts(self, story: _Story) -> Iterator[tuple[str, Cell]]:
        one, words = story.incident, self._visit.words
        say = words.say
        asked = one.request.state if one.request is not None else ""
        means = means_of(words, one.state, asked)
        told = means if one.open else causes(words).get(one.why, one.why)
        yield (
            say("State"),
            lambda: _with_text(lambda: incident_chip(words, one.state, is_open=one.open), told),
        )
        yield say("Why"), causes(words).get(one.why, one.why)
        if one.due_at is not None and one.open and one.state == "held":
            yield say("Decided"), self._visit.time(one.due_at)
        yield say("Where"), ", ".join(filter(None, [one.address, one.zone])) or "-"
        if one.lat is not None and one.long is not None:
            yield say("Coordinates"), f"{one.lat:.6f}, {one.long:.6f}"
        yield (
            say("Of what"),
            lambda: _with_text(
                lambda: TextElement(tag="span", text=one.subject).classes("s-code"),
                kinds(words).get(one.kind, one.kind),
            ),
        )
        if story.circuit:
            yield say("Circuit"), story.circuit
        yield say("Rule"), lambda: ui.link(one.rule, rule_path(one.rule)).classes("s-code")
        yield say("Measured when it fired"), _measured(one.values) or "-"
        if one.closed_at is not None:
            yield say("Closed by the city"), self._visit.time(one.closed_at)
        if one.earlier:
            yield say("Goes on with the city's request"), one.earlier
        yield (
            say("Of the same thing"),
            lambda: ui.link(
                say("All incidents of {subject}", subject=subject_name(one.subject)),
                f"{HERE}?state=all&asset={quote(one.subject, safe='')}",
            ),
        )

    def _buttons(self, story: _Story) -> None:
        heading(self._visit.words.say("What to do"))
        buttons(self._visit, story.incident, self.refresh, story.circuit)

    # -- the request --------------------------------------------------------------------------

    def _asked(self, story: _Story) -> None:
        say, one = self._visit.words.say, story.incident
        heading(say("The request to the city"))
        if one.whole_request is not None:
            self._whole(one.whole_request, story.fields)
        elif one.would_have_filed is not None:
            would = one.would_have_filed
            ui.label(say("It is in shadow: this would have been sent.")).classes("s-text")
            told = {
                say("Service"): would.service,
                say("When"): self._visit.time(would.at),
                say("Description"): would.asked.description,
                say("Address"): would.asked.address or "-",
                say("Coordinates"): f"{would.asked.lat:.6f}, {would.asked.long:.6f}",
            }
            facts(told)
        else:
            ui.label(say("Nothing was asked of the city.")).classes("s-text")

    def _whole(self, request: RequestView, fields: list[Named] | str) -> None:
        visit, words = self._visit, self._visit.words
        say = words.say
        means = request_states(words)[request.state].means
        told: dict[str, Cell] = {
            say("State"): lambda: _with_text(lambda: request_chip(words, request.state), means),
            say("Reference"): lambda: TextElement(tag="span", text=request.reference).classes(
                "s-code"
            ),
            say("The city's number"): request.request_id or request.token or "-",
            say("Reason"): request.reason or "-",
            say("Attempts"): str(request.attempts),
            say("Next look"): visit.time(request.next_at) if _moves(request) else "-",
            say("At the city"): request.city_status or say("not seen yet"),
            say("Changed there"): _time_or_text(visit, request.city_updated),
            say("The city's notes"): request.city_notes or "-",
        }
        facts(told)
        heading(say("As the city gets it"), 3)
        if isinstance(fields, str):
            ui.label(fields).classes("s-text")
        else:
            facts({one.name: one.value for one in fields})
        heading(say("Its delivery"), 3)
        steps = step_rows(visit, request)
        columns = [say("When"), say("What happened"), say("State after it"), say("Reason")]
        with scrolling(say("Its delivery")):
            table(say("Its delivery"), columns, steps).classes("s-live")

    # -- what else ----------------------------------------------------------------------------

    def _beside(self, story: _Story) -> None:
        one, say = story.incident, self._visit.words.say
        heading(say("Other incidents"))
        if one.parent is None and not one.explains:
            ui.label(say("It explains no other, and none explains it.")).classes("s-text")
        if one.parent is not None:
            ui.label(say("It is part of:"))
            self._listed([one.parent], story.others)
        if one.explains:
            count = f"{len(one.explains):,}"
            ui.label(say("It explains {count} others:", count=count))
            self._listed(one.explains, story.others)

    def _listed(self, numbers: list[int], known: Mapping[int, Brief]) -> None:
        words = self._visit.words
        states = incident_states(words)
        with ui.element("ul").classes("s-list"):
            for number in numbers:
                brief = known.get(number)
                with ui.element("li"):
                    ui.link(f"#{number}", incident_path(number))
                    if brief is not None:
                        worded = states.get(brief.state)
                        state = worded.text if worded is not None else brief.state
                        text = f" {brief.rule}, {subject_name(brief.subject)} ({state})"
                        TextElement(tag="span", text=text)

    def _steps(self, one: IncidentView) -> None:
        words = self._visit.words
        heading(words.say("What happened"))
        steps, reasons = step_words(words), causes(words)
        rows: list[list[Cell]] = [
            [
                self._visit.time(step.at),
                steps.get(step.before, step.before) or "-",
                words.say("over") if step.cause in ENDED else steps.get(step.after, step.after),
                reasons.get(step.cause, step.cause),
            ]
            for step in one.journal
        ]
        columns = [words.say("When"), words.say("From"), words.say("To"), words.say("Why")]
        if not rows:
            ui.label(words.say("Its journal is not kept any more.")).classes("s-text")
            return
        with scrolling(words.say("What happened")):
            table(words.say("What happened"), columns, rows).classes("s-live")


class _Part:
    """A part of the page, made anew when it shows something else."""

    def __init__(self) -> None:
        self._shows: Hashable = None
        self._place = ui.element("section").classes("s-card")

    def show(self, what: Hashable, build: Callable[[], object]) -> None:
        if what == self._shows:
            return
        self._shows = what
        self._place.clear()
        with self._place:
            build()


def description_of(one: IncidentView) -> str:
    """In one sentence: as the city hears it, else by the rule's title."""
    if one.whole_request is not None:
        return one.whole_request.asked.description
    if one.would_have_filed is not None:
        return one.would_have_filed.asked.description
    return one.title or f"{one.rule}: {subject_name(one.subject)}"


def step_rows(visit: Visit, request: RequestView) -> list[list[Cell]]:
    """The delivery of a request, step by step."""
    states = request_states(visit.words)
    return [
        [
            visit.time(step.at),
            event_text(visit.words, step.event),
            states[step.after].text if step.after in states else step.after or "-",
            step.reason or "-",
        ]
        for step in request.deliveries
    ]


def _time_or_text(visit: Visit, told: str) -> str:
    """The city may have written something that is no time."""
    return visit.time(told) if ms_of(told) is not None else told or "-"


def _moves(request: RequestView) -> bool:
    """Whether it is looked at again by itself."""
    return request.state in ("ready", "sending", "uncertain", "tokened")


def _measured(values: Mapping[str, Any]) -> str:
    told = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
    return ", ".join(told)


def _with_text(first: Callable[[], object], text: str) -> None:
    with ui.element("div").classes("s-row"):
        first()
        TextElement(tag="span", text=text)
