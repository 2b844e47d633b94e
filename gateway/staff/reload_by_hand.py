"""A reload asked for from beside the running gateway, and its answer awaited.

Neither reads rules nor writes to the store: the gateway does, and says in its status what came of
it. A request that nobody answered is taken back, so that no later gateway stumbles over it.
"""

import time
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.watch.status import ask_reload, drop_reload_request, read_status

LOOK_S = 0.05
NOT_RUNNING = ("stopped", "the gateway is not running")
_IDLE = "it takes up the rules when it starts"


class NoAnswerError(Exception):
    """The gateway does not run, or has not answered: the rules from before are in force."""


class IdleError(NoAnswerError):
    """It does not run."""


def reload_by_hand(folder: Path, clock: Clock, timeout_s: float) -> dict[str, Any]:
    """The status that answers. NoAnswerError."""
    before = _running(folder, clock)["reload"]["number"]
    ticket = ask_reload(folder)
    try:
        return _answer_to(ticket, folder, clock, before, timeout_s)
    finally:
        drop_reload_request(folder, ticket)


def is_running(folder: Path, now_ms: int) -> bool:
    """Whether a gateway said something of itself just now."""
    try:
        return read_status(folder, now_ms)["problem"] not in NOT_RUNNING
    except (OSError, ValueError):
        return False


def _running(folder: Path, clock: Clock) -> dict[str, Any]:
    try:
        said = read_status(folder, clock.now_ms())
    except FileNotFoundError:
        raise IdleError(f"{folder}: no gateway has run here; {_IDLE}") from None
    if said["problem"] in NOT_RUNNING:
        raise IdleError(f"{folder}: the gateway is not running; {_IDLE}")
    return said


def _answer_to(
    ticket: str, folder: Path, clock: Clock, before: int, timeout_s: float
) -> dict[str, Any]:
    """The status that answers the ticket. One that is two attempts on was read later than it."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        said = _running(folder, clock)
        told = said["reload"]
        if ticket in told["asked"] or told["number"] >= before + 2:
            return said
        if time.monotonic() > deadline_s:
            why = f" ({said['problem']})" if said["problem"] else ""
            message = f"no answer within {timeout_s:g} s{why}: the rules from before are in force"
            raise NoAnswerError(message)
        time.sleep(LOOK_S)
