"""How a vehicle rides: what it usually feels, and whether what it says can be judged.

Pure. Owns what is remembered of each moving device: the median of its jolts while it moves, so that
a rule may ask for more than this vehicle, mount and sensor feel everywhere; and where it was last.
What cannot be judged (a sensor that stands still, a window cut off at the end of its range, a
position nobody could have come to) gets a reason, and reaches no rule.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Any

import msgspec

from gateway.cases.places import metres

KNOWN_FROM = 8  # windows; before that a usual jolt is not told
STEP_MIN = 0.02  # of the running median: it follows half of a change in about 35 windows
MOVES_MPS = 3.0
JOLT_MS2_MIN = 0.05  # the median is sought by factors: it must be above 0
NULL_ISLAND_DEG = 0.01  # about a kilometre around 0, 0
SPEED_MPS_MAX = 70.0  # the contract's limit
FIX_ERROR_M = 100.0
STALE_MS = 600_000  # an older position says nothing of where it may be now
CLIPPED_SAMPLES = 3  # in a row at the largest value: the sensor can tell no more


class Unfit(StrEnum):
    """Why a window is not judged."""

    NULL_ISLAND = "null_island"
    GPS_JUMP = "gps_jump"
    FLAT = "flat_window"
    CLIPPED = "clipped_window"


class Ride(msgspec.Struct, array_like=True):
    """Of one moving device; `usual_ms2` is the running median of its jolts."""

    windows: int = 0
    usual_ms2: float = 0.0
    lat: float = 0.0
    lon: float = 0.0
    fix_ms: int = 0

    def feel(self, jolt_ms2: float, speed_mps: float | None) -> float | None:
        """What it usually feels, without this one, which then counts as well. None: not known yet.
        A vehicle that stands or creeps feels nothing that tells.
        """
        known = self.usual_ms2 if self.windows >= KNOWN_FROM else None
        if speed_mps is None or speed_mps >= MOVES_MPS:
            jolt_ms2 = max(JOLT_MS2_MIN, jolt_ms2)
            self.windows += 1
            step = max(1 / self.windows, STEP_MIN)
            before = self.usual_ms2 or jolt_ms2
            sign = (jolt_ms2 > before) - (jolt_ms2 < before)
            self.usual_ms2 = before * math.exp(sign * step)
        return known

    def fault(
        self, loc: tuple[float, float], ts_ms: int, accel: Mapping[str, Any] | None,
        values: Mapping[str, Any],
    ) -> Unfit | None:  # fmt: skip
        """Why it is not to be judged. A believable position is remembered."""
        return self._of_position(loc, ts_ms) or _of_window(accel, values)

    def _of_position(self, loc: tuple[float, float], ts_ms: int) -> Unfit | None:
        if max(map(abs, loc)) < NULL_ISLAND_DEG:
            return Unfit.NULL_ISLAND
        passed_ms = abs(ts_ms - self.fix_ms)
        if self.fix_ms and passed_ms < STALE_MS:
            reach_m = FIX_ERROR_M + SPEED_MPS_MAX * passed_ms / 1000
            if metres(self.lat, self.lon, *loc) > reach_m:
                return Unfit.GPS_JUMP
        if ts_ms >= self.fix_ms:
            self.lat, self.lon, self.fix_ms = *loc, ts_ms
        return None


def _of_window(accel: Mapping[str, Any] | None, values: Mapping[str, Any]) -> Unfit | None:
    speed_mps = values.get("speed_mps")
    if accel is None:
        return None
    if values.get("jolt_ms2") == 0.0 and (speed_mps is None or speed_mps >= MOVES_MPS):
        return Unfit.FLAT
    axes = (accel.get(key) for key in ("x_ms2", "y_ms2", "z_ms2"))
    if any(_is_clipped(axis) for axis in axes if axis is not None):
        return Unfit.CLIPPED
    return None


def _is_clipped(axis: Sequence[float]) -> bool:
    """Stands still at its own highest or lowest value, and not everywhere."""
    low, high = min(axis), max(axis)
    if low == high:
        return False
    ends = (low, high)
    stretches = (len(list(run)) for value, run in groupby(axis) if value in ends)
    return max(stretches, default=0) >= CLIPPED_SAMPLES
