"""Texts of an asset and claims of a device in conditions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_scenes import CIRCUIT, LAMP, Scene, fault_of, judged

from rules.codegen import compiled, reads
from rules.document import Scalar
from rules.expression import condition
from rules.names import Names
from rules.template import template
from rules.tree import canonical

NORTH = {"zone": "north", "owner": "dno-42", "circuit": "C1"}


def tree_of(text):
    return condition(Scalar.of(text), LAMP, Names())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('asset.zone == "north"', True),
        ("asset.zone == 'north'", True),
        ("asset.zone == 'North'", False),
        ('"north" == asset.zone', True),
        ('asset.zone != "south"', True),
        ('asset.circuit in ["C1", "C2"]', True),
        ('asset.circuit not in ["C1", "C2"]', False),
        ('asset.owner matches "dno-*"', True),
        ('asset.owner matches "dno-?"', False),
        ('asset.owner matches "DNO-*"', False),
        ('asset.owner matches "dno-[0-9]*"', True),
        ('asset.owner matches "no-*"', False),
        ("asset.zone == asset.owner", False),
        ('asset.address == "Elm St 1"', None),
        ('asset.address matches "Elm*" or true', True),
        ("known(asset.address)", False),
        ('not (asset.zone == "north") and relay_on', False),
    ],
)
def test_texts_are_equal_or_alike(text, expected):
    """By every character; what the asset does not say is unknown."""
    assert judged(text, {"relay_on": True}, attributes=NORTH) is expected


@pytest.mark.parametrize(
    ("text", "code", "column", "word"),
    [
        ('asset.zone < "north"', "E102", 1, "no order"),
        ("asset.zone == 5", "E102", 1, "text"),
        ("asset.zone == relay_on", "E102", 1, "true or false"),
        ('dim_level == "high"', "E102", 14, "number"),
        ('"a" == "b"', "E102", 1, "for ever"),
        ('"a" matches "b*"', "E102", 1, "for ever"),
        ('asset.zone matches "north"', "E102", 1, "no *"),
        ("asset.zone", "E102", 1, "text"),
        ('asset.zone + "x" == "y"', "E102", 1, "number"),
        ('dim_level matches "5*"', "E102", 1, "text"),
        ('coalesce(asset.zone, "x") == "y"', "E102", 10, "text"),
        ("prev(asset.zone) == asset.zone", "E102", 6, "never changes"),
        ("asset.zon == 'north'", "E101", 1, "asset.zon"),
        ("asset.zone == north", "E101", 15, "north"),
        ("asset.zone matches north", "E100", 20, "north"),
    ],
)
def test_texts_mix_with_nothing_else(text, code, column, word):
    """Neither with numbers nor with arithmetic; a pattern that is none is a slip."""
    finding = fault_of(text)
    assert (finding.code, finding.column) == (code, column)
    assert word in finding.message


@given(st.text(alphabet="ab*?[]!-{}()\\.'", min_size=1, max_size=64), st.text(max_size=30))
def test_no_pattern_breaks_out_of_its_text(pattern, zone):
    """Whatever the author writes between quotes stays data, and is matched in no time."""
    if "'" in pattern or not set(pattern) & set("*?["):
        return
    assert judged(f"asset.zone matches '{pattern}'", {}, attributes={"zone": zone}) in (True, False)


def test_a_pattern_made_to_be_slow_is_not():
    """Many stars against many characters."""
    text = f"asset.zone matches '{'a*' * 31}b'"
    assert judged(text, {}, attributes={"zone": "a" * 200}) is False


def test_other_texts_are_another_meaning():
    """The hash of a rule's meaning tells them apart, quotes of either kind do not matter."""
    one = canonical(tree_of('asset.zone == "a"'))
    assert one == canonical(tree_of("asset.zone == 'a'"))
    assert one != canonical(tree_of('asset.zone == "b"'))


def test_a_let_may_be_a_text_and_be_told():
    """In a description it reads as it is."""
    names = Names(lets={"area": Scalar.of("asset.zone")})
    assert template(Scalar.of("in {area}"), LAMP, names).render({}, NORTH, {}) == "in north"


CLAIM = {"claim:lamp_failure": True}


def test_a_claim_is_true_when_the_sample_names_it():
    """And false on every sample that does not: the device had its say."""
    assert judged("claims(lamp_failure)", CLAIM) is True
    assert judged("claims(lamp_failure)", {"active_power_w": 5}) is False
    assert judged("claims(gear_failure)", CLAIM) is False


def test_a_rule_on_claims_hears_every_sample():
    """Else a claim would never end."""
    heard = reads(tree_of("claims(lamp_failure)"))
    assert {"claim:lamp_failure", "active_power_w", "fill_pct"} <= heard
    assert "claim:lamp_failure" not in reads(tree_of("relay_on"))


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("claims()", 1),
        ("claims('lamp_failure')", 1),
        ("claims(5)", 1),
        ("claims(a.b)", 1),
        ("claims(Lamp)", 1),
        ("claims(a, b)", 1),
        ("claims(lamp_failure) over 1h", 1),
    ],
)
def test_a_claim_is_one_name(text, column):
    """As the device spells it."""
    finding = fault_of(text)
    assert (finding.code, finding.column) == ("E102", column)


def test_numbers_of_peers_are_taken_over_those_that_know_them():
    """A lamp that says nothing is no lamp at 0 W; with none that knows it is unknown."""
    members = [({"active_power_w": power}, Scene()) for power in (10, 50)] + [({}, Scene())]
    scene = Scene(members=members)
    for text, expected in (
        ("peers.avg(active_power) == 30 W", True),
        ("peers.min(active_power) == 10 W", True),
        ("peers.max(active_power) < 50 W", False),
        ("peers.avg(voltage) < 50 V", None),
    ):
        assert judged(text, {}, CIRCUIT, scene=scene) is expected
    assert fault_of("peers.avg(relay_on) > 1", CIRCUIT).code == "E102"
    assert fault_of("peers.max(active_power) > 5 V", CIRCUIT).code == "E104"
    assert fault_of("peers.avg() > 5 V", CIRCUIT).code == "E102"


def test_the_same_text_twice_is_compiled_as_data():
    """Nothing of it is in the source."""
    judge, _ = compiled(tree_of("asset.zone == 'x = 1; import os'"))
    assert judge({}, {"zone": "x = 1; import os"}, Scene(), []) is True
    assert not any("import" in name for name in judge.__code__.co_names)
