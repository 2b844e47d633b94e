"""A table that goes on: rows come, change and go while somebody reads it.

A row is known by its key and a cell by what it shows; what is the same stays untouched, so that the
place on the page, what is chosen and what has the focus stay too. On a phone each row is a card.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.parts import bare_table, scrolling


class Built(NamedTuple):
    """A cell that is more than a text. `shows`: built anew only when this is another."""

    shows: Hashable
    build: Callable[[], object]


Cell = str | Built


class Row(NamedTuple):
    key: str
    cells: Sequence[Cell]


@dataclass(slots=True)
class _Shown:
    element: ui.element
    cells: list[ui.element] = field(default_factory=list)
    contents: list[Hashable] = field(default_factory=list)


class LiveTable:
    """`none`: what is said where there is no row."""

    def __init__(self, caption: str, columns: Sequence[str], none: str) -> None:
        self._columns = columns
        self._rows: dict[str, _Shown] = {}
        self._none = ui.label(none).classes("s-quiet")
        with scrolling(caption).classes("s-card") as self._whole:
            table, self._body = bare_table(caption, columns)
            table.classes("s-live")
        self.show([])

    def show(self, rows: Sequence[Row]) -> None:
        """These, in this order."""
        wanted = {row.key for row in rows}
        for key in [key for key in self._rows if key not in wanted]:
            self._rows.pop(key).element.delete()
        order = [key for key in self._rows if key in wanted]
        for at, row in enumerate(rows):
            shown = self._rows.get(row.key)
            if shown is None:
                shown = self._begun(row.key)
                order.append(row.key)
            self._fill(shown, row)
            if order[at] != row.key:
                order.remove(row.key)
                order.insert(at, row.key)
                shown.element.move(self._body, at)
        self._rows = {key: self._rows[key] for key in order}
        self._none.visible = not rows
        self._whole.visible = bool(rows)

    def _begun(self, key: str) -> _Shown:
        with self._body:
            self._rows[key] = shown = _Shown(ui.element("tr"))
        return shown

    def _fill(self, shown: _Shown, row: Row) -> None:
        for at, (column, cell) in enumerate(zip(self._columns, row.cells, strict=True)):
            if at == len(shown.cells):
                with shown.element:
                    made = TextElement(tag="td", text="")
                made.props["data-label"] = column
                shown.cells.append(made)
                shown.contents.append(None)
            content: Hashable = cell if isinstance(cell, str) else cell.shows
            if shown.contents[at] != content:
                shown.contents[at] = content
                _put(shown.cells[at], cell)


def _put(place: ui.element, cell: Cell) -> None:
    place.clear()
    text = cell if isinstance(cell, str) else ""
    if isinstance(place, TextElement) and place.text != text:
        place.text = text
    if not isinstance(cell, str):
        with place:
            cell.build()
