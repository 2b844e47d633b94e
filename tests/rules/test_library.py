"""The rules that come with the project: they load, and their conditions say what they should."""

import pytest
from rule_scenes import MINUTE_MS, Scene

from rules.files import load, read_library

LAMP = {"nominal_power_w": 60.0}
HOUR_MS = 3_600_000


NIGHT = Scene()
DAY = Scene(night=False, elevation=40.0)
DUSK = Scene(night=False, elevation=-3.0)
PENDING = Scene(phases={"lamp_out": "pending"})
FIRING = Scene(phases={"lamp_out": "firing"})
SILENT = Scene(silent=30 * MINUTE_MS)


@pytest.fixture(scope="module")
def library():
    bundle, findings = load(read_library())
    assert findings == []
    return bundle.rules


def when(rule, values, scene, attributes=LAMP):
    return rule.when.judge(values, attributes, scene, list(rule.slots))


def clear(rule, values, scene, attributes=LAMP):
    return rule.clear.judge(values, attributes, scene, list(rule.slots))


def test_the_library_loads_without_a_finding(library):
    """Warnings too: what we ship is the example others copy."""
    assert sorted(library) == [
        "bin_fire", "bin_full", "day_burner", "device_silent_bin", "device_silent_cabinet",
        "device_silent_streetlight", "feeder_outage", "gateway_loss", "lamp_out", "low_power",
        "photocell_failed", "pothole", "supply_lost",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "service", "urgent"),
    [
        ("lamp_out", "STREETLIGHT_OUT", False),
        ("day_burner", "STREETLIGHT_DAY_BURNER", False),
        ("feeder_outage", "STREETLIGHT_CIRCUIT", False),
        ("photocell_failed", "STREETLIGHT_CIRCUIT", False),
        ("bin_full", "BIN_FULL", False),
        ("bin_fire", "BIN_FIRE", True),
        ("pothole", "POTHOLE", False),
    ],
)
def test_what_each_rule_asks_of_the_city(library, rule, service, urgent):
    """Only a burning bin is urgent."""
    filing = library[rule].file
    assert (filing.service, filing.urgent) == (service, urgent)


@pytest.mark.parametrize("rule", ["gateway_loss", "supply_lost", "low_power"])
def test_what_one_lamp_may_show_beside_another_fault_is_kept_for_the_operators(library, rule):
    """One fault stays one request."""
    assert library[rule].file is None


def test_silence_is_never_a_request(library):
    """It is kept for the operators; and it costs nothing before three intervals have passed."""
    silent = [rule for rule in library.values() if rule.id.startswith("device_silent")]
    assert [rule.file for rule in silent] == [None, None, None]
    assert [rule.silence_ms_min for rule in silent] == [36 * HOUR_MS, 45 * 60_000, 45 * 60_000]
    assert all(rule.on_tick for rule in silent)


@pytest.mark.parametrize(
    ("values", "scene", "attributes", "expected"),
    [
        ({"active_power_w": 0, "dim_level_pct": 100}, NIGHT, LAMP, True),
        ({"active_power_w": 11.9, "dim_level_pct": 100}, NIGHT, LAMP, True),
        ({"active_power_w": 12, "dim_level_pct": 100}, NIGHT, LAMP, False),
        ({"active_power_w": 7, "dim_level_pct": 50}, NIGHT, LAMP, False),
        ({"active_power_w": 0, "dim_level_pct": 0}, NIGHT, LAMP, False),
        ({"active_power_w": 0, "dim_level_pct": 5}, NIGHT, LAMP, False),
        ({"active_power_w": 0, "dim_level_pct": 100}, DAY, LAMP, False),
        ({"active_power_w": 0, "dim_level_pct": 100}, DUSK, LAMP, False),
        ({"active_power_w": 0}, NIGHT, LAMP, True),
        ({"dim_level_pct": 100}, NIGHT, LAMP, None),
        ({"active_power_w": 0, "dim_level_pct": 100}, NIGHT, {}, None),
    ],
)
def test_lamp_out(library, values, scene, attributes, expected):
    """Dark though commanded on, surely at night; unknown power or an unknown lamp is no fault."""
    assert when(library["lamp_out"], values, scene, attributes) is expected


