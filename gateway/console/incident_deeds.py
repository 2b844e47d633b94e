"""What can be done with an incident, on its page: a button for each deed, and what stands against.

Whether a deed is possible is said by the view, whether this person may by `deed`; both are asked
again when it is done.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from math import cos, radians
from typing import NamedTuple

from msgspec.structs import replace
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.cases.silences import Silence
from gateway.console.asking import Field, Question, ask
from gateway.console.case_words import deed_words
from gateway.console.frame import Visit
from gateway.console.incidents import number_of
from gateway.console.silences import silence_dialog
from gateway.phrases import Phrases
from gateway.staff.deed import NEEDS, Code
from gateway.staff.deeds import Deed, Outcome, may
from gateway.staff.people import Person
from gateway.views.incidents import IncidentView

CIRCUIT, ZONE, PLACE = "circuit:", "zone:", "place:"
AROUND_DEG = 0.0005
"""Of a spot on the road: some 50 m to each side."""
Refresh = Callable[[], Awaitable[object]]
_OF_THE_REQUEST = (Deed.APPROVE, Deed.HOLD, Deed.RETRY)
SHOWN = (*_OF_THE_REQUEST, Deed.LINK, Deed.SILENCE, Deed.REOPEN, Deed.MERGE, Deed.SPLIT)


class Act(NamedTuple):
    """`obstacle`: why it cannot be done now; empty where it can."""

    deed: Deed
    title: str
    obstacle: str


def acts_of(words: Phrases, person: Person, incident: IncidentView) -> Iterator[Act]:
    """All deeds, with what stands against each."""
    request = incident.whole_request
    possible = {*incident.possible, *(request.possible if request is not None else ()),
                Deed.SILENCE}  # fmt: skip
    titles, obstacles = deed_words(words), _obstacles(words)
    for deed in SHOWN:
        if not may(person, deed):
            role = NEEDS[deed].role
            yield Act(deed, titles[deed], words.say("It asks for the role {role}.", role=role))
        elif deed in possible:
            yield Act(deed, titles[deed], "")
        elif request is None and deed in (*_OF_THE_REQUEST, Deed.LINK):
            yield Act(deed, titles[deed], words.say("Nothing was asked of the city."))
        else:
            yield Act(deed, titles[deed], obstacles[deed])


def buttons(visit: Visit, incident: IncidentView, refresh: Refresh, circuit: str) -> None:
    """`circuit`: on which its asset is."""
    words = visit.words
    acts = list(acts_of(words, visit.person, incident))
    with ui.element("div").classes("s-row"):
        for act in acts:
            button = ui.button(
                act.title, on_click=lambda act=act: _begin(visit, incident, act, refresh, circuit)
            )
            if act.obstacle:
                button.disable()
                button.props(f"aria-describedby=why-not-{act.deed}")
    if any(act.obstacle for act in acts):
        with ui.element("ul").classes("s-list s-quiet"):
            for act in acts:
                if act.obstacle:
                    text = words.say("{what}: {why}", what=act.title, why=act.obstacle)
                    TextElement(tag="li", text=text).props(f"id=why-not-{act.deed}")


def _begin(visit: Visit, incident: IncidentView, act: Act, refresh: Refresh, circuit: str) -> None:
    """The dialog of a deed."""
    if act.deed is Deed.SILENCE:
        silence_dialog(visit, _window_about(incident), refresh, circuit=circuit)
        return
    deed, title = act.deed, act.title
    question = Question(deed, title, _explanations(visit.words)[deed], _fields(visit.words, deed))
    ask(
        visit,
        question,
        lambda person, said, why: _done(visit, incident, deed, person, said, why),
        lambda _: refresh(),
    )


def _done(
    visit: Visit,
    incident: IncidentView,
    deed: Deed,
    person: Person,
    said: Mapping[str, str],
    why: str,
) -> Outcome:
    deeds, number = visit.console.deeds, incident.id
    request = incident.whole_request
    if request is not None and deed in _OF_THE_REQUEST:
        of_requests = {Deed.APPROVE: deeds.approve, Deed.HOLD: deeds.hold, Deed.RETRY: deeds.retry}
        return of_requests[deed](person, request.reference, why)
    if deed is Deed.LINK:
        return deeds.link(person, number, said["number"], why)
    if deed is Deed.MERGE:
        into = number_of(said["into"].removeprefix("#"))
        if into is None or into == number:
            text = visit.words.say("Give the number of another incident, as 12.")
            return Outcome(Code.INVALID, text)
        return deeds.merge(person, number, into, why)
    return {Deed.REOPEN: deeds.reopen, Deed.SPLIT: deeds.split}[deed](person, number, why)


def _window_about(incident: IncidentView) -> Silence:
    """A window that is about the incident and little else, to begin with."""
    nothing = Silence(who="-", why="-", from_ms=0, for_ms=0)
    subject, lat, lon = incident.subject, incident.lat, incident.long
    if subject.startswith(CIRCUIT):
        return replace(nothing, circuits=(subject.removeprefix(CIRCUIT),))
    if subject.startswith(ZONE):
        return replace(nothing, zones=(incident.zone,), rules=(incident.rule,))
    if subject.startswith(PLACE) and lat is not None and lon is not None:
        north, east = AROUND_DEG, AROUND_DEG / max(cos(radians(lat)), 0.01)
        corners = ((1, 1), (1, -1), (-1, -1), (-1, 1))
        around = tuple((lat + y * north, lon + x * east) for y, x in corners)
        return replace(nothing, rules=(incident.rule,), within=around)
    return replace(nothing, assets=(subject,))


def _fields(words: Phrases, deed: Deed) -> tuple[Field, ...]:
    if deed is Deed.LINK:
        return (Field("number", words.say("The city's number of its request")),)
    if deed is Deed.MERGE:
        return (Field("into", words.say("The number of the incident that it is part of")),)
    return ()


def _explanations(words: Phrases) -> Mapping[Deed, str]:
    """What will happen."""
    say = words.say
    return {
        Deed.APPROVE: say("The request is sent to the city, whatever the budgets say."),
        Deed.HOLD: say("The request is kept back until somebody approves it."),
        Deed.RETRY: say("The request is sent once more. If the city had stored it after all, it "
                        "may have two then."),
        Deed.LINK: say("The city has a request for this already: that one is followed from now "
                       "on, and none is filed."),
        Deed.REOPEN: say("It is not repaired, whatever the city or the sensor says: the city is "
                         "asked again."),
        Deed.MERGE: say("Both are one fault: this incident asks nothing of the city on its own any "
                        "more."),
        Deed.SPLIT: say("It is a fault of its own, whatever explains it: it is filed by itself."),
    }  # fmt: skip


def _obstacles(words: Phrases) -> Mapping[Deed, str]:
    say = words.say
    return {
        Deed.APPROVE: say("It does not wait for approval."),
        Deed.HOLD: say("It is not waiting to be sent."),
        Deed.RETRY: say("It was not refused, and is not kept."),
        Deed.LINK: say("It may be at the city already."),
        Deed.REOPEN: say("It goes on, and the city has not closed its request."),
        Deed.MERGE: say("It is over."),
        Deed.SPLIT: say("It is not part of another."),
    }
