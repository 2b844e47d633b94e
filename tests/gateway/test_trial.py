"""Tests of rules run through the core: what they see, what they say when they fail."""

from textwrap import indent

import pytest

from gateway.workbench.coverage import undecided
from gateway.workbench.mutants import trial_by_mutants
from gateway.workbench.trial import relatives, run
from rules.files import load

FILE = """\
apiVersion: sense311/v1
sensor: streetlight
rules:
  - id: lamp_out
    title: "Street light {asset.id} dark at night"
    when: is_night(margin=20min) and active_power < 20% * nominal_power
    for: 15min
    cover: {min_samples: 2, max_gap: 45min}
    clear: {when: active_power > 50% * nominal_power, for: 10min}
    no_data: {hold: 2h}
    identity: [asset.id]
    absorbed_by: [feeder_outage]
    file: {service: STREETLIGHT_OUT, description: "Draws {active_power:.0f W}"}
    tests:
      - name: files once, after 15 dark minutes, clears after repair
        start: 2026-01-15T20:00-06:00
        asset: {id: SL-42, nominal_power: 60W, circuit: C12, lat: 41.88, lon: -87.63}
        every: 5min
        feed: {active_power: "58W x3, 0W x8, 58W x4"}
        expect:
          - {at: +25min, state: pending, filed: 0}
          - {at: +29min, state: pending}
          - {at: +30min, state: firing}
          - {at: +34min, filed: 0}
          - {at: +40min, state: firing, filed: 1, service: STREETLIGHT_OUT, says: Draws 0 W}
          - {at: +60min, state: clearing, incident: open}
          - {at: end, state: ok, filed: 1, incident: sensor_clear}
      - name: silence is not recovery
        feed: {active_power: "0W x8, _ x30"}
        expect: [{at: end, state: blind, filed: 1}]
      - name: daylight is quiet
        start: 2026-01-15T12:00-06:00
        feed: {active_power: "0W x12"}
        expect: [{never: pending}]
@more
  - id: feeder_outage
    title: "Circuit {circuit.id} is dark"
    scope: circuit
    when: peers.count() >= 3 and peers.fraction(lamp_out.pending or lamp_out.firing) >= 60%
    for: 3min
    identity: [circuit.id]
    absorbs: {rules: [lamp_out], hold: 5min}
    file: {service: STREETLIGHT_CIRCUIT, description: "{absorbed.count} lights dark"}
    tests:
      - name: 40 lamps, one request
        assets: {count: 40, circuit: C12}
        feed: {active_power: "58W x3, 0W x8"}
        expect:
          - {at: end, filed: 1, service: STREETLIGHT_CIRCUIT, absorbed: 40, says: 40 lights}
          - {at: end, rule: lamp_out, filed: 0, incident: absorbed}
"""


def bundle_of(more=""):
    bundle, findings = load({"a.yaml": FILE.replace("@more", indent(more, "      "))})
    assert bundle is not None, [str(finding) for finding in findings]
    return bundle


def outcomes(bundle):
    return {
        case.name: run(case, relatives(rule.id, bundle))
        for rule in bundle.rules.values()
        for case in rule.cases
    }


def failure_of(expectation):
    more = f'- name: wrong\n  feed: {{active_power: "58W x3, 0W x8"}}\n  expect: [{expectation}]'
    (failure,) = outcomes(bundle_of(more))["wrong"].failures
    return failure.expected, failure.got


def test_the_timeline_of_the_example_holds():
    """Dark from +15, firing at +30, filed when storm hold and lateness are over, clear at +65."""
    told = outcomes(bundle_of())
    assert {name: outcome.failures for name, outcome in told.items()} == dict.fromkeys(told, ())


@pytest.mark.parametrize(
    ("expectation", "said"),
    [
        ("{at: end, state: ok}", ("state: ok", "firing")),
        ("{at: end, filed: 2}", ("filed: 2", "1")),
        ("{at: +20min, service: POTHOLE}", ("service: POTHOLE", "no request")),
        ("{at: end, service: POTHOLE}", ("service: POTHOLE", "STREETLIGHT_OUT")),
        ("{at: end, incident: sensor_clear}", ("incident: sensor_clear", "queued")),
        ("{at: end, incident: none}", ("incident: none", "queued")),
        ("{at: end, absorbed: 1}", ("absorbed: 1", "0")),
        ("{at: end, says: Draws 9 W}", ("says: Draws 9 W", "Draws 0 W. Confirmed over 15 min.")),
        ("{never: firing}", ("never: firing", "SL-42 was, +30min")),
        ("{never: filed}", ("never: filed", "STREETLIGHT_OUT was")),
    ],
)
def test_what_does_not_hold_is_told_with_what_holds(expectation, said):
    """Each kind of expectation can fail."""
    assert failure_of(expectation) == said


