"""The engine: many subjects, late samples, silence, circuits, and a state that outlives it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.engine import Engine, Verdict
from rules.files import load, read_library
from rules.instance import Cause, Phase
from rules.ring import RING_BYTES_MAX
from rules.rule import Bundle, Condition, Rule
from rules.track import Subject

MINUTE_MS = 60_000
NIGHT_MS = 1_768_528_800_000  # 2026-01-16T02:00Z: 20:00 in Chicago
NOON_MS = 1_768_500_000_000  # 2026-01-15T18:00Z: 12:00 there
CHICAGO = (41.88, -87.63)


def at(minute):
    return NIGHT_MS + round(minute * MINUTE_MS)


def level(over):
    """x >= over; unknown without x."""
    return Condition(
        f"x >= {over}",
        lambda: lambda v, _a, _x, _s: None if "x" not in v else v["x"] >= over,
        frozenset({"x"}),
    )


LOW = Condition(
    "x <= 0", lambda: lambda v, _a, _x, _s: None if "x" not in v else v["x"] <= 0, {"x"}
)
RULE = {
    "when": level(2), "clear": LOW, "for_ms": 4 * MINUTE_MS, "clear_for_ms": 3 * MINUTE_MS,
    "gap_ms_max": 10 * MINUTE_MS, "lateness_ms": 5 * MINUTE_MS, "state_hash": "one",
}  # fmt: skip


def bundle_of(**changes):
    rule = Rule("hot", "", "bin", "asset", **(RULE | changes))
    return Bundle({"hot": rule}, "v")


def engine_of(bundle=None, subjects=1):
    return Engine(bundle or bundle_of(), [Subject(f"b{i}", "bin") for i in range(subjects)])


def lines(transitions, start_ms=NIGHT_MS):
    return [
        f"{(t.at_ms - start_ms) / MINUTE_MS:g} {t.before}>{t.after}"
        + (" withdrawn" if t.withdrawn else "")
        for t in transitions
    ]


def feed(engine, *samples, subject="b0"):
    said = []
    for minute, x in samples:
        values = {} if x is None else {"x": x}
        said += lines(engine.feed(subject, at(minute), values)[1])
    return said


# -- late samples ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "before", "late", "said", "phase"),
    [
        ("nothing new", [(0, 2), (3, 2)], (2, 2), [], "pending"),
        ("it fires earlier", [(3, 2), (6, 2)], (2, 2), ["6 pending>firing"], "firing"),
        ("it never fired", [(0, 2), (4, 2)], (2, 0), ["2 firing>pending withdrawn"], "pending"),
        ("it is not even pending", [(0, 2), (1, 2)], (1.5, 1), ["1.5 pending>ok"], "ok"),
        ("it is over", [(0, 2), (3, 2), (5, 1)], (1, 0), ["1 firing>ok withdrawn"], "ok"),
        ("it begins", [(0, 0), (5, 0)], (5.0, 2), ["5 ok>pending"], "pending"),
        (
            "it has not ended",
            [(0, 2), (4, 2), (5, 0), (8, 0)],
            (7, 2),
            ["4 ok>clearing"],
            "clearing",
        ),
        (
            "it ends sooner",
            [(0, 2), (4, 2), (6, 0), (8, 0)],
            (5, 0),
            ["8 clearing>ok"],
            "ok",
        ),
        ("it is not clearing", [(0, 2), (4, 2), (6, 0)], (6.0, 2), ["6 clearing>firing"], "firing"),
        ("it fired sooner", [(3, 2), (5, 2), (7, 2)], (2.5, 2), ["6.5 pending>firing"], "firing"),
    ],
)
def test_a_late_sample_changes_what_it_changes(why, before, late, said, phase):
    """S7: run again with the sample in its place; only the net change is said."""
    engine = engine_of()
    feed(engine, *before)
    assert feed(engine, late) == said, why
    assert engine.phase("b0", "hot") == phase, why


def test_a_late_sample_undoes_what_a_tick_has_done():
    """The timer ran out at a tick, but a sample from before then was still on its way."""
    engine = engine_of()
    feed(engine, (0, 2), (2, 2))
    assert lines(engine.tick(at(6))) == ["4 pending>firing"]
    assert feed(engine, (3, 1)) == ["3 firing>ok withdrawn"]
    assert engine.phase("b0", "hot") == "ok"


def test_a_sample_behind_the_tick_that_agrees_with_it_says_nothing_twice():
    """And what the tick has done stands."""
    engine = engine_of()
    feed(engine, (0, 2), (2, 2))
    engine.tick(at(6))
    assert feed(engine, (3, 2)) == []
    assert feed(engine, (5, 2)) == []
    assert engine.phase("b0", "hot") == "firing"


def test_what_a_tick_has_done_can_be_undone_after_a_restart_too():
    """Which changes are only of the passing of time is on disk."""
    old, new = engine_of(), engine_of()
    feed(old, (0, 2), (2, 2))
    old.tick(at(6))
    new.restore(old.take_dirty(), old.layout())
    new.tick_ms = old.tick_ms
    assert feed(new, (3, 1)) == ["3 firing>ok withdrawn"]


def test_a_late_sample_may_join_two_episodes():
    """The second one never was; the first one goes on."""
    engine = engine_of(bundle_of(for_ms=0))
    assert feed(engine, (0, 2), (1, 0), (4.5, 2))[-1] == "4.5 pending>firing"
    assert feed(engine, (3, 2)) == ["3 firing>ok withdrawn", "0 ok>firing"]
    assert engine.phase("b0", "hot") == "firing"


def test_a_late_sample_is_run_with_the_silence_before_it():
    """It ends a time of blindness that counts for nothing."""
    shape = {"blind_after_ms": 2 * MINUTE_MS, "for_ms": 5 * MINUTE_MS}
    engine = engine_of(bundle_of(**shape))
    feed(engine, (0, 2), (4, 2), (2.5, 2), (5, 2), (6, 2), (7, 2))
    assert lines(engine.tick(at(8))) == ["7.5 pending>firing"]


def test_a_backlog_behind_the_clock_is_judged_in_its_own_time():
    """Hours late, but in order: the device had no connection."""
    engine = engine_of(bundle_of(blind_after_ms=20 * MINUTE_MS))
    feed(engine, (0, 0))
    assert lines(engine.tick(at(120))) == ["20 ok>blind"]
    said = feed(engine, *((minute, 2) for minute in range(5, 60, 5)))
    assert [line for line in said if ">firing" in line] == ["9 pending>firing"]
    assert engine.phase("b0", "hot") == "firing"


def test_too_late_changes_nothing():
    """Beyond the lateness: said so, not judged, not to be stored."""
    engine = engine_of()
    feed(engine, (0, 2), (10, 2))
    engine.take_dirty()
    assert engine.feed("b0", at(4.99), {"x": 0}) == (Verdict.TOO_LATE, ())
    assert engine.take_dirty() == []
    assert engine.feed("b0", at(5), {"x": 2})[0] is Verdict.JUDGED


def test_a_sample_that_is_there_already_counts_once():
    """Else one report sent twice would be two that agree."""
    engine = engine_of(bundle_of(for_ms=0, samples_min=2))
    assert feed(engine, (0, 2), (0, 2), (0, 2)) == ["0 ok>pending"]
    assert feed(engine, (1, 2)) == ["1 pending>firing"]
    assert feed(engine, (0, 2), (1, 2)) == []


def test_the_first_samples_of_all_may_swap_too():
    """There is a state to begin from before the first one."""
    engine = engine_of(bundle_of(for_ms=0, samples_min=2))
    assert feed(engine, (1, 2), (0, 2)) == ["1 ok>pending", "1 pending>firing"]
    assert engine.phase("b0", "hot") == "firing"


def test_firing_shows_the_sample_that_told_the_rule_something():
    """Not one of another field that came after; the request's text is made from it."""
    engine = engine_of()
    engine.feed("b0", at(0), {"x": 2, "y": 1})
    engine.feed("b0", at(2), {"y": 5})
    (fired,) = engine.tick(at(5))
    assert (fired.after, fired.values) == (Phase.FIRING, {"x": 2, "y": 1})
    assert fired.started_ms == at(0)
    assert fired.cause is Cause.HELD_LONG_ENOUGH