def test_lamp_out_keeps_the_last_dim_level_it_was_told(library):
    """A lamp dimmed to nothing is not out because one report leaves the level away."""
    rule = library["lamp_out"]
    memory = list(rule.slots)
    rule.when.judge({"active_power_w": 0, "dim_level_pct": 0}, LAMP, NIGHT, memory)
    assert rule.when.judge({"active_power_w": 0}, LAMP, NIGHT, memory) is False


def test_lamp_out_is_blanked_for_two_minutes_after_a_command(library):
    """Lamps warm up and ramp; a lamp whose level never changed is not blanked."""
    rule = library["lamp_out"]
    memory = list(rule.slots)
    blanked = [
        rule.unless.judge({"dim_level_pct": level}, LAMP, Scene(ts_ms=s * 1000), memory)
        for s, level in [(0, 0), (60, 0), (120, 100), (239, 100), (240, 100)]
    ]
    assert blanked == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("values", "scene", "attributes", "expected"),
    [
        ({"active_power_w": 58}, DAY, {}, True),
        ({"active_power_w": 6}, DAY, {}, False),
        ({"active_power_w": 58}, NIGHT, {}, False),
        ({"active_power_w": 58}, DUSK, {}, False),
        ({"active_power_w": 58}, DAY, {"always_powered": True}, False),
        ({"active_power_w": 58}, DAY, {"always_powered": False}, True),
        ({}, DAY, {}, None),
    ],
)
def test_day_burner(library, values, scene, attributes, expected):
    """Burning with the sun well up, unless by design."""
    assert when(library["day_burner"], values, scene, attributes) is expected


def test_night_does_not_clear_a_day_burner(library):
    """Nor does burning; only dark in daylight does."""
    rule = library["day_burner"]
    dark, lit = {"active_power_w": 0.5}, {"active_power_w": 58}
    assert clear(rule, dark, DAY) is True
    assert clear(rule, dark, NIGHT) is False
    assert clear(rule, lit, DAY) is False


def circuit(dark=0, silent=0, alive=0):
    members = [PENDING] * dark + [SILENT] * silent + [NIGHT] * alive
    return Scene(members=[({}, member) for member in members])


@pytest.mark.parametrize(
    ("scene", "values", "expected"),
    [
        (circuit(dark=40), {}, True),
        (circuit(dark=3, silent=3, alive=4), {}, True),
        (circuit(dark=2, silent=0, alive=0), {}, False),
        (circuit(dark=5, alive=5), {}, False),
        (circuit(silent=40), {}, None),
        (circuit(silent=40), {"voltage_v": 230}, False),
        (circuit(silent=40), {"voltage_v": 3}, True),
        (circuit(alive=40), {"voltage_v": 3}, False),
        (circuit(), {}, False),
        (Scene(members=[({}, FIRING)] * 3), {}, True),
    ],
)
def test_feeder_outage(library, scene, values, expected):
    """Most of a circuit dark; silence alone is a loss of communication."""
    assert when(library["feeder_outage"], values, scene, {}) is expected


@pytest.mark.parametrize(
    ("fill", "attributes", "full", "emptied"),
    [
        (80, {}, True, False),
        (79.9, {}, False, False),
        (70, {}, False, False),
        (69.9, {}, False, True),
        (80, {"fill_threshold_pct": 90}, False, False),
        (90, {"fill_threshold_pct": 90}, True, False),
        (79, {"fill_threshold_pct": 90}, False, True),
    ],
)
def test_bin_full(library, fill, attributes, full, emptied):
    """At its own threshold, else at 80 %; ten points below it was emptied."""
    rule = library["bin_full"]
    assert rule.samples_min == 2
    assert when(rule, {"fill_pct": fill}, NIGHT, attributes) is full
    assert clear(rule, {"fill_pct": fill}, NIGHT, attributes) is emptied


