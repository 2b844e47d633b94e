"""Filed requests are asked for again: what the city did with them is known."""

import threading
import time
from dataclasses import replace

import pytest
from delivery import KEY, a_row, running_desk

from gateway.books.ledger import request_story, requests_of
from gateway.books.store import Store
from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import CannotTell, Cause
from gateway.cityhall.filing import Filer, Health
from gateway.cityhall.following import (
    AT_ONCE,
    CLOSED_DAYS,
    DAY_MS,
    TROUBLE_MS,
    Followed,
    Follower,
    seen,
)
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.profile import read_profile
from gateway.effects import Effects

HOUR_MS = 3_600_000
T0_MS = 1_768_500_000_000
OPEN = Followed("SCG-1", 1, "7", "open", "", "", T0_MS, T0_MS)
CLOSED = replace(OPEN, status="closed")


@pytest.mark.parametrize(
    ("before", "record", "status", "pause_ms"),
    [
        (Followed("SCG-1", 1, "7"), {"status": "open"}, "open", HOUR_MS),
        (Followed("SCG-1", 1, "7"), None, "", HOUR_MS),
        (OPEN, {"status": "Open"}, "open", HOUR_MS),
        (OPEN, None, "open", HOUR_MS),
        (OPEN, {"status": None}, "open", HOUR_MS),
        (OPEN, {"status": "closed"}, "closed", DAY_MS),
        (CLOSED, {"status": "open"}, "open", HOUR_MS),
        (CLOSED, {"status": "closed"}, "closed", DAY_MS),
    ],
)
def test_an_open_request_is_asked_for_each_hour_and_a_closed_one_each_day(
    before, record, status, pause_ms
):
    """What the city does not say stays as it was; cities reopen."""
    after = seen(before, record, T0_MS, HOUR_MS)
    assert (after.status, after.next_ms - T0_MS) == (status, pause_ms)


def test_a_request_that_is_closed_for_a_month_is_left_alone():
    """For ever."""
    now_ms = T0_MS + CLOSED_DAYS * DAY_MS
    assert seen(CLOSED, {"status": "closed"}, now_ms, HOUR_MS).next_ms > now_ms + 10_000 * DAY_MS


class Book:
    def __init__(self, count):
        self.rows = [Followed(f"SCG-{n}", n, str(n)) for n in range(count)]
        self.changed = []

    def follow_due(self, now_ms, limit, desk="city"):
        return [row for row in self.rows if row.next_ms <= now_ms][:limit]

    def follow_save(self, rows, changed, orders, at_ms):
        new = {row.reference: row for row in rows}
        self.rows = [new.get(row.reference, row) for row in self.rows]
        self.changed += changed


class City:
    def __init__(self, trouble=None):
        self.asked, self.trouble = [], trouble

    def shown(self, request_ids):
        self.asked.append(list(request_ids))
        return self.trouble or {one: {"status": "open"} for one in request_ids}


def test_many_are_asked_for_with_one_call_and_none_again_before_its_time():
    """Fifty at a time."""
    now_ms = [T0_MS]
    book, city = Book(120), City()
    follower = Follower(book, city, HOUR_MS, lambda: now_ms[0])
    assert [follower.step() for _ in range(4)] == [AT_ONCE, AT_ONCE, 20, 0]
    now_ms[0] += HOUR_MS - 1
    assert follower.step() == 0
    assert len(book.changed) == 120


@pytest.mark.parametrize(("asked_s", "wait_ms"), [(None, TROUBLE_MS), (300.0, 300_000)])
def test_a_city_that_does_not_answer_is_left_alone_for_a_while(asked_s, wait_ms):
    """As long as it asks for, and at least a minute."""
    now_ms = [T0_MS]
    city = City(CannotTell(Cause.THROTTLED, "later", asked_s))
    follower = Follower(Book(1), city, HOUR_MS, lambda: now_ms[0])
    for later_ms in (0, wait_ms - 1, wait_ms):
        now_ms[0] = T0_MS + later_ms
        follower.step()
    assert len(city.asked) == 2


def test_with_no_pause_nothing_is_followed():
    """A city that must not be asked."""
    city = City()
    assert Follower(Book(3), city, 0, lambda: T0_MS).step() == 0
    assert city.asked == []


class Asked:
    """A desk that asks for a pause; nothing waits there otherwise."""

    def outbox_due(self, now_ms, limit, desk="city"):
        return []


@pytest.mark.parametrize(("paused_ms", "times"), [(0, 1), (T0_MS + 60_000, 0)])
def test_a_desk_that_asked_for_a_pause_is_not_asked_beside_either(paused_ms, times):
    """The filer's pause holds for all that is done in its thread."""
    done = []
    profile = read_profile("desk")
    filer = Filer(
        Asked(), None, profile, lambda: T0_MS, beside=lambda: done.append(1) or filer.stop()
    )
    filer._health = Health(paused_until_ms=paused_ms)
    if paused_ms:
        threading.Timer(0.2, filer.stop).start()
    filer.run()
    assert len(done) == times


@pytest.mark.slow
def test_what_the_city_did_stands_with_the_request_and_in_its_log(tmp_path):
    """Filed, seen open, closed with words, seen closed: on a real store and a real desk."""
    profile, now_ms = read_profile("desk"), [time.time_ns() // 1_000_000]
    store = Store(tmp_path / "store")
    effects = Effects()
    effects.incidents[1] = Incident(1, "lamp_out", "L", 1, State.QUEUED, 0, 0, 0, {})
    effects.outbox = [a_row("followed", created_ms=now_ms[0])]
    store.commit(effects)
    database = tmp_path / "store/sense311.db"
    with running_desk(tmp_path) as desk, Open311Client(desk.endpoint, KEY, profile) as client:
        Filer(store, client, profile, lambda: now_ms[0]).step()
        follower = Follower(store, client, HOUR_MS, lambda: now_ms[0])
        assert follower.step() == 1
        [filed] = requests_of(database)
        bearer = {"Authorization": f"Bearer {KEY}"}
        url = f"/desk/close/{filed['request_id']}"
        desk.http.post(url, json={"notes": "Lamp replaced."}, headers=bearer).raise_for_status()
        now_ms[0] += HOUR_MS
        assert follower.step() == 1
    story = request_story(database, filed["reference"])
    store.close()
    assert filed["city_status"] == "open"
    assert (story["city_status"], story["city_notes"]) == ("closed", "Lamp replaced.")
    assert [step["event"] for step in story["deliveries"]][-2:] == ["city:open", "city:closed"]
    assert story["deliveries"][-1]["reason"] == "Lamp replaced."
