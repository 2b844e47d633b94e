"""The question before a deed: what will happen, what is still to be said, and why; then it is done.

It stays open, with all that was written, where the deed was not done, and says why not. Pressed
twice it is done once.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from nicegui import ui

from gateway.console.frame import Visit
from gateway.console.parts import heading
from gateway.deed import WHY_CHARS_MAX, Code
from gateway.deeds import Deed, Outcome
from gateway.people import Person

FIELD_CHARS_MAX = 200
Said = Mapping[str, str]
Carry = Callable[[Person, Said, str], Outcome]
"""The deed: by whom, with what was said in the fields, and why."""


class Field(NamedTuple):
    """What is to be said beside why; all of them must be."""

    name: str
    label: str


class Question(NamedTuple):
    """`deed`: what it is, for whether a reason is owed."""

    deed: Deed
    title: str
    explanation: str
    fields: Sequence[Field] = ()


def ask(
    visit: Visit,
    question: Question,
    carry_out: Carry,
    after: Callable[[], Awaitable[object]],
    *,
    needs_why: bool,
) -> None:
    """Ask, have it done, then `after`."""
    say = visit.words.say
    with ui.dialog().props("persistent") as dialog, ui.card().classes("s-card s-ask"):
        dialog.props["aria-label"] = question.title
        heading(question.title)
        ui.label(question.explanation).classes("s-text")
        inputs = {one.name: _input(one.label, FIELD_CHARS_MAX) for one in question.fields}
        why = _input(say("Why (it stands in the log)"), WHY_CHARS_MAX)
        next(iter(inputs.values()), why).props("autofocus")
        trouble = ui.label().classes("s-state s-state-red").props("role=alert")
        trouble.visible = False

        async def done() -> None:
            owed = dict(inputs) | ({"why": why} if needs_why else {})
            if _marked(owed, say("Say this first.")) or not act.enabled:
                return
            said = {name: field.value.strip() for name, field in inputs.items()}
            reason = why.value.strip()
            act.disable()
            outcome = await visit.carry_out(lambda person: carry_out(person, said, reason))
            act.enable()
            if outcome is not None and outcome.code not in (Code.DONE, Code.WAITING):
                trouble.text, trouble.visible = outcome.text, True
                return
            dialog.close()
            await after()

        with ui.element("div").classes("s-row"):
            act = ui.button(question.title, on_click=done)
            ui.button(say("Cancel"), on_click=dialog.close).props("flat")
        for field in (*inputs.values(), why):
            field.on("keydown.enter", done)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _input(label: str, chars_max: int) -> ui.input:
    made = ui.input(label).classes("full-width")
    made.props["maxlength"] = chars_max
    return made


def _marked(owed: Mapping[str, ui.input], text: str) -> bool:
    """Whether one of them is empty; those are marked."""
    empty = [field for field in owed.values() if not field.value.strip()]
    for field in owed.values():
        field.props["error"] = field in empty
        field.props["error-message"] = text if field in empty else ""
    return bool(empty)