# -- any order, any interruption ------------------------------------------------------------------

SHAPES = [
    {},
    {"for_ms": 0},
    {"samples_min": 2},
    {"clear_for_ms": 0},
    {"for_ms": 0, "clear_for_ms": 0, "samples_min": 2},
    {"gap_ms_max": 2 * MINUTE_MS},
    {"blind_after_ms": 4 * MINUTE_MS},
    {"blind_after_ms": 2 * MINUTE_MS, "for_ms": 5 * MINUTE_MS},
    {"clear": None},
]
samples_of = st.lists(
    st.tuples(st.integers(10, 200), st.sampled_from([0, 1, 2, 2, None])), min_size=1, max_size=14
)
"""(seconds since the one before, x)"""


def in_time(samples):
    """(ts, values), in order."""
    ts_ms, result = NIGHT_MS, []
    for pause_s, x in samples:
        ts_ms += pause_s * 1000
        result.append((ts_ms, {} if x is None else {"x": x}))
    return result


def arrivals(series, delays):
    """In order of arrival: (arrival, ts, values), some of them twice."""
    late = [
        (ts_ms + delay_s * 1000, ts_ms, values)
        for (ts_ms, values), delays_s in zip(series, delays, strict=False)
        for delay_s in delays_s
    ]
    return sorted(late, key=lambda item: item[:2])


