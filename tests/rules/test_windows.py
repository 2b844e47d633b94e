"""Windows over event time: what each gives, on few samples, on flags, under gaps."""

from math import isclose, sqrt
from statistics import fmean, linear_regression, median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_scenes import BIN, LAMP, MINUTE_MS, Scene, fault_of, judge_of, series

from rules import runtime
from rules.codegen import compiled
from rules.document import Scalar
from rules.expression import read
from rules.names import Names


def values_of(text, samples, context=BIN):
    """The values of a number over (minute, values) samples."""
    judge, slots = compiled(read(Scalar.of(text), context, Names()))
    memory = [None] * slots
    return [
        judge(values, {}, Scene(ts_ms=int(minute * MINUTE_MS)), memory)
        for minute, values in samples
    ]


FILLS = [(0, {"fill_pct": 10}), (5, {}), (10, {"fill_pct": 40}), (20, {"fill_pct": 70})]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count() over 30min", [1, 2, 3, 4]),
        ("count(fill > 20%) over 30min", [0, 0, 1, 2]),
        ("first(fill) over 30min", [10, 10, 10, 10]),
        ("first(fill) over 15min", [10, 10, 10, 40]),
        ("last(fill) over 30min", [10, 10, 40, 70]),
        ("last(fill) over 5min", [10, None, 40, 70]),
        ("delta(fill) over 30min", [None, None, 30, 60]),
        ("delta(fill) over 5min", [None, None, None, None]),
        ("rate(fill) over 30min", [None, None, 3 / MINUTE_MS, 3 / MINUTE_MS]),
        ("slope(fill) over 30min", [None, None, 3 / MINUTE_MS, 3 / MINUTE_MS]),
        ("trend(fill) over 30min", [None, None, 3 / MINUTE_MS, 3 / MINUTE_MS]),
        ("avg(fill) over 30min", [10, 10, 25, 40]),
        ("std(fill) over 30min", [None, None, 15, sqrt(600)]),
        ("p(0%, fill) over 30min", [10, 10, 10, 10]),
        ("p(50%, fill) over 30min", [10, 10, 25, 40]),
        ("p(0.25, fill) over 30min", [10, 10, 17.5, 25]),
        ("p(100%, fill) over 30min", [10, 10, 40, 70]),
        ("changes(fill) over 30min", [0, 0, 1, 2]),
        ("changes(fill) over 10min", [0, 0, 1, 1]),
        ("changes(fill > 20%) over 30min", [0, 0, 1, 1]),
        ("age(fill)", [0, 5 * MINUTE_MS, 0, 0]),
        ("age(tilt)", [None, None, None, None]),
    ],
)
def test_what_a_window_gives(text, expected):
    """On one sample, on two, with a sample that says nothing of the value between."""
    found = values_of(text, FILLS)
    assert [None if v is None else pytest.approx(v) for v in expected] == found


def test_differences_of_temperatures_are_in_kelvin():
    """A spread or a change of a temperature is no temperature."""
    assert fault_of("delta(temperature) over 1h > 5 degC", BIN).code == "E104"
    samples = [(0, {"temperature_c": 10}), (1, {"temperature_c": 16})]
    assert series("delta(temperature) over 1h > 5 K", samples, BIN) == [None, True]
    assert series("std(temperature) over 1h >= 3 K", samples, BIN) == [None, True]
    assert series("slope(temperature) over 1h > 350 degC/h", samples, BIN) == [None, True]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([(0, True), (10, True), (15, True)], [None, None, True]),
        ([(0, True), (14, True), (31, True)], [None, None, True]),
        ([(0, True), (5, None), (15, True), (20, True), (31, True)], [None] * 4 + [True]),
        ([(0, False), (5, True), (15, True), (20, True)], [False, False, False, True]),
        ([(0, True), (5, False), (6, None), (21, None)], [None, False, False, None]),
        ([(0, True), (15, False), (16, True)], [None, False, False]),
        ([(0, False), (100, True), (115, True)], [False, False, True]),
    ],
)
def test_held_is_true_only_when_all_of_the_window_was_seen_to_be(flags, expected):
    """False as soon as any of it was false; what held at its beginning counts until the next
    sample; unknown where it was not seen.
    """
    samples = [(t, {} if flag is None else {"lid_open": flag}) for t, flag in flags]
    assert series("held(lid_open) over 15min", samples, BIN) == expected


HISTORY = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from([None, 0, 1.5, 20, 33.3, 100])),
    min_size=1,
    max_size=30,
)
LENGTH_MIN = 10


def at_times(steps):
    minute, samples = 0, []
    for step, fill in steps:
        minute += step
        samples.append((minute, fill))
    return samples


