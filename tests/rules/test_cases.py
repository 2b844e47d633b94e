"""The `tests:` of a rule: what they say, what they leave out, what is refused and where."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.case import Mark
from rules.files import load

RULE = """\
apiVersion: sense311/v1
sensor: streetlight
rules:
  - id: dark
    title: "{asset.id} is dark"
    when: active_power < 5 W
    for: 10min
    identity: [asset.id]
    tests:
"""
FIRST = """\
      - name: first
        start: 2026-01-15T20:00-06:00
        asset: {id: SL-1, nominal_power: 60W, circuit: C1}
        every: 5min
        feed: {active_power: "58W x2, 0W x3, _ x1"}
        expect: [{at: end, state: firing}]
"""


def cases_of(tests):
    bundle, findings = load({"a.yaml": RULE + FIRST + tests})
    assert bundle is not None, [str(finding) for finding in findings]
    return bundle.rules["dark"].cases


def finding_of(tests):
    bundle, findings = load({"a.yaml": RULE + tests})
    assert bundle is None
    return findings[0]


def test_a_series_is_as_long_as_it_says():
    """`58W x2` is two samples, not three."""
    (case,) = cases_of("")
    (feed,) = case.feeds
    assert feed.series == {"active_power_w": (58.0, 58.0, 0.0, 0.0, 0.0, Mark.MISSING)}
    assert case.count == 6
    assert case.end_ms - case.start_ms == 30 * 60_000


def test_a_missing_sample_is_not_sent():
    """Five samples of six; each at its own step."""
    (case,) = cases_of("")
    offsets = [(s.ts_ms - case.start_ms) // 60_000 for s in case.samples()]
    assert offsets == [0, 5, 10, 15, 20]


def test_what_a_test_leaves_out_is_that_of_the_first():
    """Start, step, asset, and the first value of each feed, held."""
    first, second = cases_of(
        """\
      - name: second
        feed: {dim_level: "100% x4"}
        expect: [{never: firing}]
"""
    )
    assert (second.start_ms, second.every_ms) == (first.start_ms, first.every_ms)
    assert second.stands == first.stands
    assert [s.values for s in second.samples()] == [
        {"dim_level_pct": 100.0, "active_power_w": 58.0}
    ] * 4


def test_a_refused_sample_is_not_taken_and_a_stale_one_is_a_day_old():
    """`reject` never arrives at the rules; `stale` says when it was measured."""
    (_, case) = cases_of(
        """\
      - name: bad quality
        feed: {active_power: "0W, reject, stale"}
        expect: [{never: firing}]
"""
    )
    fresh, stale = case.samples()
    assert fresh.ts_ms == case.start_ms
    assert stale.arrives_ms - stale.ts_ms == 25 * 3_600_000


def test_a_fleet_is_fed_in_parts():
    """The rest goes on as in the first test."""
    (_, case) = cases_of(
        """\
      - name: some
        assets: {count: 3}
        feed:
          - {assets: 1..2, active_power: "0W x2"}
        expect: [{at: end, on: SL-1-3, state: ok}]
