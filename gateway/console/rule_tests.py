"""The tests of a rule file, run and told: what passed, what failed, with what was expected.

They run in a process of their own (`views.rule_runs`); this page only waits.
"""

from collections.abc import Callable

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.frame import Visit
from gateway.console.parts import chip, heading
from gateway.console.rule_parts import Running, code, lines, more, tell_trouble
from gateway.phrases import Phrases
from gateway.views.rule_results import CaseResult, TestsResult, Trouble
from gateway.views.rule_runs import BENCH

SHOWN_MAX = 200
Go = Callable[[int], object]
"""To a line of the file."""


async def run_tests(
    visit: Visit, running: Running, place: ui.element, file: str, text: str, go: Go | None,
    instead_of: str = "",
) -> None:  # fmt: skip
    """Into `place`, whatever was there."""
    place.clear()
    with place:
        ui.label(visit.words.say("The tests are running…")).props('role="status"')
    found = await running.of(BENCH.tests(visit.books, file, text, instead_of))
    if found is None:
        return
    place.clear()
    with place:
        if isinstance(found, Trouble):
            tell_trouble(found, visit.words)
        else:
            _told(found, visit.words, go)


def _told(found: TestsResult, words: Phrases, go: Go | None) -> None:
    with ui.element("div").classes("s-row").props('role="status"'):
        chip(words.say("passed: {count}", count=str(found.passed)), "good")
        chip(words.say("failed: {count}", count=str(found.failed)), "bad" if found.failed else "")
    if not found.cases:
        ui.label(words.say("There is no test; the tests of a rule stand under `tests:`."))
    if found.cut:
        ui.label(words.say("There was no time for all of them."))
    if found.without:
        names = ", ".join(found.without)
        ui.label(words.say("Without tests: {rules}", rules=names)).classes("s-text")
    for case in [case for case in found.cases if not case.passed][:SHOWN_MAX]:
        _failed(case, words, go)
    passed = [f"{case.rule}: {case.name}" for case in found.cases if case.passed]
    if passed:
        with more(words.say("Those that passed")):
            lines(passed[:SHOWN_MAX])


def _failed(case: CaseResult, words: Phrases, go: Go | None) -> None:
    with ui.element("div").classes("s-card"):
        with ui.element("div").classes("s-row"):
            chip(words.say("failed"), "bad")
            heading(f"{case.rule}: {case.name}", 3)
            if go is not None:
                label = words.say("Line {line}", line=str(case.line))
                ui.button(label, on_click=lambda line=case.line: go(line)).props("flat dense")
        for one in case.failures:
            with ui.element("dl").classes("s-facts"):
                TextElement(tag="dt", text=words.say("Expected, line {line}", line=str(one.line)))
                TextElement(tag="dd", text=one.expected)
                TextElement(tag="dt", text=words.say("Got"))
                TextElement(tag="dd", text=one.got)
        with more(words.say("What happened, in minutes since the start")):
            code("\n".join(case.timeline) or words.say("nothing"))
