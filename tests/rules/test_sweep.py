"""A rule over a whole history tells the story that the engine tells sample by sample."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_rules import DUSK_MS, LAMPS, MINUTE_MS, rules, series

from rules.columns import Unfit
from rules.engine import Engine
from rules.files import load, read_library
from rules.instance import Change
from rules.ring import read
from rules.rule import Bundle
from rules.series import series_of
from rules.sweep import Sweep

pytestmark = pytest.mark.slow

MONTH_MS = 30 * 86_400_000
LATE_RULES = rules().map(lambda rule: rule and replace(rule, lateness_ms=MONTH_MS))
LIBRARY = load(read_library())[0]

LATER = st.sampled_from([0, 30, 120]) | st.integers(0, 300)  # minutes after the last sample

often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def engine_of(rule, subject):
    return Engine(Bundle({rule.id: rule}, "v"), [subject])


def told(transitions):
    return [Change(t.before, t.after, t.at_ms, t.cause, t.started_ms) for t in transitions]


def as_they_came(rule, subject, samples, until_ms):
    """What the engine says, sample by sample, and when time has passed."""
    engine, said = engine_of(rule, subject), []
    for ts_ms, values in samples:
        said += engine.feed(subject.id, ts_ms, values)[1]
    return told([*said, *engine.tick(until_ms)])


def in_the_end(engine, subject):
    """The story that the engine holds true after all corrections: with a lateness as long as the
    series, its ring has it from the beginning.
    """
    track = engine._tracks[subject.id]
    entries = [read(raw) for _, raw in track.ring]
    return [change for entry in entries for _, change in entry.changes] + [
        change for _, change in track.timed
    ]


def by_columns(rule, subject, samples, until_ms):
    return list(Sweep(rule).story(subject, series_of(samples), until_ms))


def in_order(samples):
    """By time and content, none twice."""
    kept = {(ts_ms, repr(sorted(values.items()))): (ts_ms, values) for ts_ms, values in samples}
    return [kept[key] for key in sorted(kept)]


@often
@given(rules(), series(), st.sampled_from(LAMPS), LATER)
def test_columns_and_engine_tell_the_same_story(rule, samples, subject, later):
    """For any rule and any series the changes are the same, to the millisecond and the cause."""
    assume(rule is not None)
    until_ms = samples[-1][0] + later * MINUTE_MS
    expected = as_they_came(rule, subject, in_order(samples), until_ms)
    assert by_columns(rule, subject, samples, until_ms) == expected


@often
@given(LATE_RULES, series(), st.sampled_from(LAMPS), LATER, st.randoms())
def test_the_order_of_arrival_makes_no_difference(rule, samples, subject, later, random):
    """Late, swapped and doubled samples: the engine ends with the story that columns tell."""
    assume(rule is not None)
    until_ms = samples[-1][0] + later * MINUTE_MS
    arrived = samples + random.sample(samples, len(samples) // 3)
    random.shuffle(arrived)
    engine = engine_of(rule, subject)
    for ts_ms, values in arrived:
        engine.feed(subject.id, ts_ms, values)
    engine.tick(until_ms)
    assert in_the_end(engine, subject) == by_columns(rule, subject, samples, until_ms)


@often
@given(LATE_RULES, series(), st.sampled_from(LAMPS), LATER, st.randoms())
def test_ticks_between_the_samples_make_no_difference(rule, samples, subject, later, random):
    """Whenever the engine is told that time has passed, before late samples too."""
    assume(rule is not None)
    until_ms = samples[-1][0] + later * MINUTE_MS
    engine = engine_of(rule, subject)
    for ts_ms, values in in_order(samples):
        engine.feed(subject.id, ts_ms, values)
        if random.random() < 0.5:
            engine.tick(min(until_ms - 1, ts_ms + random.randrange(0, 200) * MINUTE_MS))
    engine.tick(until_ms)
    assert in_the_end(engine, subject) == by_columns(rule, subject, samples, until_ms)


@pytest.mark.parametrize("faulty", [False, True])
def test_a_month_of_a_street_light(faulty):
    """The library's rules on a lamp that reports every quarter of an hour, with gaps, and is dark
    for some nights: long enough for every way round that columns take.
    """
    samples = []
    for i in range(2_880):
        burns = i % 96 < 50
        dark = faulty and 900 < i < 1_300
        values = {"active_power_w": 58.0 if burns and not dark else 0.3}
        if i % 7:
            values["dim_level_pct"] = 100 if burns else 0
        if i % 411 > 20:
            samples.append((DUSK_MS + i * 15 * MINUTE_MS, values))
    until_ms = samples[-1][0] + 600 * MINUTE_MS
    for rule in LIBRARY.rules.values():
        if rule.sensor != "streetlight" or rule.scope != "asset" or rule.on_tick:
            continue
        expected = as_they_came(rule, LAMPS[0], samples, until_ms)
        assert by_columns(rule, LAMPS[0], samples, until_ms) == expected
        fired = [change for change in expected if change.after == "firing"]
        assert bool(fired) is faulty or rule.id != "lamp_out"


def test_other_samples_are_no_silence():
    """What tells a rule nothing keeps the subject from being blind, yet does not make it see."""
    rule = replace(LIBRARY.rules["lamp_out"], blind_after_ms=30 * MINUTE_MS)
    told = {"active_power_w": 58.0}
    times = [(0, told), (20, {"lux_lx": 3.0}), (40, told), (90, {"lux_lx": 3.0}), (95, told)]
    samples = [(DUSK_MS + minute * MINUTE_MS, values) for minute, values in times]
    changes = by_columns(rule, LAMPS[0], samples, samples[-1][0])
    assert [(c.after, (c.at_ms - DUSK_MS) // MINUTE_MS) for c in changes] == [
        ("blind", 70),
        ("ok", 95),
    ]
    assert changes == as_they_came(rule, LAMPS[0], samples, samples[-1][0])


@pytest.mark.parametrize("rule", ["feeder_outage", "device_silent_streetlight"])
def test_rules_about_more_than_one_asset_are_refused(rule):
    """Circuits and silence are the engine's alone."""
    with pytest.raises(Unfit, match=rule):
        Sweep(LIBRARY.rules[rule])


