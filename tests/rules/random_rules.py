"""Random rules on street lights, as texts, and random series of what a lamp may report."""

import json

from hypothesis import strategies as st

from rules.files import load
from rules.track import Subject

MINUTE_MS = 60_000
DUSK_MS = 1_768_514_400_000  # 2026-01-15T22:00Z: an hour and a half before dark in Chicago
CLOCKS_CHANGE_MS = 1_772_949_600_000  # 2026-03-08T06:00Z: two hours before they do in Chicago

LAMPS = [
    Subject("L", "streetlight", attributes, lat, lon, time_zone=zone)
    for attributes, lat, lon, zone in [
        ({"nominal_power_w": 60, "circuit": "C1"}, 41.88, -87.63, "America/Chicago"),
        ({"nominal_power_w": 57.3, "always_powered": True}, 69.6, 18.9, "Europe/Oslo"),
        ({"dim_curve": [[10, 9], [50, 24.1], [100, 60]]}, 41.88, -87.63, ""),
        ({"nominal_power_w": 60, "dim_curve": [[30, 20.0]]}, None, None, "Asia/Kathmandu"),
        ({"pickup": "thu 16:00-18:00; fri-sun 00:00-03:30"}, 41.88, -87.63, "America/Chicago"),
        ({}, None, None, ""),
    ]
]
"""With and without a nominal power, a curve, a position, a time zone, a schedule."""

_windows = st.sampled_from(["10min", "30min", "2h"])
_signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
_order = st.sampled_from(["<", "<=", ">", ">="])
_watts = st.sampled_from(["6 W", "12 W", "0.0583 kW", "30 W"])
_shares = st.sampled_from(["20%", "0.3", "1.7", "3"])
_levels = st.sampled_from(["dim_level", "coalesce(dim_level, prev(dim_level), 100%)", "50%"])


def _form(text, *parts):
    return st.builds(text.format, *parts)


_powers = st.one_of(
    st.just("active_power"),
    st.just("active_power"),
    st.just("nominal_power"),
    _watts,
    _form("expected_power({})", _levels),
    st.just("expected_power"),
)
_reductions = st.sampled_from(["avg", "min", "max", "std", "first", "last", "delta"])
_remembered_powers = st.one_of(
    _form("prev({})", _powers.filter(lambda text: text[0].isalpha())),
    _form("(rate(active_power) * {})", _windows),
    _form("({}(active_power) over {})", _reductions, _windows),
    _form("({}(active_power) over {})", _reductions, _windows),
    _form(
        "(p({}, {}) over {})",
        st.sampled_from(["0%", "37%", "50%", "95%", "100%"]),
        st.sampled_from(["active_power", "prev(active_power)"]),
        _windows,
    ),
    _form(
        "(({}(active_power) over {}) * {})",
        st.sampled_from(["rate", "slope", "trend"]),
        _windows,
        _windows,
    ),
)


def _combined(powers):
    return st.one_of(
        _form("({} {} {})", powers, st.sampled_from("+-"), powers),
        _form("({} {} {})", powers, st.sampled_from("*/"), _shares),
        _form("{}({}, {})", st.sampled_from(["min", "max", "coalesce"]), powers, powers),
        _form("abs({})", powers),
        _form("(-{})", powers),
        _form("({} * {} / {})", powers, powers, powers),
    )


amounts = st.recursive(st.one_of(_powers, _remembered_powers), _combined, max_leaves=4)

_plain = st.one_of(
    _form("active_power {} {}", _signs, _watts),
    _form("active_power {} {}", _order, _watts),
    _form("dim_level {} {}", _order, st.sampled_from(["5%", "50%"])),
)
_facts = st.one_of(
    _plain,
    _plain,
    _form("{} {} {}", amounts, _signs, amounts),
    _form("{} {} {}", _remembered_powers, _order, _watts),
    _form("prev(dim_level) {} dim_level", _signs),
    _form("sun_elev() {} {}", _order, st.sampled_from(["-6deg", "2.5deg"])),
    _form("sun_elev() + 1deg < {}", st.sampled_from(["-6deg", "2.5deg"])),
    st.sampled_from(
        [
            "relay_on",
            "is_night()",
            "is_night(margin=20min)",
            "known(dim_level)",
            "changed(active_power)",
            "changed(relay_on)",
            "prev(relay_on)",
            "coalesce(relay_on, prev(relay_on))",
            "relay_on == prev(relay_on)",
            "voltage in [0 V, 230 V]",
        ]
    ),
    st.sampled_from(
        [
            "asset.always_powered",
            "coalesce(asset.always_powered, false)",
            'asset.circuit == "C1"',
            'asset.circuit in ["C2", "C3"]',
            'asset.circuit matches "C?"',
            "in_schedule(asset.pickup)",
            "time_to(asset.pickup) < 30min",
            'time_to("thu,fri 17:10-17:20") >= 10min',
            'in_schedule("daily 17:00-19:30")',
            "weekday() in [thu, sun]",
            "local_hour() >= 17h",
            "local_hour() < 2.5h",
            "claims(lamp_failure)",
        ]
    ),
)


