"""Templates: what `use:` and `with:` make of them, and where faults inside them are told."""

from textwrap import dedent, indent

import pytest

from rules.files import load, shipped_templates
from rules.templates import read_template

TEMPLATE = """\
apiVersion: sense311/v1
template: too_much
doc: A value that is too high.
sensor: [bin, streetlight]
inputs:
  value: {type: field, example: fill}
  high: {type: number, example: 80%}
  low: {type: number, default: high - 10%}
  calm: {type: duration, default: 10min, range: [1min, 1h]}
  reports: {type: "1", default: 2, range: [1, 10]}
  parent: {type: rule, default: none}
  service: {type: service, default: BIN_FULL}
rule:
  title: "{asset.id} has too much"
  when: value >= high
  for: calm
  cover: {min_samples: reports}
  clear: {when: value < low}
  unless: since(parent.firing) < 5min
  identity: [asset.id]
  absorbed_by: [parent]
  file: {service: service, description: "Measured {value}."}
"""
PLAIN = TEMPLATE.replace("  unless: since(parent.firing) < 5min\n", "")


def file(body, sensor="bin"):
    return f"apiVersion: sense311/v1\nsensor: {sensor}\nrules:\n" + indent(dedent(body), "  ")


def loaded(body, sensor="bin", template=PLAIN, overrides=None):
    sources = {"own.yaml": file(body, sensor), "template.yaml": template}
    return load(sources, overrides or {})


def rule(body, **kwargs):
    bundle, findings = loaded(body, **kwargs)
    assert bundle, findings
    return next(iter(bundle.rules.values()))


def only_finding(body, **kwargs):
    bundle, findings = loaded(body, **kwargs)
    errors = [finding for finding in findings if finding.is_error]
    assert bundle is None
    assert len(errors) == 1, errors
    return errors[0]


USED = """\
  - use: too_much
    with: {value: fill, high: 80%}
"""


def test_a_used_template_is_the_rule_one_could_have_written():
    """Same meaning, same state: a rule may be rewritten with a template and keep its instances."""
    by_hand = file("""\
      - id: too_much
        title: "{asset.id} has too much"
        when: fill >= 80%
        for: 10min
        cover: {min_samples: 2}
        clear: {when: fill < 70%}
        identity: [asset.id]
        file: {service: BIN_FULL, description: "Measured {fill}."}
    """)
    bundle, _ = load({"a.yaml": by_hand})
    written, used = bundle.rules["too_much"], rule(USED)
    assert used.state_hash == written.state_hash
    assert used.title == written.title
    assert used.file.service == written.file.service
    assert used.file.description.render({"fill_pct": 91.0}, {}, {}) == "Measured 91%."


def test_a_used_rule_is_in_the_users_file():
    """Its source is the line of `use:`, its template is named."""
    used = rule(USED)
    assert (used.source, used.template, used.doc) == (
        "own.yaml:4",
        "too_much",
        "A value that is too high.",
    )


def test_a_template_may_be_used_twice_under_two_ids():
    """The id is the template's name unless another is given."""
    again = (
        USED
        + "  - {use: too_much, id: b, with: {value: temperature, high: 60 degC, low: 50 degC}}\n"
    )
    bundle, findings = loaded(again)
    assert bundle, findings
    assert sorted(bundle.rules) == ["b", "too_much"]


def test_what_the_use_says_replaces_what_the_template_says():
    """Title, mode and parts of `file`."""
    used = rule("""\
      - use: too_much
        id: mine
        title: "Mine at {asset.id}"
        mode: shadow
        with: {value: fill, high: 90%, calm: 30min}
        file: {service: POTHOLE}
    """)
    assert (used.id, used.title, used.mode, used.for_ms) == (
        "mine",
        "Mine at {asset.id}",
        "shadow",
        1_800_000,
    )
    assert used.file.service == "POTHOLE"
    assert used.file.description.text == "Measured {value}."


