"""How a device stands, in one word, and what goes with it: for people and for the device's maker.

Pure. The word is worked out from the device's record and from the last refusal of what it said,
never from what rules make of it: a device may be well while its lamp is dark. When it is told is
for `notices` to decide.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.cityhall.requests import rfc3339
from gateway.field.devices import Device, Trust
from gateway.refusal import Reason

HOUR_MS = 3_600_000
SKEW_TOLD_S = 5.0  # less is the way of the message
PAUSES_LATE = 3  # two readings may be lost on the way
LATE_MS_MIN = 15 * 60_000
OFFLINE_MS = 5 * 60_000  # a device that the broker reported lost, and that said nothing since

SAYS_NOTHING = (Reason.NOT_A_READING, Reason.RETAINED)
"""Refusals that tell nothing of how a device is: a value that the broker kept was said long ago."""


class DeviceState(StrEnum):
    """`fault`: it is heard, but its clock is wrong or what it says is refused."""

    ONLINE = "online"
    LATE = "late"
    SILENT = "silent"
    QUARANTINED = "quarantined"
    FAULT = "fault"


class Patience(NamedTuple):
    """After how long without a word a device is late, and silent."""

    late_ms: int
    silent_ms: int


_PATIENCE: Mapping[str, Patience] = MappingProxyType(
    {
        # Lamps that are switched as a group have no power by day.
        "streetlight": Patience(2 * HOUR_MS, 26 * HOUR_MS),
        "cabinet": Patience(2 * HOUR_MS, 26 * HOUR_MS),
        "bin": Patience(24 * HOUR_MS, 48 * HOUR_MS),
        "road": Patience(24 * HOUR_MS, 7 * 24 * HOUR_MS),
    }
)
_OTHERS = Patience(24 * HOUR_MS, 48 * HOUR_MS)


class LastRefusal(NamedTuple):
    """Of a device: when, and why."""

    at_ms: int
    reason: str


def patience_with(device: Device) -> Patience:
    """By its own pauses, as they are by its readings' times, so that a pause of the gateway is none
    of the device; those of its kind while they are not known.
    """
    usual = _PATIENCE.get(device.kind, _OTHERS)
    if not device.pause_s:
        return usual
    late_ms = max(LATE_MS_MIN, round(PAUSES_LATE * device.pause_s * 1000))
    return Patience(late_ms, max(usual.silent_ms, 2 * late_ms))


def last_seen_ms(device: Device, refused: LastRefusal | None) -> int:
    """A word that was refused is a sign of life too."""
    return max(device.seen_ms, refused.at_ms if refused is not None else 0)


def state_of(
    device: Device, refused: LastRefusal | None, now_ms: int, *, known: bool
) -> DeviceState:
    """`known`: some asset has the device, or it is one that needs none."""
    if not known:
        return DeviceState.QUARANTINED
    quiet_ms = now_ms - last_seen_ms(device, refused)
    patience = patience_with(device)
    is_lost = device.online is False and quiet_ms >= OFFLINE_MS
    if is_lost or quiet_ms >= patience.silent_ms:
        return DeviceState.SILENT
    if device.trust in (Trust.AHEAD, Trust.BEHIND):
        return DeviceState.FAULT
    is_refused = refused is not None and refused.at_ms > device.seen_ms
    if refused is not None and is_refused and refused.reason != Reason.UNKNOWN_DEVICE:
        return DeviceState.FAULT
    return DeviceState.LATE if quiet_ms >= patience.late_ms else DeviceState.ONLINE


def next_look_ms(device: Device, refused: LastRefusal | None, now_ms: int) -> int | None:
    """When the word may become another one though nothing is said; None: never."""
    heard_ms, patience = last_seen_ms(device, refused), patience_with(device)
    turns = [heard_ms + patience.late_ms, heard_ms + patience.silent_ms]
    if device.online is False:
        turns.append(heard_ms + OFFLINE_MS)
    return min((turn for turn in turns if turn > now_ms), default=None)


def counts_of(device: Device) -> dict[str, Any]:
    """What the gateway counted of it, and what it says of its battery."""
    return {
        "clock_skew_s": device.clock_skew_s,
        "missing": device.missing,
        "duplicates": device.duplicates,
        "late": device.late,
        "rejected": device.rejected,
        "resets": device.resets,
        "battery_v": device.battery_v,
        "unfit": device.unfit,
    }


def in_words(device: Device) -> str:
    """Whose clock is believed, and by how much the device's own is wrong."""
    if device.trust == Trust.AHEAD:
        skew = f"its own is {device.clock_skew_s:.0f} s ahead"
        return f"the time of receipt is believed: {skew}"
    if device.trust == Trust.BEHIND:
        return "the time of receipt is believed: its own clock was never set"
    if device.trust == Trust.UNSET:
        return "the time of receipt is believed: it sends no time"
    if abs(device.clock_skew_s) < SKEW_TOLD_S:
        return "its own clock is believed"
    side = "ahead" if device.clock_skew_s > 0 else "behind, or what it says is always that late"
    return f"its own clock is believed: it is {abs(device.clock_skew_s):.0f} s {side}"


def shown_time(ms: int) -> str | None:
    """None for never."""
    return rfc3339(ms) if ms > 0 else None
