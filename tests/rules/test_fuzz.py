"""Whatever stands in a rule file: findings, never a crash, never a long wait.

`make fuzz` runs the same for longer, guided by coverage.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_harm import (
    BYTES_MAX,
    SECONDS_MAX,
    bytes_of,
    checked,
    run_tests,
    seconds_of,
    sound_findings,
)
from rule_noise import HEAD, WHOLE, broken_files, expressions, odd_tests

from rules.document import FINDINGS_MAX, TEXT_MAX

pytestmark = pytest.mark.slow

MUCH = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rule(i, when="fill > 80%", extra=""):
    return f"  - id: r{i}\n    title: t {{asset.id}}\n    when: {when}\n{extra}"


def each(count, *args):
    return HEAD + "".join(rule(i, *args) for i in range(count))


def case(i):
    return (
        f"      - {{name: n{i}, start: 2026-01-15T20:00-06:00, every: 5min,"
        f' asset: {{id: B, lat: 1, lon: 1}}, feed: {{fill: "0% x3, 90% x{i}"}},'
        " expect: [{at: end, state: firing}]}\n"
    )


@given(broken_files())
@MUCH
def test_a_broken_file_gives_findings_that_stand_in_it(text):
    """Whatever was cut out or put in."""
    sound_findings(text, checked(text))


@given(expressions)
@MUCH
def test_a_broken_condition_gives_findings_that_stand_in_it(text):
    """Noise of the language's own words, and of others."""
    file = HEAD + rule(0, '"' + text.replace("\\", "").replace('"', "") + '"')
    sound_findings(file, checked(file))


@given(st.text(max_size=400))
@MUCH
def test_any_text_at_all_gives_findings(text):
    """Also what is no YAML, and what is no text."""
    sound_findings(text, checked(text))


@given(odd_tests())
@MUCH
def test_odd_tests_give_findings_or_run_to_their_end(text):
    """Whatever sizes, times and values they ask for."""
    sound_findings(text, checked(text))
    run_tests(text)


K = TEXT_MAX
SLOW = {
    "nothing but brackets": "[" * K,
    "maps in maps": "{a: " * (K // 4),
    "a wide list": "a: [" + "[]," * (K // 3 - 10) + "]",
    "a staircase": "\n".join(" " * i + "a:" for i in range(700)),
    "a long text": HEAD + "  - " + "x" * (K - 200),
    "a long key": "x" * (K - 10) + ": 1",
    "a long condition": HEAD + rule(0, "x" * (K - 200)),
    "a condition over many lines": HEAD + rule(0, ">-\n" + "      fill\n" * 20_000),
    "many keys": "\n".join(f"k{i}: 1" for i in range(24_000)),
    "one key again and again": "k: 1\n" * 40_000,
    "many anchors": "\n".join(f"k{i}: &a{i} 1" for i in range(15_000)),
    "laughs": "a: &a [x]\n" + "\n".join(f"b{i}: &b{i} [*a, *a]" for i in range(9000)),
    "long unknown keys": HEAD
    + rule(0, extra="".join(f"    k{i}{'x' * 100}: 1\n" for i in range(2400))),
    "rules that are none": HEAD + "  - a\n" * 40_000,
    "rules without anything": HEAD + "".join(f"  - id: r{i}\n" for i in range(2900)),
    "too many rules": each(900),
    "unknown names": each(800, "fil > 80% and tmp > 3"),
    "long unknown names": each(90, "f" * 80 + " > 80%"),
    "long sound conditions": each(
        400, " and ".join(["fill>80%", "tilt<9 deg", "weight>3 kg"] * 11)
    ),
    "cases within cases": each(
        200, "fill>80% and " + " and ".join(["(lid_open or tilt>9 deg)"] * 15)
    ),
    "parentheses": each(90, "(" * 31 + "lid_open" + ")" * 31),
    "not not not": each(90, "not " * 100 + "lid_open"),
    "lets of lets": each(
        9, "a0", "    let:\n" + "".join(f"      a{j}: a{j + 1} and a{j + 1}\n" for j in range(31))
    ),
    "holes": each(90).replace("t {asset.id}", '"' + "{fil}" * 190 + '"'),
    "big numbers": each(90, "fill > " + "9" * 400),
    "bigger numbers": each(90, "fill > 1e999999999"),
    "rules that ask for each other": HEAD
    + "".join(rule(i, " and ".join(f"r{(i + j) % 90}.ok" for j in range(1, 9))) for i in range(90)),
    "one service": each(90, "fill > 80%", "    file: {service: A, description: x}\n"),
    "many tests": WHOLE + "".join(case(i) for i in range(1000)),
    "endless feeds": WHOLE.replace("90% x8", "90% x999999999"),
    "comments": "#" * K,
    "lines": "\n" * K,
    "quotes": '"' * K,
    "dashes": "- " * (K // 2),
    "question marks": "? " * (K // 2),
    "not text": "\ud800" * K,
    "a tenth of too much more": "x" * (K + 1),
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW.keys())
def test_nothing_takes_long_or_much_to_refuse(text):
    """A tenth of a second and 50 MB; the best of three, since other work may be in the way."""
    text = text[: K + 1]
    checked(WHOLE)  # the grammar is read once
    assert seconds_of(text) < SECONDS_MAX
    assert bytes_of(text) < BYTES_MAX
    findings = checked(text)
    assert len(findings) <= FINDINGS_MAX or not any(f.is_error for f in findings)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &a [x, x]\nb: [*a, *a]\n", 1),
        ("a: 1\nb: *a\n", 2),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2),
        ("a: 1\nb: 2\na: 3\n", 3),
        ("a: 1\n<<: {b: 1}\n<<: {c: 1}\n", 3),
        ("a: 1\n--- \nb: 1\n", 2),
    ],
)
def test_what_yaml_allows_and_rule_files_do_not_is_refused_with_its_line(text, line):
    """Anchors, aliases, tags, a key twice, a second document."""
    findings = checked(text)
    assert (findings[0].code, findings[0].line) == ("E001", line)
