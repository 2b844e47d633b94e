"""An edited rule file against what is in force: its lines, and what each change does.

Shows; what is compared, and how, is `views.workbench`.
"""

import asyncio

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.frame import Visit
from gateway.console.parts import chip, heading, table
from gateway.console.rule_parts import part
from gateway.phrases import Phrases
from gateway.views.workbench import Diff, DiffLine, RuleChange, diff

LINES_SHOWN = 1_500
_CLASSES = {"+": "s-diff-add", "-": "s-diff-drop", "@": "s-diff-place", " ": ""}


async def compare(
    visit: Visit, place: ui.element, file: str, text: str, instead_of: str = ""
) -> None:
    """Into `place`, whatever was there."""
    found = await asyncio.to_thread(diff, visit.books, file, text, instead_of)
    place.clear()
    with place, part(visit.words.say("Against what is in force")):
        _told(found, visit.words)


def _told(found: Diff, words: Phrases) -> None:
    if found.same:
        ui.label(words.say("The text is the one in force.")).props('role="status"')
        return
    for change in found.changes:
        _change(change, words)
    if not found.changes:
        ui.label(words.say("No rule means anything else, or the text has errors."))
    if found.too_long:
        ui.label(words.say("The texts are too long to be compared line by line."))
        return
    heading(words.say("Lines"), 3)
    with ui.element("div").classes("s-diff s-card").props('tabindex="0" role="region"') as box:
        box.props["aria-label"] = words.say("Lines that differ")
        for line in found.lines[:LINES_SHOWN]:
            _line(line)
    if len(found.lines) > LINES_SHOWN:
        left = str(len(found.lines) - LINES_SHOWN)
        ui.label(words.say("More lines: {count}.", count=left))


def _line(line: DiffLine) -> None:
    text = line.text if line.sign == "@" else f"{line.sign} {line.text}"
    TextElement(tag="div", text=text).classes(_CLASSES[line.sign])


def _change(change: RuleChange, words: Phrases) -> None:
    kinds = {
        "added": words.say("added"),
        "removed": words.say("removed"),
        "changed": words.say("changed"),
    }
    with ui.element("div").classes("s-row"):
        heading(change.rule, 3)
        chip(kinds[change.kind])
        if change.kind == "changed":
            kept = words.say("its timers go on")
            anew = words.say("its timers begin anew")
            chip(kept if change.keeps_timers else anew, "" if change.keeps_timers else "warn")
    if change.parts:
        columns = [words.say("Part"), words.say("Before"), words.say("After")]
        table(change.rule, columns, [list(part) for part in change.parts])
