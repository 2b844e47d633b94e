"""What the city is told of a request later on, and what it makes of it."""

import time
from dataclasses import replace

import pytest
from delivery import KEY, a_row, running_desk

from gateway.books.ledger import request_story
from gateway.books.store import Store
from gateway.cases.incident import Incident
from gateway.cases.incident import State as Fault
from gateway.cityhall.delivery import Cause, Filed, NotSent, Refused, State, Unknown
from gateway.cityhall.filing import Filer
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.profile import read_profile
from gateway.cityhall.telling import PAUSE_MS_MAX, Message, Teller, outcome_of
from gateway.effects import Effects, News

T0_MS = 1_768_500_000_000
SAID = Message("SCG-1", 1, "77", "FIXED", "the fault is over", T0_MS)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Filed(None), "told"),
        (Filed("9"), "told"),
        (Refused("no such request"), "refused"),
        (NotSent(Cause.UNREACHABLE, "down"), "ready"),
        (Unknown(Cause.TIMEOUT, "silence"), "ready"),
    ],
)
def test_what_an_answer_means_for_a_message(outcome, state):
    """Its id counts once at the city, so it may be sent again until there is an answer."""
    assert outcome_of(SAID, outcome, T0_MS)[0] == state


def test_a_city_that_asks_for_patience_gets_it_within_bounds():
    """An hour at most."""
    for asked_s, least_ms in [(600.0, 600_000), (10**9, PAUSE_MS_MAX)]:
        _, _, next_ms = outcome_of(SAID, NotSent(Cause.THROTTLED, "later", asked_s), T0_MS)
        assert least_ms <= next_ms - T0_MS <= 1.25 * PAUSE_MS_MAX


@pytest.fixture
def stand(tmp_path):
    """A real desk that has one request of ours, its store, and a client that tells."""
    profile = read_profile("desk").model_copy(update={"updates": True})
    now_ms = time.time_ns() // 1_000_000
    store = Store(tmp_path / "store")
    effects = Effects()
    effects.incidents[1] = Incident(1, "lamp_out", "L", 1, Fault.QUEUED, 0, 0, 0, {})
    effects.outbox = [a_row("told", created_ms=now_ms)]
    effects.news = [News(1, "FIXED", "The sensor shows that it is over.", now_ms)]
    store.commit(effects)
    with running_desk(tmp_path) as desk, Open311Client(desk.endpoint, KEY, profile) as client:
        yield desk, store, client, profile, now_ms
    store.close()


def updates(desk):
    return desk.http.get("/open311/v2/servicerequestupdates.json").raise_for_status().json()


@pytest.mark.slow
def test_a_city_that_takes_updates_hears_once_that_the_fault_is_over(stand):
    """After the request is there; and what it has already is told."""
    desk, store, client, profile, now_ms = stand
    teller = Teller(store, client, lambda: now_ms)
    assert teller.step() == 0  # it is not filed yet
    Filer(store, client, profile, lambda: now_ms).step()
    later = Teller(store, client, lambda: now_ms)
    assert [later.step(), later.step()] == [1, 0]
    (update,) = updates(desk)
    (row,) = store.outbox_rows()
    assert (update["status"], update["service_request_id"]) == ("FIXED", row.request_id)
    again = Message(row.reference, 1, row.request_id, "FIXED", "again", now_ms)
    assert client.tell(again) == Filed(None)
    assert len(updates(desk)) == 1
    story = request_story(store.path, row.reference)
    assert story["deliveries"][-1]["event"] == "news:FIXED:told"


@pytest.mark.slow
@pytest.mark.parametrize(("earlier_is_there", "state"), [(True, "filed"), (False, "ready")])
def test_a_request_that_the_city_will_not_open_again_is_filed_anew(stand, earlier_is_there, state):
    """It says no to a number that it does not know; it takes the update otherwise."""
    _, store, client, profile, now_ms = stand
    Filer(store, client, profile, lambda: now_ms).step()
    (first,) = store.outbox_rows()
    earlier = first.request_id if earlier_is_there else "no-such"
    effects = Effects()
    effects.incidents[2] = Incident(2, "lamp_out", "L", 2, Fault.QUEUED, 0, 0, 0, {})
    row = a_row("again", created_ms=now_ms)
    row = replace(row, incident_id=2, state=State.REOPENING, request_id=earlier)
    effects.outbox = [row]
    effects.news = [News(2, "REOPEN", "It still is.", now_ms)]
    store.commit(effects)
    teller = Teller(store, client, lambda: now_ms)
    while teller.step():
        pass
    (row,) = [row for row in store.outbox_rows() if row.incident_id == 2]
    assert (row.state, row.request_id) == (state, earlier if earlier_is_there else None)
