"""What the city closes is checked with the sensor: repaired, or asked for again."""

import pytest
from small_city import MINUTE_MS, Gate, at, body, city_of, lamp, sent

from gateway.books.store import Store
from gateway.cases.incident import State, Why
from gateway.cases.incidents import AGAIN_MS
from gateway.cases.orders import CityClosed, CityReopened

LIT, DARK = 58.0, 0.0
DAY = 24 * 60


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def say(gate, power_w, start, end, lamps=1, every=5):
    """The lamps report one power through some minutes; the numbers go on."""
    for minute in range(start, end, every):
        reports = [lamp(f"d{i}", minute, power_w[i], minute + 1) for i in range(lamps)]
        gate.live(minute, *reports)
        gate.pass_to(*range(minute + 1, minute + every))


def dark_lamp(**more):
    """One lamp, dark since minute 15, filed by minute 60."""
    gate = Gate(city_of(), **more)
    say(gate, [LIT], 0, 15)
    say(gate, [DARK], 15, 60)
    assert gate.services() == ["STREETLIGHT_OUT"]
    return gate


def whys(gate, number):
    return [entry.cause for entry in gate.journal if entry.incident == number]


def test_a_repair_that_the_sensor_bears_out_is_the_end_of_it():
    """Closed by the city, then lit: one request, and nothing is asked again."""
    gate = dark_lamp()
    assert gate.obey(CityClosed(1, "77", 3600)) == [(True, "noted")]
    say(gate, [LIT], 60, 200)
    incident = gate.incidents[1]
    assert (incident.why, incident.city_id, len(gate.rows)) == (Why.CLEARED, "77", 1)
    assert whys(gate, 1)[-2:] == [Why.CITY_CLOSED, Why.CLEARED]


def test_what_the_city_closed_and_the_sensor_still_shows_is_asked_for_again_with_its_number():
    """As long as it took to fire, on samples after the pause alone; then the old one is over."""
    gate = dark_lamp()
    gate.obey(CityClosed(1, "77", 3600))
    say(gate, [DARK], 60, 115)
    assert len(gate.rows) == 1
    say(gate, [DARK], 115, 140)
    assert [row.service for row in gate.rows] == ["STREETLIGHT_OUT"] * 2
    first, second = gate.rows
    assert first.reference != second.reference
    assert "Request 77 about it was closed; the sensor still shows" in second.request.description
    old, new = gate.incidents[1], gate.incidents[2]
    assert (old.why, old.is_open) == (Why.NOT_REPAIRED, False)
    assert (new.state, new.earlier, new.episode) == (State.QUEUED, "77", 2)


def test_a_lamp_that_is_closed_by_day_is_judged_the_next_night():
    """By day a dark lamp is as it should be, and proves nothing."""
    gate = Gate(city_of(), start_ms=at(-120))
    say(gate, [DARK], 0, 60)
    gate.obey(CityClosed(1, "77", 0))
    noon, next_night = 18 * 60, DAY + 60
    gate.pass_to(*range(60, noon, 30))
    for minute in range(noon, noon + 120, 10):  # switched off by day
        values = {"active_power_w": 0.0, "dim_level_pct": 0}
        gate.live(minute, sent("d0", body(at(minute, gate.start_ms), values, minute)))
    assert len(gate.rows) == 1
    for minute in range(next_night, next_night + 60, 5):
        gate.live(minute, lamp("d0", minute, DARK, minute, gate.start_ms))
    assert len(gate.rows) == 2


