"""The built-in functions: expected power, memories, windows, peers."""

from math import inf

import pytest
from rule_scenes import BIN, CIRCUIT, LAMP, MINUTE_MS, Scene, fault_of, judge_of, judged, series

from rules.codegen import compiled
from rules.document import Scalar
from rules.expression import read
from rules.names import Names
from rules.runtime import WINDOW_SAMPLES_MAX

POWER = "active_power < 20% * expected_power"
CURVE = ((0, 0.0), (50, 20.0), (100, 60.0))


@pytest.mark.parametrize(
    ("text", "values", "attributes", "expected"),
    [
        (POWER, {"active_power_w": 11, "dim_level_pct": 100}, {"nominal_power_w": 60}, True),
        (POWER, {"active_power_w": 13, "dim_level_pct": 100}, {"nominal_power_w": 60}, False),
        (POWER, {"active_power_w": 7, "dim_level_pct": 50}, {"nominal_power_w": 60}, False),
        (POWER, {"active_power_w": 5, "dim_level_pct": 50}, {"dim_curve": CURVE}, False),
        (POWER, {"active_power_w": 3, "dim_level_pct": 50}, {"dim_curve": CURVE}, True),
        (POWER, {"active_power_w": 7, "dim_level_pct": 75}, {"dim_curve": CURVE}, True),
        (POWER, {"active_power_w": 9, "dim_level_pct": 75}, {"dim_curve": CURVE}, False),
        (POWER, {"active_power_w": 1, "dim_level_pct": 50}, {}, None),
        (POWER, {"active_power_w": 1}, {"nominal_power_w": 60}, True),
        (POWER, {"active_power_w": 1}, {"nominal_power_w": 60, "dim_curve": CURVE}, None),
        (
            "active_power < 20% * expected_power(dim_level)",
            {"active_power_w": 1},
            {"nominal_power_w": 60},
            None,
        ),
        (
            "active_power < expected_power(50%)",
            {"active_power_w": 29},
            {"nominal_power_w": 60},
            True,
        ),
    ],
)
def test_expected_power_follows_the_dim_level(text, values, attributes, expected):
    """From the lamp's curve, else in proportion; a lamp that cannot dim burns at 100 %."""
    assert judged(text, values, attributes=attributes) is expected


def test_prev_is_the_last_known_value():
    """Samples without the field leave it alone."""
    samples = [(0, {"fill_pct": 10}), (1, {}), (2, {"fill_pct": 50}), (3, {"fill_pct": 50})]
    assert series("fill - prev(fill) > 30%", samples, BIN) == [None, None, True, False]


def test_memories_see_every_sample_even_behind_a_false_term():
    """`relay_on and ...` is decided by its first term; prev has moved on all the same."""
    samples = [
        (0, {"relay_on": False, "dim_level_pct": 10}),
        (1, {"relay_on": False, "dim_level_pct": 90}),
        (2, {"relay_on": True, "dim_level_pct": 90}),
    ]
    assert series("relay_on and changed(dim_level)", samples) == [False, False, False]


def test_since_is_endless_until_it_was_true_once():
    """So the blanking after a change does not blank a lamp that never changed."""
    text = "since(changed(dim_level)) < 120s"
    levels = [(0, 100), (1, 100), (2, 50), (3, 50), (4, 50), (5, 50)]
    samples = [(minute, {"dim_level_pct": level}) for minute, level in levels]
    assert series(text, samples) == [False, False, True, True, False, False]
    judge, slots = compiled(read(Scalar.of("since(relay_on)"), LAMP, Names()))
    assert judge({}, {}, Scene(), [None] * slots) == inf


