"""Rule files: what is refused and where it stands, what a rule is after loading."""

from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.files import load, read_folder, read_library

HEAD = "apiVersion: sense311/v1\nsensor: bin\nowner: waste\n"
PARAMS = "params:\n  high: {default: 80%, range: [50%, 100%], doc: full}\n"
FULL = HEAD + PARAMS + "rules:\n"
RULE = "  - id: bin_full\n    title: Bin {asset.id} is full\n    when: fill >= high\n"


def rule_with(line):
    """A sound rule with one more line."""
    return FULL + RULE + f"    {line}\n"


def only(text, overrides=None):
    """The one rule of a text, which must be sound."""
    bundle, findings = load({"a.yaml": text}, overrides or {})
    assert bundle is not None, findings
    (rule,) = bundle.rules.values()
    return rule


def first_error(text, overrides=None):
    bundle, findings = load({"a.yaml": text}, overrides or {})
    assert bundle is None
    return next(finding for finding in findings if finding.code.startswith("E"))


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "E001", 1, 1),
        ("- a\n", "E001", 1, 1),
        ("a: [1\n", "E001", 1, 4),
        ("a: \x07\n", "E001", 1, 4),
        ("a: 1\n---\nb: 2\n", "E001", 2, 1),
        ("[" * 500, "E001", 1, 13),
        (HEAD + "rules: &a []\n", "E001", 4, 8),
        (HEAD + "owner: me\nrules: []\n", "E001", 4, 1),
        (HEAD + "rules: []\nparams: {a: *b}\n", "E001", 5, 13),
        (HEAD + "rules: !!python/object:os.system []\n", "E001", 4, 8),
        (HEAD + "rule: []\n", "E002", 4, 1),
        ("apiVersion: sense311/v2\nsensor: bin\nrules: []\n", "E005", 1, 13),
        ("apiVersion: sense311/v1\nsensor: bim\nrules: []\n", "E005", 2, 9),
        ("sensor: bin\nrules: []\n", "E003", 1, 1),
        (HEAD + "rules: {a: 1}\n", "E005", 4, 8),
        (HEAD + "rules: [lamp]\n", "E005", 4, 9),
        (HEAD + "rules:\n  - title: x\n", "E003", 5, 5),
        (HEAD + "rules:\n  - id: Bin-Full\n", "E005", 5, 9),
        (FULL + "  - id: asset\n", "E005", 7, 9),
        (FULL + RULE + RULE, "E004", 10, 9),
        (FULL + "  - id: x\n    when: fill >= high\n", "E003", 7, 5),
        (FULL + "  - id: x\n    title: t\n", "E003", 7, 5),
        (rule_with("whn: fill > 5%"), "E002", 10, 5),
        (rule_with("scope: street"), "E005", 10, 12),
        (rule_with("scope: circuit"), "E005", 7, 9),
        (rule_with("hit: fill > 5%"), "E002", 10, 5),
        (rule_with("for: 15"), "E005", 10, 10),
        (rule_with("for: -15min"), "E005", 10, 10),
        (rule_with("for: 15mins"), "E105", 10, 10),
        (rule_with("for: 20%"), "E005", 10, 10),
        (rule_with("for: fill"), "E101", 10, 10),
        (rule_with("for: 400d"), "E005", 10, 10),
        (rule_with("for: [15min]"), "E005", 10, 10),
        (rule_with("cover: {min_samples: 1.5}"), "E005", 10, 26),
        (rule_with("cover: {min_samples: 0}"), "E005", 10, 26),
        (rule_with("cover: {samples: 2}"), "E002", 10, 13),
        (rule_with("cover: 2"), "E005", 10, 12),
        (rule_with("clear: {when: fill < 5 W}"), "E104", 10, 19),
        (rule_with("no_data: {hold: 0}"), "E005", 10, 21),
        (rule_with("no_data: {hold: 2h, then: blind}"), "E002", 10, 25),
        (rule_with("monotone: 5"), "E005", 10, 15),
        (rule_with("identity: [asset.id, fill]"), "E210", 10, 26),
        (rule_with("identity: [circuit.id]"), "E210", 10, 16),
        (rule_with("identity: []"), "E210", 10, 5),
        (rule_with("absorbed_by: [feeder]"), "E101", 10, 19),
        (rule_with("absorbed_by: feeder"), "E005", 10, 18),
        (rule_with("let: {fill: 5%}"), "E004", 10, 11),
        (rule_with("let: [a]"), "E005", 10, 10),
        (rule_with("unless: x > 5%\n    let: {x: fill + }"), "E100", 11, 20),
        (rule_with("file: {service: BIN_FULL}"), "E003", 10, 11),
        (rule_with("file: {service: Bin, description: a}"), "E005", 10, 21),
        (rule_with('file: {service: B, description: "a {fil}"}'), "E101", 10, 41),
        (rule_with('file: {service: B, description: "a {fill:.0f W}"}'), "E104", 10, 41),
        (rule_with('file: {service: B, description: "a {fill"}'), "E100", 10, 40),
        (rule_with('file: {service: B, description: "{fill.__class__}"}'), "E101", 10, 39),
        (rule_with('file: {service: B, description: "{silent}"}'), "E103", 10, 39),
        (HEAD + "params: [a]\nrules: []\n", "E005", 4, 1),
        (HEAD + "params: {a: 5%}\nrules: []\n", "E005", 4, 13),
        (HEAD + "params: {fill: {default: 5%}}\nrules: []\n", "E004", 4, 10),
        (HEAD + "params: {a: {default: 5%, range: [1%, 2%]}}\nrules: []\n", "E005", 4, 23),
        (HEAD + "params: {a: {default: 5%, range: [1 W, 2 W]}}\nrules: []\n", "E005", 4, 35),
        (HEAD + "params: {a: {default: 5%, range: [1%]}}\nrules: []\n", "E005", 4, 34),
    ],
)
def test_what_is_wrong_is_found_at_its_line_and_column(text, code, line, column):
    """Every kind of fault of a file has a code and a place."""
    _, findings = load({"a.yaml": text})
    found = [(f.code, f.line, f.column) for f in findings]
    assert (code, line, column) in found


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("when: fill >= high and fil > 5%", 9, 28),
        ("when: 'fill >= high and fil > 5%'", 9, 29),
        ('when: "fill >= high and fil > 5%"', 9, 29),
        ('when: "fill >= high\\x20and fil > 5%"', 9, 32),
        ("when: >-\n      fill >= high and\n      fil > 5%", 11, 7),
        ("when: |\n      fill >= high\n        and fil > 5%", 11, 13),
        ("when: fill >= high\n      and fil > 5%", 10, 11),
    ],
)
def test_a_fault_inside_an_expression_is_shown_where_it_stands(written, line, column):
    """However the text is quoted or folded."""
    text = FULL + "  - id: bin_full\n    title: t\n    " + written + "\n"
    finding = first_error(text)
    assert (finding.code, finding.line, finding.column) == ("E101", line, column)