def _told(facts):
    return st.one_of(
        facts,
        facts,
        _form("since({}) {} {}", facts, _order, _windows),
        _form("(count({}) over {}) >= {}", facts, _windows, st.integers(1, 3)),
        _form("(changes({}) over {}) >= {}", facts, _windows, st.integers(1, 3)),
        _form("(changes(active_power) over {}) >= {}", _windows, st.integers(1, 3)),
        _form("(held({}) over {})", facts, _windows),
        _form("({}({}) over {})", st.sampled_from(["first", "last"]), facts, _windows),
        _form("age({}) {} {}", facts, _order, _windows),
    )


conditions = st.recursive(
    _told(_facts),
    lambda terms: st.one_of(
        _form("({} and {})", terms, terms),
        _form("({} and {} and {})", terms, terms, terms),
        _form("({} or {})", terms, terms),
        _form("not ({})", terms),
        _form("coalesce({}, {})", terms, terms),
    ),
    max_leaves=4,
)


@st.composite
def bodies(draw):
    """A rule as it stands in a file, under its keys. Its text may be refused."""
    rule = {"id": "odd", "title": "odd", "identity": ["asset.id"], "when": draw(conditions)}
    rule["for"] = draw(st.sampled_from(["0s", "10min", "15min", "50min"]))
    if draw(st.booleans()):
        rule["unless"] = draw(conditions)
    if draw(st.booleans()):
        rule["clear"] = {
            "when": draw(conditions),
            "for": draw(st.sampled_from(["0s", "10min", "1h"])),
        }
    if draw(st.booleans()):
        rule["cover"] = {"min_samples": draw(st.integers(1, 4)), "max_gap": "45min"}
    if draw(st.booleans()):
        rule["no_data"] = {"hold": draw(st.sampled_from(["30min", "2h"]))}
    return rule


def file_of(*rules):
    """The text of a file with these rules on street lights."""
    return json.dumps({"apiVersion": "sense311/v1", "sensor": "streetlight", "rules": rules})


@st.composite
def rules(draw):
    """A rule, or None where the text is refused (as one that can never be true)."""
    bundle = load({"odd.yaml": file_of(draw(bodies()))})[0]
    return None if bundle is None else bundle.rules["odd"]


_values = st.fixed_dictionaries(
    {},
    optional={
        "active_power_w": st.sampled_from([0, 0, 0, 3.3, 6, 12, 58.3, 58.3, 60]),
        "dim_level_pct": st.sampled_from([0, 5, 37.5, 50, 100]),
        "relay_on": st.booleans(),
        "voltage_v": st.sampled_from([0, 229.7, 230]),
        "lux_lx": st.sampled_from([0, 900]),
        "claim:lamp_failure": st.just(True),
    },
)
_usual = st.fixed_dictionaries(
    {
        "active_power_w": st.sampled_from([0, 0, 3.3, 58.3]),
        "dim_level_pct": st.sampled_from([50, 100]),
        "relay_on": st.booleans(),
    }
)
_steps = st.sampled_from([0, 1, 5, 10, 15, 15, 15, 15, 15, 15, 40, 45, 70, 180])


@st.composite
def series(draw):
    """Samples in order of time, some at the same time, some the same; often a value stays."""
    ts_ms = draw(st.sampled_from([DUSK_MS, CLOCKS_CHANGE_MS]))
    samples, values = [], {}
    steps = st.tuples(_steps, st.sampled_from([0, 0, 7]), st.none() | _usual | _values)
    for minutes, seconds, changed in draw(st.lists(steps, min_size=1, max_size=40)):
        ts_ms += minutes * MINUTE_MS + seconds * 1_000
        values = values if changed is None else changed
        samples.append((ts_ms, values))
    return samples
