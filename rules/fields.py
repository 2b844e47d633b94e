"""The catalogue of values: what each kind of sensor may report, in which unit and range.

It is the one source of the contract's values: the gateway builds its strict
decoder from it, the rule language its names, units and impossible-range checks. A field has two
names: its `key` on the wire, unit last (`active_power_w`), and its `name` in rules, where the unit
is part of the type (`active_power`). Values out of range are refused at the door, never clipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Field:
    """A number in `unit` within [low, high], or a truth value where `unit` is "bool"."""

    key: str
    name: str
    unit: str
    low: float = 0.0
    high: float = 1.0

    @property
    def is_bool(self) -> bool:
        return self.unit == "bool"


_SUFFIXES = (
    ("_pct", "%"), ("_wh", "Wh"), ("_ms2", "m/s2"), ("_ms3", "m/s3"), ("_m2s3", "m2/s3"),
    ("_mps", "m/s"), ("_mm_s", "mm/s"),
    ("_deg", "deg"), ("_hz", "Hz"), ("_kg", "kg"), ("_mm", "mm"), ("_lx", "lx"),
    ("_c", "degC"), ("_w", "W"), ("_a", "A"), ("_v", "V"), ("_m", "m"), ("_s", "s"),
)  # fmt: skip

_WH_MAX = 1e12  # the contract gives no upper end; a lamp's meter cannot pass it in its life


def _number(key: str, low: float, high: float) -> Field:
    for suffix, unit in _SUFFIXES:
        if key.endswith(suffix):
            return Field(key, key.removesuffix(suffix), unit, low, high)
    return Field(key, key, "1", low, high)


def _flag(key: str) -> Field:
    return Field(key, key, "bool")


def _kind(*fields: Field) -> Mapping[str, Field]:
    return MappingProxyType({field.key: field for field in fields})


CATALOGUE: Mapping[str, Mapping[str, Field]] = MappingProxyType(
    {
        "streetlight": _kind(
            _number("active_power_w", 0, 2000),
            _number("current_a", 0, 50),
            _number("voltage_v", 0, 500),
            _number("power_factor", -1, 1),
            _number("dim_level_pct", 0, 100),
            _flag("relay_on"),
            _number("energy_wh", 0, _WH_MAX),
            _number("lux_lx", 0, 200_000),
            _number("temperature_c", -60, 150),
            _number("tilt_deg", 0, 180),
            _number("battery_v", 0, 60),
            _number("battery_level_pct", 0, 100),
        ),
        "cabinet": _kind(
            _number("current_a", 0, 2000),
            _number("voltage_v", 0, 500),
            _number("active_power_w", 0, 200_000),
            _flag("door_open"),
            _flag("relay_on"),
        ),
        "road": _kind(
            _number("peak_ms2", 0, 1000),
            _number("rms_ms2", 0, 1000),
            _number("crest", 0, 1000),
            _number("dominant_hz", 0, 1000),
            _number("speed_mps", 0, 70),
            _number("heading_deg", 0, 360),
            _number("ppv_mm_s", 0, 1000),
            _number("temperature_c", -60, 150),
            _number("battery_v", 0, 60),
            _number("battery_level_pct", 0, 100),
        ),
        "bin": _kind(
            _number("fill_pct", 0, 100),
            _number("distance_mm", 0, 10_000),
            _number("temperature_c", -60, 150),
            _number("tilt_deg", 0, 180),
            _flag("lid_open"),
            _number("weight_kg", 0, 5000),
            _number("battery_v", 0, 60),
            _number("battery_level_pct", 0, 100),
        ),
        # What the gateway itself reports of a spot on the road, from the passes over it.
        "place": _kind(
            _number("passes", 0, 1e6),
            _number("clean_passes", 0, 1e6),
            _number("hit_share", 0, 1),
            _number("peak_ms2", 0, 1000),
        ),
    }
)
"""Kind -> wire key -> field. `accel` of kind `road` is a window of samples, not a value: the
gateway turns it into `peak_ms2`, `rms_ms2`, `crest` and `dominant_hz` before any rule sees it, and
into `FELT`."""

FELT: Mapping[str, Field] = _kind(
    _number("jolt_ms2", 0, 1e5),
    _number("usual_jolt_ms2", 0, 1e5),
    _number("event_score", 0, 1),
    _number("pothole_score", 0, 1),
    _number("up_ms2", 0, 1e4),
    _number("down_ms2", 0, 1e4),
    _flag("up_first"),
    _number("kurtosis", 0, 60),
    _number("sta_lta", 0, 8),
    _number("peak_median", 0, 1e6),
    _number("crossings_hz", 0, 50),
    _number("jerk_ms3", 0, 1e6),
    _number("quickness_hz", 0, 200),
    _number("width_s", 0, 2),
    _number("half_width_s", 0, 2),
    _number("zero_g_s", 0, 2),
    _number("energy_m2s3", 0, 1e9),
    *(_number(f"{band}_share", 0, 1) for band in ("slow", "mid", "quick", "fast")),
    *(_number(f"{band}_rms_ms2", 0, 1e4) for band in ("slow", "mid", "quick", "fast")),
)
"""What the gateway works out from a vehicle's window, never published: see `signal` and `shape`.
`usual_jolt_ms2` is the device's own."""

DISPLACEMENT = _number("displacement_m", 0, 2.1e7)
"""How far a device that says where it is says to be from the place of its asset; worked out by the
gateway, never published."""

ATTRIBUTES: Mapping[str, Field] = _kind(
    _number("nominal_power_w", 0, 2000),
    _number("fill_threshold_pct", 0, 100),
    _number("height_mm", 0, 10_000),
    _number("offset_mm", 0, 10_000),
    _number("dead_zone_mm", 0, 10_000),
    _flag("always_powered"),
)
"""Asset attributes that conditions may use, as `asset.<name>`. A lamp's
`expected_power` at its present dim level comes from `nominal_power_w` and `dim_curve`."""

ATTRIBUTE_TEXTS = ("address", "cabinet", "circuit", "owner", "pickup", "segment", "zone")
"""Asset attributes that are texts: conditions may ask whether they are equal or alike."""

CLAIM = "claim:"
"""Begins the keys of a device's own claims among the values of a sample: `claim:lamp_failure`. By
itself it is the key of a sample without any value: whatever it claims, it takes back the rest."""

STANDING_KINDS = ("streetlight", "cabinet", "bin")
REPORTED_KINDS = ("streetlight", "cabinet", "road", "bin")
"""Kinds that devices may publish; `place` is worked out by the gateway."""

_WORKED_OUT = dict.fromkeys(STANDING_KINDS, (DISPLACEMENT,)) | {"road": tuple(FELT.values())}

HEARD: Mapping[str, Mapping[str, Field]] = MappingProxyType(
    {
        kind: _kind(*fields.values(), *_WORKED_OUT.get(kind, ()))
        for kind, fields in CATALOGUE.items()
    }
)
"""What rules hear of: the catalogue, and what the gateway works out from it."""


def by_name(kind: str) -> dict[str, Field]:
    """The fields of a kind under their names in rules."""
    return {field.name: field for field in HEARD[kind].values()}


def kinds() -> Iterator[str]:
    return iter(CATALOGUE)
