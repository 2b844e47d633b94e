"""What goes into the core and what comes out: messages, rows to be stored, the world as it was.

Records, and how they are written down: nothing here decides. Everything that a batch did is one
`Effects`, committed whole or not at all; `Saved` is what the store gives back of it after a start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.cases.incident import Incident, Step
from gateway.cases.orders import Answer
from gateway.cases.silences import Silence
from gateway.cityhall.delivery import Row
from gateway.field import devices
from gateway.field.devices import Device
from gateway.phrases import ENGLISH, Phrases
from gateway.refusal import Refusal
from rules.engine import Transition


class Incoming(NamedTuple):
    """One MQTT message as the broker gave it."""

    topic: str
    payload: bytes
    retain: bool = False


class StoredReading(NamedTuple):
    """A row of the readings, in the order of its columns."""

    id: int
    device: str
    kind: str
    zone: str
    asset_id: str | None
    ts_ms: int
    received_ms: int
    verdict: str
    body: bytes


class HistoryReading(NamedTuple):
    """A reading as history wants it. `id` grows with every reading stored."""

    id: int
    device: str
    kind: str
    zone: str
    asset_id: str | None
    ts_ms: int
    values: Mapping[str, float | bool]


class StoredRefusal(NamedTuple):
    received_ms: int
    topic: str
    device: str
    reason: str
    path: str
    message: str
    hint: str
    size: int
    payload: bytes


class KeptRefusal(NamedTuple):
    """A row of the refusals, with its number. `payload` may be only the beginning of the message,
    whose `size` it was.
    """

    id: int
    received_ms: int
    topic: str
    device: str
    reason: str
    path: str
    message: str
    hint: str
    size: int
    payload: bytes

    @property
    def is_whole(self) -> bool:
        return len(self.payload) == self.size


class News(NamedTuple):
    """What the city is told of a request later on; `status` in mySociety's words."""

    incident: int
    status: str
    description: str
    at_ms: int


class Entry(NamedTuple):
    """A line of the journal: a rule's change of phase, or a step of an incident."""

    at_ms: int
    tick_ms: int
    subject: str
    rule: str
    incident: int | None
    before: str
    after: str
    cause: str
    reading: int | None


REFUSED_BYTES_KEPT = 4096  # enough to see what was wrong
TOPIC_CHARS_KEPT = 512


@dataclass(slots=True)
class Effects:
    """All that a batch did, to be committed together."""

    readings: list[StoredReading] = field(default_factory=list)
    refusals: list[StoredRefusal] = field(default_factory=list)
    devices: dict[str, Device] = field(default_factory=dict)
    states: list[tuple[str, bytes]] = field(default_factory=list)
    places: list[tuple[str, bytes]] = field(default_factory=list)
    places_gone: list[str] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)
    outbox: list[Row] = field(default_factory=list)
    unfiled: list[Row] = field(default_factory=list)
    """What rules in shadow would have filed."""
    journal: list[Entry] = field(default_factory=list)
    silences: dict[int, Silence] = field(default_factory=dict)
    news: list[News] = field(default_factory=list)
    unasked: dict[int, str] = field(default_factory=dict)
    """Incidents whose request, unless it was sent, is not to be: with the reason."""
    answers: list[Answer] = field(default_factory=list)
    at_ms: int = 0
    """When it happened here, by the clock."""
    duplicates: int = 0
    tick_ms: int = 0
    follow_ms: int = 0

    def refuse(
        self, incoming: Incoming, device: str, refusal: Refusal, now_ms: int, body: bytes
    ) -> None:
        size, kept = len(body), body[:REFUSED_BYTES_KEPT]
        topic = incoming.topic[:TOPIC_CHARS_KEPT]
        self.refusals.append(StoredRefusal(now_ms, topic, device, *refusal, size, kept))

    def note_transition(self, transition: Transition, tick_ms: int, reading: int | None) -> None:
        """A line of the journal. `reading`: the one that it was judged by."""
        at_ms, subject, rule = transition.at_ms, transition.subject, transition.rule
        turn = transition.before, transition.after, transition.cause
        self.journal.append(Entry(at_ms, tick_ms, subject, rule, None, *turn, reading))

    def note_step(self, step: Step, tick_ms: int) -> None:
        """The incident as it is now, and a line of the journal."""
        incident = step.incident
        self.incidents[incident.id] = incident
        about = incident.subject, incident.rule, incident.id
        turn = "", incident.state, step.why
        self.journal.append(Entry(step.at_ms, tick_ms, *about, *turn, None))


@dataclass(frozen=True, slots=True)
class Saved:
    """What the store remembers of the world, to build it again."""

    installation: str
    tick_ms: int = 0
    follow_ms: int = 0
    reading_id: int = 0
    incident_id: int = 0
    texts: str = ""
    """Of the rules that were in force."""
    layout: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    devices: Sequence[bytes] = ()
    states: Sequence[tuple[str, bytes]] = ()
    places: Sequence[bytes] = ()
    incidents: Sequence[Incident] = ()
    silences: Mapping[int, Silence] = field(default_factory=dict)
    episodes: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the core takes readings. `follow`: time is that of the data (replay, accelerated
    simulation), never that of the clock. `start_ms`: when time begins in a new store. `passing`:
    nothing outlives the process, so no state is made ready to be stored (tests, backtests).
    """

    follow: bool = False
    start_ms: int = 0
    passing: bool = False
    allow_simulated: bool = False
    max_skew_ms: int = devices.SKEW_MS_MAX
    max_age_ms: int = devices.AGE_MS_MAX
    device_per_minute_max: int | None = None
    emergency: bool = False
    """There is a desk of its own for what is urgent."""
    reopens: bool = False
    """The city opens a closed request again where an update asks for it."""
    phrases: Phrases = ENGLISH
    evidence_url: str = ""
    """Under which the evidence behind each request can be seen."""
