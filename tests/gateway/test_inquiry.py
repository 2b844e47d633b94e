"""Inquiries: what the gateway knew at a time, from a recording or from its own store."""

from contextlib import closing

import pytest
from small_city import LIBRARY, MINUTE_MS, NIGHT_MS, Gate, at, body, city_of, lamp, sent

from gateway.books.ledger import readings_of, record_of
from gateway.books.store import Store
from gateway.cityhall.requests import rfc3339
from gateway.effects import Settings
from gateway.workbench.inquiry import Question, Received, Unanswerable, from_store, inquire, only
from rules.instance import Phase

DEVICES = ("d0", "d1", "d2", "d3")


def recorded(dark, *, until=90, devices=DEVICES):
    """Lamps that report every five minutes; `dark(device, minute)` says whether one is."""
    return [
        Received(
            at(minute) + i, lamp(device, minute, 0.0 if dark(device, minute) else 58.0, minute)
        )
        for minute in range(0, until, 5)
        for i, device in enumerate(devices)
    ]


def one_lamp(device, minute):
    return device == "d0" and 15 <= minute < 60


def the_circuit(_, minute):
    return 15 <= minute < 60


def asked(rule, asset, minute, messages, city=None):
    city = city or city_of(lamps=4)
    inquiry = inquire(Question(rule, asset, at(minute)), city, LIBRARY)
    return inquiry.answer(only(inquiry, messages), rfc3339)


@pytest.mark.parametrize(
    ("minute", "phase", "progress"),
    [
        (10, Phase.OK, ""),
        (25, Phase.PENDING, "10min of 15min"),
        (31, Phase.FIRING, "since 2026-01-16T02:30:00Z, begun 2026-01-16T02:15:00Z"),
        (62, Phase.CLEARING, "2min of 10min"),
        (80, Phase.OK, ""),
    ],
)
def test_a_rule_is_explained_as_it_stood_then(minute, phase, progress):
    """Whatever came later."""
    found = asked("lamp_out", "SL-0", minute, recorded(one_lamp))
    assert (found.phase, found.progress) == (phase, progress)


def test_it_stands_as_it_stood_in_a_running_gateway():
    """Minute by minute, for every lamp, with a circuit that goes out."""
    messages = recorded(the_circuit, until=70)
    gate = Gate(city_of(lamps=4))
    fed = iter(messages)
    ahead = next(fed)
    for minute in range(70):
        gate.pass_to(minute)
        while ahead and ahead.at_ms < at(minute + 1):
            gate.take(ahead.message, now_ms=ahead.at_ms)
            ahead = next(fed, None)
        if minute % 7 == 0:
            for rule, asset in (("lamp_out", "SL-2"), ("feeder_outage", "circuit:C12")):
                found = asked(rule, asset, minute + 0.5, messages)
                assert found.phase == gate.phase(rule, asset), (rule, minute)


def test_the_clauses_are_those_of_the_last_sample():
    """With what would make it fire."""
    found = asked("lamp_out", "SL-0", 12, recorded(one_lamp))
    assert found.judged_at == found.sample_at == "2026-01-16T02:10:00Z"
    assert found.clauses["when"].parts[2].said == "58 W >= 12 W"
    assert [need.text for need in found.changes] == ["active_power < 12 W"]


def test_a_child_waits_for_its_parent_and_is_explained_by_it():
    """Held while the circuit is judged, absorbed when that is out."""
    messages = recorded(the_circuit)
    held = asked("lamp_out", "SL-1", 31, messages)
    assert held.blocked[-1].startswith("not filed yet: held until 2026-01-16T02:35:00Z")
    absorbed = asked("lamp_out", "SL-1", 40, messages)
    assert absorbed.blocked == ("not filed: explained by feeder_outage of circuit:C12",)
    parent = asked("feeder_outage", "C12", 40, messages)
    assert (parent.phase, parent.blocked) == (Phase.FIRING, ())
    assert "STREETLIGHT_CIRCUIT" in parent.incident


def test_a_circuit_is_judged_at_the_minute_that_is_asked_for():
    """Without a sample of its own; a lamp of it names it too."""
    for name in ("C12", "circuit:C12", "SL-3"):
        found = asked("feeder_outage", name, 25, recorded(the_circuit))
        assert found.subject == "circuit:C12"
        assert found.judged_at == "2026-01-16T02:25:00Z"
        assert found.clauses["when"].parts[0].said == "4 >= 3"


def test_silence_is_judged_though_nothing_came():
    """Up to the time that is asked for."""
    messages = recorded(one_lamp, until=20)
    early = asked("device_silent_streetlight", "SL-1", 30, messages)
    assert "15min <= 45min" in str(early.clauses)
    late = asked("device_silent_streetlight", "SL-1", 70, messages)
    assert (late.phase, late.fires) == (Phase.PENDING, True)


