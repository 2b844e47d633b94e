"""What the pages about rules have in common: words for states, one run at a time, what went wrong.

A run ends when its page goes away: nobody is there to read what it finds.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.frame import Visit
from gateway.console.parts import Tone, chip, heading
from gateway.phrases import Phrases
from gateway.views.rule_results import Trouble
from gateway.views.workbench import FoundFault, State

_Found = TypeVar("_Found")


def state_chip(state: State, words: Phrases) -> TextElement:
    texts: dict[State, tuple[str, Tone]] = {
        "live": (words.say("live"), "good"),
        "shadow": (words.say("in shadow"), "warn"),
        "left_out": (words.say("left out"), ""),
    }
    return chip(*texts[state])


def state_text(state: State, words: Phrases) -> str:
    texts: dict[State, str] = {
        "live": words.say("What it finds is filed."),
        "shadow": words.say("It is judged like any other; what it would file is only recorded."),
        "left_out": words.say("The configuration leaves it out: it is not judged at all."),
    }
    return texts[state]


def code(text: str) -> TextElement:
    """Text of a rule, as it stands."""
    return TextElement(tag="pre", text=text).classes("s-pre")


def lines(texts: list[str]) -> None:
    with ui.element("ul").classes("s-list"):
        for text in texts:
            TextElement(tag="li", text=text)


def more(summary: str) -> ui.element:
    """What is there for those who ask for it; closed at first."""
    details = ui.element("details").classes("s-more")
    with details:
        TextElement(tag="summary", text=summary)
    return details


async def is_dark(visit: Visit) -> bool:
    """How the page looks in this browser."""
    with suppress(TimeoutError):
        await visit.client.connected(timeout=5.0)
        asked = "document.body.classList.contains('body--dark')"
        return bool(await ui.run_javascript(asked, timeout=3.0))
    return False


class Running:
    """The run of a page: one at a time, ended when another begins or the page goes."""

    def __init__(self, visit: Visit) -> None:
        self._task: asyncio.Task[Any] | None = None
        visit.client.on_delete(self.stop)

    @property
    def is_on(self) -> bool:
        return self._task is not None and not self._task.done()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def of(self, run: Coroutine[Any, Any, _Found]) -> _Found | None:
        """What the run finds; None: it was stopped."""
        self.stop()
        self._task = task = asyncio.create_task(run)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        return None if task.cancelled() else task.result()


def tell_trouble(trouble: Trouble, words: Phrases) -> None:
    """Why a run gave no answer, and what to do."""
    texts = {
        "findings": words.say("The rules have errors; mend these first."),
        "labels": words.say("The labels cannot be read: {why}", why=trouble.text),
        "time": words.say(
            "Stopped after {seconds} s: choose a shorter period.", seconds=trouble.text
        ),
        "memory": words.say("Stopped: it needs more memory than a run may have."),
        "config": words.say("The history cannot be read: {why}", why=trouble.text),
        "broken": words.say("The run ended without an answer; the log of the console says more."),
    }
    with ui.element("div").classes("s-state s-state-red").props('role="alert"'):
        ui.label(texts[trouble.code]).classes("s-text")
        lines([finding_text(finding) for finding in trouble.findings])


def finding_text(finding: FoundFault) -> str:
    place = f"{finding.file}:{finding.line}:{finding.column}: {finding.code}: {finding.message}"
    return f"{place}; {finding.help}" if finding.help else place


def part(title: str) -> ui.element:
    """A part of a page with its heading."""
    section = ui.element("section")
    with section:
        heading(title)
    return section