def test_without_a_service_nothing_is_filed():
    """What needs an input that is none is left out, with the mapping it is in."""
    used = rule("  - {use: too_much, with: {value: fill, high: 80%, service: none}}\n")
    assert used.file is None
    assert used.absorbed_by == ()


def test_a_file_of_ones_own_stands_though_the_service_is_none():
    """The user names a service of the city; the text is the template's."""
    used = rule("""\
      - use: too_much
        with: {value: fill, high: 80%, service: none}
        file: {service: POTHOLE}
    """)
    assert (used.file.service, used.file.description.text) == ("POTHOLE", "Measured {value}.")


def test_a_default_may_follow_from_other_inputs():
    """Also from those that are set from outside; given itself, it stays."""
    notes = {name: note.value for name, note in rule(USED).notes.items()}
    assert notes["low"] == "70%"
    set_outside = rule(USED, overrides={"too_much.high": "50%"})
    assert set_outside.notes["low"].value == "40%"
    both = rule(USED, overrides={"too_much.low": "20%", "too_much.high": "50%"})
    assert both.notes["low"].value == "20%"


def test_inputs_are_overridden_like_params():
    """`RULE.INPUT` in the configuration, within its range."""
    assert rule(USED, overrides={"too_much.calm": "30min"}).for_ms == 1_800_000
    refused = only_finding(USED, overrides={"too_much.calm": "2h"})
    assert (refused.code, "out of its range" in refused.message) == ("E006", True)


def test_a_rule_that_is_an_input_may_be_asked_for_its_phase():
    """The name in the template stands for the id that the user gives."""
    body = """\
      - use: too_much
        id: child
        with: {value: fill, high: 80%, parent: above}
      - id: above
        title: "{asset.id}"
        when: fill > 99%
        absorbs: {rules: [child]}
    """
    bundle, findings = loaded(body, template=TEMPLATE)
    assert bundle, findings
    assert bundle.rules["child"].absorbed_by == ("above",)


@pytest.mark.parametrize(
    ("body", "place", "code", "words"),
    [
        ("  - use: too_mach\n", (4, 10), "E101", "no template"),
        ("  - use: too_much\n    with: {value: fill}\n", (4, 10), "E003", "needs the input 'high'"),
        ("  - use: too_much\n    with: {value: fil, high: 80%}\n", (5, 19), "E005", "not known"),
        ("  - use: too_much\n    with: {value: fill, hihg: 80%}\n", (5, 25), "E002", "not a key"),
        ("  - use: too_much\n    with: {value: fill, high: 80 W}\n", (5, 31), "E104", "%"),
        (
            "  - use: too_much\n    with: {value: fill, high: 80%, calm: 80%}\n",
            (5, 42), "E005", "a duration",
        ),
        (
            "  - use: too_much\n    with: {value: fill, high: 80%, reports: 11}\n",
            (5, 45), "E005", "out of its range",
        ),
        (
            "  - use: too_much\n    with: {value: fill, high: 80%, service: bin full}\n",
            (5, 45), "E005", "cannot be a service",
        ),
        (
            "  - use: too_much\n    with: {value: fill, high: 80%, parent: abov}\n",
            (5, 44), "E101", "no rule 'abov'",
        ),
        ("  - use: too_much\n    wiht: {}\n", (5, 5), "E002", "not a key of a use"),
        ("  - use: too_much\n    with: [fill]\n", (5, 5), "E005", "with must be a mapping"),
        (
            "  - use: too_much\n    with: {value: fill, high: 80% + x}\n",
            (5, 37), "E101", "unknown name",
        ),
        ("  - use: too_much\n    when: fill > 3%\n", (5, 5), "E002", "not a key of a use"),
    ],
)  # fmt: skip
def test_faults_of_a_use_are_told_where_they_are_mended(body, place, code, words):
    """At the input in the user's file, or at the name of the template; never in the template."""
    found = only_finding(body)
    assert (found.file, (found.line, found.column), found.code) == ("own.yaml", place, code)
    assert words in found.message


