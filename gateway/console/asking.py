"""The question before a deed: what will happen, what is still to be said, and why; then it is done.

It stays open, with all that was written, where the deed was not done, and says why not; to findings
in files, which the page shows, it gives way. Pressed twice it is done once. It outlives the part of
the page from which it was asked.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from nicegui import ui

from gateway.console.case_words import verdict
from gateway.console.frame import Visit
from gateway.console.parts import heading
from gateway.staff.deed import NEEDS, WHY_CHARS_MAX, Code, Deed, Outcome
from gateway.staff.people import Person

FIELD_CHARS_MAX = 200
Said = Mapping[str, str]
Carry = Callable[[Person, Said, str], Outcome]
"""The deed: by whom, with what was said in the fields, and why."""
After = Callable[[Outcome], Awaitable[object]]
"""What follows on the page, whatever came of it."""


class Field(NamedTuple):
    """What is to be said beside why; all of them must be. `value`: what stands there already."""

    name: str
    label: str
    value: str = ""


class Question(NamedTuple):
    """`deed`: what it is, for whether a reason is owed."""

    deed: Deed
    title: str
    explanation: str
    fields: Sequence[Field] = ()


def ask(visit: Visit, question: Question, carry_out: Carry, after: After | None = None) -> None:
    """Ask, have it done, then `after`."""
    inputs: dict[str, ui.input] = {}

    def fields() -> None:
        for one in question.fields:
            inputs[one.name] = text_field(one.label, FIELD_CHARS_MAX, one.value)

    async def act() -> None:
        owed = [*inputs.values(), *([dialog.why] if NEEDS[question.deed].why else [])]
        said = {name: field.value.strip() for name, field in inputs.items()}
        why = dialog.why.value.strip()
        if not dialog.lacks(owed):
            await dialog.carry_out(lambda person: carry_out(person, said, why), after)

    build = fields if question.fields else None
    dialog = Dialog(visit, question.title, question.explanation, act, build)
    next(iter(inputs.values()), dialog.why).props("autofocus")
    for one in inputs.values():
        one.on("keydown.enter", act)


class Dialog:
    """What every question has: what will happen, why, what stands against it, the way out.

    `act`: what its button does; `build`: makes what stands above why.
    """

    def __init__(
        self,
        visit: Visit,
        title: str,
        explanation: str,
        act: Callable[[], Awaitable[None]],
        build: Callable[[], None] | None = None,
        style: str = "s-ask",
    ) -> None:
        self._visit = visit
        say = visit.words.say
        with (
            visit.client.content,
            ui.dialog().props("persistent") as self._dialog,
            ui.card().classes(f"s-card {style}"),
        ):
            self._dialog.props["aria-label"] = title
            heading(title)
            ui.label(explanation).classes("s-text")
            if build is not None:
                with ui.element("div").classes("s-asked full-width"):
                    build()
            self.why = text_field(say("Why (it stands in the log)"), WHY_CHARS_MAX)
            self.why.on("keydown.enter", act)
            self._trouble = ui.label().classes("s-state s-state-red").props("role=alert")
            self.tell("")
            self.below = ui.element("div").classes("full-width")
            with ui.element("div").classes("s-row"):
                self._act = ui.button(title, on_click=act)
                ui.button(say("Cancel"), on_click=self._dialog.close).props("flat")
        self._dialog.on("hide", self._dialog.delete)
        self._dialog.open()

    def tell(self, trouble: str) -> None:
        self._trouble.text, self._trouble.visible = trouble, bool(trouble)

    def lacks(self, owed: Sequence[ui.input]) -> bool:
        """Whether one of them is empty; those are marked."""
        say = self._visit.words.say
        empty = [field for field in owed if not field.value.strip()]
        for field in owed:
            why = say("Say why: whoever asks later will read it.")
            text = why if field is self.why else say("Say this first.")
            field.props["error"] = field in empty
            field.props["error-message"] = text if field in empty else ""
        return bool(empty)

    async def carry_out(self, deed: Callable[[Person], Outcome], after: After | None) -> None:
        """Once, however often it is asked for meanwhile."""
        if not self._act.enabled:
            return
        self._act.disable()
        outcome = await self._visit.carry_out(deed)
        self._act.enable()
        if outcome is None or outcome.code in (Code.DONE, Code.WAITING) or outcome.findings:
            self._dialog.close()
        else:
            self.tell(verdict(self._visit.words, outcome))
        if outcome is not None and after is not None:
            with self._visit.client.content:  # the dialog may be gone by now
                await after(outcome)


def text_field(label: str, chars_max: int, value: str = "") -> ui.input:
    made = ui.input(label, value=value).classes("full-width")
    made.props["maxlength"] = chars_max
    return made