def test_all_faults_of_all_files_are_told_at_once_and_each_once():
    """Two files, three faults, in order; a broken param is not called unknown as well."""
    bad_param = "params:\n  high: {default: 80%, range: [90%, 100%]}\n"
    first = HEAD + bad_param + "rules:\n" + RULE + "    unless: fil > 5%\n    for: 5\n"
    _, findings = load({"b.yaml": "a: b: c", "a.yaml": first})
    assert [(f.file, f.code, f.line) for f in findings] == [
        ("a.yaml", "E005", 5),
        ("a.yaml", "E101", 10),
        ("a.yaml", "E005", 11),
        ("b.yaml", "E001", 1),
    ]


def test_one_fault_anywhere_and_there_is_no_bundle():
    """A rule is never silently missing."""
    good, _ = load({"a.yaml": FULL + RULE})
    bad, _ = load({"a.yaml": FULL + RULE, "b.yaml": "sensor: x"})
    assert good is not None
    assert bad is None


def test_a_loaded_rule_holds_what_was_written():
    """Durations in milliseconds, params folded, names of the file carried over."""
    text = (
        FULL
        + RULE.replace("fill >= high", "fill >= limit and silent < 3 * 1h")
        + dedent(
            """\
        #
            let: {limit: "coalesce(asset.fill_threshold, high)"}
            unless: since(changed(lid_open)) < 5min
            for: 3 * 5min
            cover: {min_samples: 2, max_gap: 26h}
            clear: {when: fill < limit - 10%, for: 10min}
            no_data: {hold: 2d}
            lateness: 1min
            identity: [asset.id]
            file: {service: BIN_FULL, description: "{fill:.0f %}", urgent: true}
        """
        )
    )
    rule = only(text)
    assert (rule.id, rule.sensor, rule.scope, rule.owner) == ("bin_full", "bin", "asset", "waste")
    assert (rule.for_ms, rule.clear_for_ms) == (900_000, 600_000)
    assert (rule.samples_min, rule.gap_ms_max) == (2, 26 * 3_600_000)
    assert (rule.blind_after_ms, rule.lateness_ms) == (2 * 86_400_000, 60_000)
    assert rule.when.fields == {"fill_pct"}
    assert rule.slots == (None, None)
    assert rule.on_tick
    assert not rule.monotone
    assert rule.params == {"high": "80%"}
    assert rule.source == "a.yaml:7"
    assert rule.file is not None
    assert (rule.file.service, rule.file.urgent) == ("BIN_FULL", True)


