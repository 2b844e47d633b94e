"""What a new bundle would change, and a rule's mode changed in its file."""

from dataclasses import fields, replace

import pytest

from rules.files import load, read_library
from rules.plan import DERIVED, Change, Kind, changes
from rules.promotion import with_mode
from rules.rule import Bundle, Condition, Filing, PlaceShape, Rule, Template

FILE = """\
apiVersion: sense311/v1
sensor: bin
owner: waste
params:
  high: {default: 80%, range: [50%, 95%]}

rules:
  - id: full          # é: not one byte
    title: "Bin {asset.id} is full"
    let: {limit: high}
    when: fill > limit
    for: 10min
    clear: {when: fill < 50%, for: 5min}
    identity: [asset.id]
    file:
      service: BIN_FULL
      description: "It is at {fill:.0f}"

  - {id: hot, title: "Hot", when: temperature > 60 degC, identity: [asset.id]}

  - use: bin_fire
    title: "Bin {asset.id} burns"
"""


def bundle_of(text, **params):
    bundle, findings = load({"ours.yaml": text}, params)
    assert bundle is not None, findings
    return bundle


def edited(before, after, text=FILE):
    assert before in text
    return text.replace(before, after, 1)


@pytest.mark.parametrize(
    ("before", "after", "key", "words", "keeps_state"),
    [
        ("fill > limit", "fill >= limit", "when", ("fill > limit", "fill >= limit"), False),
        ("for: 10min", "for: 90s", "for", ("10min", "90s"), False),
        ("for: 5min", "for: 2h", "clear.for", ("5min", "2h"), False),
        ("fill < 50%", "fill < 40%", "clear.when", ("fill < 50%", "fill < 40%"), False),
        ("default: 80%", "default: 85%", "params.high", ("80%", "85%"), False),
        ("{limit: high}", "{limit: high - 1%}", "when", ("fill > limit",) * 2, False),
        ("BIN_FULL", "BIN_FIRE", "file.service", ("BIN_FULL", "BIN_FIRE"), True),
        ("It is", "Is", "file.description", ("It is at {fill:.0f}", "Is at {fill:.0f}"), True),
        ("owner: waste", "owner: bins", "owner", ("waste", "bins"), True),
        ("    for: 10", "    mode: shadow\n    for: 10", "mode", ("live", "shadow"), True),
        ("    for: 10", "    lateness: 1h\n    for: 10", "lateness", ("5min", "1h"), True),
    ],
)
def test_a_change_names_its_part_in_the_words_of_the_file(before, after, key, words, keeps_state):
    """And says whether timers in progress go on: the meaning of conditions and times decides."""
    found = changes(bundle_of(FILE), bundle_of(edited(before, after)))
    (change,) = [change for change in found if change.rule == "full"]
    assert (key, *words) in change.parts
    assert change.keeps_state is keeps_state
    assert change.only_texts is (key in ("owner", "file.description"))


def test_layout_comments_and_order_are_no_change():
    """Only what a rule means and says counts."""
    text = edited("fill > limit", "( fill   > limit )")
    text = edited("    for: 10min\n", "    # waits\n", text)
    text = edited("{when: fill < 50%, for: 5min}", "{for: 5min, when: fill < 50%}", text)
    text = edited("    identity:", "    for: 600s\n    identity:", text)
    assert changes(bundle_of(FILE), bundle_of(text)) == []


def test_rules_that_come_and_go_are_told():
    """By id: a rule under another name is another rule."""
    renamed = bundle_of(edited("id: full", "id: brimful"))
    told = [(change.rule, change.kind) for change in changes(bundle_of(FILE), renamed)]
    assert told == [("brimful", Kind.ADDED), ("full", Kind.REMOVED)]


def test_a_bundle_against_itself_changes_nothing():
    """The shipped rules, loaded twice."""
    (first, _), (second, _) = load(read_library()), load(read_library())
    assert changes(first, second) == []


OTHER = {
    "Mapping": {"other": "1"},
    "Condition": Condition("other", lambda: lambda *_: None),
    "PlaceShape": PlaceShape(radius_m=1.0),
    "Filing": Filing("OTHER", Template("other", lambda *_: "")),
    "tuple": ("other",),
    "str": "other",
    "int": 12_345,
    "bool": True,
}


