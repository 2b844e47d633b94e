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
