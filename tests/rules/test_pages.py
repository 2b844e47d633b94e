"""Pages: what a rule watches, when it fires, what it files, how it is set and tested."""

from dataclasses import replace
from itertools import pairwise

import pytest

from rules import pages
from rules.fields import CATALOGUE, REPORTED_KINDS
from rules.files import load, read_library, shipped_templates
from rules.manual import catalogue

RULES = load(read_library())[0].rules
TEMPLATES = shipped_templates()


@pytest.mark.parametrize(
    "words",
    [
        "# lamp_out",
        "A street light that is commanded on",
        "| fault (uCIFI) | lamp_failure |",
        "is_night(margin=20min) and level > dark_level",
        "- `is_night(margin=20min)`",
        "- It must last 15min",
        "- 2 samples must agree.",
        "After 2h without samples it is blind",
        "its end has lasted 10min",
        "One request for service `STREETLIGHT_OUT`:",
        "> Street light {asset.id} is dark at night",
        "5min for late samples and 5min for a wider fault",
        "It becomes part of [feeder_outage](feeder_outage.md).",
        "| out_frac | 20% | 5% to 50% | a lamp below this share",
        "Echelon CPD 3000",
        '"lamp_out.out_frac" = "20%"',
        "| daylight is quiet | 12 | never: pending |",
    ],
)
def test_the_page_of_a_rule_says_all_of_it(words):
    """In words, with the values in force."""
    assert words in pages.rule_page(RULES["lamp_out"])


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_shipped_rule_has_a_whole_page(name):
    """Its values, its settings, its tests; no empty heading."""
    text = pages.rule_page(RULES[name])
    assert RULES[name].doc in text
    for note in RULES[name].notes.values():
        assert note.doc in text
    for case in RULES[name].cases:
        assert f"| {case.name} |" in text
    lines = [line for line in text.splitlines() if line]
    assert not any(a.startswith("#") and b.startswith("#") for a, b in pairwise(lines))


def test_a_page_shows_what_was_set_from_outside():
    """The value in force, not that of the file."""
    bundle, _ = load(read_library(), {"lamp_out.out_frac": "30%"})
    text = pages.rule_page(bundle.rules["lamp_out"])
    assert "| out_frac | 30% | 5% to 50% |" in text
    assert "active_power < 0.3 * expected_power" in text


def test_a_rule_that_files_nothing_says_so():
    """It is kept for the operators."""
    assert "Nothing: it is kept and shown" in pages.rule_page(RULES["device_silent_bin"])


def test_an_urgent_rule_waits_for_nothing():
    """And the page promises no wait."""
    text = pages.rule_page(RULES["bin_fire"])
    assert "at once, with no wait of any kind" in text
    assert "Filing waits" not in text


def test_a_rule_in_shadow_says_so():
    """Nobody must wonder why nothing is filed."""
    assert "It is in shadow" in pages.rule_page(replace(RULES["bin_full"], mode="shadow"))


def test_alternatives_are_told_as_such():
    """Any of these; all of these within."""
    text = pages.rule_page(RULES["bin_fire"])
    assert "With its values, any of these:" in text
    assert "- all of these:\n  - `temperature >= 45 degC`" in text


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_page_of_a_template_lists_its_inputs(name):
    """With type, default, range, meaning and source."""
    text = pages.template_page(TEMPLATES[name])
    for item in TEMPLATES[name].inputs.values():
        assert f"| {item.name} |" in text
        assert item.doc in text
        assert item.source in text
    assert f"sense311 rules new {name}" in text


def test_every_function_and_field_has_a_page():
    """All that a condition may name."""
    names = [entry.name for entry in catalogue()]
    names += [item.name for kind in REPORTED_KINDS for item in CATALOGUE[kind].values()]
    for name in names:
        text = pages.page(name, RULES, TEMPLATES)
        assert text, name
        assert text.startswith(f"# {name}\n")
        assert name in pages.subjects(RULES, TEMPLATES)


def test_a_function_with_a_window_is_told_beside_the_one_without():
    """Both forms are on one page."""
    text = pages.page("rate", RULES, TEMPLATES)
    assert text.count("`rate(x)") == 2
    assert "over T" in text


def test_what_does_not_exist_has_no_page():
    """The caller offers what is near."""
    assert pages.page("lamp_uot", RULES, TEMPLATES) is None


def test_the_index_links_all_pages():
    """With what each files."""
    text = pages.index_page(RULES.values())
    assert all(f"[{name}]({name}.md)" in text for name in RULES)
    assert "STREETLIGHT_OUT" in text
