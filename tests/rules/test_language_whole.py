"""The rule language as it was laid out, construct by construct: each loads and does what it says.

One row for each construct: a condition that is true on the last of some samples, and stands or
falls with the construct. What a function does in every corner is in the tests of its own room.
"""

import pytest
from rule_scenes import BIN, CIRCUIT, LAMP, MINUTE_MS, Scene, fault_of, judge_of

from rules.codegen import slot_order
from rules.document import Scalar
from rules.expression import condition
from rules.fields import by_name
from rules.interpret import traced
from rules.names import Context, Names

ROAD = Context("a vehicle's reading", by_name("road"), has_attributes=False, has_history=False)
SIXTY = {"nominal_power_w": 60.0, "dim_curve": ((50, 30.0), (100, 60.0)), "circuit": "C12",
         "pickup": "thu 20:00-22:00"}  # fmt: skip
DIM = [(0, {"active_power_w": 60, "dim_level_pct": 100}), (5, {"active_power_w": 12})]
FILLS = [(0, {"fill_pct": 10}), (10, {"fill_pct": 40}), (20, {"fill_pct": 70})]
FALL = [(0, {"fill_pct": 70}), (10, {"fill_pct": 40}), (20, {"fill_pct": 10})]
LIDS = [(0, {"lid_open": True}), (10, {"lid_open": False}), (20, {"lid_open": True})]
HOT = [(0, {"temperature_c": 60})]
JOLT = [(0, {"peak_ms2": 6, "rms_ms2": 1, "speed_mps": 10, "heading_deg": 90, "ppv_mm_s": 3})]
POWER = [(0, {"active_power_w": 1500, "voltage_v": 230, "current_a": 6, "lux_lx": 20,
              "energy_wh": 2500, "temperature_c": 20, "relay_on": True})]  # fmt: skip
WEIGHT = [(0, {"weight_kg": 12, "distance_mm": 400})]
CLAIM = [(0, {"claim:lamp_failure": True})]

CONSTRUCTS = [
    # operators
    ("active_power < 20 W and dim_level > 5%", LAMP, [(0, DIM[0][1] | DIM[1][1])]),
    ("fill > 90% or fill < 20%", BIN, FALL),
    ("not fill > 20%", BIN, FALL),
    ("5% < fill <= 10%", BIN, FALL),
    ("weekday() in [mon, thu]", LAMP, DIM),
    ("weekday() not in [sat, sun]", LAMP, DIM),
    ("fill == 10%", BIN, FALL),
    ("fill != 11%", BIN, FALL),
    ("fill + 5% > 14%", BIN, FALL),
    ("fill - 5% < 6%", BIN, FALL),
    ("voltage * current <= active_power", LAMP, POWER),
    ("active_power / voltage > 6.5 A", LAMP, POWER),
    ("-fill < -9%", BIN, FALL),
    ("(fill < 5% or fill < 20%) and fill > 5%", BIN, FALL),
    ('asset.circuit == "C12"', LAMP, DIM),
    ('asset.circuit matches "C1*"', LAMP, DIM),
    # literals with units
    ("age(active_power) < 15min", LAMP, DIM),
    ("since(fill > 60%) >= 1200 s and since(fill > 60%) <= 0.4h", BIN, FALL),
    ("fill < 20%", BIN, FALL),
    ("active_power >= 1.5 kW", LAMP, POWER),
    ("current > 5.9 A", LAMP, POWER),
    ("voltage > 229 V", LAMP, POWER),
    ("lux < 21 lx", LAMP, POWER),
    ("energy >= 2.5 kWh", LAMP, POWER),
    ("temperature > 330 K", BIN, HOT),
    ("temperature > 59 degC", BIN, HOT),
    ("peak > 0.6 g", ROAD, JOLT),
    ("peak > 5 m/s2", ROAD, JOLT),
    ("ppv > 2 mm/s", ROAD, JOLT),
    ("speed > 35 km/h", ROAD, JOLT),
    ("heading >= 90 deg", ROAD, JOLT),
    ("weight > 11 kg", BIN, WEIGHT),
    ("distance < 0.5 m", BIN, WEIGHT),
    # where it is, of a thing that says so
    ("displacement > 50 m", BIN, [(0, {"displacement_m": 60})]),
    # missing values
    ("coalesce(tilt, 3 deg) == 3 deg", BIN, FALL),
    ("known(fill) and not known(tilt)", BIN, FALL),
    ("age(fill) == 0s", BIN, FALL),
    ("fill < 20% or tilt > 5 deg", BIN, FALL),
    ("not (fill > 20% and tilt > 5 deg)", BIN, FALL),
    # windows over event time
    ("(avg(fill) over 30min) == 40%", BIN, FILLS),
    ("(min(fill) over 30min) == 10%", BIN, FILLS),
    ("(max(fill) over 15min) == 70%", BIN, FILLS),
    ("(p(50%, fill) over 30min) == 40%", BIN, FILLS),
    ("(std(fill) over 30min) > 24%", BIN, FILLS),
    ("(count() over 30min) == 3", BIN, FILLS),
    ("(count(fill > 30%) over 2h) == 2", BIN, FILLS),
    ("(rate(fill) over 30min) == 180 %/h", BIN, FILLS),
    ("(delta(fill) over 30min) == 60%", BIN, FILLS),
    ("(slope(fill) over 30min) > 179 %/h", BIN, FILLS),
    ("(trend(fill) over 30min) > 179 %/h", BIN, FILLS),
    ("(last(fill) over 30min) == 70%", BIN, FILLS),
    ("(first(fill) over 30min) == 10%", BIN, FILLS),
    ("(changes(lid_open) over 30min) == 2", BIN, LIDS),
    ("held(fill > 5%) over 15min", BIN, FILLS),
    ("since(fill > 60%) == 20min", BIN, FALL),
    ("prev(fill) == 40%", BIN, FALL),
    ("changed(lid_open)", BIN, LIDS),
    ("rate(fill) < -2 %/min", BIN, FALL),
    # peers, sun, calendar
    ("peers.count() == 4", CIRCUIT, [(0, {})]),
    ("peers(circuit).count(active_power < 5 W) == 3", CIRCUIT, [(0, {})]),
    ("peers(circuit).fraction(active_power < 5 W) == 75%", CIRCUIT, [(0, {})]),
    ("peers.avg(active_power) > 13 W", CIRCUIT, [(0, {})]),
    ("peers.max(active_power) > 49 W", CIRCUIT, [(0, {})]),
    ("peers.min(active_power) < 2 W", CIRCUIT, [(0, {})]),
    ("sun_elev() < -6 deg", LAMP, DIM),
    ("is_night()", LAMP, DIM),
    ("is_night(20min) and is_night(margin=20min)", LAMP, DIM),
    ("local_hour() >= 20 h and local_hour() < 21 h", LAMP, DIM),
    ("weekday() == thu", LAMP, DIM),
    ("in_schedule(pickup)", LAMP, DIM),
    ("in_schedule(asset.pickup)", LAMP, DIM),
    ("time_to(asset.pickup) < 30min", LAMP, DIM),
    ('time_to("thu 21:00-22:00") > 10min', LAMP, DIM),
    ('in_schedule("thu 20:00-21:00")', LAMP, DIM),
    # what is known of a lamp, and of other rules
    ("active_power < 50% * nominal_power", LAMP, DIM),
    ("active_power < 50% * expected_power(coalesce(dim_level, 50%))", LAMP, DIM),
    ("asset.nominal_power == 60 W", LAMP, DIM),
    ("lamp_out.pending and not lamp_out.firing", LAMP, DIM),
    ("silent > 10min", LAMP, DIM),
    ("claims(lamp_failure)", LAMP, CLAIM),
    # plain functions
    ("abs(fill - 50%) == 40%", BIN, FALL),
    ("min(fill, 5%) == 5%", BIN, FALL),
    ("max(fill, 50%) == 50%", BIN, FALL),
]  # fmt: skip


