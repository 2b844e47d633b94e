"""The first file from a template: short, sound, and its tests pass at once."""

import pytest

from gateway.workbench.trial import run
from rules.checks import check
from rules.files import load, read_library, shipped_templates
from rules.layout import layout
from rules.starter import free_id, starter

TEMPLATES = shipped_templates()
SHIPPED = frozenset(load(read_library())[0].rules)


def written(name, given=None, **more):
    return starter(TEMPLATES[name], TEMPLATES, given or {}, taken=SHIPPED, **more)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_starts_with_a_sound_file_of_a_dozen_lines(name):
    """Without an error or a warning, in the layout of `rules fmt`; it loads beside the shipped."""
    text = written(name)
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 12
    assert layout("own.yaml", text) == (text, [])
    assert check({"own.yaml": text})[1] == []
    assert load({**read_library(), "own.yaml": text})[1] == []


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_tests_of_every_template_pass_with_its_defaults(name):
    """From nothing to a tested rule in one command."""
    given = {"probe": "tilt"} if name == "deadman" else {}
    bundle, findings = load({"own.yaml": written(name, given)})
    assert bundle, findings
    cases = [case for rule in bundle.rules.values() for case in rule.cases]
    assert len(cases) >= 4
    failed = [(case.name, run(case, bundle).failures) for case in cases]
    assert [entry for entry in failed if entry[1]] == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("bin_full", {"high": "85%", "low": "70%", "reports": "3"}),
        ("bin_full", {"high": "60%", "hysteresis": "5%", "service": "none"}),
        ("bin_fire", {"hot": "70 degC", "rise": "5 degC/min"}),
        ("lamp_out", {"out_frac": "30%", "persist": "30min", "service": "POTHOLE"}),
        ("day_burner", {"stray_power": "10 W", "persist": "1h"}),
        ("battery_low", {"low": "3 V", "persist": "24h", "reports": "4"}),
        ("pothole_cluster", {"quorum": "5", "clean": "3", "min_jolt": "6 m/s2"}),
        ("threshold_hysteresis", {"value": "temperature", "high": "60 degC", "low": "50 degC"}),
        ("stuck", {"value": "temperature", "tolerance": "0.5 K", "usual": "20 degC"}),
        ("flap", {"value": "tilt", "mark": "30 deg", "times": "5", "window": "12h"}),
        ("rate_of_change", {"value": "fill", "speed": "10 %/h", "window": "3h", "usual": "20%"}),
        ("cycling", {"cycles": "4", "lit_power": "10 W"}),
        ("missed_collection", {"grace": "6h", "left": "50%"}),
    ],
)
def test_the_tests_of_a_template_run_with_the_given_values(name, given):
    """They speak of its inputs, so they hold for other values too."""
    bundle, findings = load({"own.yaml": written(name, given)})
    assert bundle, findings
    failed = [
        (case.name, outcome.failures)
        for rule in bundle.rules.values()
        for case in rule.cases
        if not (outcome := run(case, bundle)).passed
    ]
    assert failed == []


def test_what_was_given_is_in_the_file_with_what_it_means():
    """The value, its doc beside it, and an id that clashes with no shipped rule."""
    lines = written("bin_full", {"high": "85%"}).splitlines()
    assert "    id: own_bin_full" in lines
    assert any(line.startswith("      high: 85%  # full from here on") for line in lines)


def test_many_inputs_are_on_one_line():
    """The file stays short."""
    given = {"high": "85%", "low": "70%", "reports": "2", "service": "none"}
    assert "    with: {high: 85%, low: 70%, reports: 2, service: none}" in written(
        "bin_full", given
    )


def test_an_id_of_ones_own_is_used():
    """And the sensor that was asked for."""
    text = written("battery_low", rule_id="cells", sensor="streetlight")
    bundle, _ = load({"own.yaml": text})
    assert bundle.rules["cells"].sensor == "streetlight"


def test_a_rule_for_many_brings_the_rule_for_one():
    """They name each other, or the file would be refused."""
    bundle, _ = load({"own.yaml": written("feeder_outage")})
    assert bundle.rules["own_feeder_outage"].absorbs == ("own_lamp_out",)
    assert bundle.rules["own_lamp_out"].absorbed_by == ("own_feeder_outage",)


def test_ids_that_are_free_stay():
    """Only a clash changes them."""
    assert (free_id("a", ()), free_id("a", ("a",))) == ("a", "own_a")
