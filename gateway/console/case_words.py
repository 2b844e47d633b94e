"""How incidents, requests and devices stand, in words: each state with its tone, what it means,
what to do; and the names of what people do.

Texts of the books that people read, whose words are fixed, are said here too; what the city or a
device said is never translated.
"""

from collections.abc import Mapping
from typing import NamedTuple

from nicegui.elements.mixins.text_element import TextElement

from gateway.cases.incident import State, Why
from gateway.cityhall.delivery import State as Delivery
from gateway.cityhall.telling import FIXED, REOPEN
from gateway.console.parts import Tone, chip
from gateway.field.device_status import DeviceState
from gateway.phrases import Phrases
from gateway.staff.deed import Code, Deed, Outcome
from rules.instance import Cause, Phase


class Worded(NamedTuple):
    """`means`: a sentence."""

    text: str
    tone: Tone
    means: str


def incident_states(words: Phrases) -> Mapping[str, Worded]:
    say = words.say
    return {
        State.HELD: Worded(
            say("held"), "warn",
            say("It waits: late samples or a fault that explains it could still change it."),
        ),
        State.QUEUED: Worded(
            say("with a request"), "bad", say("There is a request to the city to repair it.")
        ),
        State.ABSORBED: Worded(
            say("part of another"), "", say("Another incident explains it, or stands for it.")
        ),
        State.NOTED: Worded(say("noted"), "", say("It is on record; the city is not asked.")),
        State.SHADOW: Worded(
            say("in shadow"), "",
            say("Its rule is on trial: what it would ask is on record, and not sent."),
        ),
        State.WITHDRAWN: Worded(say("withdrawn"), "", say("It turned out to be none.")),
    }  # fmt: skip


def means_of(words: Phrases, state: str, request_state: str = "") -> str:
    """A sentence on an incident that goes on. `request_state`: of its request, if it has one."""
    say = words.say
    asked = {
        Delivery.REVIEW: say("A person decides whether the city is asked to repair it."),
        Delivery.READY: say("The city is not asked yet to repair it, but will be soon."),
        Delivery.REOPENING: say("The city is not asked yet to repair it, but will be soon."),
        Delivery.SENDING: say("The city is being asked to repair it."),
        Delivery.UNCERTAIN: say("The city may have been asked to repair it; nobody knows yet."),
        Delivery.HELD: say("The city may have been asked to repair it; nobody knows yet."),
        Delivery.REFUSED: say("The city was asked to repair it, and refused."),
        Delivery.WITHDRAWN: say("The city was not asked to repair it, and will not be."),
        Delivery.FILED: say("The city is asked to repair it."),
        Delivery.TOKENED: say("The city is asked to repair it."),
    }
    if state == State.QUEUED and request_state in asked:
        return asked[Delivery(request_state)]
    return incident_states(words)[state].means


def request_states(words: Phrases) -> Mapping[str, Worded]:
    say = words.say
    return {
        Delivery.READY: Worded(say("to be sent"), "", say("It is sent as soon as it may be.")),
        Delivery.REVIEW: Worded(
            say("waits for approval"), "warn",
            say("A person decides: approve it, or leave it until the fault is over."),
        ),
        Delivery.SENDING: Worded(say("being sent"), "", say("It is on its way at this moment.")),
        Delivery.FILED: Worded(say("filed"), "good", say("The city has it.")),
        Delivery.TOKENED: Worded(
            say("accepted"), "good", say("The city has it and will give its number later.")
        ),
        Delivery.REFUSED: Worded(
            say("refused"), "bad",
            say("The city said no. Mend what its answer says, then try it again, or link it."),
        ),
        Delivery.UNCERTAIN: Worded(
            say("unknown"), "warn",
            say("It may have arrived: the city's list is looked through before it is sent again."),
        ),
        Delivery.HELD: Worded(
            say("kept, may be there"), "bad",
            say("It may have arrived, and nobody can see it there. Ask the city; then link it to "
                "its number, or try it again."),
        ),
        Delivery.WITHDRAWN: Worded(say("withdrawn"), "", say("It was never sent.")),
        Delivery.REOPENING: Worded(
            say("to be opened again"), "", say("The city is asked to open the earlier one again.")
        ),
    }  # fmt: skip


