"""What a person has the gateway do: merge, split, reopen; each is answered."""

import pytest
from small_city import LIBRARY, Gate, at, body, city_of, lamp, sent

from gateway.books.store import Store
from gateway.cases.incident import State, Why
from gateway.cases.orders import (
    CityClosed,
    CityReopened,
    Merged,
    Reopened,
    Silenced,
    Split,
    Unsilenced,
    decode,
    encode,
)
from gateway.cases.silences import Silence
from rules.files import load, read_library

LIT, DARK = 58.0, 0.0


def say(gate, powers, start, end, every=5):
    for minute in range(start, end, every):
        reports = [lamp(f"d{i}", minute, power_w, minute + 1) for i, power_w in enumerate(powers)]
        gate.live(minute, *reports)
        gate.pass_to(*range(minute + 1, minute + every))


def two_dark_of_ten(**more):
    gate = Gate(city_of(lamps=10), **more)
    say(gate, [LIT] * 10, 0, 15)
    say(gate, [DARK] * 2 + [LIT] * 8, 15, 60)
    assert gate.services() == ["STREETLIGHT_OUT"] * 2
    return gate


@pytest.mark.parametrize(
    "order",
    [
        Silenced(Silence(who="a", why="b", from_ms=1, for_ms=2, rules=("x",))),
        Unsilenced(1), Merged(1, 2), Split(3), Reopened(4), CityClosed(5, "77", 60),
        CityReopened(5),
    ],
)  # fmt: skip
def test_an_order_is_kept_as_it_is(order):
    """Until the gateway takes it up."""
    assert decode(encode(order)) == order


def test_a_merged_incident_asks_nothing_of_the_city_any_more():
    """Its request is taken back, if it was not sent."""
    gate = two_dark_of_ten()
    effects = gate.core.obey([], 0)
    assert effects.answers == []
    assert gate.obey(Merged(2, 1)) == [(True, "incident 2 is part of 1")]
    assert (gate.incidents[2].state, gate.incidents[2].parent) == (State.ABSORBED, 1)


def test_a_merged_incident_is_judged_again_when_the_other_is_over():
    """It still stands: it is asked for, under the same reference as before."""
    gate = two_dark_of_ten()
    gate.obey(Merged(2, 1))
    say(gate, [LIT, DARK] + [LIT] * 8, 60, 120)
    assert gate.incidents[1].why == Why.CLEARED
    assert [row.incident_id for row in gate.rows] == [1, 2, 2]
    assert gate.rows[1].reference == gate.rows[2].reference


def test_a_request_that_was_withdrawn_goes_out_when_it_is_asked_for_again(tmp_path):
    """One row, on a real store: ready, withdrawn, ready."""
    store = Store(tmp_path / "state")
    gate = two_dark_of_ten(store=store)

    def states():
        return [row.state for row in store.outbox_rows()]

    gate.obey(Merged(2, 1))
    assert states() == ["ready", "withdrawn"]
    say(gate, [LIT, DARK] + [LIT] * 8, 60, 120)
    assert states() == ["ready", "ready"]
    store.close()


def test_a_split_incident_is_filed_on_its_own():
    """A lamp of a dark circuit."""
    gate = Gate(city_of(lamps=10))
    say(gate, [LIT] * 10, 0, 15)
    say(gate, [DARK] * 10, 15, 60)
    assert gate.services() == ["STREETLIGHT_CIRCUIT"]
    (lamp_of_it,) = [i.id for i in gate.incidents.values() if i.subject == "SL-3"]
    assert gate.obey(Split(lamp_of_it), Split(lamp_of_it))[0][0]
    gate.pass_to(61, 62)
    assert gate.services() == ["STREETLIGHT_CIRCUIT", "STREETLIGHT_OUT"]
    assert gate.incidents[lamp_of_it].why == Why.SPLIT
    say(gate, [DARK] * 10, 65, 100)
    assert len(gate.rows) == 2


@pytest.mark.parametrize(
    ("order", "word"),
    [
        (Merged(1, 1), "two incidents"),
        (Merged(1, 99), "no incident 99"),
        (Split(1), "nothing explains it"),
        (Split(99), "no incident 99"),
        (Reopened(1), "has not closed"),
        (Reopened(99), "no incident 99"),
        (CityClosed(99, "7", 0), "no incident 99"),
    ],
)
def test_an_order_that_does_not_fit_is_refused_in_words_and_changes_nothing(order, word):
    """The gateway goes on."""
    gate = two_dark_of_ten()
    before = {number: incident.state for number, incident in gate.incidents.items()}
    ((done, text),) = gate.obey(order)
    assert not done
    assert word in text
    assert {number: incident.state for number, incident in gate.incidents.items()} == before


