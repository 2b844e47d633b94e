"""What the core hands to conditions beside the values: claims, clocks, texts of the asset."""

from dataclasses import replace

from small_city import NIGHT_MS, Gate, at, body, city_of, sent

from rules.files import load

RULES = """
apiVersion: sense311/v1
sensor: streetlight
rules:
  - id: claimed
    title: "{asset.id} says that its lamp failed"
    when: claims(lamp_failure)
    clear: {when: not claims(lamp_failure), for: 10min}
    identity: [asset.id]
  - id: thursday
    title: "{asset.id} burns on a Thursday evening"
    when: active_power > 5 W and weekday() == thu and local_hour() >= 20 h
    identity: [asset.id]
  - id: on_c12
    title: "{asset.id} burns on a circuit that it should not"
    when: active_power > 5 W and asset.circuit matches "C1*"
    identity: [asset.id]
"""


def gate_of(city):
    bundle, findings = load({"language.yaml": RULES})
    assert bundle is not None, findings
    return Gate(city, bundle=bundle)


def report(gate, minute, power_w, seq, **more):
    message = body(at(minute), {"active_power_w": power_w}, seq, **more)
    gate.live(minute, sent("d0", message))


def test_a_claim_fires_and_ends_with_the_reports_that_name_it():
    """`faults` of the message is what the device claims; a report without it takes it back."""
    gate = gate_of(city_of())
    report(gate, 0, 1, 1)
    assert gate.phase("claimed", "SL-0") == "ok"
    report(gate, 5, 1, 2, faults=["gear_failure", "lamp_failure"])
    assert gate.phase("claimed", "SL-0") == "firing"
    report(gate, 10, 1, 3, faults=["gear_failure"])
    report(gate, 21, 1, 4)
    assert gate.phase("claimed", "SL-0") == "ok"


def test_rules_go_by_the_clocks_of_the_city():
    """20:00 in Chicago on a Thursday; without a zone nothing is judged."""
    assert NIGHT_MS % 3_600_000 == 0
    for zone, phase in (("America/Chicago", "firing"), ("Europe/Berlin", "ok"), ("", "ok")):
        gate = gate_of(replace(city_of(), time_zone=zone))
        report(gate, 1, 50, 1)
        assert gate.phase("thursday", "SL-0") == phase


def test_rules_go_by_the_words_of_the_asset():
    """The lamp is on circuit C12."""
    gate = gate_of(city_of())
    report(gate, 1, 50, 1)
    assert gate.phase("on_c12", "SL-0") == "firing"