def scene_at(minute):
    members = [({"active_power_w": watt}, Scene()) for watt in (1, 1, 1, 50)]
    return Scene(
        ts_ms=int(minute * MINUTE_MS),
        silent=11 * MINUTE_MS,
        phases={"lamp_out": "pending"},
        members=members,
    )


def told(text, context, samples):
    """What the compiled condition says on each sample."""
    judge, slots = judge_of(text, context)
    memory = [None] * slots
    return [judge(values, SIXTY, scene_at(minute), memory) for minute, values in samples]


@pytest.mark.parametrize(("text", "context", "samples"), CONSTRUCTS)
def test_every_construct_does_what_it_says(text, context, samples):
    """True on the last sample, and its contrary false: it is not merely unknown."""
    assert told(text, context, samples)[-1] is True
    assert told(f"not ({text})", context, samples)[-1] is False


@pytest.mark.parametrize(("text", "context", "samples"), CONSTRUCTS)
def test_every_construct_can_be_explained(text, context, samples):
    """What explanations take apart comes to the same."""
    tree = condition(Scalar.of(text), context, Names())
    trace, memory = traced(tree), [None] * len(slot_order(tree))
    found = [trace(values, SIXTY, scene_at(minute), memory) for minute, values in samples]
    assert [one.value for one in found] == told(text, context, samples)
    assert found[-1].value is True


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("fil > 80%", "E101", "fill"),
        ("fill > 80 W", "E104", "fill"),
        ("fill > temperature", "E104", "fill"),
        ("fill + 3 W > 5%", "E104", "W"),
        ("fill > 80 parsec", "E105", "parsec"),
        ("fill > 80% if lid_open else lid_open", "E100", "if"),
        ("[fill > x for x in fill]", "E100", "["),
        ("fill = 80%", "E100", "="),
        ("fill == 'full'", "E102", "full"),
        ("fill.real > 5%", "E101", "fill.real"),
        ("open('file')", "E101", "open"),
        ("lid_open > 3", "E102", "lid_open"),
        ("fill", "E102", "fill"),
        ("avg(fill) over 30d > 5%", "E102", "14 d"),
    ],
)
def test_what_is_not_in_the_language_is_refused(text, code, words):
    """By its place, and in words that name it."""
    found = fault_of(text, BIN)
    assert found.code == code
    assert words in found.message + found.help


@pytest.mark.parametrize(
    ("text", "code"), [("peers(zone).count() > 2", "E103"), ("peers(bin).count() > 2", "E103")]
)
def test_peers_are_those_of_the_rules_own_scope(text, code):
    """A rule about a circuit looks at no zone."""
    assert fault_of(text, CIRCUIT).code == code


def test_let_names_stand_for_what_they_are_given():
    """Also for each other, and for a truth."""
    lets = {"half": "full / 2", "full": "nominal_power", "dim": "active_power < half"}
    judge, slots = judge_of("dim and active_power > 10 W", LAMP, **lets)
    assert judge({"active_power_w": 12.0}, SIXTY, Scene(), [None] * slots) is True
    assert judge({"active_power_w": 31.0}, SIXTY, Scene(), [None] * slots) is False