def test_what_is_merged_into_a_part_is_refused():
    """One level: whoever reads the request finds all of it there."""
    gate = two_dark_of_ten()
    gate.obey(Merged(2, 1))
    ((done, text),) = gate.obey(Merged(1, 2))
    assert (done, "explained by 1" in text) == (False, True)


@pytest.mark.parametrize("closed", [False, True])
def test_an_incident_is_opened_again_by_hand(closed):
    """One that ended, or that the city closed: asked for again, with the number of before."""
    gate = two_dark_of_ten()
    gate.obey(CityClosed(1, "77", 10**6))
    if not closed:
        say(gate, [LIT] * 10, 60, 120)
    assert gate.obey(Reopened(1)) == [(True, "incident 1 is asked for again")]
    new = gate.incidents[3]
    assert (new.subject, new.state, new.earlier) == ("SL-0", State.QUEUED, "77")
    assert gate.phase("lamp_out", "SL-0") == "firing"
    ((done, text),) = gate.obey(Reopened(1))
    assert (done, "incident 3 is about the same fault" in text) == (False, True)


# -- flapping, and two faults of one asset --------------------------------------------------------


def fill(gate, minute, fill_pct):
    gate.live(minute, sent("b0", body(at(minute), {"fill_pct": fill_pct}), "bin"))


def test_what_comes_and_goes_is_asked_for_three_times_a_day_and_then_only_if_it_lasts():
    """The fourth waits a day; it is over before, and never filed."""
    gate = Gate(city_of(bins=1))
    for episode in range(6):
        for k in range(6):
            fill(gate, episode * 120 + k * 10, 92 if k < 3 else 20)
        gate.pass_to(episode * 120 + 100)
    assert gate.services() == ["BIN_FULL"] * 3
    assert [i.why for i in gate.incidents.values()][3:] == [Why.OVER_BEFORE_DUE] * 3
    assert "comes and goes" not in gate.rows[2].request.description


def test_what_comes_and_goes_and_then_stays_is_filed_a_day_later():
    """And the request says that it does."""
    gate = Gate(city_of(bins=1))
    for episode in range(3):
        for k in range(6):
            fill(gate, episode * 120 + k * 10, 92 if k < 3 else 20)
    for minute in range(400, 400 + 25 * 60, 20):
        fill(gate, minute, 95)
    assert gate.services() == ["BIN_FULL"] * 4
    assert "It comes and goes: 4 times within 24 hours." in gate.rows[3].request.description


TWINS, _ = load(
    read_library()
    | {
        "twins.yaml": """
apiVersion: sense311/v1
sensor: bin
owner: x
rules:
  - id: bin_hot
    title: "{asset.id}"
    when: temperature > 30 degC
    for: 10min
    cover: {min_samples: 2, max_gap: 1h}
    clear: {when: temperature < 25 degC}
    no_data: {hold: 9h}
    identity: [asset.id]
    file: {service: BIN_FULL, description: "Bin {asset.id} is hot, since {started_at}."}
"""
    }
)


def test_two_faults_of_one_asset_that_the_same_crew_comes_for_are_one_request():
    """The second is part of the first, and is asked for when the first is over."""
    gate = Gate(city_of(bins=1), bundle=TWINS)

    def tell(minute, fill_pct, hot):
        values = {"fill_pct": fill_pct, "temperature_c": 35.0 if hot else 20.0}
        gate.live(minute, sent("b0", body(at(minute), values), "bin"))

    for minute in range(0, 60, 10):
        tell(minute, 92, minute >= 20)
    gate.pass_to(70)
    assert gate.services() == ["BIN_FULL"]
    hot = next(i for i in gate.incidents.values() if i.rule == "bin_hot")
    assert (hot.state, hot.why) == (State.ABSORBED, Why.SAME_FAULT)
    for minute in range(80, 180, 10):
        tell(minute, 20, hot=True)
    assert [row.request.rule for row in gate.rows] == ["bin_full", "bin_hot"]


def test_the_shipped_rules_are_what_the_tests_of_orders_take_them_for():
    """A name that is not there would make a test that cannot fail."""
    assert {"lamp_out", "bin_full", "feeder_outage"} <= set(LIBRARY.rules)
