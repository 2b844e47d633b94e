"""What `rules.interpret` says of a condition is what the compiled one says, part by part."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_scenes import CIRCUIT, LAMP, Scene

from rules.codegen import compiled, slot_order
from rules.document import Scalar
from rules.expression import condition
from rules.interpret import Traced, count_of, traced
from rules.names import Names
from rules.tree import PEERS, Op, canonical, own, walk
from rules.wording import node_text


def tree_of(text: str, context=LAMP):
    return condition(Scalar.of(text), context, Names())


def trace(text, values, context=LAMP, attributes=None, scene=None) -> Traced:
    tree = tree_of(text, context)
    slots: list[Any] = [None] * len(slot_order(tree))
    return traced(tree)(values, attributes or {}, scene or Scene(), slots)


NUMBERS = (
    "active_power", "dim_level / 100% * 60 W", "prev(active_power)", "-active_power + 60 W",
    "max(active_power, prev(active_power))", "coalesce(active_power, 40 W)",
    "avg(active_power) over 20min", "expected_power(dim_level)", "active_power - 3 W",
    "asset.nominal_power * (dim_level / 50%)", "abs(active_power - prev(active_power))",
    "min(active_power) over 7min", "voltage * current", "expected_power",
)  # fmt: skip
TRUTHS = (
    "relay_on", "is_night(margin=20min)", "sun_elev() > -6deg", "known(dim_level)",
    "silent > 10min", "changed(dim_level)", "since(changed(dim_level)) < 120s", "lamp_out.pending",
    "rate(temperature) >= 8 degC/min", "count(active_power > 20 W) over 15min >= 2",
    "since(prev(relay_on)) > 4min", "temperature in [20 degC, 25 degC]", "prev(relay_on)",
    "day_burner.firing",
)  # fmt: skip
TERMS = st.one_of(
    st.sampled_from(TRUTHS),
    st.builds(
        "{} {} {} W".format,
        st.sampled_from(NUMBERS),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from([3, 20, 55.5]),
    ),
)
CONDITIONS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
    ),
    max_leaves=6,
)
SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 900_000),
        st.fixed_dictionaries(
            {},
            optional={
                "active_power_w": st.sampled_from([0.0, 3.0, 20.0, 55.5, 60.0]),
                "dim_level_pct": st.sampled_from([0.0, 50.0, 100.0]),
                "temperature_c": st.sampled_from([10.0, 20.0, 40.0]),
                "relay_on": st.booleans(),
            },
        ),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, -30.0, 0.0, 40.0]),
        st.sampled_from(["ok", "pending", "firing", "blind"]),
    ),
    max_size=8,
)


def _scenes(samples):
    now_ms = 0
    for step_ms, values, night, elevation, phase in samples:
        now_ms += step_ms
        yield values, Scene(now_ms, night, elevation, step_ms, {"lamp_out": phase})


@given(CONDITIONS, SAMPLES, st.booleans())
def test_the_value_and_the_memory_are_those_of_the_compiled_condition(text, samples, rated):
    """On random conditions and series, with gaps in every sample."""
    tree = tree_of(text)
    judge, slots = compiled(tree, 2)
    attributes = {"nominal_power_w": 60} if rated else {}
    assert len(slot_order(tree)) == slots
    one: list[Any] = [None] * (2 + slots)
    other: list[Any] = [None] * (2 + slots)
    look = traced(tree, 2)
    for values, scene in _scenes(samples):
        expected = judge(values, attributes, scene, one)
        assert look(values, attributes, scene, other).value is expected
        assert one == other


@given(CONDITIONS, SAMPLES)
def test_every_part_has_the_value_that_it_has_by_itself(text, samples):
    """Also behind a term that had decided already: nothing is left out."""
    tree = tree_of(text)
    look = traced(tree)
    memory: list[Any] = [None] * len(slot_order(tree))
    judges = {part: compiled(part) for part in own(tree)}
    memories: dict[Any, list[Any]] = {part: [None] * n for part, (_, n) in judges.items()}
    for values, scene in _scenes(samples):
        whole = look(values, {}, scene, memory)
        alone = {
            part: judge(values, {}, scene, memories[part]) for part, (judge, _) in judges.items()
        }
        for part in whole.all():
            assert part.value == alone[part.node]


def test_terms_behind_a_decisive_one_have_their_values():
    """The compiled condition stops at the first false term; the explanation goes on."""
    whole = trace("relay_on and active_power < 5 W", {"relay_on": False, "active_power_w": 2.0})
    assert whole.value is False
    assert [part.value for part in whole.parts] == [False, True]
    assert [part.value for part in whole.parts[1].parts] == [2.0, 5.0]


def test_peers_are_counted():
    """How many met it, how many are known, how many there are."""
    members = [
        ({"active_power_w": 1.0}, Scene()),
        ({"active_power_w": 9.0}, Scene()),
        ({}, Scene()),
    ]
    text = "peers.fraction(active_power < 5 W) >= 60%"
    whole = trace(text, {}, CIRCUIT, scene=Scene(members=members))
    (share,) = (part for part in whole.all() if part.node.op in PEERS)
    assert share.value == pytest.approx(1 / 3)
    count = count_of(share)
    assert count is not None
    assert (count.true, count.known, count.all) == (1, 2, 3)


def test_facts_that_explain_a_part_come_with_it():
    """The sun behind `is_night`, the phase of another rule, what a memory held before."""
    scene = Scene(elevation=-12.5, phases={"lamp_out": "pending"})
    whole = trace("is_night() and lamp_out.firing", {}, scene=scene)
    assert [part.fact for part in whole.parts] == [-12.5, "pending"]
    tree = tree_of("changed(dim_level)")
    look, memory = traced(tree), [None]
    look({"dim_level_pct": 40.0}, {}, Scene(), memory)
    changed = look({"dim_level_pct": 70.0}, {}, Scene(), memory)
    assert (changed.value, changed.fact, memory) == (True, 40.0, [70.0])


EVERY_OP = (
    *((text, LAMP) for text in TRUTHS),
    *((f"{text} < 55 W", LAMP) for text in NUMBERS),
    ("not relay_on or relay_on and true", LAMP),
    ("max(active_power) over 5min > 6 W and max(active_power, 3 W) < 9 W", LAMP),
    ("min(active_power, 3 W) + 2 W < active_power", LAMP),
    ("peers.count() >= 3 and peers.count(relay_on) > 1", CIRCUIT),
    ("peers.fraction(relay_on) > 50%", CIRCUIT),
    ("active_power / voltage < current", LAMP),
    ("peers.avg(voltage) < 50 V or peers.min(voltage) > peers.max(voltage) - 5 V", CIRCUIT),
    ("claims(lamp_failure) and local_hour() > 3 h and weekday() in [mon, sun]", LAMP),
    ('in_schedule("mon 06:00-07:00") and asset.zone == "a b"', LAMP),
    ("asset.owner matches 'dno-*' and in_schedule(asset.pickup)", LAMP),
    ("p(95%, active_power) over 2h < 6 W and std(active_power) over 2h < 6 W", LAMP),
    ("first(active_power) over 2h < 6 W and last(active_power) over 2h < 6 W", LAMP),
    ("delta(active_power) over 2h < 6 W and age(active_power) < 15min", LAMP),
    ("rate(active_power) over 2h < slope(active_power) over 3h", LAMP),
    ("trend(active_power) over 2h > 0 W/h and time_to(asset.pickup) < 24h", LAMP),
    ("changes(relay_on) over 2h > 3 and held(relay_on) over 2h and count() over 1h > 3", LAMP),
    ("asset.always_powered and active_power < dim_level * 10 W", LAMP),
)
"""Together they use all that the language has."""
NEVER_BUILT = frozenset({Op.MEMBER})  # `in` becomes comparisons


def test_every_operation_is_taken_apart_and_put_into_words():
    """Each text means the same as the one that is made of its tree; no operation is left out."""
    seen = set()
    for text, context in EVERY_OP:
        tree = tree_of(text, context)
        again = tree_of(node_text(tree), context)
        assert canonical(again) == canonical(tree), node_text(tree)
        assert trace(text, {}, context).node is not None
        seen |= {part.op for part in walk(tree)}
    assert set(Op) - seen <= NEVER_BUILT


def test_parts_are_named_as_the_author_named_them():
    """A `let` by its name, what it stands for in the words of its tree."""
    names = Names(lets={"level": Scalar.of("coalesce(dim_level, prev(dim_level))")})
    text = "level  > 5% and active_power < level / 100% * 60 W"
    tree = condition(Scalar.of(text), LAMP, names)
    whole = traced(tree, 0, text)({"dim_level_pct": 40.0}, {}, Scene(), [None])
    first, second = whole.parts
    assert (first.text, first.parts[0].name) == ("level > 5%", "level")
    assert first.parts[0].parts[1].text == "prev(dim_level)"
    assert second.text == "active_power < level / 100% * 60 W"
