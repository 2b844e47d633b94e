"""What goes wrong in the simulated city, and what only looks like it.

A fault names its kind, what it strikes and when, and carries its labels: the truth that the
gateway will be judged by. How a struck thing behaves is written with the thing; what every kind
means is written in the catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from simulators.truth import Label


class Kind(StrEnum):
    # Lamps
    LAMP_OUT = "lamp_out"
    GEAR_FAILURE = "gear_failure"
    DAY_BURNER = "day_burner"
    RELAY_STUCK = "relay_stuck"
    CYCLING = "cycling"
    LOW_POWER = "low_power"
    LOW_POWER_FACTOR = "low_power_factor"
    DIM_STUCK = "dim_stuck"
    OVERVOLTAGE = "overvoltage"
    UNDERVOLTAGE = "undervoltage"
    KNOCKED_DOWN = "knocked_down"
    LAMP_DIP = "lamp_dip"
    LAMP_DIMMED = "lamp_dimmed"
    LAMP_AGED = "lamp_aged"
    METER_ZERO = "meter_zero"
    DUSK_FLICKER = "dusk_flicker"
    # Circuits
    FEEDER_OUTAGE = "feeder_outage"
    PHOTOCELL_FAILED = "photocell_failed"
    SCHEDULE_SHIFT = "schedule_shift"
    # Bins
    BIN_FULL = "bin_full"
    OVERFLOW = "overflow"
    BIN_FIRE = "bin_fire"
    BIN_TIPPED = "bin_tipped"
    CROWD = "crowd"
    LID_OPEN = "lid_open"
    SENSOR_BLOCKED = "sensor_blocked"
    STUCK_VALUE = "stuck_value"
    SWAPPED_BIN = "swapped_bin"
    SUN_WARMED = "sun_warmed"
    # Roads
    POTHOLE = "pothole"
    POTHOLE_GROWS = "pothole_grows"
    WORN_SURFACE = "worn_surface"
    SPEED_BUMP = "speed_bump"
    EXPANSION_JOINT = "expansion_joint"
    MANHOLE = "manhole"
    SENSOR_LOOSE = "sensor_loose"
    VEHICLE_IDLE = "vehicle_idle"
    GPS_JUMP = "gps_jump"
    NULL_ISLAND = "null_island"
    # Devices
    DEVICE_SILENT = "device_silent"
    BATTERY_DECAY = "battery_decay"
    BOOT_LOOP = "boot_loop"
    EPOCH_CLOCK = "epoch_clock"
    CLOCK_AHEAD = "clock_ahead"
    SICK = "sick"
    WRONG_UNIT = "wrong_unit"
    WRONG_VERSION = "wrong_version"
    SENTINEL = "sentinel"
    SPOOFED = "spoofed"
    STALE = "stale"
    REPEATED = "repeated"
    # Concentrators
    MASS_SILENCE = "mass_silence"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Fault:
    """`target`: a device, circuit, spot or concentrator. `end_ms` None: until the run ends.
    `extent`: how bad it is, by the names that the catalogue gives its kind.
    """

    kind: Kind
    target: str
    start_ms: int
    end_ms: int | None
    labels: tuple[Label, ...] = ()
    extent: Mapping[str, float] = field(default_factory=dict)

    def active(self, ts_ms: int) -> bool:
        return self.start_ms <= ts_ms and (self.end_ms is None or ts_ms < self.end_ms)
