"""One device: how it stands, what it said last, what was refused of it, and whose it may be.

Whatever a device says of itself is shown as text, cut where it is long. Adopting is a deed: asked
for here, done and written into the log by `deeds`.
"""

from collections.abc import Mapping
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.console.asking import Field, Question, ask
from gateway.console.case_words import device_states
from gateway.console.city import kinds
from gateway.console.frame import Visit
from gateway.console.parts import Cell, Tone, facts, heading, scrolling, table
from gateway.field.device_status import SKEW_TOLD_S, DeviceState
from gateway.phrases import Phrases
from gateway.staff.deeds import Deed, Outcome, may
from gateway.views.devices import DeviceView, Proposal, ReadingRow

VALUES_CHARS_MAX = 300
_SIGNS: Mapping[DeviceState, tuple[str, Tone]] = {
    DeviceState.ONLINE: ("check_circle", "good"),
    DeviceState.LATE: ("schedule", "warn"),
    DeviceState.SILENT: ("cloud_off", "bad"),
    DeviceState.QUARANTINED: ("help", "warn"),
    DeviceState.FAULT: ("error", "bad"),
}


def sign(words: Phrases, state: DeviceState) -> ui.element:
    """A word with its sign and its colour."""
    icon, tone = _SIGNS[state]
    with ui.element("span").classes(f"s-chip s-chip-{tone}") as made:
        ui.icon(icon).props('aria-hidden="true"')
        TextElement(tag="span", text=f" {device_states(words)[state]}")
    return made


def skew_text(words: Phrases, skew_s: float) -> str:
    """Less is the way of the message, not the clock."""
    if abs(skew_s) < SKEW_TOLD_S:
        return "-"
    return words.say("{seconds} s", seconds=f"{skew_s:+,.0f}")


def show_device(visit: Visit, one: DeviceView) -> None:
    say = visit.words.say
    with ui.element("div").classes("s-card"):
        facts(_facts(visit, one))
    if one.asset is None and one.state is DeviceState.QUARANTINED:
        _adoption(visit, one)
    with _listed(say("Last readings")):
        _readings(visit, one.readings)
    with _listed(say("Last refusals")):
        _refusals(visit, one)
    with _listed(say("Numbers that never came")):
        _gaps(visit.words, one)
    ui.button(say("Look again"), on_click=ui.navigate.reload).props("flat icon=refresh")


def _listed(title: str) -> ui.element:
    with scrolling(title).classes("s-card") as made:
        heading(title)
    return made


def _facts(visit: Visit, one: DeviceView) -> dict[str, Cell]:
    say = visit.words.say
    unfit = ", ".join(f"{reason}: {count:,}" for reason, count in one.unfit.items())
    battery = "-" if one.battery_v is None else say("{volts} V", volts=f"{one.battery_v:g}")
    known: dict[str, Cell] = {
        say("Status"): lambda: sign(visit.words, one.state),
        say("Asset"): one.asset or say("none"),
        say("Kind"): kinds(visit.words).get(one.kind, one.kind) or "-",
        say("Zone"): one.zone or "-",
        say("Last heard"): visit.time(one.last_seen),
    }
    if one.state is DeviceState.QUARANTINED:
        return known  # nothing of it is counted yet
    return known | {
        say("Clock"): one.clock,
        say("Clock ahead"): skew_text(visit.words, one.clock_skew_s),
        say("Battery"): battery,
        say("Missing"): f"{one.missing:,}",
        say("Repeated"): f"{one.duplicates:,}",
        say("Too late to be judged"): f"{one.late:,}",
        say("Refused"): f"{one.rejected:,}",
        say("Counter began again"): f"{one.resets:,}",
        say("Could not be judged"): unfit or "-",
    }


def _readings(visit: Visit, readings: list[ReadingRow]) -> None:
    say = visit.words.say
    if not readings:
        ui.label(say("None is kept."))
        return
    rows: list[list[Cell]] = [
        [visit.time(row.at), visit.time(row.received_at), row.verdict, values_text(row.values)]
        for row in readings
    ]
    table(
        say("Last readings"),
        [say("Time of the device"), say("Received"), say("Taken as"), say("Values")],
        rows,
    )


