"""Health: whether the gateway lives, and whether it takes messages; with reasons by code.

Pure: from what the gateway said last of itself and the time. `live` is for what would restart it,
`ready` for what would send it work: a full disk or a lost broker makes it not ready, and is no
reason to kill it. Nothing said for a while counts as dead.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.watch.condition import Halt

AGE_MS_MAX = 15_000  # it is said every second; a batch on a slow disk may take a few


class Unfit(StrEnum):
    """Why it is not live, or not ready."""

    NEVER_RAN = "never_ran"
    STATUS_STALE = "status_stale"
    STOPPED = "stopped"
    STORE_UNREADABLE = "store_unreadable"
    DISK_FULL = "disk_full"
    BROKER_DISCONNECTED = "broker_disconnected"


class Verdict(NamedTuple):
    ok: bool
    reasons: list[Unfit]


def age_ms(status: Mapping[str, Any], now_ms: int) -> int | None:
    """Of what was said last; None: nothing ever was. A clock set back makes it no older."""
    said_ms = int(status.get("at_ms", 0))
    return max(0, now_ms - said_ms) if said_ms else None


def live(status: Mapping[str, Any], now_ms: int, *, store_readable: bool = True) -> Verdict:
    """It runs and its store can be read."""
    age, reasons = age_ms(status, now_ms), list[Unfit]()
    if age is None:
        reasons.append(Unfit.NEVER_RAN)
    elif _figures(status).get("halt") == Halt.STOPPED:
        reasons.append(Unfit.STOPPED)
    elif age > AGE_MS_MAX:
        reasons.append(Unfit.STATUS_STALE)
    if not store_readable and age is not None:
        reasons.append(Unfit.STORE_UNREADABLE)
    return Verdict(not reasons, reasons)


def ready(status: Mapping[str, Any], now_ms: int, *, store_readable: bool = True) -> Verdict:
    """It takes messages at this moment."""
    reasons = live(status, now_ms, store_readable=store_readable).reasons
    if not reasons:
        figures = _figures(status)
        if figures.get("halt") == Halt.DISK_FULL:
            reasons.append(Unfit.DISK_FULL)
        if not figures.get("broker_ready"):
            reasons.append(Unfit.BROKER_DISCONNECTED)
    return Verdict(not reasons, reasons)


def _figures(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = status.get("figures") or {}
    return found