def run(engine, coming, *, ticks=True):
    """All transitions of what comes, with a tick every minute as time passes."""
    said, tick_ms = [], NIGHT_MS
    for arrival_ms, ts_ms, values in coming:
        while ticks and tick_ms + MINUTE_MS <= arrival_ms:
            tick_ms += MINUTE_MS
            said += engine.tick(tick_ms)
        said += engine.feed("b0", ts_ms, values)[1]
    said += engine.tick(NIGHT_MS + 86_400_000)
    return said


def episodes(transitions):
    """What a listener knows in the end: [start, fired, still open]."""
    known = []
    for t in transitions:
        if t.withdrawn:
            known.pop()
        elif t.before is Phase.PENDING and t.after is Phase.FIRING:
            if known and known[-1][2]:
                known[-1][:2] = t.started_ms, t.at_ms
            else:
                known.append([t.started_ms, t.at_ms, True])
        elif t.before is Phase.CLEARING and t.after is Phase.OK:
            known[-1][2] = False
        elif t.before is Phase.OK and t.after in (Phase.FIRING, Phase.CLEARING):
            known[-1][2] = True
    return known


delays_of = st.lists(
    st.lists(st.integers(0, 299), min_size=1, max_size=3), min_size=14, max_size=14
)


@settings(deadline=None)
@given(st.sampled_from(SHAPES), samples_of, delays_of)
def test_any_order_within_the_lateness_and_any_repetition_tell_the_same(shape, samples, delays):
    """G3: the same episodes, open or ended alike, and the same state."""
    series = in_time(samples)
    prompt, late = engine_of(bundle_of(**shape)), engine_of(bundle_of(**shape))
    expected = run(prompt, arrivals(series, [[0]] * len(series)))
    said = run(late, arrivals(series, delays))
    known = episodes(said)
    assert len(known) == len(episodes(expected))
    assert [e[2] for e in known] == [e[2] for e in episodes(expected)]
    assert known[-1:] == episodes(expected)[-1:] or not known[-1][2]
    assert late.phase("b0", "hot") == prompt.phase("b0", "hot")
    assert late._tracks["b0"].instances == prompt._tracks["b0"].instances


@settings(deadline=None)
@given(st.sampled_from(SHAPES), samples_of)
def test_ticks_make_no_difference(shape, samples):
    """S2: whether time is told every minute or once in the end."""
    coming = arrivals(in_time(samples), [[0]] * len(samples))
    ticked, alone = engine_of(bundle_of(**shape)), engine_of(bundle_of(**shape))
    assert [t[2:7] for t in run(ticked, coming)] == [
        t[2:7] for t in run(alone, coming, ticks=False)
    ]


