"""One fault episode of one rule on one subject, and the words for what may become of it.

Records only: what an incident is, the states it may be in, the reasons that stand in the journal,
and what its request is known by. Who moves it from state to state is `incidents`.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from rules.engine import Transition
from rules.rule import Rule


class State(StrEnum):
    HELD = "held"
    QUEUED = "queued"
    ABSORBED = "absorbed"
    NOTED = "noted"
    SHADOW = "shadow"
    WITHDRAWN = "withdrawn"


class Why(StrEnum):
    """Reasons, as they stand in the journal."""

    FIRED = "the rule fired"
    URGENT = "urgent: filed at once"
    STOOD = "it stood through the wait for late samples and parent faults"
    NO_FILING = "the rule asks nothing of the city"
    SHADOW = "shadow: not filed"
    PROMOTED = "it still stands, and its rule is live now"
    EXPLAINED = "explained by the parent fault"
    SAME_FAULT = "another fault of the same asset is filed under the same service"
    PARENT_GONE = "the parent fault ended and this one still stands"
    FLAPPING = "it comes and goes: filed if it lasts"
    SILENCED = "silenced by a maintenance window"
    SILENCE_OVER = "the maintenance window is over: filed if it is seen again"
    OVER_BEFORE_DUE = "it cleared before it was due"
    LATE_SAMPLE = "a late sample showed that it never fired"
    CORRECTED = "a late sample moved its beginning"
    GOES_ON = "a late sample showed that it goes on"
    CLEARED = "the sensor shows it clear"
    CITY_CLOSED = "the city closed its request: the sensor is to show that it is repaired"
    CITY_REOPENED = "the city opened its request again"
    STILL_SEEN = "the sensor shows it again after the city closed its request"
    NOT_REPAIRED = "the city closed its request and the sensor still shows it"
    MERGED = "merged by hand"
    SPLIT = "split off by hand"
    REOPENED = "opened again by hand"


class Incident(msgspec.Struct, array_like=True):
    """One fault episode. Times in ms of event time; `id` is given by the book."""

    id: int
    rule: str
    subject: str
    episode: int
    state: State
    started_ms: int
    fired_ms: int
    due_ms: int
    values: dict[str, Any]
    parent: int | None = None
    cleared_ms: int | None = None
    why: str = Why.FIRED
    closed_ms: int | None = None
    """When the city closed its request, as far as is known."""
    city_id: str = ""
    """The city's number of the request that it closed."""
    earlier: str = ""
    """That of the incident before, where this one goes on with what the city took for repaired."""
    recent_ms: tuple[int, ...] = ()
    """When the episodes before it fired, as far as flapping is judged by them."""

    @property
    def is_open(self) -> bool:
        return self.cleared_ms is None and self.state is not State.WITHDRAWN


class Step(NamedTuple):
    """What happened to an incident. `queue`: its request is to be put into the outbox now; of one
    in shadow, on record.
    """

    incident: Incident
    at_ms: int
    why: Why
    queue: bool = False


def unsay(incident: Incident) -> None:
    """What was asked of the city cannot be unsaid, nor what would have been."""
    if incident.state not in (State.QUEUED, State.SHADOW):
        incident.state = State.WITHDRAWN


def describe(incident: Incident, transition: Transition) -> None:
    """Take over when it fired, and what speaks for it."""
    incident.started_ms, incident.fired_ms = transition.started_ms, transition.at_ms
    incident.values = {k: v for k, v in transition.values.items() if isinstance(v, bool | float)}


def wait_ms(rule: Rule) -> int:
    """Until late samples, and a parent fault, can no longer change the picture."""
    return max(0 if rule.monotone else rule.lateness_ms, rule.hold_ms)


def key_of(installation: str, incident: Incident) -> str:
    """What a request's reference is made from: this fault episode and no other, anywhere."""
    return f"v1:{installation}:{incident.rule}:{incident.subject}:{incident.episode}"
