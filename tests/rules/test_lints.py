"""The lints: what they prove, what they leave alone, and that the shipped rules are clean.

Each code has its example of wrong and right in test_codes.py; here are the borders of the proofs.
"""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.checks import check
from rules.customs import CUSTOMS
from rules.files import read_library
from rules.habits import HABITS
from rules.inequality import Inequality, TooLarge, is_solvable, solution
from rules.lints import PROOFS

HEAD = "apiVersion: sense311/v1\nsensor: {}\nowner: ops\nrules:\n"
RULE = '  - id: r\n    title: "t {asset.id}"\n'


def codes(when, extra="", sensor="bin"):
    """The codes of a rule with a condition, but for those that any bare rule has."""
    text = HEAD.format(sensor) + RULE + f"    when: {when}\n"
    text += "".join(f"    {line}\n" for line in extra.splitlines())
    _, findings = check({"a.yaml": text})
    return {finding.code for finding in findings} - {"W215", "W106"}


def test_the_shipped_rules_are_without_a_finding():
    """What we ship is the example others copy; and no lint cries wolf."""
    _, findings = check(read_library())
    assert findings == []


def test_there_are_more_lints_than_promised():
    """At least 25 things that are looked at beyond what is refused anyway."""
    text = " ".join(lint.__doc__ or "" for lint in (*PROOFS, *HABITS, *CUSTOMS))
    named = {word.strip(":,.") for word in text.split() if word[:1] in "EW" and word[1:4].isdigit()}
    assert len(named | {"W211", "W212", "W214"}) >= 25


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("fill > 50% and fill < 50%", "E112"),
        ("fill >= 50% and fill <= 50%", ""),
        ("fill - 10% > 60% and fill < 70%", "E112"),
        ("2 * tilt > 40 deg and tilt <= 20 deg", "E112"),
        ("2 * tilt >= 40 deg and tilt <= 20 deg", ""),
        ("abs(fill) > 5% and fill < 5%", ""),
        ("distance < 50 mm and distance > 1 m", "E112"),
        ("lid_open and not (lid_open or fill > 5%)", "E112"),
        ("lid_open != lid_open", "E112"),
        ("fill > 20% and weight > 3 kg and (fill < 10% or weight < 2 kg)", "E112"),
        ("fill > 20% or not lid_open", ""),
        ("fill > 20% or fill <= 20%", "E113"),
        ("fill in [10%, 20%] and fill > 30%", "E112"),
        ("distance < asset.height - 5 cm", "E105"),
        ("distance > asset.height and distance < asset.height", "E112"),
        ("distance > asset.height and distance < asset.offset", ""),
        ("avg(fill) over 1h > 80% and fill < 20%", ""),
        ("asset.zone == 'a' and asset.zone == 'b' and lid_open", "E112"),
        ("asset.zone == 'a' and asset.owner == 'b' and lid_open", ""),
        ("asset.zone == 'a' and asset.zone != 'b' and lid_open", ""),
        ("asset.zone == 'a' and asset.zone != 'a' and lid_open", "E112"),
        ("local_hour() > 20 h and local_hour() < 6 h and lid_open", "E112"),
        ("local_hour() > 25 h and lid_open", "E110"),
        ("weekday() <= 4 and lid_open", ""),
        ("std(fill) over 2h < 0% and lid_open", "E110"),
        ("last(fill) over 2h > 120% and lid_open", "E110"),
        ("delta(fill) over 2h < -50%", ""),
        ("count() over 2h > 3 and lid_open", ""),
        ("age(fill) < 0 s and lid_open", "E110"),
    ],
)
def test_what_can_never_or_must_always_be_true_is_proven(when, code):
    """Over sums, multiples, units and other fields; and nothing is claimed that may be."""
    found = codes(when) & {"E112", "E113", "E105", "E110", "E111"}
    assert found == ({code} if code else set())