def test_each_condition_has_slots_of_its_own():
    """Two conditions that fold the same thing do not disturb each other."""
    rule = only(
        FULL
        + RULE.replace("fill >= high", "prev(fill) >= high")
        + "    clear: {when: prev(fill) < 50%}\n"
    )
    assert rule.slots == (None, None)
    memory = [10, 90]
    assert rule.when.judge({"fill_pct": 1}, {}, None, memory) is False
    assert rule.clear.judge({"fill_pct": 2}, {}, None, memory) is False
    assert memory == [1, 2]


@pytest.mark.parametrize(
    ("lines", "monotone"),
    [
        ("", True),
        ("for: 0", True),
        ("monotone: false", False),
        ("for: 1min", False),
        ("cover: {min_samples: 2}", False),
        ("unless: changed(lid_open)", False),
        ("unless: silent > 5min", False),
        ("clear: {when: prev(fill) < 5%}", True),
    ],
)
def test_monotone_is_what_one_sample_decides_for_good(lines, monotone):
    """Then late samples cannot undo it, and filing does not wait for them."""
    rule = only(rule_with(lines))
    assert rule.monotone is monotone
    assert rule.lateness_ms == (0 if monotone else 300_000)


@pytest.mark.parametrize(
    ("when", "silence_ms_min"),
    [
        ("silent > 45min", 2_700_000),
        ("3 * 15min < silent", 2_700_000),
        ("silent > 1h and fill > 5%", 3_600_000),
        ("silent > 1h or fill > 5%", 0),
        ("not (silent > 1h)", 0),
        ("silent < 1h", 0),
        ("fill > 5%", 0),
    ],
)
def test_the_least_silence_is_read_from_the_condition(when, silence_ms_min):
    """Only where the rule cannot hold without it."""
    assert only(FULL + RULE.replace("fill >= high", when)).silence_ms_min == silence_ms_min


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("title: Bin {asset.id} is full", "title: Full"), True),
        (("fill >= high", "fill   >=   high"), True),
        (("fill >= high", "fill >= 80%"), True),
        (("fill >= high", "fill >= 81%"), False),
        (("fill >= high", "fill > high"), False),
        (("id: bin_full", "id: bin_fuller"), False),
        (("when:", "for: 1min\n    when:"), False),
        (("when:", "clear: {when: fill < 5%}\n    when:"), False),
        (("when:", "file: {service: B, description: d}\n    when:"), True),
    ],
)
def test_the_state_hash_is_that_of_the_meaning(change, same):
    """State survives a reload when and only when it means the same under the new rule."""
    before = only(FULL + RULE).state_hash
    after = only(FULL + RULE.replace(*change)).state_hash
    assert (before == after) is same


def test_overrides_change_params_of_one_rule():
    """Folded into its conditions as if the file said so."""
    text = FULL + RULE + RULE.replace("bin_full", "bin_fuller")
    bundle, _ = load({"a.yaml": text}, {"bin_full.high": "0.95"})
    assert bundle is not None
    values = {"fill_pct": 90}
    judged = {i: rule.when.judge(values, {}, None, []) for i, rule in bundle.rules.items()}
    assert judged == {"bin_full": False, "bin_fuller": True}
    plain, _ = load({"a.yaml": text})
    assert plain.version != bundle.version


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("bin_ful.high", "90%", "bin_ful"),
        ("bin_full.hi", "90%", "'hi'"),
        ("bin_full", "90%", "''"),
        ("bin_full.high", "40%", "range"),
        ("bin_full.high", "90 W", "not in W"),
        ("bin_full.high", "true", "a number"),
        ("bin_full.high", "90 %%", "does not fit"),
        ("bin_full.high", "fill", "fill"),
    ],
)
def test_an_override_that_does_not_fit_is_refused(key, value, word):
    """E006, with the key in the message."""
    finding = first_error(FULL + RULE, {key: value})
    assert finding.code == "E006"
    assert key in finding.message
    assert word in finding.message