@settings(deadline=None)
@given(st.sampled_from(SHAPES), samples_of, delays_of, st.integers(0, 40))
def test_a_restart_at_any_point_makes_no_difference(shape, samples, delays, stop):
    """What is stored is all that matters: same transitions, same bytes, late samples included."""
    coming = arrivals(in_time(samples), delays)
    stop = min(stop, len(coming))
    bundle = bundle_of(**shape)
    whole, first, second = engine_of(bundle), engine_of(bundle), engine_of(bundle)
    disk = {}
    said = []
    for arrival_ms, ts_ms, values in coming[:stop]:
        said += first.tick(arrival_ms - arrival_ms % MINUTE_MS)
        said += first.feed("b0", ts_ms, values)[1]
        disk.update(first.take_dirty())
    second.restore(disk.items(), first.layout())
    second.tick_ms = first.tick_ms
    assert second.take_dirty() == []
    for arrival_ms, ts_ms, values in coming[stop:]:
        said += second.tick(arrival_ms - arrival_ms % MINUTE_MS)
        said += second.feed("b0", ts_ms, values)[1]
        disk.update(second.take_dirty())
    expected = []
    for arrival_ms, ts_ms, values in coming:
        expected += whole.tick(arrival_ms - arrival_ms % MINUTE_MS)
        expected += whole.feed("b0", ts_ms, values)[1]
    assert said == expected
    assert disk == dict(whole.take_dirty())


def test_subjects_do_not_touch_each_other():
    """The same series on each of many, mixed at random, says the same of each."""
    dice = random.Random(4)
    engine = engine_of(subjects=5)
    turns = [(i, k) for i in range(5) for k in range(8)]
    turns.sort(key=lambda turn: (turn[1], dice.random()))
    said = {i: [] for i in range(5)}
    for i, k in turns:
        said[i] += feed(engine, (k, 2 if k < 5 else 0), subject=f"b{i}")
    assert len({tuple(line) for line in said.values()}) == 1
    assert "4 pending>firing" in said[0]


# -- rules that change ----------------------------------------------------------------------------


def other_rule(**changes):
    return Rule("cold", "", "bin", "asset", **(RULE | {"when": level(99)} | changes))


def test_a_rule_that_is_new_begins_quiet_and_the_others_go_on():
    """The state is found by the rule's id and meaning, not by its place in the file."""
    old = engine_of()
    feed(old, (0, 2), (3, 2))
    new = engine_of(Bundle({"cold": other_rule(), **bundle_of().rules}, "v2"))
    new.restore(old.take_dirty(), old.layout())
    assert new.phase("b0", "hot") == "pending"
    assert new.phase("b0", "cold") == "ok"
    assert [subject for subject, _ in new.take_dirty()] == ["b0"]
    assert feed(new, (4, 2)) == ["4 pending>firing"]


def test_a_rule_whose_meaning_changed_begins_quiet():
    """What it had counted was about something else."""
    old = engine_of()
    feed(old, (0, 2), (3, 2))
    new = engine_of(bundle_of(state_hash="two"))
    new.restore(old.take_dirty(), old.layout())
    assert new.phase("b0", "hot") == "ok"
    assert feed(new, (4, 2)) == ["4 ok>pending"]


def test_samples_from_before_a_change_of_rules_come_too_late():
    """The state they would have to be run from is that of another rule."""
    old = engine_of()
    feed(old, (0, 2), (3, 2))
    new = engine_of(bundle_of(state_hash="two"))
    new.restore(old.take_dirty(), old.layout())
    assert new.feed("b0", at(2), {"x": 2}) == (Verdict.TOO_LATE, ())


def test_an_open_episode_goes_on_under_the_changed_rule():
    """It fires no second time, and ends by the new rule's own clear condition."""
    engine = engine_of(bundle_of(state_hash="two"))
    feed(engine, (0, 2))
    engine.resume("b0", "hot", at(-60), at(-50))
    assert engine.phase("b0", "hot") == "firing"
    assert feed(engine, (5, 2), (6, 0), (9, 0)) == ["6 firing>clearing", "9 clearing>ok"]


