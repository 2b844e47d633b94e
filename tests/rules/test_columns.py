"""Conditions on columns: exactly what the scalar code says of each sample."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_rules import DUSK_MS, LAMPS, MINUTE_MS, amounts, conditions, series
from rule_scenes import CIRCUIT, LAMP

from rules.almanac import Almanac, Almanacs
from rules.codegen import compiled
from rules.columns import Columns, Unfit
from rules.document import Scalar
from rules.expression import read
from rules.kleene import spread
from rules.local_time import LocalTimes
from rules.names import Names
from rules.scene import Scene
from rules.series import Block, series_of
from rules.sky import Skies, Sky
from rules.syntax import Refused
from rules.track import NOWHERE, Track

pytestmark = pytest.mark.slow

SKIES, ALMANACS, CLOCKS = Skies(), Almanacs(), LocalTimes()
often = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def tree_of(text, context=LAMP):
    """The tree, or None where the text is refused (as one that can never be true)."""
    try:
        return read(Scalar.of(text), context, Names())
    except Refused:
        return None


def one_by_one(tree, subject, samples):
    """What the scalar code says, sample by sample; None is unknown."""
    judge, slots = compiled(tree)
    scene, memory = Scene(lambda _: iter(())), [None] * slots
    sky, clock = SKIES.over(subject.lat, subject.lon), CLOCKS.of(subject.time_zone)
    said = []
    for ts_ms, values in samples:
        scene.at(Track(subject, NOWHERE.plan, sky, clock), ts_ms)
        said.append(judge(values, subject.attributes, scene, memory))
    return said


def block_of(subject, samples):
    sky, clock = SKIES.over(subject.lat, subject.lon), CLOCKS.of(subject.time_zone)
    return Block(subject, series_of(samples), None, ALMANACS.over(sky), clock)


def listed(column, size):
    known = spread(column.known, size).tolist()
    return [
        value if is_known else None
        for value, is_known in zip(spread(column[0], size).tolist(), known, strict=True)
    ]


def at_once(tree, subject, samples, rows=None):
    block = block_of(subject, samples)
    block = block if rows is None else block.part(np.array(rows, dtype=np.intp))
    with np.errstate(all="ignore"):
        return listed(Columns().step(tree)(block), block.size)


def in_order(samples):
    """As a series has them: by time and content, none twice."""
    kept = {(ts_ms, repr(sorted(values.items()))): (ts_ms, values) for ts_ms, values in samples}
    return [kept[key] for key in sorted(kept)]


@often
@given(st.one_of(conditions, amounts), series(), st.sampled_from(LAMPS))
def test_columns_say_what_the_scalar_code_says(text, samples, subject):
    """For any expression and any series, value by value, to the last bit."""
    tree = tree_of(text)
    assume(tree is not None)
    samples = in_order(samples)
    assert repr_of(at_once(tree, subject, samples)) == repr_of(one_by_one(tree, subject, samples))


@often
@given(st.one_of(conditions, amounts), series(), st.sampled_from(LAMPS), st.data())
def test_a_part_of_the_samples_is_judged_by_the_memory_of_all(text, samples, subject, data):
    """Judging some samples only, as after a term that is false for the rest, changes nothing."""
    tree = tree_of(text)
    assume(tree is not None)
    samples = in_order(samples)
    rows = [row for row in range(len(samples)) if data.draw(st.booleans())]
    expected = one_by_one(tree, subject, samples)
    some = at_once(tree, subject, samples, rows)
    assert repr_of(some) == repr_of([expected[row] for row in rows])


def repr_of(values):
    """As text, so that not a number is itself; zeros have no sign, as in every comparison."""
    return [
        None if value is None else repr(value if isinstance(value, bool) else float(value) + 0.0)
        for value in values
    ]


def test_a_window_holds_the_newest_512_samples_only():
    """As in the scalar code: what is older is forgotten, though the window reaches back to it."""
    samples = [(DUSK_MS + 1_000 * i, {"active_power_w": i * i % 71 * 0.9}) for i in range(700)]
    for text in (
        "avg(active_power) over 2h",
        "max(abs(active_power - 30 W)) over 2h",
        "min(active_power) over 5min",
        "count(active_power > 5 W) over 2h",
    ):
        tree = tree_of(text)
        assert at_once(tree, LAMPS[0], samples) == one_by_one(tree, LAMPS[0], samples)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("silent > 20min", LAMP),
        ("relay_on and lamp_out.firing", LAMP),
        ("peers.count() > 3", CIRCUIT),
        ("peers.fraction(active_power < 5 W) > 0.5", CIRCUIT),
        ("peers.avg(active_power) < 5 W", CIRCUIT),
    ],
)
def test_what_needs_more_than_one_subject_is_refused(text, context):
    """Silence, phases of other rules and peers are not in the samples of one subject."""
    with pytest.raises(Unfit, match="needs more"):
        Columns().step(tree_of(text, context))


# -- the almanac ----------------------------------------------------------------------------------

places = st.sampled_from([(41.9, -87.6), (69.6, 18.9), (0.0, 10.0), (-33.9, 151.2), (90.0, 0.0)])
starts = st.integers(DUSK_MS, DUSK_MS + 400 * 86_400_000)


@settings(max_examples=60, deadline=None)
@given(places, starts, st.integers(1, 300), st.sampled_from([0, 1_200_000, 5_430_001]))
def test_nights_are_those_of_the_sky(place, start_ms, minutes, margin_ms):
    """To the minute, anywhere on earth, whatever the margin."""
    sky, almanac = Sky(*place), Almanac(Sky(*place))
    ts_ms = start_ms + np.arange(200, dtype=np.int64) * minutes * MINUTE_MS
    expected = [sky.is_night(at_ms, margin_ms) for at_ms in ts_ms.tolist()]
    assert almanac.nights(margin_ms, ts_ms).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(places, starts, st.lists(st.integers(0, 3_000), min_size=1), st.data())
def test_comparisons_with_the_sun_are_those_of_the_sky(place, start_ms, gaps, data):
    """For any sign and limit, one that the sun reaches exactly included, at any pace."""
    sky, almanac = Sky(*place), Almanac(Sky(*place))
    ts_ms = start_ms + np.cumsum(np.array(gaps, dtype=np.int64)) * 10_000
    elevations = [sky.elevation(at_ms) for at_ms in ts_ms.tolist()]
    limit = data.draw(st.sampled_from(elevations) | st.floats(-20, 20))
    for sign, compare in {"<": "__lt__", ">=": "__ge__", ">": "__gt__", "==": "__eq__"}.items():
        expected = [getattr(elevation, compare)(limit) for elevation in elevations]
        assert almanac.compared(sign, limit, ts_ms).tolist() == expected


def test_an_almanac_that_is_asked_for_more_goes_on():
    """A later and an earlier period than the first are found too."""
    sky, almanac = Sky(41.9, -87.6), Almanac(Sky(41.9, -87.6))
    for day in (0, 200, -100):
        ts_ms = DUSK_MS + day * 86_400_000 + np.arange(48, dtype=np.int64) * 30 * MINUTE_MS
        expected = [sky.is_night(at_ms, 0) for at_ms in ts_ms.tolist()]
        assert almanac.nights(0, ts_ms).tolist() == expected