def test_nothing_is_told_without_samples():
    """An asset that never reported has no story."""
    assert by_columns(LIBRARY.rules["lamp_out"], LAMPS[0], [], DUSK_MS) == []


def test_a_sample_at_the_very_end_of_the_longest_gap_still_counts():
    """Though a tick has already ended what was pending, at the instant of the sample."""
    rule = replace(LIBRARY.rules["lamp_out"], for_ms=0, samples_min=2, lateness_ms=MONTH_MS)
    start_ms = DUSK_MS + 300 * MINUTE_MS
    dark = {"active_power_w": 0.0, "dim_level_pct": 100}
    samples = [(start_ms, dark), (start_ms + rule.gap_ms_max, dark)]
    engine = engine_of(rule, LAMPS[0])
    engine.feed("L", *samples[0])
    engine.tick(start_ms + rule.gap_ms_max + MINUTE_MS)
    engine.feed("L", *samples[1])
    expected = as_they_came(rule, LAMPS[0], samples, samples[-1][0])
    assert expected[-1].after == "firing"
    assert in_the_end(engine, LAMPS[0]) == expected


@pytest.mark.parametrize(("for_min", "samples_min", "at"), [(0, 4, 3), (5, 4, 5), (7, 3, 7)])
def test_it_fires_at_the_sample_or_the_instant_at_which_it_may(for_min, samples_min, at):
    """Both its time and its number of samples are needed, whichever comes last."""
    lamp_out = LIBRARY.rules["lamp_out"]
    rule = replace(lamp_out, for_ms=for_min * MINUTE_MS, samples_min=samples_min)
    start_ms = DUSK_MS + 300 * MINUTE_MS
    dark = {"active_power_w": 0.0, "dim_level_pct": 100}
    samples = [(start_ms + minute * MINUTE_MS, dark) for minute in range(20)]
    changes = by_columns(rule, LAMPS[0], samples, samples[-1][0])
    assert [(c.at_ms - start_ms) // MINUTE_MS for c in changes if c.after == "firing"] == [at]