"""
    )
    dark = {sample.device for sample in case.samples() if sample.values["active_power_w"] == 0}
    assert dark == {"SL-1-1", "SL-1-2"}
    assert len(case.stands) == 3


@pytest.mark.parametrize(
    ("old", "new", "code", "column"),
    [
        ("58W x2", "58lx x2", "E104", 31),
        ("58W x2", "58 x2", "E104", 31),
        ("58W x2", "9999W x2", "E005", 31),
        ("58W x2", "58W x0", "E005", 31),
        ("58W x2", "58W x99999", "E005", 31),
        ("active_power:", "active_powr:", "E101", 16),
        ("at: end", "at: soon", "E005", 23),
        ("state: firing", "state: burning", "E005", 35),
        ("state: firing", "filed: -1", "E005", 35),
        ("state: firing", "stat: firing", "E002", 28),
        ("5min", "5 W", "E005", 16),
        ("2026-01-15T20:00-06:00", "2026-01-15T20:00", "E005", 16),
        ("nominal_power: 60W", "nominal_power: 60V", "E104", 42),
        ("id: SL-1", "id: SL 1", "E005", 21),
        ("at: end", "on: SL-9, at: end", "E101", 23),
        ("state: firing", "never: firing", "E005", 28),
    ],
)
def test_what_is_wrong_with_a_test_is_told_where_it_stands(old, new, code, column):
    """Line and column of the word itself; the bundle is not loaded."""
    assert old in FIRST
    text = FIRST.replace(old, new, 1)
    finding = finding_of(text)
    changed = next(i for i, line in enumerate(text.splitlines()) if new in line)
    place = (finding.code, finding.line, finding.column)
    assert place == (code, RULE.count("\n") + changed + 1, column), str(finding)


def test_two_tests_of_one_name_are_refused():
    """A report has to say which one failed."""
    assert finding_of(FIRST + FIRST).code == "E004"


def test_tests_change_neither_the_state_nor_the_meaning_of_a_rule():
    """A running rule is not reset because somebody added a test."""
    bare = load({"a.yaml": RULE.replace("    tests:\n", "")})[0]
    assert bare is not None
    tested = load({"a.yaml": RULE + FIRST})[0]
    assert tested is not None
    assert bare.rules["dark"].state_hash == tested.rules["dark"].state_hash


@given(st.text(max_size=40))
def test_no_text_of_a_feed_breaks_the_reader(text):
    """It is a series, or a finding with its place."""
    quoted = "'" + "".join(c for c in text if c.isprintable()).replace("'", "''") + "'"
    source = RULE + FIRST.replace('"58W x2, 0W x3, _ x1"', quoted)
    bundle, findings = load({"a.yaml": source})
    assert bundle is not None or (findings and all(f.line > 0 for f in findings))


def test_the_first_test_of_a_file_lends_what_the_others_leave_out():
    """Rules of one file are about the same things."""
    text = (
        RULE
        + FIRST
        + dedent("""\
      - id: bright
        title: "{asset.id} is bright"
        when: active_power > 5 W
        clear: {when: active_power < 4 W}
        identity: [asset.id]
        tests:
          - {name: lit, feed: {active_power: 9 W}, expect: [{at: end, state: firing}]}
    """)
        .replace("\n", "\n  ")
        .join(["  ", ""])
        .rstrip(" ")
    )
    bundle, findings = load({"a.yaml": text})
    assert bundle is not None, [str(finding) for finding in findings]
    (case,) = bundle.rules["bright"].cases
    assert case.stands[0].id == "SL-1"


def test_a_device_may_claim_faults_in_its_samples():
    """By name, several at once; none takes them back, `_` leaves the others to be sent."""
    (_, case) = cases_of(
        """\
      - name: claims
        feed: {faults: "none, lamp_failure x2, lamp_failure + gear_failure, _, reject"}
        expect: [{never: firing}]
"""
    )
    told = [(sample.faults, dict(sample.values)) for sample in case.samples()]
    held = {"active_power_w": 58.0}
    assert told == [
        ((), held),
        (("lamp_failure",), held),
        (("lamp_failure",), held),
        (("lamp_failure", "gear_failure"), held),
    ]


def test_claims_go_with_what_else_is_sent():
    """A single claim is held, as any value; it makes no sample of its own."""
    (_, case) = cases_of(
        """\
      - name: claims
        feed: {active_power: "0W, _, 0W", faults: lamp_failure}
        expect: [{never: firing}]
"""
    )
    told = [(sample.faults, sample.values["active_power_w"]) for sample in case.samples()]
    assert told == [(("lamp_failure",), 0.0)] * 2


@pytest.mark.parametrize(
    "faults", ["Lamp_failure x2", "lamp failure", "5 W", "none + a", "a + ", "a..b x3", "a" * 65]
)
def test_what_cannot_be_a_claim_is_refused_at_its_place(faults):
    """The gateway refuses such a message, too."""
    found = finding_of(FIRST.replace('active_power: "58W x2, 0W x3, _ x1"', f'faults: "{faults}"'))
    assert (found.code, found.line, found.column) == ("E005", 14, 25)
    assert "lamp_failure" in found.help