def test_an_override_that_changes_nothing_is_refused():
    """The rule does not use the param: whoever set it believes otherwise."""
    text = FULL + RULE + "  - {id: other, title: t, when: fill > 5%}\n"
    finding = first_error(text, {"other.high": "90%"})
    assert (finding.code, "does not use" in finding.message) == ("E006", True)


def test_what_is_not_used_is_a_warning():
    """Params and let names that nothing refers to; the bundle is there all the same."""
    text = FULL + RULE.replace("fill >= high", "fill >= 80%") + "    let: {x: 5%}\n"
    bundle, findings = load({"a.yaml": text})
    assert bundle is not None
    assert [(f.code, f.line) for f in findings] == [("W104", 5), ("W104", 10)]


LAMPS = dedent(
    """\
    apiVersion: sense311/v1
    sensor: streetlight
    rules:
      - id: lamp
        title: t
        when: active_power < 5 W
        absorbed_by: [feeder]
      - id: feeder
        scope: circuit
        title: t
        when: peers.count(lamp.firing) >= 3 and voltage < 50 V
        absorbs: {rules: [lamp], hold: 7min}
    """
)


def test_a_child_waits_as_long_as_its_parent_says():
    """The storm hold is the parent's to set; a circuit reads its cabinet's fields."""
    bundle, findings = load({"a.yaml": LAMPS})
    assert findings == []
    lamp, feeder = bundle.rules["lamp"], bundle.rules["feeder"]
    assert (lamp.hold_ms, lamp.absorbed_by) == (420_000, ("feeder",))
    assert (feeder.hold_ms, feeder.absorbs, feeder.sensor) == (0, ("lamp",), "cabinet")
    assert feeder.on_tick
    assert feeder.when.fields == {"voltage_v"}


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (("    absorbed_by: [feeder]\n", ""), "E007", 11),
        (("rules: [lamp]", "rules: []"), "E007", 7),
        (("rules: [lamp]", "rules: [lamb]"), "E101", 12),
        (("lamp.firing", "feeder.firing"), "E101", 11),
        (("voltage < 50 V", "feeder.firing"), "E101", 11),
    ],
)
def test_rules_that_do_not_fit_each_other_are_refused(change, code, line):
    """Parent and child name each other, and phases are those of rules that exist there."""
    bundle, findings = load({"a.yaml": LAMPS.replace(*change)})
    assert bundle is None
    assert (code, line) in [(finding.code, finding.line) for finding in findings]


def test_circles_of_phases_are_refused():
    """Neither of two rules could be judged first."""
    text = (
        HEAD
        + "rules:\n"
        + "".join(
            f"  - {{id: {a}, title: t, when: fill > 5% and {b}.ok}}\n" for a, b in ("ab", "ba")
        )
    )
    assert first_error(text).code == "E107"


@given(st.text(max_size=200))
def test_any_text_is_a_bundle_or_findings(text):
    """Never a traceback, whatever the file holds."""
    bundle, findings = load({"a.yaml": text})
    assert (bundle is None) == any(f.code.startswith("E") for f in findings)


@given(data=st.data())
@settings(deadline=None)  # a whole file of templates with their tests is read each time
def test_a_damaged_library_is_a_bundle_or_findings(data):
    """Cutting, doubling or replacing a piece of a good file raises nothing."""
    name, text = data.draw(st.sampled_from(sorted(read_library().items())))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    piece = data.draw(st.one_of(st.text(max_size=5), st.just(text[start:end] * 2)))
    bundle, findings = load({name: text[:start] + piece + text[end:]})
    assert (bundle is None) == any(f.code.startswith("E") for f in findings)
    assert all(f.line >= 1 and f.column >= 1 for f in findings)


def test_a_folder_is_read_and_what_is_not_text_is_a_finding(tmp_path):
    """Bytes that are not UTF-8 are refused like any other bad input."""
    (tmp_path / "a.yaml").write_text(FULL + RULE)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "notes.txt").write_text("no rule")
    sources = read_folder(tmp_path)
    assert sorted(sources) == [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    _, findings = load(sources)
    assert {f.code for f in findings} == {"E001"}
