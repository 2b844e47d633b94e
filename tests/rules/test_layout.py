"""`rules fmt`: one layout, comments kept, nothing changed in meaning."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.document import Scalar, Sequence, read
from rules.files import load, read_library, shipped_templates
from rules.folding import WIDTH
from rules.layout import layout

MESSY = """\
# About bins.

sensor:   bin
# Which language.
apiVersion: sense311/v1
params:
    high:   {doc: 'full, from here on', default: 80%, range: [50%,  100%]}   # a share
    low:
        default: 70%
rules:
    # Full.
    - title: 'Bin {asset.id} is full'
      id: bin_full   # by name
      when: fill >= high   and
            temperature < 60 degC
      # It must be so in two reports.
      cover: {max_gap: 26h, min_samples: 2}
      clear: {for: 10min, when: fill < low}


      let:
        unused: fill
      doc: "what: a bin"
    - id: bin_fire
      title: "Bin {asset.id}"
      when: temperature >= 60 degC and temperature < 100 degC
        and fill >= 10% and tilt < 45deg and battery > 3 V
      identity:
        - asset.id
# The end.
"""
TIDY = """\
# About bins.

# Which language.
apiVersion: sense311/v1
sensor: bin

params:
  high: {default: 80%, range: [50%, 100%], doc: "full, from here on"}  # a share
  low:
    default: 70%

rules:
  # Full.
  - id: bin_full  # by name
    title: "Bin {asset.id} is full"
    doc: "what: a bin"

    let:
      unused: fill
    when: fill >= high and temperature < 60 degC
    # It must be so in two reports.
    cover: {min_samples: 2, max_gap: 26h}
    clear: {when: fill < low, for: 10min}

  - id: bin_fire
    title: "Bin {asset.id}"
    when: >-
      temperature >= 60 degC
      and temperature < 100 degC
      and fill >= 10%
      and tilt < 45deg
      and battery > 3 V
    identity:
      - asset.id
# The end.
"""


def meaning(node):
    """What a file says, however it is laid out."""
    if isinstance(node, Scalar):
        return " ".join(node.text.split())
    if isinstance(node, Sequence):
        return [meaning(item) for item in node.items]
    return {key: meaning(value) for key, (_, value) in node.entries.items()}


def formatted(text):
    made, findings = layout("a.yaml", text)
    assert made is not None, findings
    return made


def test_a_messy_file_becomes_tidy():
    """Key order, indentation, folding, quotes and comments, seen at once."""
    assert formatted(MESSY) == TIDY


@pytest.mark.parametrize("name", sorted(read_library()))
def test_the_shipped_rules_are_laid_out(name):
    """What we ship is the example others copy."""
    text = read_library()[name]
    assert formatted(text) == text


@pytest.mark.parametrize("name", sorted(shipped_templates()))
def test_the_shipped_templates_are_laid_out(name):
    """Likewise."""
    text = shipped_templates()[name].text
    assert formatted(text) == text


def test_layout_keeps_the_state_of_rules():
    """Same hashes: a gateway that takes up the formatted file keeps its instances."""
    used = MESSY.replace("when: fill < low", "when: unused < low")
    before, after = (load({"a.yaml": text})[0] for text in (used, formatted(used)))
    assert before.version != after.version
    hashes = [{r.id: r.state_hash for r in bundle.rules.values()} for bundle in (before, after)]
    assert hashes[0] == hashes[1]


def test_a_file_that_is_no_yaml_is_refused_with_its_finding():
    """It is left as it is."""
    made, findings = layout("a.yaml", "rules: [\n")
    assert made is None
    assert [finding.code for finding in findings] == ["E001"]


@pytest.mark.parametrize(
    "text",
    [
        "when: fill > 1%  # a\n# b\nfor: 3min\n",
        "a: |\n  one\n   two # no comment\n\n  three\nb: x\n",
        'a: "x # no comment"  # a comment\n',
        "a: 'it''s \"so\"'\n",
        "a: [1, 2, # why\n  3]\nb: {}\nc: []\nd:\n",
        "rules:\n- id: a\n  # inside\n  title: x\n\n\n- {id: b}\n# end\n",
        "a: >\n  folded\n  text\n",
        "# only\na: 1\n\n# last\n\n# of all\n",
        "rules:\n  - # odd\n    id: a\n",
        'a: "tab\\there"\nb: "  blanks  "\nc: "1: 2"\n',
        "? a\n: b\n",
    ],
)
def test_odd_texts_keep_what_they_say(text):
    """Block texts, quotes, comments in odd places."""
    once = formatted(text)
    assert meaning(read("", once)[0]) == meaning(read("", text)[0])
    assert formatted(once) == once
    for comment in ("# a", "# b", "# why", "# inside", "# end", "# last", "# of all", "# odd"):
        assert (comment in text) == (comment in once)


def test_a_comment_keeps_its_place_when_keys_move():
    """It goes with the key that it stands above or beside."""
    text = dedent("""\
        rules:
          - title: x
            # Why it waits.
            for: 3min  # three
            id: a
    """)
    assert formatted(text).splitlines()[-2:] == ["    # Why it waits.", "    for: 3min  # three"]


WORDS = st.sampled_from(
    [
        "fill",
        "and",
        "or",
        ">=",
        "80%",
        "not",
        "x",
        "a: b",
        "#",
        "#x",
        "-",
        "'",
        '"',
        "{",
        "]",
        ",",
        "ü",
    ]
)
TEXTS = st.lists(WORDS, max_size=25).map(" ".join)
KEYS = st.sampled_from(
    ["when", "id", "title", "doc", "let", "clear", "rules", "tests", "file", "description", "z"]
)
TREES = st.recursive(
    TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
COMMENTS = st.sampled_from(["", "", "", "# note", "# it's"])


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@st.composite
def yamls(draw, depth=0):
    """Files with comments anywhere, in block and flow style."""

    def flow(node):
        if isinstance(node, str):
            return quoted(node)
        if isinstance(node, list):
            return "[" + ", ".join(map(flow, node)) + "]"
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in node.items()) + "}"

    def block(node, indent):
        lead = " " * indent
        entries = node.items() if isinstance(node, dict) else ((None, item) for item in node)
        for key, value in entries:
            if comment := draw(COMMENTS):
                yield lead + comment
            yield from [""] * draw(st.integers(0, 2))
            head = lead + (f"{key}:" if key else "-")
            if value and not isinstance(value, str) and draw(st.booleans()):
                yield f"{head}  {draw(COMMENTS)}"
                yield from block(value, indent + draw(st.integers(1, 4)))
            else:
                yield f"{head} {flow(value)}  {draw(COMMENTS)}"

    top = draw(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
    return "\n".join(block(top, 0)) + "\n"


@given(yamls())
def test_formatting_twice_is_formatting_once(text):
    """Whatever the file: stable, the same in meaning, with all its comments."""
    once = formatted(text)
    assert formatted(once) == once
    assert meaning(read("", once)[0]) == meaning(read("", text)[0])
    assert once.count("# note") == text.count("# note")
    assert not any(line != line.rstrip() for line in once.splitlines())


@given(
    st.lists(
        st.sampled_from(["fill >= 80%", "(a or b)", "x in [1, 2]", 'o == "a and b"']),
        min_size=1,
        max_size=9,
    )
)
def test_conditions_are_cut_between_their_clauses_only(clauses):
    """No line is too long for a clause, and none begins within brackets or quotes."""
    text = " and ".join(clauses)
    lines = formatted(f"rules:\n  - when: '{text}'\n").splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    if len(lines) > 2:
        assert all(line.strip().startswith("and ") for line in lines[3:])
