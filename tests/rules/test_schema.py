"""The JSON Schema for editors: it takes what the loader takes, and says what each thing is."""

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from rules import cases, expectations
from rules.builder import KEYS as RULE_KEYS
from rules.document import near
from rules.fields import CATALOGUE, REPORTED_KINDS
from rules.files import load, read_library, shipped_templates
from rules.keys import KEYS
from rules.manual import catalogue
from rules.schema import schema
from rules.starter import starter
from rules.templates import INPUT_KEYS, USE_KEYS
from rules.templates import KEYS as TEMPLATE_KEYS
from rules.units import UNITS

TEMPLATES = shipped_templates()
SCHEMA = schema(TEMPLATES)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
BAD = Path(__file__).parent / "bad"


def read_as_editors_do(text):
    """YAML 1.2, where `on` is a word; times stay texts."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
    return yaml.load(text)


def faults(text):
    return [error.message for error in VALIDATOR.iter_errors(read_as_editors_do(text))]


def test_the_schema_is_a_schema():
    """Draft 7, which the language servers for YAML know best."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", sorted(read_library()))
def test_shipped_rules_are_valid(name):
    """No red line in what we ship."""
    assert faults(read_library()[name]) == []


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_shipped_templates_and_files_that_use_them_are_valid(name):
    """Nor in what a newcomer begins with."""
    assert faults(TEMPLATES[name].text) == []
    assert faults(starter(TEMPLATES[name], TEMPLATES, {})) == []


RULE = """\
apiVersion: sense311/v1
sensor: bin
params:
  high: {default: 80%, range: [50%, 100%], doc: full}
rules:
  - id: bin_full
    title: "Bin {asset.id}"
    mode: shadow
    let: {level: fill}
    when: level >= high
    for: 0
    cover: {min_samples: 2, max_gap: 26h}
    clear: {when: fill < 70%, for: 10min}
    no_data: {hold: 48h}
    identity: [asset.id]
    file: {service: BIN_FULL, urgent: true, description: "{fill}"}
    tests:
      - name: full
        start: 2026-05-04T06:00-05:00
        every: 6h
        asset: {id: BIN-1, lat: 41.8, lon: -87.6}
        feed: {fill: "85% x3, _ x2"}
        expect:
          - {at: +6h, state: pending, on: BIN-1}
          - {never: [blind, clearing]}
  - use: bin_full
    id: other
    with: {high: 85%, reports: 2}
    file: {service: POTHOLE}
"""


def test_a_rule_with_every_kind_of_key_is_valid():
    """As the loader has it."""
    assert faults(RULE) == []
    assert not [f for f in load({"a.yaml": RULE})[1] if f.is_error]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("apiVersion: sense311/v1", "apiVersion: sense311/v2"),
        ("sensor: bin", "sensor: bim"),
        ("params:", "parms:"),
        ("doc: full}", "dco: full}"),
        ("title:", "titel:"),
        ("mode: shadow", "mode: dark"),
        ("min_samples: 2", "min_sample: 2"),
        ("for: 10min}", "fr: 10min}"),
        ("hold: 48h", "holt: 48h"),
        ("service: BIN_FULL, ", ""),
        ("identity: [asset.id]", "identity: asset.id"),
        ("state: pending", "stat: pending"),
        ("feed:", "fed:"),
        ("use: bin_full", "use: bin_ful"),
        ("high: 85%, reports", "hihg: 85%, reports"),
        ("    id: other\n", "    when: fill > 3%\n"),
    ],
)
def test_slips_are_marked_while_typing(old, new):
    """Unknown keys, unknown choices, what is missing."""
    assert old in RULE
    assert faults(RULE.replace(old, new, 1)) != []


UNKNOWN_KEYS = sorted(path for path in BAD.glob("*.yaml") if " E002" in path.read_text("utf-8"))


@pytest.mark.parametrize("path", UNKNOWN_KEYS, ids=lambda path: path.stem)
def test_the_unknown_keys_of_the_corpus_are_marked_too(path):
    """What the loader refuses as E002 is red in an editor."""
    assert faults(path.read_text("utf-8")) != []


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        ("rule", RULE_KEYS),
        ("use", USE_KEYS),
        ("input", INPUT_KEYS),
        ("template file", TEMPLATE_KEYS),
        ("test", cases.KEYS),
        ("expectation", expectations.KEYS),
    ],
)
def test_every_key_is_explained(what, keys):
    """The table that editors show is the one that the loader reads."""
    assert sorted(KEYS[what]) == sorted(keys)


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("cover", "cover"), ("clear", "clear"), ("no_data", "no_data"), ("place", "place"),
        ("absorbs", "absorbs"), ("file", "file"),
    ],
)  # fmt: skip
def test_the_keys_of_every_section_are_those_of_the_loader(section, what):
    """What it offers for a word that is like none of them is all that it knows."""
    text = (
        "apiVersion: sense311/v1\nsensor: road\nrules:\n  - id: a\n    title: a\n"
        "    scope: place\n    hit: peak > 3 m/s2\n    when: passes > 3\n"
        f"    {section}: {{qqqqqq: 1}}\n"
    )
    _, findings = load({"a.yaml": text})
    helps = [finding.help for finding in findings if "qqqqqq" in finding.message]
    assert near("qqqqqq", KEYS[what]) in helps


def hover_texts(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("description", "markdownDescription") and isinstance(value, str):
                yield value
            yield from hover_texts(value)
    elif isinstance(node, list):
        for item in node:
            yield from hover_texts(item)


def test_hovering_tells_fields_units_functions_and_inputs():
    """All that a condition may be made of, where it is written."""
    texts = "\n".join(hover_texts(SCHEMA))
    for kind in REPORTED_KINDS:
        assert all(f"`{item.name}`" in texts for item in CATALOGUE[kind].values())
    assert all(f"`{symbol}`" in texts for symbol in UNITS if symbol != "1")
    assert all(entry.doc in texts for entry in catalogue())
    inputs = [item for template in TEMPLATES.values() for item in template.inputs.values()]
    assert all(item.doc in texts for item in inputs)


def test_every_key_has_a_text():
    """Nothing that can be written is unexplained."""
    for what in KEYS:
        for name, entry in SCHEMA["definitions"][what]["properties"].items():
            assert entry.get("description"), (what, name)
