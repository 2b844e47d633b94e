"""The catalogue of faults: for every kind what it strikes, its truth, how long and how bad it is.

Scenario files, the casting and the documentation all read it here. Truth says what happened to the
thing itself: `must_file` of a kind does not hang on which rules somebody runs. Pure tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from simulators.faults import Fault, Kind


class Strikes(StrEnum):
    LAMP = "lamp"
    CIRCUIT = "circuit"
    BIN = "bin"
    SPOT = "spot"
    VEHICLE = "vehicle"
    DEVICE = "device"
    CONCENTRATOR = "concentrator"


class When(StrEnum):
    """When it shows: it is drawn so that it is seen."""

    ANY = "any"
    NIGHT = "night"
    DAY = "day"
    WHOLE_RUN = "whole run"


class Extent(NamedTuple):
    """A number that says how bad it is, with its unit and its default."""

    default: float
    low: float
    high: float
    unit: str
    text: str


class Entry(NamedTuple):
    """`rule`: the rule that the label names; of a look-alike, the rule that must not be fooled.
    `minutes`: shortest and longest where a scenario does not say how long.
    """

    strikes: Strikes
    rule: str
    must_file: bool
    when: When
    minutes: tuple[int, int]
    text: str
    extents: Mapping[str, Extent] = {}


_LAMP, _CIRCUIT, _BIN, _SPOT = Strikes.LAMP, Strikes.CIRCUIT, Strikes.BIN, Strikes.SPOT
_VEHICLE, _DEVICE, _LINE = Strikes.VEHICLE, Strikes.DEVICE, Strikes.CONCENTRATOR
_ANY, _NIGHT, _DAY, _ALL = When.ANY, When.NIGHT, When.DAY, When.WHOLE_RUN
_HOUR, _FOR_DAYS = 60, 1440

CATALOGUE: Mapping[Kind, Entry] = {
    Kind.LAMP_OUT: Entry(
        _LAMP, "lamp_out", True, _NIGHT, (90, 600), "The lamp is dark though it is told to burn."),
    Kind.GEAR_FAILURE: Entry(
        _LAMP, "lamp_out", True, _NIGHT, (90, 600),
        "The control gear fails: dark, a few watts are drawn, and the device says so itself.",
        {"watts": Extent(3.0, 0.5, 5.0, "W", "what the gear still draws")}),
    Kind.DAY_BURNER: Entry(
        _LAMP, "day_burner", True, _DAY, (110, 400), "The lamp burns by day."),
    Kind.RELAY_STUCK: Entry(
        _LAMP, "day_burner", True, _DAY, (0, 0),
        "The relay's contacts are welded: the lamp burns day and night, whatever it is told."),
    Kind.CYCLING: Entry(
        _LAMP, "cycling", True, _NIGHT, (180, 500), "The lamp goes out and comes back all night.",
        {"period_min": Extent(20, 4, 30, "min", "from one going out to the next")}),
    Kind.LOW_POWER: Entry(
        _LAMP, "low_power", True, _NIGHT, (240, 600), "Strings of LEDs are dead: less power.",
        {"share": Extent(0.55, 0.3, 0.8, "", "of the power that is left")}),
    Kind.LOW_POWER_FACTOR: Entry(
        _LAMP, "low_pf", True, _NIGHT, (240, 600), "The compensation fails: a low power factor.",
        {"power_factor": Extent(0.5, 0.2, 0.6, "", "at full light")}),
    Kind.DIM_STUCK: Entry(
        _LAMP, "low_power", True, _NIGHT, (240, 600),
        "The driver stays at one dim level while another one is commanded.",
        {"dim_pct": Extent(30, 24, 40, "%", "where it stays")}),
    Kind.OVERVOLTAGE: Entry(
        _LAMP, "overvoltage", True, _ANY, (120, 600), "The supply is too high.",
        {"volts": Extent(272, 268, 300, "V", "at the lamp")}),
    Kind.UNDERVOLTAGE: Entry(
        _LAMP, "undervoltage", True, _ANY, (120, 600), "The supply is too low.",
        {"volts": Extent(198, 150, 212, "V", "at the lamp")}),
    Kind.KNOCKED_DOWN: Entry(
        _LAMP, "knocked_down", True, _ANY, (0, 0),
        "The pole is hit: one report of a large tilt, then silence.",
        {"tilt_deg": Extent(70, 30, 95, "deg", "after the hit")}),
    Kind.LAMP_DIP: Entry(
        _LAMP, "lamp_out", False, _NIGHT, (7, 7), "Dark for minutes: one report sees it."),
    Kind.LAMP_DIMMED: Entry(
        _LAMP, "lamp_out", False, _NIGHT, (100, 240), "Dimmed because it is told to.",
        {"dim_pct": Extent(40, 10, 60, "%", "the command")}),
    Kind.LAMP_AGED: Entry(
        _LAMP, "low_power", False, _ALL, (0, 0), "An old lamp: a little under its nameplate.",
        {"share": Extent(0.93, 0.9, 0.98, "", "of the power that is left")}),
    Kind.METER_ZERO: Entry(
        _LAMP, "lamp_out", False, _ANY, (600, 1440), "Its meter answers 0 to everything."),
    Kind.DUSK_FLICKER: Entry(
        _LAMP, "cycling", False, _NIGHT, (30, 30),
        "A photocell that cannot decide at dusk, for half an hour."),
    Kind.FEEDER_OUTAGE: Entry(
        _CIRCUIT, "feeder_outage", True, _NIGHT, (60, 180), "A whole circuit without power."),
    Kind.PHOTOCELL_FAILED: Entry(
        _CIRCUIT, "photocell_failed", True, _DAY, (120, 400), "A whole circuit burns by day."),
    Kind.SCHEDULE_SHIFT: Entry(
        _CIRCUIT, "lamp_out", False, _ALL, (0, 0),
        "The clock of a cabinet is off: its lamps are switched late and early.",
        {"late_min": Extent(25, 5, 30, "min", "after dusk and before dawn")}),
    Kind.BIN_FULL: Entry(
        _BIN, "bin_full", True, _ANY, (192, 360), "Filled, and emptied hours later."),
    Kind.OVERFLOW: Entry(
        _BIN, "bin_full", True, _ANY, (300, 1200), "Filled to the brim and beyond."),
    Kind.BIN_FIRE: Entry(_BIN, "bin_fire", True, _ANY, (25, 45), "It burns."),
    Kind.BIN_TIPPED: Entry(
        _BIN, "bin_tilt", True, _ANY, (120, 600), "It lies on its side.",
        {"tilt_deg": Extent(85, 60, 95, "deg", "from upright")}),
    Kind.CROWD: Entry(
        _BIN, "bin_full", False, _ANY, (120, 360),
        "A crowd fills it quickly, yet it stays below its threshold.",
        {"below_pct": Extent(12, 8, 40, "%", "below the threshold, at most")}),
    Kind.LID_OPEN: Entry(
        _BIN, "bin_full", False, _ANY, (20, 90),
        "The lid stands open: the sensor sees the sky or a hand, and says so."),
    Kind.SENSOR_BLOCKED: Entry(
        _BIN, "bin_full", False, _ANY, (300, 1200),
        "Something sticks to the sensor: a constant short distance, nearer than its dead zone."),
    Kind.STUCK_VALUE: Entry(
        _BIN, "stuck", True, _ALL, (0, 0), "The sensor says the same for ever."),
    Kind.SWAPPED_BIN: Entry(
        _BIN, "bin_full", False, _ANY, (0, 0), "Replaced by another model: the bottom is nearer.",
        {"share": Extent(0.85, 0.7, 1.2, "", "of the height that is registered")}),
    Kind.SUN_WARMED: Entry(
        _BIN, "bin_fire", False, _ALL, (0, 0), "A dark bin in the sun: 48 degrees, slowly."),
    Kind.POTHOLE: Entry(
        _SPOT, "pothole", True, _ANY, (0, 0), "A hole opens.",
        {"depth_mm": Extent(80, 40, 150, "mm", "its depth; streets are mended from 40 mm on"),
         "hit": Extent(1, 0.2, 1, "", "of the vehicles drive through it")}),
    Kind.POTHOLE_GROWS: Entry(
        _SPOT, "pothole", True, _ANY, (0, 0), "A crack becomes a hole over days.",
        {"days": Extent(3, 0.5, 30, "d", "until it jolts with full force"),
         "depth_mm": Extent(80, 40, 150, "mm", "its depth then"),
         "hit": Extent(1, 0.2, 1, "", "of the vehicles drive through it")}),
    Kind.WORN_SURFACE: Entry(
        _SPOT, "pothole", False, _ALL, (0, 0), "A rough stretch: it shakes, it does not jolt.",
        {"metres": Extent(60, 20, 400, "m", "its length"),
         "gd": Extent(900, 400, 2000, "1e-6 m3", "its roughness: class D of ISO 8608")}),
    Kind.SPEED_BUMP: Entry(
        _SPOT, "pothole", False, _ALL, (0, 0), "A speed bump: up first, slowly, for everybody.",
        {"height_mm": Extent(75, 50, 100, "mm", "of a round hump 3.7 m long")}),
    Kind.EXPANSION_JOINT: Entry(
        _SPOT, "pothole", False, _ALL, (0, 0), "A bridge's joint: two short clicks.",
        {"depth_mm": Extent(15, 5, 30, "mm", "of a gap 10 cm wide")}),
    Kind.MANHOLE: Entry(
        _SPOT, "pothole", False, _ANY, (0, 0), "One wheel hits a lid once.",
        {"depth_mm": Extent(60, 20, 80, "mm", "how deep it lies")}),
    Kind.SENSOR_LOOSE: Entry(
        _VEHICLE, "pothole", False, _ANY, (120, 480), "The sensor rattles in its mount."),
    Kind.VEHICLE_IDLE: Entry(
        _VEHICLE, "pothole", False, _ANY, (60, 240), "Standing with its engine running."),
    Kind.GPS_JUMP: Entry(
        _VEHICLE, "pothole", False, _ANY, (60, 240), "Positions hundreds of metres off.",
        {"metres": Extent(400, 50, 5000, "m", "how far off")}),
    Kind.NULL_ISLAND: Entry(
        _VEHICLE, "pothole", False, _ANY, (60, 240), "The receiver says 0, 0."),
    Kind.DEVICE_SILENT: Entry(
        _DEVICE, "device_silent", False, _ANY, (300, 1440), "Nothing comes from the device."),
    Kind.BATTERY_DECAY: Entry(
        _DEVICE, "battery_low", True, _ALL, (0, 0), "The battery runs down.",
        {"volts": Extent(2.9, 2.0, 3.2, "V", "at the end")}),
    Kind.BOOT_LOOP: Entry(
        _DEVICE, "lamp_out", False, _ANY, (10, 60), "It starts again and again.",
        {"every_s": Extent(20, 0.12, 600, "s", "from one start to the next")}),
    Kind.EPOCH_CLOCK: Entry(
        _DEVICE, "lamp_out", False, _ANY, (300, 720), "A clock that begins at 1970."),
    Kind.CLOCK_AHEAD: Entry(
        _DEVICE, "lamp_out", False, _ANY, (300, 720), "A clock that is hours ahead.",
        {"hours": Extent(3, 0.1, 48, "h", "how far ahead")}),
    Kind.SICK: Entry(_DEVICE, "lamp_out", False, _ALL, (0, 0), "Part of what it sends is spoilt."),
    Kind.WRONG_UNIT: Entry(
        _DEVICE, "lamp_out", False, _ANY, (120, 600), "Kilowatts for watts, metres for mm."),
    Kind.WRONG_VERSION: Entry(
        _DEVICE, "lamp_out", False, _ANY, (120, 600), "Firmware that writes other keys."),
    Kind.SENTINEL: Entry(
        _DEVICE, "bin_full", False, _ANY, (120, 600), "65535, -1 and the like for no value."),
    Kind.SPOOFED: Entry(
        _DEVICE, "lamp_out", False, _ANY, (60, 240), "It speaks under another device's name."),
    Kind.STALE: Entry(
        _DEVICE, "lamp_out", False, _ALL, (0, 0), "A reading of days ago lies retained."),
    Kind.REPEATED: Entry(
        _DEVICE, "lamp_out", False, _ANY, (60, 600), "Everything is sent many times.",
        {"times": Extent(5, 2, 50, "", "each message")}),
    Kind.MASS_SILENCE: Entry(
        _LINE, "feeder_outage", False, _ANY, (60, 60), "A concentrator loses its uplink."),
    Kind.BACKFILL: Entry(
        _LINE, "lamp_out", False, _ANY, (60, 180),
        "A concentrator without uplink keeps what it hears and sends it all on return."),
}  # fmt: skip


def rule_of(kind: Kind, asset_kind: str) -> str:
    """The rule that a look-alike on a device must not fool, by what the device is on."""
    rule = CATALOGUE[kind].rule
    if CATALOGUE[kind].strikes is not Strikes.DEVICE or rule not in ("lamp_out", "bin_full"):
        return rule
    return {"bin": "bin_full", "road": "pothole"}.get(asset_kind, "lamp_out")


def how_bad(fault: Fault, name: str) -> float:
    """An extent of a fault: its own, or the default of its kind."""
    return fault.extent.get(name, CATALOGUE[fault.kind].extents[name].default)