@pytest.mark.parametrize(
    "field", [f for f in fields(Rule) if f.name not in DERIVED], ids=lambda f: f.name
)
def test_no_field_of_a_rule_changes_unseen(field):
    """Whatever a rule may say is compared, also what will be added to the language."""
    kind = next(name for name in OTHER if name in str(field.type))
    rule = bundle_of(FILE).rules["hot"]
    other = replace(rule, **{field.name: OTHER[kind]})
    found = changes(Bundle({"hot": rule}, "a"), Bundle({"hot": other}, "b"))
    assert [(change.rule, change.kind) for change in found] == [("hot", Kind.CHANGED)]
    assert found[0].parts


def test_a_state_that_is_reset_is_told_though_no_part_differs():
    """The meaning may change with the language itself."""
    rule = bundle_of(FILE).rules["hot"]
    other = replace(rule, state_hash="another")
    found = changes(Bundle({"hot": rule}, "a"), Bundle({"hot": other}, "b"))
    assert found == [Change("hot", Kind.CHANGED)]


# -- promotion ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        ("full", "not one byte\n", "not one byte\n    mode: shadow\n"),
        ("hot", "{id: hot,", "{id: hot, mode: shadow,"),
        ("bin_fire", "- use: bin_fire\n", "- use: bin_fire\n    mode: shadow\n"),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_mode_is_written_where_it_belongs_and_nothing_else_moves(rule, before, after, ends):
    """In block and flow style, under a template, with either kind of line end."""
    text, wanted = (t.replace("\n", ends) for t in (FILE, edited(before, after)))
    shadowed, findings = with_mode(rule, "shadow", {"ours.yaml": text} | _OTHER)
    assert findings == []
    assert (shadowed.file, shadowed.text) == ("ours.yaml", wanted)
    promoted, _ = with_mode(rule, "live", {"ours.yaml": wanted})
    assert promoted.text == wanted.replace("mode: shadow", "mode: live")


_OTHER = {"a.yaml": "apiVersion: sense311/v1\nsensor: bin\nrules: []\n"}


@pytest.mark.parametrize("word", ["shadow", '"shadow"', "'shadow'"])
def test_only_the_word_is_changed_where_a_mode_stands(word):
    """Its quotes go with it; a comment behind it stays."""
    text = edited("    for: 10", f"    mode: {word}  # until May\n    for: 10")
    edit, _ = with_mode("full", "live", {"ours.yaml": text})
    assert edit.text == text.replace(f"mode: {word}", "mode: live")


def test_a_rule_at_the_end_of_a_file_without_a_line_end_gets_its_mode():
    """The last line is a line."""
    text = edited('    title: "Bin {asset.id} burns"\n', "").rstrip("\n")
    edit, _ = with_mode("bin_fire", "shadow", {"ours.yaml": text})
    assert edit.text == text + "\n    mode: shadow"


@pytest.mark.parametrize(
    ("rule", "text", "line", "code", "word"),
    [
        ("fulll", FILE, 1, "E101", "full"),
        ("full", edited("fill > limit", "fil > limit"), 11, "E101", "fil"),
    ],
)
def test_a_file_that_does_not_check_is_not_edited(rule, text, line, code, word):
    """Nor one without that rule; the findings say what to mend."""
    edit, findings = with_mode(rule, "live", {"ours.yaml": text})
    assert edit is None
    assert [(f.line, f.code) for f in findings if f.code.startswith("E")] == [(line, code)]
    assert word in str(findings[0])


def test_the_mode_of_a_rule_is_no_part_of_its_state():
    """So that timers go on when it is promoted."""
    shadowed, _ = with_mode("full", "shadow", {"ours.yaml": FILE})
    before, after = bundle_of(FILE).rules["full"], bundle_of(shadowed.text).rules["full"]
    assert (before.mode, after.mode) == ("live", "shadow")
    assert before.state_hash == after.state_hash


def test_a_mode_that_is_not_known_is_refused_where_it_stands():
    """With the nearest one."""
    _, findings = load({"ours.yaml": edited("    for: 10", "    mode: shadwo\n    for: 10")})
    (finding,) = [finding for finding in findings if finding.code.startswith("E")]
    assert (finding.line, finding.column, finding.code) == (12, 11, "E005")
    assert "shadow" in finding.help
