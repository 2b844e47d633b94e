"""Explanations: clauses with values and margins, the nearest flip, what stands in the way."""

import json

import pytest
from rule_scenes import BIN, CIRCUIT, LAMP, MINUTE_MS, Scene

from rules.clause import clause_of, lines_of
from rules.codegen import condition_of, slot_order
from rules.document import Scalar
from rules.evidence import Evidence, Judgement, Standing
from rules.explain import explain
from rules.expression import condition
from rules.files import load, read_library
from rules.flip import missing, needs
from rules.instance import Instance, Phase
from rules.interpret import traced
from rules.names import Names
from rules.rule import Rule
from rules.tree import Op, walk
from rules.units import CELSIUS, MILLISECOND, PERCENT, WATT
from rules.wording import amount_text, duration_text, pair_text

DARK = (
    "is_night(margin=20min) and dim_level > 5% and active_power < 20% * expected_power(dim_level)"
)
LIT = "active_power > 50% * expected_power(dim_level)"
SHIPPED, _ = load(read_library())
NOMINAL = {"nominal_power_w": 60.0, "fill_threshold_pct": 90.0}


def tree_of(text, context=LAMP):
    return condition(Scalar.of(text), context, Names())


def look(text, values, context=LAMP, attributes=NOMINAL, scene=None, before=None):
    tree = tree_of(text, context)
    slots = before or [None] * len(slot_order(tree))
    return traced(tree, 0, text)(values, attributes, scene or Scene(), slots)


def sample(power_w, level_pct=100.0):
    return {"active_power_w": power_w, "dim_level_pct": level_pct}


def flips(text, values, target, **more):
    found = needs(look(text, values, **more), target)
    return None if found is None else [need.text for need in found]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, WATT, "unknown"),
        (57.92, WATT, "57.92 W"),
        (12.0, WATT, "12 W"),
        (0.2, PERCENT, "0.2%"),
        (21.5, CELSIUS, "21.5 degC"),
        (90_000, MILLISECOND, "1min 30s"),
        (1234567.0, WATT, "1234567 W"),
        (True, None, "true"),
    ],
)
def test_amounts_read_as_people_write_them(value, unit, text):
    """With the unit, and no more digits than are needed."""
    assert amount_text(value, unit) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (20, "20 ms"),
        (119_000, "1min 59s"),
        (3_600_000, "1h"),
        (100_000_000, "1d 3h"),
        (float("inf"), "never"),
    ],
)
def test_durations_show_their_two_largest_parts(ms, text):
    """Down to the second."""
    assert duration_text(ms) == text


def test_amounts_that_differ_are_told_apart():
    """A value just below its limit does not read like the limit."""
    assert pair_text(11.99999, 12.0, WATT) == ("11.99999 W", "12 W")


def test_each_clause_has_its_values_and_its_margin():
    """What is said is so: the sign is turned where the clause is false."""
    clause = clause_of(look(DARK, sample(58.0)))
    night, level, power = clause.parts
    assert [part.truth for part in (clause, night, level, power)] == [False, True, True, False]
    assert night.said == "sun at -20.0 deg (night below -6 deg)"
    assert (level.said, level.margin) == ("100% > 5%", "95%")
    assert (power.said, power.margin) == ("58 W >= 12 W", "46 W")
    assert power.text == "active_power < 20% * expected_power(dim_level)"
    assert "expected_power(dim_level) = 60 W" in [
        f"{v.name} = {v.value}" for v in power.from_values
    ]


def test_a_share_of_members_is_in_per_cent_with_its_count():
    """2 of 3, one of them unknown."""
    members = [(sample(1.0), Scene()), (sample(1.0), Scene()), ({}, Scene())]
    text = "peers.fraction(active_power < 5 W) >= 70%"
    clause = clause_of(look(text, {}, CIRCUIT, scene=Scene(members=members)))
    assert clause.said == "66.67% < 70%"
    assert [v.value for v in clause.from_values] == ["2 of 3, 1 of them unknown"]


