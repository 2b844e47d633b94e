"""What the core hands to conditions beside the values: claims, clocks, texts of the asset."""

from dataclasses import replace

from small_city import NIGHT_MS, Gate, at, body, city_of, sent

from rules.files import load

CLAIMED = ["lamp_failure"]
RULES = """
apiVersion: sense311/v1
sensor: streetlight
rules:
  - id: claimed
    title: "{asset.id} says that its lamp failed"
    when: claims(lamp_failure)
    clear: {when: not claims(lamp_failure), for: 10min}
    identity: [asset.id]
  - id: moved
    title: "{asset.id} is not where it should be"
    when: displacement > 50 m
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


def test_what_the_device_claims_stands_in_the_request():
    """As evidence beside the measurement; a lamp that claims nothing gets no such sentence."""
    ends = []
    for faults in (["lamp_failure", "gear_failure"], []):
        gate = Gate(city_of())
        for seq, minute in enumerate((0, 5, 10, 15)):
            dark = body(at(minute), {"active_power_w": 0}, seq, faults=faults)
            gate.live(minute, sent("d0", dark))
        gate.pass_to(*range(16, 25))
        (row,) = gate.rows
        ends.append(row.request.description.partition("15 min.")[2])
    assert ends == [" The device itself reports: gear failure, lamp failure.", ""]


def test_a_claim_alone_is_no_request():
    """A lamp that burns and says that it failed: the shipped rules measure."""
    gate = Gate(city_of())
    for seq, minute in enumerate(range(0, 60, 5)):
        gate.live(minute, sent("d0", body(at(minute), {"active_power_w": 58}, seq, faults=CLAIMED)))
    assert gate.rows == []


def test_a_meter_that_answers_0_to_everything_is_no_request():
    """It is an incident for the operators; a lamp that has voltage and draws nothing is dark."""
    zeros = dict.fromkeys(("active_power_w", "current_a", "voltage_v", "power_factor"), 0)
    for more, services in (({}, []), ({"voltage_v": 231}, ["STREETLIGHT_OUT"])):
        gate = Gate(city_of())
        for seq, minute in enumerate(range(0, 60, 5)):
            gate.live(minute, sent("d0", body(at(minute), zeros | more, seq)))
        assert gate.services() == services
        assert (gate.phase("supply_lost", "SL-0") == "firing") is (not services)


def test_a_message_of_claims_alone_is_heard():
    """Also one that names none, or others: it takes back what it does not name."""
    for left in ([], ["gear_failure"]):
        gate = gate_of(city_of())
        for seq, (minute, faults) in enumerate([(5, ["lamp_failure"]), (10, left), (21, left)]):
            gate.live(minute, sent("d0", body(at(minute), {}, seq, faults=faults)))
            if minute == 5:
                assert gate.phase("claimed", "SL-0") == "firing"
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


def test_a_thing_that_says_where_it_is_can_be_out_of_place():
    """Its distance from the place of its asset; one that does not say is nowhere else."""
    city = city_of()
    base = city.assets["SL-0"]
    for north_deg, phase in ((0.0004, "ok"), (0.0005, "firing"), (None, "ok")):  # 44 m, 56 m
        gate = gate_of(city)
        loc = {} if north_deg is None else {"loc": [base.lat + north_deg, base.lon]}
        report(gate, 1, 50, 1, **loc)
        assert gate.phase("moved", "SL-0") == phase


def test_no_device_may_say_how_far_it_is_itself():
    """The gateway works it out."""
    gate = gate_of(city_of())
    message = body(at(1), {"displacement_m": 60}, 1)
    gate.live(1, sent("d0", message))
    assert gate.phase("moved", "SL-0") == "ok"
