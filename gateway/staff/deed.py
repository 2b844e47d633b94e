"""One deed of a person: which there are, who may do each, what must be said, how it can end.

Records and rules only. Who does them is `deeds`, where they stand written is `audit`.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.cases.silences import Silence, faults_of
from gateway.staff.people import Person, Role
from rules.finding import Finding

WHY_CHARS_MAX = 500
NAME_CHARS_MAX = 200
"""Of whatever is named: a request, a device, an asset, a rule."""
WHO_CHARS_MAX = 100
NUMBER_MAX = 2**63 - 1
"""SQLite's."""
LISTED_MAX = 1_000
"""Assets, zones and so on of one maintenance window."""
REPEAT_CHARS_MAX = 200
END_MS = 4_102_444_800_000
"""The year 2100: no window begins later."""


FAULTS_TOLD = 5
_ENDLESS = re.compile(r"INTERVAL=(?![1-9][0-9]{0,2}(?:;|$))")  # dateutil never ends with 0


class Via(StrEnum):
    """Whence a deed came."""

    CONSOLE = "console"
    API = "api"
    COMMAND = "command"


class Deed(StrEnum):
    """What a person may do."""

    APPROVE = "approve"
    HOLD = "hold"
    RETRY = "retry"
    LINK = "link"
    MERGE = "merge"
    SPLIT = "split"
    REOPEN = "reopen"
    SILENCE = "silence"
    END_SILENCE = "end_silence"
    STOP_FILING = "stop_filing"
    RESUME_FILING = "resume_filing"
    ADOPT = "adopt"
    RELOAD = "reload"
    PROMOTE = "promote"
    SHADOW = "shadow"
    SAVE_RULE = "save_rule"


class Need(NamedTuple):
    """What a deed asks for. `why`: it changes what the city gets, so that a reason is owed."""

    role: Role
    why: bool


NEEDS: Mapping[Deed, Need] = MappingProxyType(
    {
        Deed.APPROVE: Need(Role.OPERATOR, why=False),
        Deed.HOLD: Need(Role.OPERATOR, why=True),
        Deed.RETRY: Need(Role.OPERATOR, why=False),
        Deed.LINK: Need(Role.OPERATOR, why=True),
        Deed.MERGE: Need(Role.OPERATOR, why=True),
        Deed.SPLIT: Need(Role.OPERATOR, why=True),
        Deed.REOPEN: Need(Role.OPERATOR, why=True),
        Deed.SILENCE: Need(Role.OPERATOR, why=True),
        Deed.END_SILENCE: Need(Role.OPERATOR, why=True),
        Deed.STOP_FILING: Need(Role.ADMIN, why=True),
        Deed.RESUME_FILING: Need(Role.ADMIN, why=True),
        Deed.ADOPT: Need(Role.OPERATOR, why=False),
        Deed.RELOAD: Need(Role.ADMIN, why=False),
        Deed.PROMOTE: Need(Role.ADMIN, why=True),
        Deed.SHADOW: Need(Role.ADMIN, why=True),
        Deed.SAVE_RULE: Need(Role.ADMIN, why=True),
    }
)


class Code(StrEnum):
    """How a deed ended."""

    DONE = "done"
    WAITING = "waiting"
    """It is given and kept; the gateway does not run, or has not answered yet."""
    REFUSED = "refused"
    """The state of things does not allow it."""
    CONFLICT = "conflict"
    """Somebody else has changed it meanwhile."""
    NOT_ALLOWED = "not_allowed"
    """The person's role is too low."""
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    """What was said cannot be used; the text says what of it."""
    TOO_MANY = "too_many"
    """By this person in this minute. Not in the audit log."""
    FAILED = "failed"
    """The store or a file did not take it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text` is a sentence for a person; `told` the same for a program; `findings` those of the
    files that were to be changed.
    """

    code: Code
    text: str
    told: Mapping[str, Any] = field(default_factory=dict)
    findings: Sequence[Finding] = ()

    @property
    def done(self) -> bool:
        return self.code is Code.DONE


class NotDoneError(Exception):
    """A deed that ends without having changed anything; the message says why."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.outcome = Outcome(code, text)


def may(person: Person, deed: Deed) -> bool:
    """Whether the person's role covers the deed."""
    return person.role.covers(NEEDS[deed].role)


def fault_of(person: Person, deed: Deed, why: str) -> Outcome | None:
    """Why the person may not do this, or not in these words; None where nothing stands against."""
    need = NEEDS[deed]
    if not may(person, deed):
        text = f"{deed} asks for the role {need.role}; {person.name} is {person.role}"
        return Outcome(Code.NOT_ALLOWED, text)
    if need.why and not why.strip():
        return Outcome(Code.INVALID, "say why: it stands in the audit log")
    fault = fault_of_text("why", why, WHY_CHARS_MAX) if why else ""
    return Outcome(Code.INVALID, fault) if fault else None


def fault_of_text(name: str, text: str, chars_max: int = NAME_CHARS_MAX) -> str:
    """Why a line of text cannot be taken; empty where it can."""
    if not text.strip():
        return f"{name} is empty"
    if len(text) > chars_max:
        return f"{name} has {len(text)} characters, at most {chars_max}"
    if not is_plain(text):
        return f"{name} holds a control character, or half of one"
    return ""


def faults_of_window(silence: Silence) -> list[str]:
    """What is wrong with a maintenance window that a person asks for; nothing where it can be."""
    faults = []
    if not 0 <= silence.from_ms < END_MS:
        faults.append("a window begins between 1970 and 2100")
    if len(silence.repeat) > REPEAT_CHARS_MAX or _ENDLESS.search(silence.repeat):
        faults.append(f"INTERVAL is 1 to 999, and a repeat has {REPEAT_CHARS_MAX} characters")
    for name in ("assets", "circuits", "zones", "rules", "services"):
        listed = getattr(silence, name)
        if len(listed) > LISTED_MAX:
            faults.append(f"{name}: at most {LISTED_MAX}")
        faults += filter(None, (fault_of_text(name, text) for text in listed[:LISTED_MAX]))
    if any(not (-90 <= lat <= 90 and -180 <= lon <= 180) for lat, lon in silence.within):
        faults.append("a point of the polygon lies off the earth")
    return faults[:FAULTS_TOLD] or faults_of(silence)


def told_of(silence: Silence) -> str:
    """What a maintenance window is about, in a line."""
    lists = (silence.assets, silence.circuits, silence.zones, silence.rules, silence.services)
    named = [name for names in lists for name in names]
    return ", ".join([*named, *(["a polygon"] if silence.within else [])]) or "a window"


def is_plain(text: str) -> bool:
    """No control characters and no lone surrogates; line breaks and tabs are let through."""
    return not any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t\r"
                   for char in text)  # fmt: skip


def kept(text: str, chars_max: int) -> str:
    """As it can stand in the log, on one line, whatever it was."""
    plain = "".join(
        " " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char
        for char in text[: 4 * chars_max]
    )
    return " ".join(plain.split())[:chars_max]