def test_subjects_and_rules_that_are_gone_are_left_aside():
    """A city changes; what is stored of it does not stop the gateway."""
    old = engine_of(subjects=2)
    feed(old, (0, 2), subject="b1")
    new = engine_of()
    new.restore(old.take_dirty(), old.layout())
    new.resume("b1", "hot", 0, 0)
    new.resume("b0", "gone", 0, 0)
    assert not new.knows("b1")


# -- silence and circuits, by the shipped rules ---------------------------------------------------


@pytest.fixture(scope="module")
def library():
    bundle, findings = load(read_library())
    assert findings == []
    return bundle


LIT, DARK = {"active_power_w": 58.0}, {"active_power_w": 0.0}


def lamps(count=1):
    return [
        Subject(f"SL-{i}", "streetlight", {"nominal_power_w": 60.0, "circuit": "C1"}, *CHICAGO)
        for i in range(count)
    ]


def circuit(count, meter=None):
    members = tuple(f"SL-{i}" for i in range(count))
    return Subject("circuit:C1", "circuit", {"circuit": "C1"}, *CHICAGO, members, meter)


def tick_to(engine, minutes, start_ms=NIGHT_MS):
    said = []
    for minute in minutes:
        said += engine.tick(start_ms + minute * MINUTE_MS)
    return said


def of_rule(transitions, rule):
    return lines([t for t in transitions if t.rule == rule])


def test_silence_is_noticed_by_time_alone_and_ended_by_a_sample(library):
    """Three intervals of 15 min, held for 15 min; only at night."""
    engine = Engine(library, lamps())
    engine.feed("SL-0", at(0), LIT)
    said = tick_to(engine, range(1, 80))
    assert of_rule(said, "device_silent_streetlight") == ["46 ok>pending", "61 pending>firing"]
    _, said = engine.feed("SL-0", at(80), LIT)
    assert of_rule(said, "device_silent_streetlight") == ["80 firing>clearing", "80 clearing>ok"]


def test_a_lamp_that_never_spoke_is_not_silent(library):
    """It may not even be installed."""
    engine = Engine(library, lamps())
    assert tick_to(engine, range(1, 600, 10)) == []


def test_silence_by_day_is_none(library):
    """Circuits that are switched as a group have no power by day."""
    engine = Engine(library, lamps())
    engine.feed("SL-0", NOON_MS, {"active_power_w": 0.0})
    said = tick_to(engine, range(1, 120), NOON_MS)
    assert of_rule(said, "device_silent_streetlight") == []


def test_silence_is_blindness_not_recovery(library):
    """A dark lamp that stops reporting stays dark."""
    engine = Engine(library, lamps())
    for minute in (0, 10, 20):
        engine.feed("SL-0", at(minute), DARK)
    said = tick_to(engine, range(21, 400))
    assert of_rule(said, "lamp_out") == ["140 firing>blind"]
    assert engine.phase("SL-0", "lamp_out") is Phase.FIRING


def test_most_lamps_of_a_circuit_dark_are_a_circuit_fault(library):
    """Held for three minutes, by ticks."""
    engine = Engine(library, [*lamps(5), circuit(5)])
    for i in range(3):
        engine.feed(f"SL-{i}", at(0), DARK)
    engine.feed("SL-3", at(0), LIT)
    engine.feed("SL-4", at(0), LIT)
    said = tick_to(engine, range(1, 6))
    assert of_rule(said, "feeder_outage") == ["1 ok>pending", "4 pending>firing"]
    assert engine.count_phase("circuit:C1", ["lamp_out"]) == 3


def test_two_dark_lamps_are_two_dark_lamps(library):
    """Fewer than three, however small the circuit."""
    engine = Engine(library, [*lamps(3), circuit(3)])
    for i, values in enumerate([DARK, DARK, LIT]):
        engine.feed(f"SL-{i}", at(0), values)
    assert of_rule(tick_to(engine, range(1, 20)), "feeder_outage") == []