@pytest.mark.parametrize(
    ("when", "clear", "code"),
    [
        ("fill > 80%", "fill < 80%", ""),
        ("fill >= 80%", "fill <= 80%", "E114"),
        ("fill > 80% and lid_open", "fill < 90% and lid_open", "E114"),
        ("fill > 80% and lid_open", "not lid_open", ""),
        ("fill > 80% and lid_open", "fill < 70% or not lid_open", ""),
        ("fill > 80%", "temperature < 10 degC", ""),
        ("min(fill) over 1h > 80%", "fill < 90%", ""),
        ("fill > 80% and min(fill) over 1h > 70%", "fill < 90%", "W107"),
    ],
)
def test_an_overlap_of_when_and_clear_is_an_error_only_where_it_is_certain(when, clear, code):
    """Conditions about different things may well hold together: that is how they are meant."""
    found = codes(when, f"clear: {{when: {clear}}}") & {"E114", "W107"}
    assert found == ({code} if code else set())


def test_an_overlap_names_values_for_which_both_hold():
    """So that it need not be believed."""
    text = HEAD.format("bin") + RULE + "    when: fill > 80%\n    clear: {when: fill < 90%}\n"
    _, findings = check({"a.yaml": text})
    (overlap,) = [finding for finding in findings if finding.code == "E114"]
    assert "fill = 85%" in overlap.message


def test_unless_counts_when_overlap_is_judged():
    """What unless takes out of when, clear may have."""
    extra = "unless: fill < 90%\nclear: {when: fill < 85%}"
    assert "E114" not in codes("fill > 80%", extra)


def test_a_child_that_hangs_on_no_circuit_is_told():
    """Bins share nothing with a feeder."""
    child = HEAD.format("bin") + RULE + "    when: fill > 80%\n    absorbed_by: [feeder]\n"
    parent = HEAD.format("streetlight") + (
        '  - id: feeder\n    scope: circuit\n    title: "t {circuit.id}"\n'
        "    when: peers.count() >= 3\n    absorbs: {rules: [r]}\n"
    )
    _, findings = check({"bin.yaml": child, "light.yaml": parent})
    assert ("bin.yaml", 8, "W214") in {(f.file, f.line, f.code) for f in findings}


def test_a_rule_in_the_shadow_of_its_own_parent_is_no_finding():
    """The parent absorbs it: one request."""
    text = HEAD.format("bin") + "".join(
        f'  - id: {name}\n    title: "t {{asset.id}}"\n    when: fill > {limit}%\n'
        f'    {relation}\n    file: {{service: BIN_FULL, description: "{{fill}}"}}\n'
        for name, limit, relation in (
            ("full", 80, "absorbs: {rules: [fuller]}"),
            ("fuller", 95, "absorbed_by: [full]"),
        )
    )
    _, findings = check({"a.yaml": text})
    assert "W212" not in {finding.code for finding in findings}


# -- the inequalities ------------------------------------------------------------------------------

_NUMBERS = st.integers(-6, 6)
_ONE = st.builds(
    Inequality,
    st.dictionaries(st.sampled_from("xyz"), _NUMBERS.filter(bool), max_size=3),
    _NUMBERS,
    st.booleans(),
)


def holds(one, values):
    total = one.constant + sum(f * values.get(name, 0) for name, f in one.terms.items())
    return total < 0 if one.strict else total <= 0


@given(st.lists(_ONE, max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_solution_solves_and_none_means_that_there_is_none(inequalities):
    """Against all points of a small grid: what one of them solves is never called impossible."""
    try:
        found = solution(inequalities)
    except TooLarge:
        return
    assert is_solvable(inequalities) == (found is not None)
    if found is not None:
        assert all(holds(one, found) for one in inequalities)
        return
    steps = [Fraction(i, 2) for i in range(-8, 9)]
    for x in steps:
        for y in steps[::2]:
            for z in steps[::4]:
                values = {"x": x, "y": y, "z": z}
                assert not all(holds(one, values) for one in inequalities)