def values_text(values: Mapping[str, Any]) -> str:
    """On a line, cut where it is long; a window of acceleration only by its name."""
    told = ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
        if not isinstance(value, dict | list)
    )
    inside = [key for key, value in values.items() if isinstance(value, dict | list)]
    whole = ", ".join(filter(None, [told, *(f"{key} (…)" for key in inside)]))
    return whole if len(whole) <= VALUES_CHARS_MAX else f"{whole[:VALUES_CHARS_MAX]}…"


def _refusals(visit: Visit, one: DeviceView) -> None:
    say = visit.words.say
    if not one.refusals:
        ui.label(say("Nothing was refused of it, as far as is kept."))
        return
    rows: list[list[Cell]] = [
        [visit.time(row.received_at), row.reason, row.path or "-", row.message, row.hint or "-"]
        for row in one.refusals
    ]
    columns = [
        say("Received"), say("Reason"), say("Where"), say("What was wrong"), say("What mends it"),
    ]  # fmt: skip
    table(say("Last refusals"), columns, rows)


def _gaps(words: Phrases, one: DeviceView) -> None:
    say = words.say
    if not one.gaps:
        ui.label(say("None is missing, as far as its messages are numbered."))
        return
    rows: list[list[Cell]] = [
        [
            "-" if gap.boot is None else str(gap.boot),
            str(gap.first),
            str(gap.last),
            f"{gap.last - gap.first + 1:,}",
        ]
        for gap in one.gaps
    ]
    table(
        say("Numbers that never came"),
        [say("Start"), say("From"), say("To"), say("Messages")],
        rows,
    )


# -- adoption --------------------------------------------------------------------------------------


def _adoption(visit: Visit, one: DeviceView) -> None:
    say = visit.words.say
    with ui.element("div").classes("s-card"):
        heading(say("Whose is it?"))
        ui.label(
            say("No asset has this device, so that no rule hears it. Its messages are kept.")
        ).classes("s-text")
        if not may(visit.person, Deed.ADOPT):
            ui.label(say("An operator can adopt it."))
            return
        if one.proposals:
            rows: list[list[Cell]] = [
                [proposal.asset, _why(visit.words, proposal), _adopts(visit, one, proposal.asset)]
                for proposal in one.proposals
            ]
            table(say("It may be of"), [say("Asset"), say("Why"), say("Adopt")], rows)
        button = ui.button(say("Adopt for an asset"), on_click=lambda: _ask(visit, one.device, ""))
        button.style("margin-top: 8px")


def _adopts(visit: Visit, one: DeviceView, asset: str) -> Cell:
    text = visit.words.say("Adopt for {asset}", asset=asset)
    return lambda: ui.button(text, on_click=lambda: _ask(visit, one.device, asset)).props(
        "flat no-caps"
    )


def _why(words: Phrases, proposal: Proposal) -> str:
    reasons = []
    if proposal.metres is not None:
        reasons.append(words.say("{metres} m from where it was", metres=str(proposal.metres)))
    if proposal.same_number:
        reasons.append(words.say("the same number"))
    if proposal.silent:
        reasons.append(words.say("nothing speaks for it so far"))
    return ", ".join(reasons)


def _ask(visit: Visit, device: str, asset: str) -> None:
    """For which asset, and why; then it is done, and the page shown anew."""
    say, deeds = visit.words.say, visit.console.deeds
    question = Question(
        Deed.ADOPT,
        say("Adopt {device}", device=device),
        say("It is entered among the devices of the asset, in the asset file, for good."),
        (Field("asset", say("Asset"), asset),),
    )

    async def after(outcome: Outcome) -> None:
        if outcome.done:  # what waits is not to be seen yet
            ui.navigate.reload()

    ask(visit, question, lambda who, said, why: deeds.adopt(who, device, said["asset"], why), after)