def incident_chip(words: Phrases, state: str, *, is_open: bool) -> TextElement:
    worded = incident_states(words).get(state, Worded(state, "", ""))
    if not is_open and state != State.WITHDRAWN:
        return chip(words.say("over"), "good")
    return chip(worded.text, worded.tone)


def request_chip(words: Phrases, state: str) -> TextElement:
    worded = request_states(words).get(state, Worded(state, "", ""))
    return chip(worded.text, worded.tone)


def step_words(words: Phrases) -> Mapping[str, str]:
    """What an incident or its rule was after a step of the journal."""
    say = words.say
    phases = {
        Phase.OK: say("in order"),
        Phase.PENDING: say("pending"),
        Phase.FIRING: say("firing"),
        Phase.CLEARING: say("clearing"),
        "blind": say("without data"),
    }
    return {**phases, **{state: one.text for state, one in incident_states(words).items()}}


def causes(words: Phrases) -> Mapping[str, str]:
    """Why a rule's phase changed, or an incident's state: as the journal has it, and in words."""
    return {**_of_rules(words), **_of_incidents(words)}


def _of_rules(words: Phrases) -> Mapping[str, str]:
    say = words.say
    return {
        Cause.CONDITION_TRUE: say("The condition became true."),
        Cause.CONDITION_FALSE: say("The condition became false."),
        Cause.HELD_LONG_ENOUGH: say("The condition held for its time."),
        Cause.GAP: say("Samples were too far apart to go on counting."),
        Cause.CLEAR_TRUE: say("The clear condition became true."),
        Cause.CLEAR_HELD: say("The clear condition held for its time."),
        Cause.TRUE_AGAIN: say("The condition came back before it was clear."),
        Cause.CLEAR_FALSE: say("The clear condition no longer held."),
        Cause.NO_DATA: say("There was no usable sample for too long."),
        Cause.DATA_AGAIN: say("Samples came again."),
        Cause.LATE_SAMPLE: say("A late sample changed what had happened."),
        Cause.STILL_TRUE: say("The condition held again, though it was to be repaired."),
    }


def _of_incidents(words: Phrases) -> Mapping[str, str]:
    say = words.say
    return {
        Why.FIRED: say("The rule fired."),
        Why.URGENT: say("It is urgent: filed at once."),
        Why.STOOD: say("It stood through the wait for late samples and parent faults."),
        Why.NO_FILING: say("Its rule asks nothing of the city."),
        Why.SHADOW: say("Its rule is in shadow: not filed."),
        Why.PROMOTED: say("It still stands, and its rule is live now."),
        Why.EXPLAINED: say("Another fault explains it."),
        Why.SAME_FAULT: say("Another fault of the same asset is filed under the same service."),
        Why.PARENT_GONE: say("The fault that explained it ended, and this one still stands."),
        Why.FLAPPING: say("It comes and goes: filed if it lasts."),
        Why.SILENCED: say("A maintenance window silences it."),
        Why.SILENCE_OVER: say("The maintenance window is over: filed if it is seen again."),
        Why.OVER_BEFORE_DUE: say("It was over before it was due."),
        Why.LATE_SAMPLE: say("A late sample showed that it never fired."),
        Why.CORRECTED: say("A late sample moved its beginning."),
        Why.GOES_ON: say("A late sample showed that it goes on."),
        Why.CLEARED: say("The sensor shows that it is over."),
        Why.CITY_CLOSED: say("The city closed its request: the sensor is to show the repair."),
        Why.CITY_REOPENED: say("The city opened its request again."),
        Why.STILL_SEEN: say("The sensor shows it again after the city closed its request."),
        Why.NOT_REPAIRED: say("The city closed its request, and the sensor still shows it."),
        Why.MERGED: say("A person merged it into another."),
        Why.SPLIT: say("A person split it off."),
        Why.REOPENED: say("A person opened it again."),
    }


def event_text(words: Phrases, event: str) -> str:
    """What happened to a request, as its delivery has it; what is not known stays as it is."""
    kind, _, rest = event.partition(":")
    if kind == "city":
        return words.say("The city shows it as {status}.", status=rest)
    if kind == "news":
        return _news(words).get(rest, rest)
    return _events(words).get(event, event)


