"""One request on its way to the city: the row that is stored, and all that can happen to it.

Records only. `outbox` says which event is possible in which state, and what comes of it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

CITY = "city"
EMERGENCY = "emergency"
"""The desks: what is urgent goes to the second, where there is one."""


class State(StrEnum):
    """Where a row stands. REVIEW, REFUSED and HELD wait for a person; FILED, WITHDRAWN end it. One
    in REOPENING is not sent: the city is asked to open an earlier request again.
    """

    READY = "ready"
    REVIEW = "review"
    SENDING = "sending"
    FILED = "filed"
    TOKENED = "tokened"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    HELD = "held"
    WITHDRAWN = "withdrawn"
    REOPENING = "reopening"


class Prefer(StrEnum):
    """Which half of the promise is kept where the city lets nobody read back."""

    NO_LOSS = "no-loss"
    NO_DUPLICATE = "no-duplicate"


class Cause(StrEnum):
    """Why an attempt, a look or a poll did not end with an answer."""

    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"
    NO_ID = "no_id"
    INCOMPLETE = "incomplete"
    PENDING = "pending"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """What is asked of the city. WGS 84; `place_id` is set where no asset is (a pothole)."""

    lat: float
    long: float
    description: str
    observed_at_ms: int
    rule: str
    address: str | None = None
    asset_id: str | None = None
    place_id: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    """What the asset file says of it, for the holes of a profile."""
    media_url: str | None = None
    """Where the evidence can be seen."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` is its inverse."""
        return {**asdict(self), "extra": dict(self.extra)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "ServiceRequest":
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Row:
    """One request to one city. Times in ms since the epoch, real (not simulated) time."""

    reference: str
    """SCG- and 32 hex digits, never reused: see `reference_for`."""
    incident_id: int
    service: str
    """The project's own name (STREETLIGHT_OUT); the city profile maps it."""
    request: ServiceRequest
    created_ms: int
    state: State = State.READY
    attempts: int = 0
    """Attempts begun; written before the connection is opened."""
    next_ms: int = 0
    """Not looked at before this."""
    first_sent_ms: int | None = None
    last_sent_ms: int | None = None
    """The last instant at which bytes of an attempt may have left."""
    absent_reads: int = 0
    """Full listings since the last doubtful attempt that counted and did not show it."""
    last_absent_ms: int | None = None
    looks: int = 0
    """Looks or polls since the state was entered; only spaces them out."""
    request_id: str | None = None
    token: str | None = None
    reason: str = ""
    """Last thing that went wrong, one line, free of secrets."""
    desk: str = CITY
    urgent: bool = False
    """It passes every budget and waits for nobody's approval."""
    approved: bool = False
    """A person has let it pass."""

    @property
    def district(self) -> str:
        return self.request.extra.get("zone", "")


@dataclass(frozen=True, slots=True)
class Policy:
    """What is known of a service of a city. `visibility_ms` is H: listed at the latest then."""

    visibility_ms: int = 300_000
    absent_reads: int = 2
    absent_gap_ms: int = 60_000
    """Two reads closer in time than this are one: a cache may have answered both."""
    read_back: bool = True
    """False: the city's list does not show what was filed."""
    prefer: Prefer = Prefer.NO_DUPLICATE
    link_radius_m: float = 0.0
    """So near, an open request of somebody else is about the same fault; 0: none is."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt begins; durable before the connection is opened."""


@dataclass(frozen=True, slots=True)
class Filed:
    """The city has it. No id only where the service never gives one (blackbox)."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class Tokened:
    """The city has it and will give the id for this token."""

    token: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The city says no in its own words; asking again changes nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Surely nothing was stored: no byte left, or the city said to come back later."""

    cause: Cause
    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes left and no answer that can be believed came back."""

    cause: Cause
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """An attempt was under way when the process ended."""


@dataclass(frozen=True, slots=True)
class Found:
    """The city's list shows the reference, or, as `note` says, somebody else's request for it."""

    request_id: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """The city's list, read in full from `read_ms` on, does not show the reference."""

    read_ms: int


@dataclass(frozen=True, slots=True)
class CannotTell:
    """A look or a poll brought no knowledge."""

    cause: Cause
    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoReadBack:
    """The outcome is unknown and the city shows nobody what it has."""


@dataclass(frozen=True, slots=True)
class TokenResolved:
    request_id: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A person asks for another attempt."""


@dataclass(frozen=True, slots=True)
class Diverted:
    """It is not sent before a person has looked at it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Approved:
    """A person lets it pass."""

    by: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """It is not to be sent any more, and was not."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotReopened:
    """The city would not open the earlier request again: it is filed anew."""

    reason: str


Outcome = Filed | Tokened | Refused | NotSent | Unknown
"""What an attempt can end with."""
Sighting = Found | Tokened | CannotTell
"""What a listing can show of a reference; not shown at all is Absent."""
Event = (
    Claimed | Outcome | Recovered | Found | Absent | CannotTell | NoReadBack | TokenResolved | Retry
    | Diverted | Approved | Withdrawn | NotReopened
)  # fmt: skip
