"""Mutants: each is a sound rule with one thing changed."""

import pytest

from rules.files import load
from rules.mutation import mutants

HEAD = "apiVersion: sense311/v1\nsensor: bin\nrules:\n  - id: full\n    title: '{asset.id}'\n"


def told(body):
    bundle, findings = load({"a.yaml": HEAD + "".join(f"    {line}\n" for line in body)})
    assert bundle is not None, findings
    return {mutant.what: mutant.rule for mutant in mutants(bundle.rules["full"])}


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (["when: fill >= 80%"], "when: `fill >= 80%` with <"),
        (["when: fill >= 80%"], "when: `fill >= 80%` with >"),
        (["when: fill >= 80%"], "when: 80% as 120%"),
        (["when: not lid_open"], "when: `not lid_open` without its not"),
        (["when: fill > 5% and lid_open"], "when: without `lid_open`"),
        (["when: fill > 5% and lid_open"], "when: `fill > 5% and lid_open` with or"),
        (["when: fill > 5%", "for: 1h"], "for as 0"),
        (["when: fill > 5%", "for: 1h"], "for twice as long"),
        (["when: fill > 5%", "unless: lid_open"], "without its unless"),
        (["when: fill > 5%", "clear: {when: fill < 4%}"], "clear as soon as when is false"),
        (["when: fill > 5%", "no_data: {hold: 2h}"], "never blind"),
        (["when: fill > 5%", "cover: {min_samples: 3}"], "min_samples as 1"),
    ],
)
def test_there_is_a_mutant_for_each_kind_of_slip(body, what):
    """In words that say what was changed."""
    assert what in told(body)


def test_no_edge_is_asked_about_that_no_sample_can_be_on():
    """The sun is never exactly at six degrees."""
    names = told(["when: sun_elev() > 6deg"])
    assert "when: `sun_elev() > 6 deg` with <=" in names
    assert "when: `sun_elev() > 6 deg` with >=" not in names


@pytest.mark.parametrize(
    ("condition", "made", "not_made"),
    [
        ("(changes(lid_open) over 1h) > 3", "3 as 5", "3 as 4.5"),
        ("(count(fill > 5%) over 1h) <= 1", "1 as 0", "1 as 0.6667"),
        ("(changes(fill > 5%) over 1h) > 3", "`fill > 5%` with >=", "`fill > 5%` with <="),
        ("(count(fill > 5%) over 1h) > 3", "`fill > 5%` with <=", "3 as 4.5"),
        ("coalesce(fill, 90%) > 50%", "50% as 75%", "90% as 60%"),
        ("coalesce(fill, 60%) > 50%", "60% as 40%", "60% as 90%"),
        ("coalesce(fill, prev(fill), 90%) > 50%", "50% as 75%", "90% as 60%"),
    ],
)
def test_what_no_sample_can_show_is_no_mutant(condition, made, not_made):
    """An amount between two counts, a truth and its contrary that change together, a default on
    the same side of its edge.
    """
    names = told([f"when: {condition}"])
    assert f"when: {made}" in names
    assert f"when: {not_made}" not in names


def test_memories_of_all_conditions_are_laid_out_anew():
    """A mutant without its unless has fewer slots, and no condition shares one."""
    body = ["when: changed(fill) and prev(fill) > 5%", "unless: since(lid_open) < 5min"]
    names = told(body)
    assert len(names["without its unless"].slots) == 2
    whole = names["when: `prev(fill) > 5%` with <="]
    assert len(whole.slots) == 3
    assert whole.unless is not None
    assert whole.unless.first_slot == 2


def test_mutants_come_in_the_same_order():
    """A report can be compared with yesterday's."""
    body = ["when: fill > 5% and (lid_open or temperature > 60 degC)", "for: 1h"]
    assert list(told(body)) == list(told(body))