def _news(words: Phrases) -> Mapping[str, str]:
    say = words.say
    return {
        f"{FIXED}:told": say("The city was told that the fault is over."),
        f"{FIXED}:refused": say("The city did not take the word that the fault is over."),
        f"{FIXED}:ready": say("The city is to be told that the fault is over; it is tried again."),
        f"{REOPEN}:told": say("The city was asked to open it again."),
        f"{REOPEN}:refused": say("The city did not open it again."),
        f"{REOPEN}:ready": say("The city is to open it again; it is asked once more."),
    }


def _events(words: Phrases) -> Mapping[str, str]:
    say = words.say
    return {
        "claimed": say("An attempt begins."),
        "filed": say("The city has taken it."),
        "tokened": say("The city has taken it and will give its number later."),
        "refused": say("The city has refused it."),
        "notsent": say("It did not arrive; it is tried again."),
        "unknown": say("The answer did not come: it may have arrived."),
        "recovered": say("The gateway was stopped during an attempt: it may have arrived."),
        "found": say("It was found in the city's list."),
        "absent": say("The city's list does not show it."),
        "cannottell": say("The city's list could not be read."),
        "noreadback": say("The city shows nobody what it has."),
        "tokenresolved": say("The city has given its number."),
        "retry": say("A person has it tried again."),
        "diverted": say("It waits for a person."),
        "approved": say("A person lets it pass."),
        "withdrawn": say("It is not to be sent any more."),
        "notreopened": say("The city did not open the earlier one again: it is filed anew."),
    }


def deed_words(words: Phrases) -> dict[str, str]:
    """Each deed as people say it."""
    say = words.say
    return {
        Deed.APPROVE: say("Approve"),
        Deed.HOLD: say("Hold"),
        Deed.RETRY: say("Try again"),
        Deed.LINK: say("Link"),
        Deed.MERGE: say("Merge"),
        Deed.SPLIT: say("Split off"),
        Deed.REOPEN: say("Reopen"),
        Deed.SILENCE: say("Silence"),
        Deed.END_SILENCE: say("End a silence"),
        Deed.STOP_FILING: say("Stop all filing"),
        Deed.RESUME_FILING: say("Resume filing"),
        Deed.ADOPT: say("Adopt a device"),
        Deed.RELOAD: say("Reload rules and assets"),
        Deed.PROMOTE: say("Promote a rule"),
        Deed.SHADOW: say("Put a rule in shadow"),
        Deed.SAVE_RULE: say("Save a rule file"),
    }


def outcome_words(words: Phrases) -> Mapping[str, Worded]:
    """How a deed ended."""
    say = words.say
    return {
        Code.DONE: Worded(say("done"), "good", say("Done.")),
        Code.WAITING: Worded(
            say("given"), "warn", say("Given: it is carried out as soon as the gateway can.")
        ),
        Code.REFUSED: Worded(
            say("refused"), "bad", say("Not done: as things stand it cannot be.")
        ),
        Code.CONFLICT: Worded(
            say("changed meanwhile"), "bad", say("Not done: somebody has changed it meanwhile.")
        ),
        Code.NOT_ALLOWED: Worded(
            say("not allowed"), "bad", say("Not done: your role does not cover it.")
        ),
        Code.NOT_FOUND: Worded(say("not there"), "bad", say("Not done: it is not there.")),
        Code.INVALID: Worded(
            say("not valid"), "bad", say("Not done: what was said cannot be used.")
        ),
        Code.TOO_MANY: Worded(
            say("too many"), "bad", say("Not done: that was too much in one minute.")
        ),
        Code.FAILED: Worded(say("failed"), "bad", say("Not done: it could not be written.")),
    }  # fmt: skip


def verdict(words: Phrases, outcome: Outcome) -> str:
    """How a deed ended, in their language, and the particulars as the gateway has them."""
    means = outcome_words(words)[outcome.code].means
    return f"{means} ({outcome.text})" if outcome.text else means


def device_states(words: Phrases) -> dict[DeviceState, str]:
    return {
        DeviceState.ONLINE: words.say("online"),
        DeviceState.LATE: words.say("late"),
        DeviceState.SILENT: words.say("silent"),
        DeviceState.QUARANTINED: words.say("quarantined"),
        DeviceState.FAULT: words.say("in fault"),
    }
