"""Where clauses stand: to the column, in every way in which YAML lets a text be written."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.document import Scalar, read
from rules.files import load
from rules.finding import Mark
from rules.mutation import mutants
from rules.tree import walk
from rules.wording import node_text

HEAD = 'apiVersion: sense311/v1\nsensor: bin\nrules:\n  - id: odd\n    title: "{asset.id}"\n'
TEMPLATE = """\
apiVersion: sense311/v1
template: mine
doc: d
inputs:
  value: {type: field, default: fill, doc: d}
  high: {type: "%", default: 80%, doc: d}
  wait: {type: duration, default: 1h, doc: d}
rule:
  title: "{asset.id}"
  when: >
    value > high
    and not lid_open
  for: wait
  identity: [asset.id]
"""
USE = "apiVersion: sense311/v1\nsensor: bin\nrules:\n  - use: mine\n    id: odd\n"


def rule_of(body, head=HEAD, **others):
    """The rule of a text without its marks, the text, and where ⟦ and ⟧ were in it."""
    text = head + body
    start = text.index("⟦")
    end = text.index("⟧") - 1
    plain = text.replace("⟦", "").replace("⟧", "")
    bundle, findings = load({"a.yaml": plain, **others})
    assert bundle is not None, findings
    return bundle.rules["odd"], plain, (start, end)


def place(text, index):
    before = text[:index].split("\n")
    return len(before), len(before[-1]) + 1


def clause_at(rule, part, wanted):
    """The origin of the last clause of a condition that reads so."""
    nodes = [node for node in walk(getattr(rule, part).tree) if node_text(node) == wanted]
    return rule.origins.of(part, nodes[-1].span)


@pytest.mark.parametrize(
    ("part", "clause", "body"),
    [
        ("when", "lid_open", "    when: fill > 5% and ⟦lid_open⟧\n"),
        ("when", "5%", "    when: fill > ⟦5%⟧ and lid_open\n"),
        ("when", "fill > 5%", "    when:   ⟦fill   >  5%⟧   and lid_open\n"),
        ("when", "lid_open", "    when: fill > 5%\n      and\n      ⟦lid_open⟧\n"),
        ("when", "lid_open", "    when: >\n      fill > 5%\n      and ⟦lid_open⟧\n"),
        ("when", "lid_open", "    when: >-\n      fill > 5%\n\n      and\n\n      ⟦lid_open⟧\n"),
        ("when", "lid_open", "    when: |\n      fill > 5%\n        and ⟦lid_open⟧\n"),
        ("when", "lid_open", "    when: |2  # so\n        fill > 5% and\n       ⟦lid_open⟧\n"),
        ("when", "lid_open", "    when: 'fill > 5% and ⟦lid_open⟧'\n"),
        ("when", "lid_open", "    when: '''n'' == asset.zone or ⟦lid_open⟧'\n"),
        ("when", "lid_open", '    when: "asset.zone == \\"n\\" or ⟦lid_open⟧"\n'),
        ("when", "lid_open", '    when: "fill > 5%\\n\\nand ⟦lid_open⟧"\n'),
        ("when", "lid_open", '    when: "fill > 5%\\tand\\x20\\u0020⟦lid_open⟧"\n'),
        ("when", "lid_open", '    when: "fill > 5\\\n      % and\n\n      ⟦lid_open⟧"\n'),
        ("when", "lid_open", '    when: "\\u0066ill > 5% and ⟦lid_open⟧"\n'),
        ("when", "not lid_open", '    when: "lid_open or\\n⟦not lid_open⟧"\n'),
        ("when", "true", '    when: "lid_open or\\t⟦true⟧"\n'),
        ("clear", "fill < 4%", "    when: fill > 5%\n    clear: {for: 1h, when: ⟦fill < 4%⟧}\n"),
        ("unless", "lid_open", "    when: fill > 5%\n    unless:\n      ⟦lid_open⟧\n"),
        ("when", "fill > 5%", "    let: {full: fill > 5%}\n    when: lid_open or ⟦full⟧\n"),
        ("when", "5%", "    let: {full: fill > ⟦5%⟧}\n    when: lid_open or full\n"),
        ("when", "lid_open", "    let: {a: b, b: fill > 5% and ⟦lid_open⟧}\n    when: a\n"),
        ("when", "2", "    let: {a: fill > b, b: weight / 5 kg * ⟦2⟧ * 1%}\n    when: a\n"),
        ("when", "fill > 5%", "    let: {a: not ⟦b⟧, b: fill > 5%}\n    when: not a\n"),
    ],
)  # fmt: skip
def test_a_clause_is_found_where_it_is_written(part, clause, body):
    """Line, first and last column; what its own text was is told with it."""
    rule, text, (start, end) = rule_of(body)
    found = clause_at(rule, part, clause)
    assert found.file == "a.yaml"
    assert (found.line, found.column) == place(text, start)
    assert found.end_column == place(text, end)[1]
    assert found.text == " ".join(text[start:end].split())


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("for", "    when: lid_open\n    for: ⟦15min⟧\n"),
        ("clear.for", "    when: lid_open\n    clear: {when: not lid_open, for: '⟦1h⟧'}\n"),
        ("no_data", "    when: lid_open\n    no_data: {hold: ⟦2h⟧}\n"),
        ("min_samples", "    when: lid_open\n    cover: {min_samples: ⟦2⟧}\n"),
        ("clear", "    when: lid_open\n    clear: {when: ⟦not lid_open⟧}\n"),
    ],
)
def test_a_setting_is_found_at_its_value(part, body):
    """With no clause asked for, all of it."""
    rule, text, (start, end) = rule_of(body)
    found = rule.origins.of(part)
    assert ((found.line, found.column), found.text) == (place(text, start), text[start:end])


def test_what_is_not_written_is_found_where_the_rule_begins():
    """Two samples more: there is no `cover` to point at."""
    rule, text, (start, _) = rule_of("    when: lid_open\n", HEAD.replace("odd", "⟦odd⟧"))
    found = rule.origins.of("min_samples")
    assert (found.line, found.column) == place(text, start)


def test_a_text_over_more_lines_is_marked_to_the_end_of_its_first():
    """Not into the blanks of the next."""
    rule, text, (start, end) = rule_of("    when: >\n      ⟦fill > 5%⟧\n      and lid_open\n")
    found = rule.origins.of("when", rule.when.tree.span)
    assert (found.line, found.column) == place(text, start)
    assert found.end_column == place(text, end)[1]
    assert found.text == "fill > 5% and lid_open"


@pytest.mark.parametrize(
    ("clause", "body", "said"),
    [
        ("not lid_open", "", ("not lid_open", 12)),
        ("fill > 80%", "", ("value > high", 11)),
        ("80%", "", ("high", 11)),
        ("90%", "    with: {wait: 2h, high: ⟦90%⟧}\n", ("high", 11)),
        ("weight", "    with: {value: ⟦weight⟧, high: 1kg}\n", ("value", 11)),
    ],
)
def test_a_clause_of_a_template_is_found_at_its_input_or_its_use(clause, body, said):
    """With the words and the line of the template."""
    use = USE if body else USE.replace("mine", "⟦mine⟧")
    unit = "kg" if "kg" in body else "%"
    template = TEMPLATE.replace('"%", default: 80%', f'"{unit}", default: 80{unit}')
    rule, text, (start, _) = rule_of(body, use, **{"mine.yaml": template})
    found = clause_at(rule, "when", clause)
    assert found.file == "a.yaml"
    assert (found.line, found.column) == place(text, start)
    assert (found.template, found.text, found.template_line) == ("mine", *said)
    assert f"(template mine, line {said[1]}: `{said[0]}`)" in found.finding("c", "m", "").message


def test_a_setting_of_a_template_is_found_at_the_input_that_was_given():
    """`for: wait` is the two hours of the user."""
    body = "    with: {wait: ⟦2h⟧}\n"
    rule, text, (start, _) = rule_of(body, USE, **{"mine.yaml": TEMPLATE})
    found = rule.origins.of("for")
    assert (found.line, found.column) == place(text, start)


def test_what_a_term_decided_by_an_input_leaves_is_found():
    """The clause that is left stands where it stood, though the junction around it is gone."""
    template = TEMPLATE.replace("value > high", "(flag or value > high)").replace(
        "rule:", '  flag: {type: bool, default: "false", doc: d}\nrule:'
    )
    rule, text, (start, _) = rule_of("", USE.replace("mine", "⟦mine⟧"), **{"mine.yaml": template})
    found = clause_at(rule, "when", "fill > 80%")
    assert (found.line, found.column) == place(text, start)
    assert (found.text, found.template_line) == ("value > high", 12)


def test_every_mutant_knows_its_place_and_a_test_that_would_kill_it():
    """The characters at the place are those that were changed."""
    body = (
        "    let: {cold: temperature < 5 degC}\n"
        "    when: ⟦fill⟧ > 5% and (lid_open or coalesce(weight, 3 kg) > 2 kg) and not cold\n"
        "    unless: max(fill, 9%) > 50% and count(lid_open) over 2h > 0\n"
        "    clear: {when: fill < 4%, for: 10min}\n"
        "    for: 1h\n"
        "    no_data: {hold: 2h}\n"
        "    cover: {min_samples: 3}\n"
    )
    rule, text, _ = rule_of(body)
    lines = text.split("\n")
    told = list(mutants(rule))
    assert len(told) > 40
    for mutant in told:
        origin = mutant.origin
        there = lines[origin.line - 1][origin.column - 1 : origin.end_column - 1]
        assert there == origin.text, mutant.what
        assert mutant.hint, mutant.what
    places = {mutant.what: str(mutant.origin) for mutant in told}
    assert places["when: 5 degC as 7.5 degC"] == "a.yaml:6:31"
    assert places["for as 0"] == "a.yaml:10:10"
    assert places["never blind"] == "a.yaml:11:21"
    assert places["min_samples as 1"] == "a.yaml:12:26"


def test_a_finding_of_an_origin_is_marked_from_end_to_end():
    """Carets below all of the clause."""
    rule, _, _ = rule_of("    when: ⟦fill > 5%⟧ and lid_open\n")
    finding = clause_at(rule, "when", "fill > 5%").finding("mutant", "what", "how")
    assert (str(finding), finding.marks) == (
        "a.yaml:6:11: mutant: what\n    = help: how",
        (Mark(11, 20),),
    )


def test_rules_that_differ_in_their_places_alone_are_equal():
    """A place is no meaning."""
    one, _, _ = rule_of("    when: ⟦lid_open⟧\n")
    other, _, _ = rule_of("    when:     ⟦lid_open⟧\n")
    assert one.state_hash == other.state_hash
    assert str(one.origins.of("when")) != str(other.origins.of("when"))


_LETTERS = "abuxnt01 '\"\\/%<>.#:é\t😀\n"


@given(
    st.text(_LETTERS, min_size=1, max_size=60).filter(lambda text: text.strip() == text),
    st.sampled_from(["'", '"', "|", ">", None]),
    st.sampled_from([20, 1000]),
    st.booleans(),
)
def test_every_character_is_found_however_the_text_is_written(text, style, width, plain_only):
    """At its place in the source is the character itself, or the escape that stands for it."""
    source = yaml.dump(
        {"a": {"b": text}},
        default_style=style,
        width=width,
        allow_unicode=plain_only,
        default_flow_style=False,
    )
    top, findings = read("a.yaml", source.replace("!!str ", ""))
    assert top is not None, findings
    inner = top.get("a")
    scalar = inner.get("b")
    assert isinstance(scalar, Scalar)
    assert scalar.text == text
    lines = source.split("\n")
    last = (0, 0)
    for offset, character in enumerate(text):
        line, column = scalar.at(offset)
        if not character.isspace():
            assert lines[line - 1][column - 1] in (character, "\\"), (source, offset)
            assert (line, column) > last
            last = (line, column)