@pytest.mark.parametrize("overrides", [{}, {"bin_full.hysteresis": "0%"}])
def test_bin_full_is_never_full_and_emptied_at_once(overrides):
    """Without hysteresis too."""
    bundle, _ = load(read_library(), overrides)
    rule = bundle.rules["bin_full"]
    for fill in range(101):
        values = {"fill_pct": fill}
        assert not (when(rule, values, NIGHT, {}) and clear(rule, values, NIGHT, {}))


def test_one_report_that_nothing_contradicts_is_enough_if_so_asked():
    """It waits no longer than for a report to settle."""
    bundle, _ = load(read_library(), {"bin_full.reports": "1"})
    rule = bundle.rules["bin_full"]
    assert (rule.samples_min, rule.for_ms, rule.clear_for_ms) == (1, 300_000, 300_000)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (20, 60, True),
        (20, 45, True),
        (40, 47.9, False),
        (20, 44, False),
        (59, 59.9, False),
    ],
)
def test_bin_fire(library, before, now, expected):
    """Hot, or warm and rising by 8 degC a minute."""
    rule = library["bin_fire"]
    memory = list(rule.slots)
    rule.when.judge({"temperature_c": before}, {}, Scene(ts_ms=0), memory)
    assert rule.when.judge({"temperature_c": now}, {}, Scene(ts_ms=60_000), memory) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"jolt_ms2": 5.4}, True),
        ({"jolt_ms2": 5.3}, False),
        ({"jolt_ms2": 3.0, "usual_jolt_ms2": 1.6}, True),
        ({"jolt_ms2": 2.9, "usual_jolt_ms2": 1.0}, False),
        ({"jolt_ms2": 9.0, "usual_jolt_ms2": 5.1}, False),
        ({"jolt_ms2": 9.0, "event_score": 0.5, "slow_share": 0.9}, True),
        ({"jolt_ms2": 9.0, "event_score": 0.4, "slow_share": 0.2}, False),
        ({"jolt_ms2": 9.0, "event_score": 0.9, "slow_share": 0.91}, False),
        ({"speed_mps": 12.0}, None),
    ],
)
def test_a_pothole_hit_is_a_jolt_beyond_what_the_vehicle_feels(library, values, expected):
    """And, where its shape is known, that of an event and not of a hump."""
    assert library["pothole"].hit.judge(values, {}, NIGHT, []) is expected


def test_a_pothole_needs_a_quorum_and_clears_by_clean_passes(library):
    """Three passes with a jolt; five without."""
    rule = library["pothole"]
    assert (rule.sensor, rule.scope, rule.monotone) == ("road", "place", True)
    told = ((2, 0, 1.0), (3, 0, 0.3), (3, 0, 0.29), (3, 1, 0.8))
    felt = [{"passes": n, "clean_passes": clean, "hit_share": share} for n, clean, share in told]
    assert [when(rule, values, NIGHT, {}) for values in felt] == [False, True, False, False]
    assert [clear(rule, {"clean_passes": n}, NIGHT, {}) for n in (4, 5)] == [False, True]
    assert (rule.place.radius_m, rule.place.pass_gap_ms) == (10.0, 180_000)
    assert rule.place.speed_mps_min == pytest.approx(10 / 3.6)


def test_children_of_the_feeder_wait_for_it(library):
    """A lamp is not filed while its circuit may explain it."""
    assert library["lamp_out"].hold_ms == 300_000
    assert library["feeder_outage"].absorbs == ("lamp_out", "supply_lost")
    assert library["day_burner"].hold_ms == 300_000
    assert library["photocell_failed"].absorbs == ("day_burner",)