@given(HISTORY)
def test_windows_are_what_their_definitions_say(steps):
    """Against the plain definitions, on any series; two samples may be at one time."""
    samples = at_times(steps)
    given_ = [(t, {} if fill is None else {"fill_pct": fill}) for t, fill in samples]
    found = {
        name: values_of(f"{name}(fill) over 10min", given_)
        for name in ("avg", "std", "delta", "slope", "trend", "rate", "first", "last")
    }
    for i, (now, _) in enumerate(samples):
        inside = [(t, x) for t, x in samples[: i + 1] if t > now - LENGTH_MIN and x is not None]
        times, values = [t for t, _ in inside], [x for _, x in inside]
        half = len(inside) // 2
        ends = zip(inside[:half], inside[len(inside) - half :], strict=True)
        halves = [(y - x) / (u - t) for (t, x), (u, y) in ends if u > t]
        pair, apart = len(values) > 1, len(set(times)) > 1
        wanted = {
            "avg": fmean(values) if values else None,
            "std": pstdev(values) if pair else None,
            "delta": values[-1] - values[0] if pair else None,
            "slope": linear_regression(times, values).slope / MINUTE_MS if apart else None,
            "trend": median(halves) / MINUTE_MS if halves else None,
            "rate": (values[-1] - values[0]) / (times[-1] - times[0]) / MINUTE_MS
            if apart
            else None,
            "first": values[0] if values else None,
            "last": values[-1] if values else None,
        }
        for name, value in wanted.items():
            got = found[name][i]
            assert (got is None) is (value is None), name
            assert value is None or isclose(got, value, rel_tol=1e-9, abs_tol=1e-9), name


def test_a_trend_is_what_most_of_the_samples_say():
    """A fifth of them wrong in any way moves a slope anywhere, and this hardly."""
    fills = [50 + i for i in range(24)]
    for i in (1, 2, 3, 20, 21):
        fills[i] = 100 if i < 12 else 0
    samples = [(i, {"fill_pct": fill}) for i, fill in enumerate(fills)]

    assert series("abs((trend(fill) over 60min) - 1%/min) < 0.01%/min", samples, BIN)[-1] is True
    assert series("abs((slope(fill) over 60min) - 1%/min) < 0.5%/min", samples, BIN)[-1] is False


@given(HISTORY)
def test_changes_and_held_are_what_their_definitions_say(steps):
    """Changes are counted at the sample that brings them, whatever the one before was in."""
    samples = at_times(steps)
    given_ = [(t, {} if fill is None else {"fill_pct": fill}) for t, fill in samples]
    changes = values_of("changes(fill) over 10min", given_)
    held = values_of("held(fill > 20%) over 10min", given_)
    turns, last = [], None
    for i, (now, fill) in enumerate(samples):
        if fill is not None:
            if last is not None and fill != last:
                turns.append(now)
            last = fill
        assert changes[i] == sum(t > now - LENGTH_MIN for t in turns)
        before = [k for k in range(i + 1) if samples[k][0] <= now - LENGTH_MIN]
        seen = samples[before[-1] if before else 0 : i + 1]
        truths = [None if x is None else x > 20 for _, x in seen]
        wanted = False if False in truths else None if None in truths or not before else True
        assert held[i] is wanted


@pytest.mark.parametrize("text", ["changes(relay_on) over 14d > 3", "avg(dim_level) over 14d > 3%"])
def test_windows_stay_bounded_in_a_flood(text):
    """The oldest samples are dropped, none is kept twice."""
    judge, slots = judge_of(text)
    memory = [None] * slots
    for ms in range(2 * runtime.WINDOW_SAMPLES_MAX):
        values = {"relay_on": ms % 2 == 0, "dim_level_pct": ms % 100}
        judge(values, {}, Scene(ts_ms=ms), memory)
    assert len(memory[0]) <= 2 * runtime.WINDOW_SAMPLES_MAX


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("p(95W, active_power) over 1h > 5 W", "E102", 3),
        ("p(dim_level, active_power) over 1h > 5 W", "E102", 3),
        ("p(101%, active_power) over 1h > 5 W", "E102", 3),
        ("p(active_power) over 1h > 5 W", "E102", 1),
        ("p(95%, active_power) > 5 W", "E102", 1),
        ("held(active_power) over 1h", "E102", 6),
        ("held(relay_on)", "E102", 1),
        ("changes(5) over 1h > 1", "E102", 9),
        ("changes(asset.zone) over 1h > 1", "E102", 9),
        ("age(5 W) > 1h", "E102", 5),
        ("slope(relay_on) over 1h > 1/h", "E102", 7),
        ("std(avg(voltage) over 1h) over 1h > 1 V", "E103", 1),
        ("peers.count(relay_on) over 1h > 3", "E102", 1),
    ],
)
def test_a_wrong_window_is_refused_where_it_stands(text, code, column):
    """Arguments of the wrong kind, windows in windows, windows that are not there."""
    finding = fault_of(text)
    assert (finding.code, finding.column) == (code, column)


def test_slots_go_on_from_where_they_were_stored():
    """As lists, as the store gives them back."""
    text = (
        "held(relay_on) over 15min or changes(relay_on) over 1h > 1 or avg(voltage) over 1h < 1 V"
    )
    judge, slots = judge_of(text, LAMP)
    samples = [(0, True), (10, True), (15, False), (16, True), (31, True)]
    plain, stored, memory = [], [], [None] * slots
    for minute, flag in samples:
        values = {"relay_on": flag, "voltage_v": 230}
        plain.append(judge(values, {}, Scene(ts_ms=minute * MINUTE_MS), memory))
    memory = [None] * slots
    for minute, flag in samples:
        memory = [list(slot) if isinstance(slot, tuple) else slot for slot in memory]
        values = {"relay_on": flag, "voltage_v": 230}
        stored.append(judge(values, {}, Scene(ts_ms=minute * MINUTE_MS), memory))
    assert plain == stored == [None, None, False, True, True]