def test_what_came_too_late_to_be_known_is_not_used():
    """A sample is part of the answer from its receipt on, not from its own time on."""
    early = lamp("d0", 10, 0.0, 1)
    dark = [Received(at(12), early), Received(at(40), lamp("d0", 14, 0.0, 2))]
    city = city_of(lamps=1)
    assert asked("lamp_out", "SL-0", 39, dark, city).sample_at == rfc3339(at(10))
    assert asked("lamp_out", "SL-0", 41, dark, city).sample_at == rfc3339(at(14))


def test_only_what_matters_is_wanted():
    """A lamp that waits for a parent wants its circuit; one that draws too little only itself."""
    city = city_of(lamps=4, bins=2)
    needed = inquire(Question("lamp_out", "SL-0", 0), city, LIBRARY)
    assert needed.devices == frozenset(DEVICES)
    alone = inquire(Question("low_power", "SL-0", 0), city, LIBRARY)
    assert alone.devices == {"d0"}
    assert not alone.wants("streetlight", "d1")


def a_pass(vehicle, minute):
    message = body(at(minute), {"peak_ms2": 9.0, "speed_mps": 9.0}, 1, loc=[41.88, -87.63])
    return Received(at(minute), sent(vehicle, message, kind="road"))


def test_a_place_is_asked_for_by_its_id():
    """It is made of the passes of every vehicle; a wrong id is told the right ones."""
    passes = [a_pass(f"v{i}", 20 * i) for i in range(4)]
    city = city_of()
    with pytest.raises(Unanswerable, match="known: place:pothole") as caught:
        asked("pothole", "place:x", 70, passes, city)
    place = str(caught.value).rpartition("known: ")[2]
    found = asked("pothole", place, 70, passes, city)
    assert (found.phase, found.clauses["when"].parts[0].said) == (Phase.FIRING, "4 >= 3")


@pytest.mark.parametrize(
    ("rule", "asset", "minute", "said"),
    [
        ("lamp_ot", "SL-0", 9, "there is no rule 'lamp_ot'; did you mean lamp_out"),
        ("lamp_out", "SL-9", 9, "there is no streetlight 'SL-9'; did you mean SL-"),
        (
            "lamp_out",
            "BIN-0",
            9,
            "is about a streetlight, and 'BIN-0' is a bin; rules about that: ",
        ),
        ("feeder_outage", "C13", 9, "'C13' is none; did you mean C12"),
        ("lamp_out", "SL-0", -30, "2026-01-16T01:30:00Z is 30min before the first message"),
    ],
)
def test_a_question_that_has_no_answer_says_what_could_be_asked(rule, asset, minute, said):
    """With the nearest names, and the times that there are."""
    with pytest.raises(Unanswerable, match=said):
        asked(rule, asset, minute, recorded(one_lamp), city_of(lamps=4, bins=1))


def test_a_device_that_said_nothing_is_named():
    """Not an explanation of nothing."""
    with pytest.raises(Unanswerable, match="no message of d0 in the 14d before"):
        asked("low_power", "SL-0", 9, [])


# -- the store --------------------------------------------------------------------------------


@pytest.fixture
def lived(tmp_path):
    """The folder of a gateway that saw a lamp go out and come back."""
    with closing(Store(tmp_path)) as store:
        gate = Gate(city_of(lamps=4), store=store)
        for received in recorded(one_lamp):
            gate.pass_to((received.at_ms - NIGHT_MS) / MINUTE_MS)
            gate.take(received.message, now_ms=received.at_ms)
        yield gate, store.path


@pytest.mark.parametrize("follow", [False, True])
def test_the_store_gives_the_same_answer_as_the_recording(lived, follow):
    """It keeps every reading as it came."""
    gate, database = lived
    for minute in (10, 25, 33, 62):
        inquiry = inquire(Question("lamp_out", "SL-0", at(minute)), gate.city, LIBRARY)
        readings = readings_of(database, inquiry.devices, at(minute), since_ms=0)
        found = inquiry.answer(from_store(readings, follow=follow), rfc3339, Settings())
        expected = asked("lamp_out", "SL-0", minute, recorded(one_lamp))
        assert found == expected


def test_the_books_give_what_the_gateway_itself_wrote(lived):
    """The journal up to then, and the incident with its request."""
    gate, database = lived
    before = record_of(database, "lamp_out", "SL-0", at(20))
    assert [line["after"] for line in before["journal"]] == ["pending"]
    assert before["incident"] is None
    after = record_of(database, "lamp_out", "SL-0", at(50))
    assert [line["after"] for line in after["journal"]] == ["pending", "firing", "held", "queued"]
    assert after["incident"]["reference"] == gate.rows[0].reference
    assert after["incident"]["request_state"] == "ready"


def test_readings_are_those_of_the_devices_and_the_time(lived):
    """Of vehicles, when no device is named."""
    _, database = lived
    some = readings_of(database, {"d1"}, at(20), since_ms=at(5))
    assert [(r.device, r.ts_ms) for r in some] == [("d1", at(m)) for m in (5, 10, 15, 20)]
    assert readings_of(database, None, at(90), since_ms=0) == []
