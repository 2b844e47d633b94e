"""The manual of the functions: how each is written, what it gives, an example.

Owns what people read of them, in editors, in the docs and in the help of a finding. Every example
is a whole condition on some sensor, and tests load it. Texts only.
"""

from typing import NamedTuple


class FunctionDoc(NamedTuple):
    """A function as people read it."""

    name: str
    signature: str
    """As it is written, and what it gives."""
    doc: str
    example: str


def catalogue() -> list[FunctionDoc]:
    """All functions, those over a window beside those of the same name without."""
    return list(_FUNCTIONS)


def written(name: str, *, over: bool) -> str:
    """How a function is written, with a window or without."""
    forms = (entry.signature.partition(" -> ")[0] for entry in _FUNCTIONS if entry.name == name)
    return next(form for form in forms if (" over " in form) is over)


_FUNCTIONS = (
    FunctionDoc(
        "abs", "abs(x) -> x without its sign",
        "The amount of a number.",
        "abs(power_factor) < 0.6",
    ),
    FunctionDoc(
        "age", "age(x) -> duration",
        "How long ago x was last known; unknown if it never was.",
        "age(lux) > 6h",
    ),
    FunctionDoc(
        "avg", "avg(x) over T -> x",
        "The mean of the known values; unknown if there is none.",
        "avg(active_power) over 30min < 10 W",
    ),
    FunctionDoc(
        "changed", "changed(x) -> true or false",
        "Whether x is another value than it last was. A first value is unknown.",
        "changed(relay_on)",
    ),
    FunctionDoc(
        "changes", "changes(x) over T -> number",
        "How often x, a number or a condition, became another value than it was before.",
        "changes(active_power > 6 W) over 1h >= 6",
    ),
    FunctionDoc(
        "claims", "claims(name) -> true or false",
        "Whether the sample itself names a fault: one of the device's own claims, by uCIFI name.",
        "claims(lamp_failure) and active_power < 5 W",
    ),
    FunctionDoc(
        "coalesce", "coalesce(x, y, ...) -> the first that is known",
        "A value to go by where another is missing.",
        "coalesce(dim_level, 100%) > 5%",
    ),
    FunctionDoc(
        "count", "count(condition) over T -> number",
        "In how many samples a condition was true; without a condition, how many there were.",
        "count(tilt > 30 deg) over 2h >= 3",
    ),
    FunctionDoc(
        "delta", "delta(x) over T -> difference of x",
        "The last known value less the first; unknown with fewer than two.",
        "delta(energy) over 24h < 10 Wh",
    ),
    FunctionDoc(
        "expected_power", "expected_power(level) -> W",
        "What a healthy lamp draws at a dim level, by its curve or its nominal power; without "
        "arguments and parentheses at its present level.",
        "active_power < 20% * expected_power",
    ),
    FunctionDoc(
        "first", "first(x) over T -> x",
        "The oldest known value; unknown if there is none.",
        "fill - (first(fill) over 6h) > 30%",
    ),
    FunctionDoc(
        "held", "held(condition) over T -> true or false",
        "The condition was true all the time, what held at the beginning included: false if it "
        "was false, else unknown if it was unknown or the beginning was not seen.",
        "held(active_power < 5 W) over 15min",
    ),
    FunctionDoc(
        "in_schedule", "in_schedule(text) -> true or false",
        "Whether the local time is within a weekly schedule: days and hours, several parted by "
        "`;`. Hours that end before they begin end on the next day. Unknown without a time zone.",
        'in_schedule("mon-fri 06:00-18:00; sat 08:00-12:00") and fill > 80%',
    ),
    FunctionDoc(
        "is_night", "is_night(margin=20min) -> true or false",
        "The sun is below -6 deg now, a margin ago and in a margin. Unknown without a position.",
        "is_night(margin=20min) and active_power < 5 W",
    ),
    FunctionDoc(
        "known", "known(x) -> true or false",
        "Whether x has a value now; never unknown itself.",
        "known(lux) and lux < 5 lx",
    ),
    FunctionDoc(
        "last", "last(x) over T -> x",
        "The newest known value; unknown if there is none: a value with an age limit.",
        "(last(lux) over 30min) < 5 lx and active_power < 5 W",
    ),
    FunctionDoc(
        "local_hour", "local_hour() -> hours",
        "Hours since midnight by the clocks of the place, with fractions: 22:30 is 22.5 h. "
        "Unknown without a time zone.",
        "local_hour() >= 22 h and active_power > 20 W",
    ),
    FunctionDoc(
        "max", "max(x, y, ...) -> the largest",
        "The largest of its arguments; unknown if one of them is.",
        "max(dim_level, 20%) > 50%",
    ),
    FunctionDoc(
        "max", "max(x) over T -> x",
        "The largest known value; unknown if there is none.",
        "(max(fill) over 12h) - fill >= 40%",
    ),
    FunctionDoc(
        "min", "min(x, y, ...) -> the smallest",
        "The smallest of its arguments; unknown if one of them is.",
        "min(active_power, voltage * current) < 5 W",
    ),
    FunctionDoc(
        "min", "min(x) over T -> x",
        "The smallest known value; unknown if there is none.",
        "(min(battery) over 24h) < 3.3 V",
    ),
    FunctionDoc(
        "p", "p(95%, x) over T -> x",
        "The value that a share of the known values does not exceed, between two of them in "
        "proportion; unknown if there is none.",
        "p(95%, active_power) over 24h < 20 W",
    ),
    FunctionDoc(
        "peers.avg", "peers.avg(x) -> x",
        "The mean over the members that know x; unknown if none does.",
        "peers.avg(active_power) < 5 W",
    ),
    FunctionDoc(
        "peers.count", "peers.count(condition) -> number",
        "For how many members a condition is true; without a condition, how many there are.",
        "peers.count(active_power < 5 W) >= 3",
    ),
    FunctionDoc(
        "peers.fraction", "peers.fraction(condition) -> share",
        "For which share of all members a condition is true.",
        "peers.fraction(silent > 10min) >= 60%",
    ),
    FunctionDoc(
        "peers.max", "peers.max(x) -> x",
        "The largest over the members that know x; unknown if none does.",
        "peers.max(voltage) < 50 V",
    ),
    FunctionDoc(
        "peers.min", "peers.min(x) -> x",
        "The smallest over the members that know x; unknown if none does.",
        "peers.min(voltage) > 250 V",
    ),
    FunctionDoc(
        "prev", "prev(x) -> x",
        "The last known value before this sample.",
        "prev(fill) - fill >= 30%",
    ),
    FunctionDoc(
        "rate", "rate(x) -> x by time",
        "The change since the last known value, by the time between.",
        "rate(temperature) >= 8 degC/min",
    ),
    FunctionDoc(
        "rate", "rate(x) over T -> x by time",
        "The last known value less the first, by the time between; unknown with fewer than two.",
        "rate(fill) over 6h > 5%/h",
    ),
    FunctionDoc(
        "since", "since(condition) -> duration",
        "How long ago a condition was last true: 0 while it is, endless if it never was.",
        "since(changed(dim_level)) < 2min",
    ),
    FunctionDoc(
        "slope", "slope(x) over T -> x by time",
        "The straight line through the known values by least squares; unknown with fewer than "
        "two, or none apart in time.",
        "slope(fill) over 24h > 1%/h",
    ),
    FunctionDoc(
        "std", "std(x) over T -> difference of x",
        "The standard deviation of the known values (of all, not of a sample); unknown with "
        "fewer than two.",
        "(std(active_power) over 10min) > 15 W",
    ),
    FunctionDoc(
        "sun_elev", "sun_elev() -> deg",
        "Elevation of the sun over the horizon. Unknown without a position.",
        "sun_elev() > 5 deg and active_power > 6 W",
    ),
    FunctionDoc(
        "time_to", "time_to(text) -> duration",
        "How long until a weekly schedule such as `asset.pickup` is on, by the clocks of the "
        "place: 0 while it is. Unknown without a time zone or a schedule.",
        "time_to(asset.pickup) > 24h and fill > 80%",
    ),
    FunctionDoc(
        "trend", "trend(x) over T -> x by time",
        "The median of the speeds between known values that lie half of them apart: as slope, but "
        "up to a fourth of them may be wrong in any way.",
        "trend(fill) over 24h > 1%/h",
    ),
    FunctionDoc(
        "weekday", "weekday() -> mon, tue, wed, thu, fri, sat or sun",
        "The day of the week by the calendar of the place. Unknown without a time zone.",
        "weekday() in [sat, sun] and fill > 60%",
    ),
)  # fmt: skip
