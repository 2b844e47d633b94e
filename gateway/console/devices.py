"""The list of the devices, by the page, and which page shows one of them.

What is chosen stands in the address, so that a list can be passed on and gone back to.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from nicegui import ui

from gateway.console.case_words import device_states
from gateway.console.city import kinds
from gateway.console.device import show_device, sign, skew_text
from gateway.console.filters import CHARS_MAX, Filter, filter_form
from gateway.console.frame import Console, Visit
from gateway.console.parts import Cell, scrolling, table
from gateway.field.device_status import DeviceState
from gateway.phrases import Phrases
from gateway.views.devices import (
    DeviceList,
    DeviceRow,
    Wanted,
    device_view,
    devices_of,
)

HERE = "/devices"
ROWS = 50
"""On a page: more is slow to draw, and nobody reads it."""
_NAME_STYLE = "display: inline-block; min-width: 7em; overflow-wrap: anywhere"


def add_to(console: Console) -> None:
    @console.page(HERE)
    async def listed(visit: Visit) -> None:
        wanted, page = _asked(visit.query)
        found = await asyncio.to_thread(devices_of, visit.books, wanted, page, ROWS)
        with visit.frame(visit.words.say("Devices"), HERE):
            _summary(visit, found)
            _filters(visit, wanted, found)
            _list(visit, found)
            _pager(visit.words, wanted, found)

    @console.page(f"{HERE}/{{name:path}}")
    async def one(visit: Visit) -> None:
        name = str(visit.path["name"])
        found = await asyncio.to_thread(device_view, visit.books, name)
        with visit.frame(visit.words.say("Device {name}", name=name[:CHARS_MAX]), HERE):
            if found is None:
                ui.label(visit.words.say("Nobody has heard of this device, and no asset has it."))
            else:
                show_device(visit, found)


# -- the list --------------------------------------------------------------------------------------


def _asked(query: Mapping[str, str]) -> tuple[Wanted, int]:
    """What the address asks for; what it cannot ask for is left out."""
    wanted = Wanted(*(query.get(name, "")[:CHARS_MAX] for name in Wanted._fields))
    if wanted.state not in list(DeviceState):
        wanted = wanted._replace(state="")
    digits = query.get("page", "1")
    return wanted, int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 7 else 1


def _address(wanted: Wanted, page: int = 1) -> str:
    asked = {name: value for name, value in wanted._asdict().items() if value}
    return f"{HERE}?{urlencode(asked | ({'page': str(page)} if page > 1 else {}))}".rstrip("?")


def _device_address(name: str) -> str:
    return f"{HERE}/{quote(name, safe='')}"


def _summary(visit: Visit, found: DeviceList) -> None:
    """How many stand how: each a link to those."""
    say, names = visit.words.say, device_states(visit.words)
    with ui.element("div").classes("s-row"):
        for state, count in found.states.items():
            text = say("{state}: {count}", state=names[state], count=f"{count:,}")
            ui.link(text, _address(Wanted(state=state)))
    ui.label(say("As of {time}.", time=visit.time(visit.books.now_ms()))).classes("s-quiet")


def _filters(visit: Visit, wanted: Wanted, found: DeviceList) -> None:
    say, known = visit.words.say, kinds(visit.words)
    every = {"": say("All")}
    states = {str(state): text for state, text in device_states(visit.words).items()}
    named = {kind: known.get(kind, kind) for kind in found.kinds}
    zones = {zone: zone for zone in found.zones}
    fields = [
        Filter("search", say("Device or asset"), wanted.search),
        Filter("state", say("Status"), wanted.state, every | states),
        Filter("kind", say("Kind"), wanted.kind, every | named),
        Filter("zone", say("Zone"), wanted.zone, every | zones),
    ]
    filter_form(visit.words, say("Which devices are shown"), HERE, fields, {})


def _list(visit: Visit, found: DeviceList) -> None:
    say = visit.words.say
    if not found.devices:
        ui.label(say("No device is like that."))
        return
    columns = [
        say("Device"), say("Status"), say("Kind"), say("Zone"), say("Asset"), say("Last heard"),
        say("Clock ahead"), say("Missing"), say("Refused"), say("Last refusal"),
    ]  # fmt: skip
    rows = [_row(visit, one) for one in found.devices]
    with scrolling(say("Devices")).classes("s-card"):
        table(say("Devices"), columns, rows).classes("s-live")


def _row(visit: Visit, one: DeviceRow) -> list[Cell]:
    known = kinds(visit.words)
    return [
        lambda: ui.link(one.device, _device_address(one.device)).style(_NAME_STYLE),
        lambda: sign(visit.words, one.state),
        known.get(one.kind, one.kind),
        one.zone,
        one.asset or "-",
        visit.time(one.last_seen),
        skew_text(visit.words, one.clock_skew_s),
        f"{one.missing:,}",
        f"{one.rejected:,}",
        f"{one.refused}: {one.hint}" if one.refused and one.hint else one.refused or "-",
    ]


def _pager(words: Phrases, wanted: Wanted, found: DeviceList) -> None:
    say = words.say
    with ui.element("nav").classes("s-row") as row:
        row.props["aria-label"] = say("Pages of the list")
        if found.page > 1:
            ui.link(say("First"), _address(wanted))
            ui.link(say("Previous"), _address(wanted, found.page - 1))
        text = say(
            "Page {page} of {pages}, {count} devices",
            page=f"{found.page:,}", pages=f"{found.pages:,}", count=f"{found.found:,}",
        )  # fmt: skip
        ui.label(text)
        if found.page < found.pages:
            ui.link(say("Next"), _address(wanted, found.page + 1))
            ui.link(say("Last"), _address(wanted, found.pages))