@pytest.mark.parametrize(
    ("text", "values", "attributes", "reason"),
    [
        ("active_power < 5 W", {}, {}, "active_power was not in the sample"),
        ("active_power < expected_power(dim_level)", sample(1.0), {}, "no nominal_power"),
        ("active_power < nominal_power", sample(1.0), {}, "the asset has no nominal_power"),
        ("prev(active_power) < 5 W", sample(1.0), {}, "no samples to go by yet"),
        ("active_power / current > 3 V", {"active_power_w": 1.0, "current_a": 0.0}, {}, "by zero"),
    ],
)
def test_what_is_unknown_says_why(text, values, attributes, reason):
    """The value that is missing, not the clause that it leaves open."""
    (said,) = missing(look(text, values, attributes=attributes))
    assert reason in said


@pytest.mark.parametrize(
    ("text", "values", "target", "expected"),
    [
        ("active_power < 12 W", sample(58.0), True, ["active_power < 12 W"]),
        ("active_power < 12 W", sample(58.0), False, []),
        ("12 W > active_power", sample(2.0), False, ["active_power >= 12 W"]),
        ("100 W - 2 * active_power < 40 W", sample(10.0), True, ["active_power > 30 W"]),
        (DARK, sample(58.0), True, ["active_power < 12 W"]),
        (DARK, sample(0.0), False, ["active_power >= 12 W"]),
        (DARK, sample(58.0, 0.0), True, None),
        ("active_power < 12 W or relay_on", sample(58.0), True, ["active_power < 12 W"]),
        ("not active_power < 12 W", sample(2.0), True, ["active_power >= 12 W"]),
        ("temperature > 40 degC", {"temperature_c": 20.0}, True, ["temperature > 40 degC"]),
        ("relay_on", {"relay_on": False}, True, ["relay_on true"]),
        ("avg(active_power) over 5min < 9 W", sample(58.0), True,
         ["avg(active_power) over 5min < 9 W"]),
        ("dim_level > 2 * asset.fill_threshold", sample(1.0, 50.0), True, None),
        ("lamp_out.firing", {}, True, ["lamp_out firing"]),
        ("silent > 10min", {}, True, ["silent > 10min"]),
    ],
)  # fmt: skip
def test_the_nearest_flip(text, values, target, expected):
    """The fewest changes of what is reported; nothing where none would do."""
    if text == DARK and values["dim_level_pct"] == 0:
        expected = ["dim_level > 5%", "active_power < 20% * expected_power(dim_level)"]
    assert flips(text, values, target) == expected


def test_a_solved_flip_really_flips_it():
    """On either side of the value that is named."""
    for text in ("100 W - 2 * active_power < 40 W", "active_power / 4 + 3 W <= nominal_power / 3"):
        for power_w in (0.0, 29.0, 31.0, 80.0):
            part = look(text, sample(power_w))
            (need,) = needs(part, not part.value)
            step = 0.01 if need.sign in (">", ">=") else -0.01
            assert look(text, sample(need.limit + step)).value is not part.value
            assert look(text, sample(need.limit - step)).value is part.value


# -- whole explanations -----------------------------------------------------------------------

T0 = 100 * MINUTE_MS


def minutes(ms):
    return f"{ms // MINUTE_MS - 100:+d}"


def rule_of(**more):
    when, _ = condition_of(DARK, tree_of(DARK), 0)
    clear, _ = condition_of(LIT, tree_of(LIT), 0)
    settings = {
        "for_ms": 15 * MINUTE_MS, "clear_for_ms": 10 * MINUTE_MS, "samples_min": 2,
        "gap_ms_max": 45 * MINUTE_MS, "absorbed_by": ("feeder_outage",),
    }  # fmt: skip
    return Rule("lamp_out", "", "streetlight", "asset", when, clear, **(settings | more))


