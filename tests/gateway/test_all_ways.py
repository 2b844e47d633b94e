"""Live, restarted, tested, backtested, replayed, by columns: one and the same story."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from five_ways import (
    MINUTE_MS,
    Ending,
    Gateway,
    Scene,
    Sent,
    as_transitions,
    bundle_of,
    by_columns,
    by_recording,
    by_store,
    by_test,
    city_of,
    episodes,
    explained,
    firings,
    messages_of,
    state_after,
    subject_of,
    transitions,
    without_numbers,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.books.store import Store
from gateway.workbench.inquiry import Question
from tests.rules.random_rules import CLOCKS_CHANGE_MS, DUSK_MS, bodies

HOUR_MS = 60 * MINUTE_MS

LAMPS = [
    {"nominal_power_w": 60, "circuit": "C1", "lat": 41.88, "lon": -87.63,
     "time_zone": "America/Chicago"},
    {"nominal_power_w": 57.3, "always_powered": True, "lat": 69.6, "lon": 18.9,
     "time_zone": "Europe/Oslo"},
    {"dim_curve": [[10, 9], [50, 24.1], [100, 60]], "lat": 41.88, "lon": -87.63},
    {"pickup": "thu 16:00-18:00; fri-sun 00:00-03:30", "lat": 27.7, "lon": 85.3,
     "time_zone": "Asia/Kathmandu"},
]  # fmt: skip

values = st.fixed_dictionaries(
    {},
    optional={
        "active_power_w": st.sampled_from([0, 0, 0, 3.3, 6, 12, 58.3, 60]),
        "dim_level_pct": st.sampled_from([0, 5, 37.5, 50, 100]),
        "relay_on": st.booleans(),
        "voltage_v": st.sampled_from([0, 229.7, 230]),
        "lux_lx": st.sampled_from([0, 900]),
    },
)
usual = st.fixed_dictionaries(
    {
        "active_power_w": st.sampled_from([0, 0, 3.3, 58.3]),
        "dim_level_pct": st.sampled_from([50, 100]),
        "relay_on": st.booleans(),
    }
)
telling = st.sampled_from(
    [
        "active_power < 6 W",
        "active_power < 6 W and dim_level > 5%",
        "(avg(active_power) over 30min) < 20 W",
        "(held(active_power < 6 W) over 10min)",
        "(count(relay_on) over 2h) >= 2",
        "since(relay_on) < 30min",
        "prev(active_power) > active_power",
    ]
)
"""Conditions that these series often meet, beside those that are all chance."""
faults = st.sampled_from([(), (), (), ("lamp_failure",)])
delays = st.sampled_from([0, 0, 0, 1_000, MINUTE_MS, 5 * MINUTE_MS, 301_000, 15 * MINUTE_MS,
                          20 * MINUTE_MS, 3 * HOUR_MS])  # fmt: skip


@st.composite
def scenes(draw):
    """Steps with gaps; often a word stays the same; some messages late, twice, or two at a time."""
    body = draw(bodies())
    if draw(st.booleans()):
        body["when"] = draw(telling)
    lateness = draw(st.sampled_from([None, "20min", "2d", "2d"]))
    body |= {} if lateness is None else {"lateness": lateness}
    if draw(st.booleans()):
        body["file"] = {"service": "STREETLIGHT_OUT", "description": "d"}
    if draw(st.booleans()):
        body["clear"] = {
            "when": "active_power > 6 W",
            "for": draw(st.sampled_from(["0s", "10min"])),
        }
    prompt, numbered = draw(st.booleans()), draw(st.booleans())
    late = st.just(0) if prompt else delays
    behind = draw(st.lists(late, min_size=1, max_size=7))
    clocks = draw(st.lists(st.booleans(), min_size=1, max_size=5)) if numbered else [True]
    gaps = st.sampled_from([1, 1, 1, 2, 3, 4, 10])
    runs = st.tuples(usual | values, faults, st.integers(1, 6), gaps)
    least = draw(st.sampled_from([3, 5, 6]))
    regular, step = [], 0
    for said, claims, count, gap in draw(st.lists(runs, min_size=least, max_size=8)):
        for _ in range(count):
            late_ms = behind[len(regular) % len(behind)]
            timed = late_ms > 0 or clocks[len(regular) % len(clocks)]
            regular.append(Sent(step, said, claims, late_ms, timed=timed))
            step += 1
        step += gap - 1
    at = st.integers(0, len(regular) - 1)
    twins = st.tuples(at, values, faults, late)
    others = [Sent(regular[i].step, *word) for i, *word in draw(st.lists(twins, max_size=3))]
    for i, later_ms in draw(st.lists(st.tuples(at, delays), max_size=4)):
        others.append(regular[i]._replace(late_ms=regular[i].late_ms + later_ms, again=i))
    start_ms = draw(st.sampled_from([DUSK_MS, CLOCKS_CHANGE_MS]))
    start_ms += draw(st.sampled_from([0, 0, 20_500]))
    every_min = draw(st.sampled_from([5, 5, 15, 15, 7.25]))
    return Scene((body,), draw(st.sampled_from(LAMPS)), start_ms, int(every_min * MINUTE_MS),
                 tuple(regular), tuple(others), numbered,
                 draw(st.sampled_from([0, 1, 30, 300])))  # fmt: skip


def check(scene, cuts=(1,), restarts=(), together=False, asked=0):
    """What holds of one lamp in all ways. Returns what is true in the end."""
    bundle = bundle_of(scene.rule_file())
    lamp, rule = scene.ids[0], bundle.rules[scene.asked]
    with TemporaryDirectory() as name:
        city = city_of(scene, Path(name))
        live = Gateway(city, bundle, begin_ms(scene))
        track = Ending.of(live, lamp)
        check_journals(scene, bundle, live, Path(name), cuts, restarts, together, asked)
    truth = by_columns(city, rule, lamp, live.readings, scene.until_ms)
    assert Ending.told(track) == truth
    assert state_after(truth) == live.state(lamp, rule.id)
    found = episodes(live.incidents.values())
    assert len(found) == len(firings(truth))
    if not any(one.late_ms for one in scene.sent):
        assert transitions(live.journal) == as_transitions(lamp, rule.id, truth)
        assert found == firings(truth)
    return truth


def check_journals(scene, bundle, live, folder, cuts=(1,), restarts=(), together=False, asked=0):
    """All ways but columns write what the running gateway wrote, line by line."""
    city, subject = live.city, subject_of(scene, bundle.rules[scene.asked])
    coming = list(messages_of(scene, together))
    first_ms = coming[0][0]
    asked_ms = max(first_ms, minute_of(first_ms + (scene.until_ms - first_ms) * asked // 99))
    state = live.play(coming, scene.until_ms, cuts, asked=(asked_ms, subject, scene.asked))

    tested, failures = by_test(scene, live.state(subject, scene.asked))
    assert without_numbers(tested) == without_numbers(live.journal)
    assert failures == []
    assert by_recording(scene, coming, folder, bundle) == live.journal
    store = Store(folder / "state")
    try:
        kept = Gateway(city, bundle, begin_ms(scene), store)
        kept.play(coming, scene.until_ms, restarts=restarts)
        assert kept.journal == live.journal
        assert by_store(scene, city, store.path, bundle) == live.journal
        question = Question(scene.asked, subject, asked_ms)
        assert explained(city, bundle, store.path, question) == state
    finally:
        store.close()


def begin_ms(scene):
    """The gateway runs a while before anything comes."""
    return minute_of(scene.start_ms) - HOUR_MS


def minute_of(ms):
    return ms // MINUTE_MS * MINUTE_MS


batches = st.lists(st.integers(1, 3), min_size=1, max_size=4)
ends = st.sampled_from([range(99), range(0, 99, 3), range(5, 99)]) | st.frozensets(
    st.integers(0, 40), max_size=3
)
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@often
@given(scenes(), batches, ends, st.booleans(), st.integers(0, 99))
def test_all_ways_tell_the_same_story(scene, cuts, restarts, together, asked):
    """Any rule, any series: transitions with their instants and causes are identical."""
    assume(bundle_of(scene.rule_file()) is not None)
    check(scene, cuts, restarts, together, asked)


# -- several lamps ----------------------------------------------------------------------------

CIRCUIT = {"circuit": "C1", "nominal_power_w": 60, "lat": 41.88, "lon": -87.63}
DARK = {
    "id": "dark", "title": "d", "identity": ["asset.id"], "when": "active_power < 6 W",
    "unless": "mute.firing", "for": "10min", "clear": {"when": "active_power > 30 W"},
    "no_data": {"hold": "2h"}, "absorbed_by": ["outage"],
    "file": {"service": "STREETLIGHT_OUT", "description": "d"},
}  # fmt: skip
MUTE = {
    "id": "mute", "title": "m", "identity": ["asset.id"], "when": "silent > 20min", "for": "5min",
    "file": {"service": "STREETLIGHT_OUT", "description": "m"},
}  # fmt: skip
OUTAGE = {
    "id": "outage", "title": "o", "scope": "circuit", "identity": ["circuit.id"],
    "when": "peers.fraction(dark.pending or dark.firing or mute.firing) >= 60%", "for": "3min",
    "clear": {"when": "peers.fraction(dark.firing or mute.firing) < 30%", "for": "5min"},
    "absorbs": {"rules": ["dark"], "hold": "5min"},
    "file": {"service": "STREETLIGHT_CIRCUIT", "description": "o"},
}  # fmt: skip
HALF = {
    "id": "half", "title": "h", "scope": "zone", "identity": ["zone.id"],
    "when": "peers.fraction(dark.firing) >= 50% or peers.avg(active_power) < 20 W", "for": "2min",
    "file": {"service": "STREETLIGHT_CIRCUIT", "description": "h"},
}  # fmt: skip


@st.composite
def circuits(draw):
    """Lamps that report at the same instants, or nearly; some are silent for a while."""
    lamps = draw(st.integers(2, 4))
    every_ms = draw(st.sampled_from([60_000, 300_000, 130_500]))
    behind = draw(
        st.lists(st.sampled_from([0, 0, 0, 0, 700, 60_000, 240_000]), min_size=1, max_size=5)
    )
    powers = st.sampled_from([0, 0, 3.3, 58.3])
    regular = []
    for lamp in range(lamps):
        step = 0
        runs = st.tuples(powers, st.integers(1, 6), st.sampled_from([1, 1, 2, 6, 25]))
        for power, count, gap in draw(st.lists(runs, min_size=2, max_size=5)):
            for _ in range(count):
                late_ms = behind[len(regular) % len(behind)]
                regular.append(Sent(step, {"active_power_w": power}, (), late_ms, lamp=lamp))
                step += 1
            step += gap - 1
    rules = draw(st.permutations([HALF, OUTAGE, MUTE, DARK]))
    return Scene(tuple(rules), CIRCUIT, DUSK_MS + draw(st.sampled_from([0, 41_300])), every_ms,
                 tuple(regular), later_min=draw(st.sampled_from([0, 45])), lamps=lamps)  # fmt: skip


@pytest.mark.slow
@settings(often, max_examples=40)
@given(circuits(), batches, ends, st.booleans(), st.integers(0, 99))
def test_so_do_rules_about_silence_circuits_and_zones(scene, cuts, restarts, together, asked):
    """The whole journal, with the steps of incidents; only columns know nothing of them."""
    bundle = bundle_of(scene.rule_file())
    with TemporaryDirectory() as name:
        live = Gateway(city_of(scene, Path(name)), bundle, begin_ms(scene))
        check_journals(scene, bundle, live, Path(name), cuts, restarts, together, asked)


# -- series that someone thought of -----------------------------------------------------------

HELD = {
    "id": "odd", "title": "odd", "identity": ["asset.id"], "when": "active_power < 6 W",
    "for": "30min", "cover": {"min_samples": 2, "max_gap": "45min"},
    "no_data": {"hold": "2h"}, "clear": {"when": "active_power > 30 W", "for": "10min"},
    "file": {"service": "STREETLIGHT_OUT", "description": "d"},
}  # fmt: skip
SAID = {"D": {"active_power_w": 0}, "L": {"active_power_w": 58.3}, "x": {"lux_lx": 3}}
D, L = SAID["D"], SAID["L"]
FRIDAY = {**HELD, "when": "weekday() in [fri]", "for": "0s", "cover": {"min_samples": 1}}
CLOCKS = {**HELD, "when": "local_hour() >= 3h", "for": "0s", "cover": {"min_samples": 1}}


def told(word, every_min, *others, late=(), rule=HELD, start_ms=DUSK_MS, every_ms=0, **more):
    """`D` dark, `L` lit, `x` something else, `_` nothing. `late`: minutes by step."""
    late = dict(late)
    regular = tuple(
        Sent(step, SAID[one], (), round(late.get(step, 0) * MINUTE_MS), timed=one.isupper())
        for step, one in enumerate(word)
        if one != "_"
    )
    more = {"later_min": 15, **more}
    every_ms = every_ms or every_min * MINUTE_MS
    return Scene((rule,), LAMPS[0], start_ms, every_ms, regular, others, **more)


NASTY = {
    "a sample at the very end of the gap counts": (
        told("DD", 45), [("pending", 0), ("firing", 45)]),
    "one a millisecond later does not": (
        told("DD", 0, every_ms=45 * MINUTE_MS + 1),
        [("pending", 0), ("ok", 45), ("pending", 45), ("ok", 90)]),
    "a tick is due at the very instant": (
        told("DDD", 15), [("pending", 0), ("firing", 30)]),
    "a tick is due, and no sample comes": (
        told("DD__", 15), [("pending", 0), ("firing", 30)]),
    "a denial at the instant at which it is due comes too late": (
        told("DDL", 15), [("pending", 0), ("firing", 30), ("clearing", 30), ("ok", 40)]),
    "a denial before that does not": (
        told("DDL", 14), [("pending", 0), ("ok", 28)]),
    "two words of one instant, the lit one sorted last": (
        told("DDD", 15, Sent(1, L)), [("pending", 0), ("ok", 15), ("pending", 30)]),
    "the same in the other order of arrival": (
        told("DLD", 15, Sent(1, D)), [("pending", 0), ("ok", 15), ("pending", 30)]),
    "the same word of one instant under two numbers is one sample": (
        told("D__", 15, Sent(0, D), later_min=60), [("pending", 0), ("ok", 45)]),
    "a message that comes twice is one sample": (
        told("D__", 15, Sent(0, D, again=0), Sent(0, D, (), 20 * MINUTE_MS, again=0),
             later_min=60),
        [("pending", 0), ("ok", 45)]),
    "a counter that begins again without a new boot": (
        told("DDDD", 15, Sent(4, D, number=1), Sent(5, L, number=2)),
        [("pending", 0), ("firing", 30), ("clearing", 75), ("ok", 85)]),
    "a late denial takes back what was told": (
        told("D_DD", 15, Sent(1, L, (), 31 * MINUTE_MS), rule={**HELD, "lateness": "1h"}),
        [("pending", 0), ("ok", 15), ("pending", 30), ("firing", 60)]),
    "late samples close a gap after its end": (
        told("DDDDD", 15, late={1: 50, 2: 35, 3: 20}, rule={**HELD, "lateness": "2h"}),
        [("pending", 0), ("firing", 30)]),
    "as late as the lateness is just in time": (
        told("DLDD", 5, late={1: 10.01}, rule={**HELD, "lateness": "10min"}, later_min=60),
        [("pending", 0), ("ok", 5), ("pending", 10), ("firing", 40)]),
    "a millisecond more is too late": (
        told("DLDD", 5, late={1: 10.01}, rule={**HELD, "lateness": "599999 ms"}, later_min=60),
        [("pending", 0), ("firing", 30)]),
    "a sample at the very instant of going blind": (
        told("DD_______D", 15, rule={**HELD, "for": "3h"}),
        [("pending", 0), ("ok", 60), ("blind", 135), ("ok", 135), ("pending", 135)]),
    "what tells the rule nothing is no silence": (
        told("LxxxxxxxxxxL", 15, later_min=121),
        [("blind", 285)]),
    "silence while firing clears nothing": (
        told("DDD________L", 15),
        [("pending", 0), ("firing", 30), ("blind", 150), ("firing", 165), ("clearing", 165),
         ("ok", 175)]),
    "what is remembered": (
        told("LDDDDL_", 15, rule={**HELD, "when": "since(active_power > 30 W) > 50min"}),
        [("pending", 60), ("ok", 75)],
    ),
    "blind at the very end": (
        told("D", 15, later_min=104),
        [("pending", 0), ("ok", 45), ("blind", 120)],
    ),
    "nothing comes any more": (
        told("DDD", 15, later_min=300), [("pending", 0), ("firing", 30), ("blind", 150)]),
    "a day begins": (
        told("LLLLLLLL", 15, rule=FRIDAY, start_ms=DUSK_MS + 7 * HOUR_MS),
        [("pending", 60), ("firing", 60)]),
    "the clocks are put forward": (
        told("LLLLLLLLLLLL", 15, rule=CLOCKS, start_ms=CLOCKS_CHANGE_MS),
        [("pending", 120), ("firing", 120)]),
    "a lamp without a clock": (
        told("DDD", 15, Sent(3, D, timed=False), Sent(4, L, timed=False)),
        [("pending", 0), ("firing", 30), ("clearing", 60), ("ok", 70)]),
}  # fmt: skip


@pytest.mark.parametrize(("scene", "story"), NASTY.values(), ids=NASTY)
def test_so_do_these(scene, story):
    """As they should, and with a restart after every message too."""
    truth = check(scene, restarts=range(99), asked=60)
    minutes = [(str(c.after), (c.at_ms - scene.start_ms) // MINUTE_MS) for c in truth]
    assert minutes == story
