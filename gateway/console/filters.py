"""What stands around a list: above it a form of the browser's own fields, below it its pages.

What is chosen stands in the address, so that a list can be passed on and gone back to, and works as
people know it on a phone and with the keyboard.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.phrases import Phrases

CHARS_MAX = 200


class Filter(NamedTuple):
    """A field. `options`: value and text of each; none: it is written into."""

    name: str
    label: str
    value: str
    options: Mapping[str, str] | None = None


def filter_form(
    words: Phrases, label: str, here: str, filters: Sequence[Filter], kept: Mapping[str, str]
) -> None:
    """`kept`: what stands in the address and has no field."""
    form = ui.element("form").classes("s-fields").props(f"method=get role=search action={here}")
    form.props["aria-label"] = label
    with form:
        for one in filters:
            with ui.element("label").classes("s-labelled"):
                TextElement(tag="span", text=one.label).classes("s-quiet")
                _field(one)
        for name, value in kept.items():
            hidden = ui.element("input").props(f"type=hidden name={name}")
            hidden.props["value"] = value
        ui.button(words.say("Show")).props("type=submit")
        ui.link(words.say("Clear the filters"), here)


def _field(one: Filter) -> None:
    if one.options is None:
        field = ui.element("input").props(f"type=search name={one.name} maxlength={CHARS_MAX}")
        field.classes("s-own-field").props["value"] = one.value
        return
    options = dict(one.options)
    options.setdefault(one.value, one.value)
    with ui.element("select").props(f"name={one.name}").classes("s-own-field"):
        for value, text in options.items():
            option = TextElement(tag="option", text=text)
            option.props["value"] = value
            option.props["selected"] = value == one.value


class Pages:
    """The way to the newest page of a list and to older ones. `address`: of the page behind an
    entry; `after`: behind which this one is, if it is not the newest.
    """

    def __init__(
        self, words: Phrases, label: str, address: Callable[[int | None], str], after: int | None
    ) -> None:
        self._address = address
        with ui.element("nav").classes("s-row") as pages:
            pages.props["aria-label"] = label
            if after is not None:
                ui.link(words.say("Newest"), address(None))
            self._older = ui.link(words.say("Older"), "#")

    def show(self, next_: int | None) -> None:
        """`next_`: the last entry here; None: there are no older ones."""
        self._older.visible = next_ is not None
        if next_ is not None:
            self._older.props["href"] = self._address(next_)