def test_a_silent_circuit_is_dark_only_if_its_cabinet_says_so(library):
    """Silence alone is a loss of communication; without voltage it is an outage."""
    cabinet = Subject("CAB-1", "cabinet", {"circuit": "C1"}, *CHICAGO)
    for voltage, expected in [(230.0, []), (3.0, ["21 ok>pending", "24 pending>firing"])]:
        engine = Engine(library, [*lamps(4), cabinet, circuit(4, "CAB-1")])
        for i in range(4):
            engine.feed(f"SL-{i}", at(0), LIT)
        said = []
        for minute in range(1, 26):
            engine.feed("CAB-1", at(minute - 0.5), {"voltage_v": voltage})
            said += engine.tick(at(minute))
        assert of_rule(said, "feeder_outage") == expected


def test_what_a_cabinet_said_long_ago_is_not_what_is(library):
    """An hour old, it speaks for nothing: the circuit is neither out nor fine."""
    cabinet = Subject("CAB-1", "cabinet", {"circuit": "C1"}, *CHICAGO)
    engine = Engine(library, [*lamps(4), cabinet, circuit(4, "CAB-1")])
    engine.feed("CAB-1", at(-61), {"voltage_v": 3.0})
    for i in range(4):
        engine.feed(f"SL-{i}", at(0), LIT)
    assert of_rule(tick_to(engine, range(1, 40)), "feeder_outage") == []


def test_a_circuit_fault_ends_when_its_lamps_are_lit_again(library):
    """Fewer than 30 % dark or silent, for ten minutes."""
    engine = Engine(library, [*lamps(5), circuit(5)])
    said = []
    for minute in range(0, 60, 2):
        for i in range(5):
            engine.feed(f"SL-{i}", at(minute), DARK if minute < 20 else LIT)
        said += engine.tick(at(minute + 1))
    assert of_rule(said, "feeder_outage")[1:] == [
        "4 pending>firing", "21 firing>clearing", "31 clearing>ok",
    ]  # fmt: skip


def test_time_alone_ends_what_is_clear():
    """The last clear sample covers the rest of the wait."""
    engine = engine_of()
    feed(engine, (0, 2), (4, 2), (5, 0))
    said = [line for minute in range(6, 10) for line in lines(engine.tick(at(minute)))]
    assert said == ["8 clearing>ok"]


def test_a_tick_that_has_been_does_nothing():
    """Time never goes back."""
    engine = engine_of()
    feed(engine, (0, 2), (2, 2))
    assert lines(engine.tick(at(10))) == ["4 pending>firing"]
    assert engine.tick(at(10)) == []
    assert engine.tick(at(3)) == []


@settings(max_examples=20, deadline=None)
@given(samples_of, delays_of)
def test_the_same_samples_give_the_same_bytes(samples, delays):
    """S11: nothing random, no order of a set or of memory."""
    coming = arrivals(in_time(samples), delays)
    one, other = engine_of(), engine_of()
    assert run(one, coming) == run(other, coming)
    assert one.take_dirty() == other.take_dirty()


def test_what_is_remembered_of_a_device_that_never_stops_talking_is_bounded():
    """A report a second into a window of two weeks; one that is a little late is still judged."""
    text = """apiVersion: sense311/v1
sensor: bin
owner: o
rules:
  - {id: r, title: "t {asset.id}", when: avg(fill) over 14d > 80%, tests: []}
"""
    bundle, _ = load({"a.yaml": text})
    engine = Engine(bundle, [Subject("B", "bin")])
    for second in range(2000):
        engine.feed("B", 1000 * second, {"fill_pct": float(second % 100)})
    [(_, state)] = engine.take_dirty()
    assert len(state) < 2 * RING_BYTES_MAX
    late = 1000 * 1999 - 5500
    assert engine.feed("B", late, {"fill_pct": 3.0})[0] is Verdict.JUDGED
    assert engine.feed("B", 1000 * 1720, {"fill_pct": 2.0})[0] is Verdict.TOO_LATE