def test_a_failure_shows_what_happened():
    """The transitions, in minutes since the start."""
    wrong = '- {name: wrong, feed: {active_power: "0W x8"}, expect: [{at: end, state: ok}]}'
    outcome = outcomes(bundle_of(wrong))["wrong"]
    assert any("+15min  lamp_out  SL-42  pending -> firing" in line for line in outcome.timeline)


def test_a_late_sample_comes_after_the_ones_it_belongs_before():
    """Within the lateness it is put in its place; the story is that of the right order."""
    more = """\
- name: late
  every: 4min
  feed: {active_power: "0W x3, 58W, 0W x2", late: "0s x3, 4min, 0s x2"}
  expect:
    - {at: +15min, state: firing}
    - {at: end, state: pending, filed: 0, incident: withdrawn}
"""
    assert outcomes(bundle_of(more))["late"].passed


def test_unrelated_rules_are_left_out():
    """A test of one rule is not slowed by the others of a bundle."""
    bundle, _ = load(
        {"a.yaml": FILE.replace("@more", ""), "b.yaml": FILE.partition("rules:")[0] + OTHER}
    )
    assert bundle is not None
    assert set(relatives("lamp_out", bundle).rules) == {"lamp_out", "feeder_outage"}
    assert set(relatives("hot", bundle).rules) == {"hot"}


OTHER = """\
rules:
  - id: hot
    title: "{asset.id} is hot"
    when: temperature > 65 degC
    identity: [asset.id]
"""


def test_coverage_names_what_no_test_put_to_the_question():
    """`peers.count() >= 3` was never false."""
    bundle = bundle_of()
    cases = [case for rule in bundle.rules.values() for case in rule.cases]
    open_ = {(u.rule, u.clause, u.missing) for u in undecided(bundle, cases)}
    assert ("feeder_outage", "when: peers.count() >= 3", "never false") in open_
    assert not any("active_power" in clause for _, clause, _ in open_)


def test_mutants_that_change_what_the_tests_ask_are_killed():
    """Swapped signs and timers are noticed; a threshold that no sample comes near is not."""
    bundle = bundle_of()
    cases = list(bundle.rules["lamp_out"].cases)
    killed, survivors = trial_by_mutants(bundle, cases)
    left = [survivor.what for survivor in survivors]
    assert killed > 0
    assert "for as 0" not in left
    assert "clear.for as 0" not in left
    assert "never blind" not in left
    assert any(what.startswith("when: 20% as") or "0.2 as" in what for what in left), left


CLAIMED = """\
apiVersion: sense311/v1
sensor: streetlight
rules:
  - id: claimed
    title: "{asset.id} says that its lamp failed"
    when: claims(lamp_failure)
    clear: {when: not claims(lamp_failure), for: 10min}
    no_data: {hold: 4h}
    identity: [asset.id]
    file: {service: STREETLIGHT_OUT, description: "The lamp says so."}
    tests:
      - name: a claim fires, and ends when it is taken back
        every: 5min
        asset: {id: SL-1}
        feed: {faults: "none x2, gear_failure + lamp_failure x4, gear_failure x4"}
        expect:
          - {at: +5min, state: ok}
          - {at: +10min, state: firing}
          - {at: +30min, state: clearing, filed: 1}
          - {at: end, state: ok, incident: sensor_clear}
      - name: other claims are no matter
        feed: {faults: "gear_failure x5"}
        expect: [{never: pending}, {never: firing}]
"""


def test_rules_hear_the_claims_of_a_test():
    """As the contract's `faults` of a message."""
    bundle, findings = load({"a.yaml": CLAIMED})
    assert bundle is not None, findings
    told = outcomes(bundle)
    assert [list(outcome.failures) for outcome in told.values()] == [[], []]


def test_a_claim_that_is_not_fed_fires_nothing():
    """The tests see what the condition asks for."""
    other, _ = load({"a.yaml": CLAIMED.replace("claims(lamp_failure)", "claims(low_power)")})
    assert other is not None
    assert any(outcome.failures for outcome in outcomes(other).values())
