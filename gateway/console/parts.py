"""What pages are put together from: headings, facts, tables, chips, and the question why.

Each is plain HTML that a screen reader knows, made from text that stays text.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.phrases import Phrases

WHY_CHARS_MAX = 500
Tone = Literal["", "good", "warn", "bad"]
Cell = str | Callable[[], object]
"""A text, or what puts something else into the cell."""


def heading(text: str, level: int = 2) -> TextElement:
    """Of a part of the page (2), or within one (3). The page's own (1) is set by the frame."""
    return TextElement(tag=f"h{level}", text=text).classes(f"s-h{level}")


def chip(text: str, tone: Tone = "") -> TextElement:
    """A word for a state; the tone only underlines what the word says."""
    return TextElement(tag="span", text=text).classes(f"s-chip s-chip-{tone}")


def facts(pairs: Mapping[str, Cell]) -> ui.element:
    """Names and what they are."""
    with ui.element("dl").classes("s-facts") as made:
        for name, value in pairs.items():
            TextElement(tag="dt", text=name)
            _cell("dd", value)
    return made


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> ui.element:
    """With its caption for screen readers; on a phone each row is a card."""
    with ui.element("table").classes("s-table") as made:
        made.props["aria-label"] = caption
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                TextElement(tag="th", text=column).props('scope="col"')
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for column, value in zip(columns, row, strict=True):
                        _cell("td", value).props["data-label"] = column
    return made


def ask_why(
    words: Phrases,
    title: str,
    explanation: str,
    carry_out: Callable[[str], Awaitable[object]],
    *,
    needed: bool = True,
) -> None:
    """A dialog that says what will happen, asks why, and has it done. `needed`: not without."""
    with ui.dialog().props("persistent") as dialog, ui.card().classes("s-card"):
        dialog.props["aria-label"] = title
        heading(title)
        ui.label(explanation).classes("s-text")
        why = ui.input(words.say("Why (it stands in the log)")).classes("full-width")
        why.props(f"maxlength={WHY_CHARS_MAX} autofocus")

        async def done() -> None:
            if needed and not why.value.strip():
                why.props["error"] = True
                why.props["error-message"] = words.say("Say why: whoever asks later will read it.")
                return
            dialog.close()
            await carry_out(why.value.strip())

        with ui.element("div").classes("s-row"):
            ui.button(title, on_click=done)
            ui.button(words.say("Cancel"), on_click=dialog.close).props("flat")
        why.on("keydown.enter", done)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _cell(tag: str, value: Cell) -> ui.element:
    if isinstance(value, str):
        return TextElement(tag=tag, text=value)
    with ui.element(tag) as cell:
        value()
    return cell
