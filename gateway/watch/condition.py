"""The condition of the gateway: green, amber or red, and why; what its status says.

Pure. From what the gateway knows of its parts come one word, one sentence that says what is
wrong, and the figures that `health`, `metrics` and the pages read. Red: it takes nothing, or
cannot. Amber: it works, and waits for somebody.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple


class Halt(StrEnum):
    """Why the gateway takes nothing at present, beside the broker's reasons."""

    NONE = ""
    DISK_FULL = "disk_full"
    STOPPED = "stopped"


class Trouble(NamedTuple):
    """A halt, and the words for it."""

    halt: Halt = Halt.NONE
    words: str = ""


class Link(NamedTuple):
    """The session with the broker; `problem` is empty while there is none."""

    ready: bool
    problem: str
    sessions_lost: int


class DeskSeen(NamedTuple):
    """A desk of the city, as its filer sees it: `told` in words; until when it is left alone (0: it
    is not), and what it failed by last.
    """

    name: str
    up: bool
    told: str
    paused_until_ms: int = 0
    reason: str = ""


class Parts(NamedTuple):
    """What the gateway knows of its parts."""

    trouble: Trouble
    link: Link
    desks: Sequence[DeskSeen]
    refused_reload: str
    """Why the last reload was refused; empty: it was not."""
    stopped: str
    """Who stopped all filing and why; empty where nobody did."""
    waiting: Mapping[str, int]
    """Requests that wait for a person, by state."""


def state_of(parts: Parts) -> tuple[str, str]:
    """(green | amber | red, why)."""
    problem = parts.trouble.words or parts.link.problem
    if problem:
        return "red", problem
    if parts.refused_reload:
        return "amber", parts.refused_reload
    if parts.stopped:
        return "amber", f"nothing is filed: stopped {parts.stopped}"
    if parts.waiting:
        told = ", ".join(f"{count} in {name}" for name, count in sorted(parts.waiting.items()))
        return "amber", f"requests wait for a person: {told}"
    return "green", ""


def told(parts: Parts) -> dict[str, Any]:
    """For people."""
    state, problem = state_of(parts)
    link, desks = parts.link, {desk.name: desk.told for desk in parts.desks}
    return {
        "state": state,
        "problem": problem,
        "broker": "connected" if link.ready else link.problem,
        "sessions_lost": link.sessions_lost,
        "desk": desks["city"],
        "emergency_desk": desks.get("emergency", "none"),
        "stopped": parts.stopped,
        "waiting": dict(parts.waiting),
    }


def figures(parts: Parts) -> dict[str, Any]:
    """For machines: the same without words."""
    return {
        "halt": parts.trouble.halt,
        "broker_ready": parts.link.ready,
        "desks": {desk.name: desk.up for desk in parts.desks},
        "pauses": {
            desk.name: {"paused_until_ms": desk.paused_until_ms, "reason": desk.reason}
            for desk in parts.desks
        },
    }