def explained(state, power_w, *, at=0, sample_at=0, standing=None, rule=None, values=None):
    rule = rule or rule_of()
    seen = sample(power_w) if values is None else values
    judged = Judgement(T0 + sample_at * MINUTE_MS, look(DARK, seen), None, look(LIT, seen))
    evidence = Evidence(
        rule, "SL-1", T0 + at * MINUTE_MS, state, T0 + sample_at * MINUTE_MS, judged, standing
    )
    return explain(evidence, minutes)


def pending(held_min, *, samples=3, running=True):
    return Instance(Phase.PENDING, T0, 0, held_min * MINUTE_MS, T0, running, samples)


def test_what_is_quiet_names_what_would_make_it_fire():
    """The flip, the time that it takes then, and the clause that blocks it."""
    found = explained(Instance(), 58.0)
    (line,) = found.outlook
    assert line.startswith("would become true with: active_power < 12 W (now 58 W), and fire after")
    assert line.endswith("15min of it with 2 samples")
    assert found.blocked == ("`when` is false: active_power < 12 W is not so (now 58 W)",)


def test_what_is_pending_names_when_it_would_fire():
    """And what would end it."""
    found = explained(pending(10), 0.0)
    assert found.progress == "10min of 15min"
    assert found.outlook[0].startswith("would fire at +5 if active_power stays < 12 W")
    assert found.outlook[1] == "would end with: active_power >= 12 W (now 0 W)"
    assert found.blocked == ("`for`: 10min of 15min, 5min to go from the last sample",)


def test_time_without_a_sample_counts_for_what_is_pending():
    """The last sample speaks for what comes after it."""
    assert explained(pending(10), 0.0, at=3).progress == "13min of 15min"


@pytest.mark.parametrize(
    ("state", "values", "rule", "said"),
    [
        (pending(10, samples=1), sample(0.0), rule_of(), "`min_samples`: 1 of 2"),
        (pending(0, running=False), {}, rule_of(), "`when` is unknown: dim_level was not in"),
        (pending(0), sample(0.0), rule_of(mode="shadow"), "mode: shadow"),
        (
            Instance(blind=True),
            sample(0.0),
            rule_of(blind_after_ms=7_200_000),
            "no sample since +0",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(state, values, rule, said):
    """Samples that are missing, values that are, shadow mode, blindness."""
    assert any(said in line for line in explained(state, 0.0, values=values, rule=rule).blocked)


def test_a_timer_that_stands_still_is_not_given_an_end():
    """The truth is unknown: nobody can say when."""
    found = explained(pending(10, running=False), 0.0, values={"dim_level_pct": 100.0})
    assert found.outlook == ("its timer stands still until the condition is known again",)


def test_a_gap_that_cannot_be_covered_asks_for_more_samples():
    """`for` is longer than one sample may speak."""
    rule = rule_of(gap_ms_max=5 * MINUTE_MS)
    (line, *_) = explained(pending(2), 0.0, rule=rule).outlook
    assert line.endswith("samples must go on coming, the next one by +5")


def test_what_fires_names_what_would_clear_it():
    """One limit that does both: no longer dark, and lit."""
    found = explained(Instance(Phase.FIRING, T0, T0), 0.0)
    assert found.outlook == ("would clear with: active_power > 30 W (now 0 W) for 10min",)
    assert "clear" in found.clauses


def test_what_clears_names_its_end():
    """And what would take it back."""
    state = Instance(Phase.CLEARING, T0, T0, 4 * MINUTE_MS, T0, running=True)
    found = explained(state, 58.0)
    assert found.outlook[0].startswith("would be over at +6 if active_power stays > 30 W")
    assert found.outlook[1] == "would fire on with: active_power <= 30 W (now 58 W)"


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing("held", "", T0, T0 + MINUTE_MS, True),
         ["not filed yet: held until +1 for late samples and for feeder_outage"]),
        (Standing("held", "", T0, T0, True, parent="feeder_outage of circuit:C"),
         ["not filed yet: feeder_outage of circuit:C is being judged",
          "not filed yet: held until +0 for late samples and for feeder_outage"]),
        (Standing("absorbed", "", T0, T0, True, parent="feeder_outage of circuit:C"),
         ["not filed: explained by feeder_outage of circuit:C"]),
        (Standing("noted", "", T0, T0, True), ["not filed: the rule asks nothing of the city"]),
        (Standing("queued", "", T0, T0, True), []),
    ],
)  # fmt: skip
def test_what_keeps_it_from_being_filed(standing, said):
    """The waits of the book of incidents, in its own words."""
    found = explained(Instance(Phase.FIRING, T0, T0), 0.0, standing=standing)
    assert list(found.blocked) == said