def test_a_fault_of_the_template_itself_names_its_line_there():
    """Its user sees which template to mend."""
    broken = PLAIN.replace("value >= high", "valeu >= high")
    found = only_finding(USED, template=broken)
    assert (found.file, found.line, found.column, found.code) == ("own.yaml", 4, 10, "E101")
    assert "(template too_much, line 15)" in found.message


def test_a_template_for_another_sensor_is_refused():
    """It says which it is for."""
    found = only_finding(
        "  - {use: too_much, with: {value: voltage, high: 3 V}}\n", sensor="cabinet"
    )
    assert (found.code, found.line) == ("E005", 4)
    assert "bin or streetlight" in found.message


def test_an_input_is_never_pasted_into_the_syntax():
    """A value that would change a condition is no value."""
    found = only_finding("  - {use: too_much, with: {value: fill, high: '80% or true'}}\n")
    assert (found.file, found.line) == ("own.yaml", 4)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (PLAIN.replace("doc: A value that is too high.\n", ""), "E003", "'doc'"),
        (PLAIN.replace("sensor: [bin, streetlight]", "sensor: bim"), "E005", "'bim'"),
        (PLAIN.replace("type: duration", "type: durations"), "E005", "not a type"),
        (PLAIN.replace("range: [1, 10]", "range: [1]"), "E005", "[lowest, highest]"),
        (PLAIN.replace("reports: {type", "reports: {typ"), "E002", "'typ'"),
        (PLAIN.replace("  reports: {", "  Reports: {"), "E005", "'Reports'"),
        (PLAIN.split("rule:")[0], "E003", "'rule'"),
        (PLAIN.split("rule:")[0] + "rule: [a]\n", "E005", "must be a mapping"),
        (PLAIN.split("inputs:")[0] + "inputs: [a]\nrule: {}\n", "E005", "must be a mapping"),
    ],
)
def test_broken_templates_are_refused_at_their_place(text, code, words):
    """In the template's own file."""
    template, findings = read_template("t.yaml", text)
    assert template is None
    assert [(f.file, f.code, words in f.message) for f in findings] == [("t.yaml", code, True)]


def test_two_templates_of_one_name_are_refused():
    """Nobody could tell which is meant."""
    bundle, findings = load({"a.yaml": PLAIN, "b.yaml": PLAIN})
    assert bundle is None
    assert [(f.file, f.line, f.code) for f in findings] == [("b.yaml", 2, "E004")]


def test_the_version_of_a_bundle_tells_when_a_used_template_changes():
    """Also when it is shipped and in none of the sources."""
    one, _ = loaded(USED)
    two, _ = loaded(USED, template=PLAIN.replace("too high", "much too high"))
    assert one.version != two.version


NAMES = (
    "threshold_hysteresis", "rate_of_change", "deadman", "stuck", "flap", "day_burner", "lamp_out",
    "low_power", "cycling", "low_pf", "feeder_outage", "gateway_loss", "pothole_cluster",
    "rough_segment", "bin_full", "bin_forecast", "bin_emptied", "missed_collection", "bin_fire",
    "bin_tilt", "battery_low", "circuit_burning", "gear_hot", "high_power", "supply_lost",
    "overvoltage", "undervoltage", "relay_stuck", "vibration_limit", "overflow_risk",
    "bin_lid_open", "vibration_drift",
)  # fmt: skip


def test_the_shipped_templates_are_these():
    """One for each detector of the library."""
    assert sorted(shipped_templates()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_says_what_it_means_and_where_its_default_comes_from(name):
    """And amounts with a default of their own have a range."""
    for item in shipped_templates()[name].inputs.values():
        assert item.doc, item.name
        assert item.default is not None or item.example, item.name
        if item.source and item.type != "bool":
            assert item.ends, item.name


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_template_names_its_fault_and_has_tests(name):
    """At least four."""
    body = shipped_templates()[name].body
    assert body.get("fault")
    assert len(body.get("tests").items) >= 4