def test_what_is_closed_unrepaired_again_and_again_is_asked_for_once_a_week():
    """The second time it waits, and is filed when it still stands then."""
    gate = dark_lamp()
    gate.obey(CityClosed(1, "77", 0))
    say(gate, [DARK], 60, 120)
    gate.obey(CityClosed(2, "78", 0))
    say(gate, [DARK], 120, 200)
    assert len(gate.rows) == 2
    third = gate.incidents[3]
    assert (third.state, third.due_ms) == (State.HELD, gate.incidents[2].fired_ms + AGAIN_MS)
    gate.pass_to(*range(200, AGAIN_MS // MINUTE_MS + 200, 60))
    assert len(gate.rows) == 3


def test_one_that_the_city_opens_again_is_not_asked_for_again():
    """It is being seen to."""
    gate = dark_lamp()
    gate.obey(CityClosed(1, "77", 3600), CityReopened(1))
    say(gate, [DARK], 60, 200)
    assert len(gate.rows) == 1


def test_a_city_that_takes_updates_is_told_that_it_is_over():
    """Of what was asked of it, once."""
    gate = dark_lamp()
    say(gate, [LIT], 60, 120)
    assert [(news.incident, news.status) for news in gate.news] == [(1, "FIXED")]


def test_where_the_city_opens_requests_again_that_is_asked_for_in_place_of_another():
    """The row waits for the city's answer and names the earlier request."""
    gate = dark_lamp(reopens=True)
    gate.obey(CityClosed(1, "77", 0))
    say(gate, [DARK], 60, 120)
    (_, row) = gate.rows
    assert (row.state, row.request_id) == ("reopening", "77")
    assert [(told.incident, told.status) for told in gate.news] == [(2, "REOPEN")]


@pytest.mark.parametrize(("still_dark", "requests"), [(40, 2), (18, 2), (2, 3)])
def test_a_circuit_that_the_city_closed_is_judged_by_its_lamps(still_dark, requests):
    """Half of them dark again: the circuit once more; two of forty: these on their own."""
    gate = Gate(city_of(lamps=40))
    say(gate, [LIT] * 40, 0, 15, lamps=40)
    say(gate, [DARK] * 40, 15, 60, lamps=40)
    assert gate.services() == ["STREETLIGHT_CIRCUIT"]
    (circuit,) = [i.id for i in gate.incidents.values() if i.subject == "circuit:C12"]
    gate.obey(CityClosed(circuit, "77", 0))
    powers = [DARK if i < still_dark else LIT for i in range(40)]
    say(gate, powers, 60, 160, lamps=40)
    services = gate.services()
    assert len(services) == requests
    if still_dark == 2:
        assert services[1:] == ["STREETLIGHT_OUT"] * 2
    else:
        assert services[1:] == ["STREETLIGHT_CIRCUIT"]
        assert "Request 77" in gate.rows[1].request.description


def test_a_bin_that_was_closed_full_is_judged_by_its_next_reports():
    """After the pause."""
    gate = Gate(city_of(bins=1))
    for minute in range(0, 60, 10):
        gate.live(minute, sent("b0", body(at(minute), {"fill_pct": 92}), "bin"))
    gate.pass_to(70)
    gate.obey(CityClosed(1, "77", 600))
    for minute in range(80, 140, 10):
        gate.live(minute, sent("b0", body(at(minute), {"fill_pct": 93}), "bin"))
    gate.pass_to(150)
    assert gate.services() == ["BIN_FULL", "BIN_FULL"]


def test_a_place_that_was_closed_is_judged_by_passes_after_it(pothole_gate):
    """What was felt before speaks for nothing any more."""
    gate, feel = pothole_gate
    feel(gate, 0, hits=12)
    assert gate.services() == ["POTHOLE"]
    (number,) = gate.incidents
    gate.obey(CityClosed(number, "77", 0))
    feel(gate, 300, hits=1)
    assert len(gate.rows) == 1
    feel(gate, 600, hits=12)
    assert gate.services() == ["POTHOLE"] * 2


@pytest.fixture
def pothole_gate():
    def feel(gate, start, hits):
        for k in range(hits):
            minute = start + 15 * k
            values = {"speed_mps": 10.0, "peak_ms2": 60.0, "rms_ms2": 8.0}
            said = body(at(minute), values, minute + 1, loc=[41.88, -87.63])
            gate.live(minute, sent(f"van{k}", said, "road"))
        gate.pass_to(start + 15 * hits + 30)

    return Gate(city_of()), feel


def test_verification_survives_a_restart(store):
    """Between the city's word and the proof nothing is forgotten."""
    gate = dark_lamp(store=store)
    gate.obey(CityClosed(1, "77", 600))
    gate.restart()
    say(gate, [DARK], 60, 80)
    gate.restart()
    say(gate, [DARK], 80, 120)
    assert len(gate.rows) == 2
    assert gate.incidents[2].earlier == "77"