def test_nothing_judged_yet_is_said():
    """No clause, no invented truth."""
    found = explain(Evidence(rule_of(), "SL-1", T0, Instance(), None, None), minutes)
    assert found.clauses == {}
    assert "nothing has been judged yet" in found.outlook[0]
    assert found.blocked == ("nothing judged: no sample yet with what the rule reads",)


def test_lines_begin_with_where_it_stands_or_with_what_blocks():
    """`explain` and `why-not` say the same in another order."""
    found = explained(pending(10), 0.0)
    lines = list(found.lines())
    turned = list(found.lines(blockers_first=True))
    assert lines[0] == turned[0] == "lamp_out  SL-1  +0  -> pending (10min of 15min)"
    assert sorted(lines) == sorted(turned)
    assert turned[1].startswith(" blocked: `for`")


def test_an_explanation_is_json():
    """All of it, with the clauses as a tree."""
    found = json.loads(json.dumps(explained(pending(10), 0.0).as_dict(), allow_nan=False))
    assert found["clauses"]["when"]["parts"][2]["said"] == "0 W < 12 W"
    assert found["fires"] is True


@pytest.mark.parametrize("rule", SHIPPED.rules.values(), ids=lambda rule: rule.id)
@pytest.mark.parametrize("phase", [Phase.OK, Phase.PENDING, Phase.FIRING, Phase.CLEARING])
@pytest.mark.parametrize("known", [False, True])
def test_every_shipped_rule_can_be_explained(rule, phase, known):
    """In every phase, with nothing known and with everything."""
    scene = Scene(members=[({"active_power_w": 1.0}, Scene())] * 3 if known else [])
    some = {part.detail: True if part.unit is None else 30.0
            for c in (rule.when, rule.unless, rule.clear) if c for part in walk(c.tree)
            if part.op is Op.FIELD}  # fmt: skip
    values = some if known else {}

    def judged(condition):
        if condition is None:
            return None
        trace = traced(condition.tree, condition.first_slot, condition.text)
        return trace(values, NOMINAL if known else {}, scene, list(rule.slots))

    judgement = Judgement(T0, judged(rule.when), judged(rule.unless), judged(rule.clear))
    state = Instance(phase, T0, T0, MINUTE_MS, T0, running=True, samples=1)
    found = explain(Evidence(rule, "X-1", T0, state, T0, judgement), minutes)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["phase"] == phase
    assert found.outlook
    assert next(found.lines()).startswith(f"{rule.id}  X-1  +0  -> {phase}")
    for clause in found.clauses.values():
        assert len(list(lines_of(clause))) >= 1
        assert clause.truth is not None or clause.parts or clause.unknown


def test_clauses_are_indented_by_their_depth():
    """A line for each, the joint before its terms."""
    rows = list(lines_of(clause_of(look("fill > 5% and (fill < 9% or lid_open)", {}, BIN))))
    assert [text for text, _, _ in rows] == [
        "and", "  fill > 5%", "  or", "    fill < 9%", "    lid_open",
    ]  # fmt: skip