def test_rate_is_change_by_time_between_samples_that_have_the_value():
    """8 degC in a minute; the sample in between says nothing of the temperature."""
    samples = [
        (0, {"temperature_c": 20}),
        (0.5, {"fill_pct": 1}),
        (1, {"temperature_c": 28}),
        (2, {"temperature_c": 35.9}),
    ]
    assert series("rate(temperature) >= 8 degC/min", samples, BIN) == [None, None, True, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count(relay_on) over 3min >= 2", [False, False, True, False, False]),
        ("avg(dim_level) over 2min >= 45%", [False, False, True, True, False]),
        ("max(dim_level) over 2min >= 90%", [False, False, True, True, False]),
        ("min(dim_level) over 2min > 5%", [True, False, False, True, False]),
    ],
)
def test_windows_forget_what_is_older_than_their_length(text, expected):
    """A sample exactly as old as the window is out."""
    samples = [
        (0, {"relay_on": True, "dim_level_pct": 10}),
        (1, {"relay_on": False, "dim_level_pct": 0}),
        (2, {"relay_on": True, "dim_level_pct": 90}),
        (3, {}),
        (4, {"relay_on": False, "dim_level_pct": 5}),
    ]
    assert series(text, samples) == expected


def test_a_window_is_bounded():
    """A flood of samples does not grow the state without end."""
    judge, slots = judge_of("count(relay_on) over 14d >= 2")
    memory = [None] * slots
    for ms in range(WINDOW_SAMPLES_MAX + 50):
        judge({"relay_on": True}, {}, Scene(ts_ms=ms), memory)
    assert len(memory[0]) == 2 * WINDOW_SAMPLES_MAX


def test_memories_continue_from_stored_slots():
    """Slots come back from the store as lists."""
    text = "rate(temperature) >= 8 degC/min or count(lid_open) over 9min >= 2"
    judge, slots = judge_of(text, BIN)
    memory = [None] * slots
    judge({"temperature_c": 20, "lid_open": True}, {}, Scene(ts_ms=0), memory)
    memory = [list(slot) if isinstance(slot, tuple) else slot for slot in memory]
    values = {"temperature_c": 20, "lid_open": True}
    assert judge(values, {}, Scene(ts_ms=MINUTE_MS), memory) is True


def circuit_scene(dark, silent, alive):
    pending = Scene(phases={"lamp_out": "pending"})
    return Scene(
        members=[({}, pending)] * dark
        + [({}, Scene(silent=30 * MINUTE_MS))] * silent
        + [({}, Scene())] * alive
    )


SILENT_AND_DEAD = "peers.count(silent > 20min) >= 1 and voltage < 50 V"
DARK_SHARE = "peers.fraction(lamp_out.pending) >= 60%"
AWAY_SHARE = "peers.fraction(lamp_out.pending or silent > 20min) >= 60%"


@pytest.mark.parametrize(
    ("text", "scene", "values", "expected"),
    [
        ("peers.count() >= 3", circuit_scene(1, 1, 1), {}, True),
        ("peers.count(lamp_out.pending) >= 3", circuit_scene(2, 1, 0), {}, False),
        (AWAY_SHARE, circuit_scene(2, 1, 2), {}, True),
        (DARK_SHARE, circuit_scene(2, 1, 2), {}, False),
        (DARK_SHARE, Scene(), {}, None),
        (SILENT_AND_DEAD, circuit_scene(0, 1, 0), {}, None),
        (SILENT_AND_DEAD, circuit_scene(0, 1, 0), {"voltage_v": 3}, True),
    ],
)
def test_peers_are_judged_each_by_itself(text, scene, values, expected):
    """Phases and silence inside a peers condition are the member's; fields outside it are not."""
    assert judged(text, values, CIRCUIT, scene=scene) is expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("asset.nominal_power > 5 W", "E103"),
        ("peers.count(prev(dim_level) > 5%) > 3", "E103"),
        ("peers.count(peers.count() > 3) > 3", "E103"),
        ("peers.count(door_open) > 3", "E101"),
        ("dim_level > 5%", "E101"),
        ("peers.all() > 3", "E101"),
        ("peers.fraction() > 3%", "E102"),
        ("peers.fraction(relay_on) > 120%", "E110"),
    ],
)
def test_circuits_know_only_what_is_theirs(text, code):
    """Attributes and lamp fields are not the circuit's, memories not the peers'."""
    assert fault_of(text, CIRCUIT).code == code
