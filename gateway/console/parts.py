"""What pages are put together from: headings, facts, tables and chips.

Each is plain HTML that a screen reader knows, made from text that stays text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

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
    made, body = bare_table(caption, columns)
    with body:
        for row in rows:
            with ui.element("tr"):
                for column, value in zip(columns, row, strict=True):
                    _cell("td", value).props["data-label"] = column
    return made


def bare_table(caption: str, columns: Sequence[str]) -> tuple[ui.element, ui.element]:
    """The table, and its body, in which nothing is yet."""
    with ui.element("table").classes("s-table") as made:
        made.props["aria-label"] = caption
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                TextElement(tag="th", text=column).props('scope="col"')
        body = ui.element("tbody")
    return made, body


def scrolling(label: str) -> ui.element:
    """Around what may be wider than the page; the keyboard reaches it too."""
    made = ui.element("div").classes("s-scroll").props("tabindex=0 role=group")
    made.props["aria-label"] = label
    return made


def _cell(tag: str, value: Cell) -> ui.element:
    if isinstance(value, str):
        return TextElement(tag=tag, text=value)
    with ui.element(tag) as cell:
        value()
    return cell
