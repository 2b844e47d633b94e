"""What goes wrong in the simulated city, and what only looks like it.

A fault names its kind, what it strikes and when, and carries its labels: the truth that the
gateway will be judged by. How a struck thing behaves is written with the thing.
"""

from dataclasses import dataclass
from enum import StrEnum

from simulators.truth import Label


class Kind(StrEnum):
    LAMP_OUT = "lamp_out"
    DAY_BURNER = "day_burner"
    FEEDER_OUTAGE = "feeder_outage"
    BIN_FULL = "bin_full"
    BIN_FIRE = "bin_fire"
    POTHOLE = "pothole"
    DEVICE_SILENT = "device_silent"
    LAMP_DIP = "lamp_dip"
    LAMP_DIMMED = "lamp_dimmed"
    SUN_WARMED = "sun_warmed"
    MANHOLE = "manhole"
    MASS_SILENCE = "mass_silence"
    SICK = "sick"
    STALE = "stale"
    EPOCH_CLOCK = "epoch_clock"


@dataclass(frozen=True, slots=True)
class Fault:
    """`target`: a device, circuit, spot or concentrator. `end_ms` None: until the run ends."""

    kind: Kind
    target: str
    start_ms: int
    end_ms: int | None
    labels: tuple[Label, ...] = ()

    def active(self, ts_ms: int) -> bool:
        return self.start_ms <= ts_ms and (self.end_ms is None or ts_ms < self.end_ms)
