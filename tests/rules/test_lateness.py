"""What late samples can do to a condition, and which rules need not wait for them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_scenes import CIRCUIT, LAMP, MINUTE_MS, Scene

from rules.codegen import compiled
from rules.cost import COST_US_MAX, cost_us
from rules.document import Scalar
from rules.expression import condition
from rules.files import load
from rules.lateness import ANY, DOWN, STEADY, UP, moves
from rules.names import Names


def tree_of(text, context=LAMP):
    return condition(Scalar.of(text), context, Names())


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("active_power > 5 W and is_night() or claims(lamp_failure)", STEADY),
        ("count(relay_on) over 1h >= 3", UP),
        ("3 <= count(relay_on) over 1h", UP),
        ("count(relay_on) over 1h < 3", DOWN),
        ("not (count(relay_on) over 1h < 3)", UP),
        ("count(relay_on) over 1h == 3", ANY),
        ("max(tilt) over 1h > 5 deg", UP),
        ("max(tilt) over 1h - tilt > 5 deg", UP),
        ("tilt - (max(tilt) over 1h) > -5 deg", DOWN),
        ("min(tilt) over 1h < 5 deg and relay_on", UP),
        ("min(tilt) over 1h < max(voltage) over 1h / 1 V * 1 deg", ANY),
        ("count(changed(relay_on)) over 1h >= 3", ANY),
        ("avg(tilt) over 1h > 5 deg", ANY),
        ("held(relay_on) over 1h", ANY),
        ("prev(tilt) > 5 deg", ANY),
        ("since(relay_on) < 5min", ANY),
        ("silent > 10min", ANY),
        ("lamp_out.firing", ANY),
    ],
)
def test_which_way_late_samples_can_move_a_condition(text, ways):
    """A count only grows, a maximum only rises, an average goes either way."""
    assert moves(tree_of(text)) == ways


def rule_of(when, **more):
    rule = {"id": "odd", "title": "odd", "identity": ["asset.id"], "when": when, **more}
    top = {"apiVersion": "sense311/v1", "sensor": "streetlight", "rules": [rule]}
    bundle, findings = load({"odd.yaml": json.dumps(top)})
    assert bundle is not None, findings
    return bundle.rules["odd"]


@pytest.mark.parametrize(
    ("when", "more", "monotone"),
    [
        ("tilt > 45 deg", {}, True),
        ("count(tilt > 45 deg) over 2h >= 3", {}, True),
        ("count(tilt > 45 deg) over 2h >= 3", {"for": "5min"}, False),
        ("count(tilt > 45 deg) over 2h >= 3", {"monotone": False}, False),
        ("tilt > 45 deg", {"unless": "count(relay_on) over 2h >= 3"}, False),
        ("tilt > 45 deg", {"unless": "count(relay_on) over 2h < 3"}, True),
        ("avg(tilt) over 2h > 45 deg", {}, False),
    ],
)
def test_a_rule_that_late_samples_cannot_undo_does_not_wait_for_them(when, more, monotone):
    """Counting up is such a rule; anything with a duration or an average is not."""
    rule = rule_of(when, **more)
    assert rule.monotone is monotone
    assert (rule.lateness_ms == 0) is monotone


TERMS = st.sampled_from(
    [
        "count(relay_on) over 20min >= 2", "max(tilt) over 20min > 5 deg", "tilt > 3 deg",
        "min(tilt) over 20min < 3 deg", "relay_on", "min(voltage) over 20min >= 230 V",
        "count(tilt > 3 deg) over 20min < 2", "max(tilt) over 20min - tilt >= 4 deg",
    ]
)  # fmt: skip
TEXTS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=4,
)
SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.fixed_dictionaries(
            {},
            optional={
                "relay_on": st.booleans(),
                "tilt_deg": st.sampled_from([0, 4, 9]),
                "voltage_v": st.sampled_from([0, 230]),
            },
        ),
    ),
    min_size=1,
    max_size=8,
)


def last_of(tree, samples):
    judge, slots = compiled(tree)
    memory = [None] * slots
    for minute, values in sorted(samples, key=lambda sample: sample[0]):
        value = judge(values, {}, Scene(ts_ms=minute * MINUTE_MS), memory)
    return value


@given(TEXTS, SAMPLES, SAMPLES)
def test_no_late_sample_undoes_what_is_called_steady(text, samples, late):
    """Whatever comes in between, what was true of the newest sample stays true."""
    tree = tree_of(text)
    newest = (31, {"relay_on": True, "tilt_deg": 4, "voltage_v": 230})
    before, after = last_of(tree, [*samples, newest]), last_of(tree, [*samples, *late, newest])
    if not moves(tree) & DOWN and before is True:
        assert after is True
    if not moves(tree) & UP and before is False:
        assert after is False


def test_the_cost_of_a_condition_is_known_and_bounded():
    """Windows are dear, members dearer; the same window is paid once; too much is refused."""
    assert cost_us(tree_of("relay_on")) < 1
    one = cost_us(tree_of("avg(tilt) over 1h > 5 deg"))
    twice = cost_us(tree_of("avg(tilt) over 1h > 5 deg and avg(tilt) over 1h < 9 deg"))
    other = cost_us(tree_of("avg(tilt) over 1h > 5 deg and avg(tilt) over 2h < 9 deg"))
    assert one < twice < one + 1 < other
    assert cost_us(tree_of("peers.count(relay_on) > 3", CIRCUIT)) > 10
    assert other < COST_US_MAX
