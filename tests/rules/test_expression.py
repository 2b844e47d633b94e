"""The expression language: what is refused and where, what a condition means."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rule_scenes import LAMP, Scene, fault_of, judged

from rules.codegen import compiled
from rules.document import Scalar
from rules.expression import condition, read
from rules.names import Names
from rules.syntax import Refused
from rules.tree import canonical


@pytest.mark.parametrize(
    ("text", "code", "column", "word"),
    [
        ("", "E100", 1, "ends too early"),
        ("active_power > 5 W or", "E100", 22, "ends too early"),
        ("active_power = 5 W", "E100", 14, "`=`"),
        ("active_power > 5 W && relay_on", "E100", 20, "`&`"),
        ("(relay_on", "E100", 10, "ends too early"),
        ("relay_on)", "E100", 9, "`)`"),
        ("relay_on orange", "E100", 10, "`orange`"),
        ("__import__('os')", "E101", 1, "__import__"),
        ("relay_on == 'on", "E100", 13, "`'`"),
        ("asset.zone == ''", "E100", 15, "`'`"),
        (f"asset.zone == '{65 * 'x'}'", "E100", 15, "`'`"),
        ("relay_on and " * 60 + "relay_on", "E100", 513, "longer"),
        ("not " * 40 + "relay_on", "E100", 125, "nested"),
        ("active_power > 1e13 W", "E100", 16, "1e12"),
        ("active_power > 1e999999999 W", "E100", 16, "1e12"),
        ("active_powr < 2 W", "E101", 1, "active_powr"),
        ("fill > 80%", "E101", 1, "fill"),
        ("asset.nominal < 2 W", "E101", 1, "asset.nominal"),
        ("lamp_ot.firing", "E101", 1, "lamp_ot"),
        ("lamp_out.fired", "E101", 1, "lamp_out.fired"),
        ("averge(active_power) > 2 W", "E101", 1, "averge"),
        ("active_power", "E102", 1, "true or false"),
        ("not active_power", "E102", 5, "true or false"),
        ("relay_on and active_power", "E102", 14, "true or false"),
        ("relay_on > true", "E102", 1, "no order"),
        ("relay_on + 1 > 2", "E102", 1, "number"),
        ("known() or relay_on", "E102", 1, "1 arguments"),
        ("since(relay_on) over 2h < 5min", "E102", 1, "takes no"),
        ("avg(active_power) > 2 W", "E102", 1, "needs a window"),
        ("avg(active_power) over 30W > 2 W", "E102", 24, "duration"),
        ("avg(active_power) over 300d > 2 W", "E102", 24, "14 d"),
        ("is_night(edge=20min)", "E102", 1, "edge"),
        ("is_night(margin=dim_level)", "E102", 17, "constant"),
        ("active_power / 0 > 2 W", "E102", 16, "zero"),
        ("peers.count() >= 3", "E103", 1, "no peers"),
        ("active_power < current * 20%", "E104", 1, "`current * 20%` (A)"),
        ("active_power + voltage > 2 W", "E104", 1, "cannot add"),
        ("temperature * 2 > 10 degC", "E104", 1, "point"),
        ("temperature - prev(temperature) > 5 degC", "E104", 1, "K"),
        ("dim_level > 0.05", "E104", 13, "per cent"),
        ("coalesce(dim_level, 5 W) > 2%", "E104", 10, "coalesce"),
        ("energy*energy*energy*energy*energy > 1", "E104", 1, "meaningful"),
        ("active_power > 5 Watt", "E105", 16, "Watt"),
        ("active_power > 5 furlong/min", "E105", 16, "furlong/min"),
        ("dim_level > 120%", "E110", 1, "[0, 100] %"),
        ("relay_on or -1 W > active_power", "E110", 20, "[0, 2000] W"),
        ("active_power > 5 kW", "E110", 1, "[0, 2000] W"),
        ("temperature < 100 K", "E110", 1, "[-60, 150]"),
        ("dim_level >= 0%", "E111", 1, "never be false"),
        ("asset.nominal_power <= 2 kW", "E111", 1, "never be false"),
    ],
)
def test_what_is_wrong_is_said_with_its_code_and_column(text, code, column, word):
    """Every kind of fault is found before a rule runs, and shown where it stands."""
    finding = fault_of(text)
    assert (finding.code, finding.line, finding.column) == (code, 1, column)
    assert word in finding.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("active_powr < 2 W", "active_power"),
        ("asset.nominal_pwer < 2 W", "nominal_power"),
        ("lamp_ot.firing", "lamp_out"),
        ("active_power = 5 W", "=="),
        ("active_power > 5 wh", "Wh"),
        ("temperature - prev(temperature) > 5 degC", "K"),
    ],
)
def test_help_names_what_was_probably_meant(text, hint):
    """A misspelt name comes with its neighbours."""
    assert hint in fault_of(text).help


def test_a_message_about_units_quotes_both_sides():
    """The author sees which two things do not fit."""
    assert fault_of("active_power < current").message == (
        "cannot compare `active_power` (W) with `current` (A)"
    )


def test_a_bare_number_is_read_in_the_unit_of_the_other_side_with_a_warning():
    """W103, and the help says what to write; zero needs no unit."""
    names = Names()
    tree = condition(Scalar.of("active_power < 12 and dim_level > 0"), LAMP, names)
    (warning,) = names.warnings
    assert (warning.code, warning.column, warning.help) == ("W103", 16, "write 12 W")
    judge, _ = compiled(tree)
    assert judge({"active_power_w": 11, "dim_level_pct": 50}, {}, Scene(), []) is True


@pytest.mark.parametrize(
    "lets",
    [{"a": "b", "b": "a"}, {"a": "a"}, {"a": "active_powr < 5 W"}, {"a": "voltage > 1 A"}],
)
def test_a_wrong_let_is_refused_at_its_own_place(lets):
    """Circles too; nothing recurses."""
    assert fault_of("a", **lets).code in ("E101", "E104")


def test_lets_cannot_multiply_into_a_monster():
    """Ten names that double each other would be a thousand terms."""
    lets = {"x0": "voltage"} | {f"x{i}": f"x{i - 1} + x{i - 1}" for i in range(1, 16)}
    assert fault_of("x15 > 5 V", **lets).code == "E100"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("active_power < 5 W", {"active_power_w": 4.9}, True),
        ("active_power < 5 W", {"active_power_w": 5}, False),
        ("active_power < 5 W", {}, None),
        ("active_power < 0.005 kW", {"active_power_w": 4.9}, True),
        ("dim_level >= 80%", {"dim_level_pct": 80}, True),
        ("dim_level >= 90% - 10%", {"dim_level_pct": 80}, True),
        ("temperature >= 333.15 K", {"temperature_c": 60}, True),
        ("5 W < active_power < 10 W", {"active_power_w": 7}, True),
        ("5 W < active_power < 10 W", {"active_power_w": 10}, False),
        ("voltage * current > 1 kW", {"voltage_v": 230, "current_a": 5}, True),
        ("voltage * current > active_power", {"voltage_v": 230, "current_a": 5}, None),
        ("active_power / current > 100 V", {"active_power_w": 500, "current_a": 0}, None),
        ("active_power / current > 100 V", {"active_power_w": 500, "current_a": 2}, True),
        ("energy / 2h > 1 W", {"energy_wh": 10}, True),
        ("relay_on == false", {"relay_on": False}, True),
        ("not relay_on", {}, None),
        ("power_factor in [1, 0.5]", {"power_factor": 0.5}, True),
        ("power_factor in [1, 0.5]", {"power_factor": 0.6}, False),
        ("known(lux) or relay_on", {"relay_on": False}, False),
        ("known(lux)", {"lux_lx": 0}, True),
        ("coalesce(dim_level, 100%) > 50%", {}, True),
        ("coalesce(dim_level, 100%) > 50%", {"dim_level_pct": 0}, False),
        ("abs(power_factor) < 0.5", {"power_factor": -0.7}, False),
        ("min(active_power, voltage * current) < 10 W", {"active_power_w": 5}, None),
        ("max(dim_level, 50%, 10%) > 40%", {"dim_level_pct": 5}, True),
        ("sun_elev() < -6deg", {}, True),
        ("is_night(margin=20min) and is_night()", {}, True),
        ("silent > 10min", {}, False),
        ("tilt > 45 deg", {"tilt_deg": 46}, True),
    ],
)
def test_meaning(text, values, expected):
    """Units convert, unknown stays unknown."""
    assert judged(text, values) is expected


def kleene_not(a):
    return None if a is None else not a


def first_known(a, b):
    return b if a is None else a


def kleene_and(a, b):
    return False if a is False or b is False else None if a is None or b is None else True


def kleene_or(a, b):
    return True if a is True or b is True else None if a is None or b is None else False


FLAGS = {"relay_on": "relay_on", "active_power > 50 W": "active_power_w", "lux < 9 lx": "lux_lx"}


def expressions():
    """(text, oracle) pairs of random conditions over three terms that may be unknown."""
    leaves = st.sampled_from(
        [(f"({text})", lambda facts, text=text: facts[text]) for text in FLAGS]
        + [("true", lambda _: True), ("false", lambda _: False)]
    )

    def negated(one):
        text, oracle = one
        return f"(not {text})", lambda facts: kleene_not(oracle(facts))

    def joined(both, form, meaning):
        (left, a), (right, b) = both
        return form.format(left, right), lambda facts: meaning(a(facts), b(facts))

    def grow(inner):
        pairs = st.tuples(inner, inner)
        return st.one_of(
            inner.map(negated),
            pairs.map(lambda both: joined(both, "({} and {})", kleene_and)),
            pairs.map(lambda both: joined(both, "({} or {})", kleene_or)),
            pairs.map(lambda both: joined(both, "coalesce({}, {})", first_known)),
        )

    return st.recursive(leaves, grow, max_leaves=10)


@given(
    expression=expressions(),
    facts=st.fixed_dictionaries({text: st.sampled_from([True, False, None]) for text in FLAGS}),
)
def test_logic_is_kleenes(expression, facts):
    """However conditions are nested, and whichever of their terms are unknown."""
    text, oracle = expression
    if len(text) > 512:
        return
    samples = {"relay_on": (True, False), "active_power_w": (60, 40), "lux_lx": (1, 20)}
    values = {
        key: samples[key][0 if facts[term] else 1]
        for term, key in FLAGS.items()
        if facts[term] is not None
    }
    assert judged(text, values) is oracle(facts)


NAMES = ["tilt", "relay_on", "voltage", "silent", "nominal_power", "expected_power", "lamp_out.ok"]
FUNCTIONS = [
    "is_night",
    "sun_elev",
    "known",
    "coalesce",
    "abs",
    "min",
    "max",
    "prev",
    "changed",
    "since",
    "rate",
    "count",
    "avg",
]
SIGNS = [
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    ",",
    ",",
    "=",
    "==",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "and",
    "or",
    "not",
    "in",
    "over",
    "true",
    ".",
    "_",
]
NUMBERS = ["5", "0", "5%", "15min", "2V", "3W", "4deg", "1e9"]
WORDS = (*NAMES, *FUNCTIONS, *SIGNS, *NUMBERS)


@given(
    st.one_of(
        st.text(alphabet="aeinort_dv .,()[]<>=!+-*/%0159WhA\n", max_size=60),
        st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join),
    )
)
@example("min(1, 2) < rate(tilt) * 1s / 1deg or expected_power(5%) < 3W or abs(0) == 0 or known(1)")
@example("coalesce(5, 6) == -tilt / 1deg or prev(min(tilt, 4deg)) < 4deg or since(true) < 15min")
def test_any_text_is_either_a_tree_or_a_finding(text):
    """No text raises anything but a refusal, at a place inside the text; trees can be judged."""
    try:
        tree = read(Scalar.of(text), LAMP, Names())
    except Refused as refused:
        assert refused.finding.code.startswith("E")  # noqa: PT017
        assert 1 <= refused.finding.column <= len(text) + 1  # noqa: PT017
    else:
        assert canonical(tree)
        judge, slots = compiled(tree)
        judge({"tilt_deg": 3}, {}, Scene(), [None] * slots)


def test_blanks_and_let_names_do_not_change_the_meaning():
    """The canonical text of a tree is that of its meaning."""
    plain = condition(Scalar.of("active_power < 20% * nominal_power"), LAMP, Names())
    names = Names(lets={"low": Scalar.of("0.2*nominal_power")})
    spaced = condition(Scalar.of("  active_power  <  low "), LAMP, names)
    assert canonical(plain) == canonical(spaced)
    other = condition(Scalar.of("active_power < 21% * nominal_power"), LAMP, Names())
    assert canonical(plain) != canonical(other)
