"""How filing stands, from books that a gateway wrote: heaps, budgets, desks, windows tried out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from staffed import MINUTE_MS, T0_MS, Staffed

from gateway.cases.silences import Silence
from gateway.cityhall.clearance import DAY_MS, HOUR_MS, Clearance, Terms
from gateway.cityhall.delivery import (
    Cause,
    Claimed,
    Diverted,
    NotSent,
    Refused,
    Row,
    ServiceRequest,
    State,
)
from gateway.cityhall.requests import rfc3339
from gateway.config import FilingSection
from gateway.errors import StoreBroken
from gateway.views.cityhall import (
    budgets_of,
    choices_of,
    cityhall_of,
    waiting_of,
    window_preview,
)
from gateway.watch.status import write_status

pytestmark = pytest.mark.slow

NOW_MS = T0_MS + 10 * DAY_MS


@pytest.fixture
def staffed(tmp_path):
    return Staffed(tmp_path, full=4)


def running(staffed, **said):
    """The gateway has just spoken."""
    told = {"state": "green", "problem": "", "at_ms": staffed.clock.now_ms(), "desk": "up"}
    write_status(staffed.data, told | {"figures": {"desks": {"city": True}}} | said)


def test_requests_are_counted_by_state_with_the_age_of_the_oldest(staffed):
    """Each request is in one heap, and what waits for a person is what the list filters by."""
    first, second, third, _ = staffed.references()
    staffed.file(first)
    staffed.divert(second)
    staffed.through(third, Claimed(), Refused("no such service"))
    hall = cityhall_of(staffed.books)
    assert {one.state: one.count for one in hall.states} == {
        State.READY: 1, State.REVIEW: 1, State.FILED: 1, State.REFUSED: 1,
    }  # fmt: skip
    made = staffed.rows("SELECT min(created_ms) AS at FROM outbox")[0]["at"]
    assert {one.oldest_ms for one in hall.states} == {made}
    assert hall.waiting == waiting_of(staffed.books) == 2


def test_without_books_it_says_so(tmp_path):
    """A gateway that has never run has no heaps."""
    staffed = Staffed(tmp_path)
    staffed.database.unlink()
    with pytest.raises(StoreBroken):
        cityhall_of(staffed.books)


# -- budgets ---------------------------------------------------------------------------------------

SENT = st.lists(
    st.tuples(
        st.integers(NOW_MS - 2 * DAY_MS, NOW_MS),
        st.sampled_from(["BIN_FULL", "POTHOLE"]),
        st.sampled_from(["", "north", "south"]),
    ),
    max_size=12,
)
LIMIT = st.none() | st.integers(1, 4)


@given(SENT, LIMIT, LIMIT, LIMIT)
def test_a_budget_is_used_up_when_the_gateway_says_so(sent, per_hour, per_day, all_per_hour):
    """What the page shows as used is what holds a request back: never more, never less."""
    sent = sorted(sent)
    section = FilingSection(per_hour=per_hour, per_day=per_day, all_per_hour=all_per_hour)
    shown = list(budgets_of(section, sent, NOW_MS))
    for service, district in {(service, district) for _, service, district in sent}:
        clearance = Clearance(Terms(per_hour=per_hour, per_day=per_day, all_per_hour=all_per_hour),
                              sent)  # fmt: skip
        request = ServiceRequest(0.0, 0.0, "", 0, "", extra={"zone": district})
        row = Row("SCG-1", 1, service, request, NOW_MS)
        its = [
            one for one in shown
            if one.of == "everything" or (one.service, one.district) == (service, district)
        ]  # fmt: skip
        over = any(one.used >= one.allowed for one in its)
        assert over == (clearance.objection(row, NOW_MS) is not None)


@pytest.mark.parametrize(
    ("ago_ms", "hour", "day"),
    [(0, 1, 1), (HOUR_MS - 1, 1, 1), (HOUR_MS, 0, 1), (DAY_MS - 1, 0, 1), (DAY_MS, 0, 0)],
)
def test_an_hour_and_a_day_end_where_the_gateways_do(ago_ms, hour, day):
    """A request counts for less than an hour, and for less than a day."""
    sent = [(NOW_MS - ago_ms, "BIN_FULL", "north")]
    section = FilingSection(per_hour=5, per_day=5)
    used = {(one.of, one.per): one.used for one in budgets_of(section, sent, NOW_MS)}
    assert used.get(("one", "hour"), 0) == hour
    assert used.get(("one", "day"), 0) == day


def test_a_budget_that_nothing_has_used_is_shown_and_one_that_is_not_set_is_not():
    """So that nobody takes a budget for missing."""
    shown = list(budgets_of(FilingSection(per_day=7), [], NOW_MS))
    assert [(one.of, one.per, one.used, one.allowed) for one in shown] == [("each", "day", 0, 7)]


def test_what_was_sent_counts_and_what_is_urgent_does_not(staffed):
    """As the filer's own count."""
    first, second, *_ = staffed.references()
    staffed.file(first)
    staffed.file(second)
    staffed.change("UPDATE outbox SET urgent = 1 WHERE reference = ?", second)
    staffed.config.write_text(staffed.config.read_text() + "[filing]\nper_hour = 5\n")
    hall = cityhall_of(type(staffed.books)(staffed.config, staffed.clock))
    assert [one.used for one in hall.budgets if one.of == "one"] == [1]


# -- desks -----------------------------------------------------------------------------------------


def test_a_desk_of_a_gateway_that_is_silent_is_not_known(staffed):
    """It neither answers nor is down: nobody looks."""
    hall = cityhall_of(staffed.books)
    (desk,) = hall.desks
    assert (hall.running, desk.up, desk.host) == (False, None, "127.0.0.1:9")


@pytest.mark.parametrize("up", [True, False])
def test_a_desk_stands_as_the_gateway_said_last(staffed, up):
    """Also in the gateway's words."""
    running(staffed, desk="down: no route", figures={"desks": {"city": up}})
    hall = cityhall_of(staffed.books)
    assert (hall.running, hall.desks[0].up, hall.desks[0].told) == (True, up, "down: no route")


@pytest.mark.parametrize(
    ("after_ms", "shown"), [(60_000, True), (-1, False)], ids=["goes on", "is over"]
)
def test_a_desk_shows_until_when_it_is_left_alone(staffed, after_ms, shown):
    """And for what, as long as it is."""
    until_ms = staffed.clock.now_ms() + after_ms
    pause = {"paused_until_ms": until_ms, "reason": "429: later"}
    running(staffed, figures={"desks": {"city": True}, "pauses": {"city": pause}})
    (desk,) = cityhall_of(staffed.books).desks
    told = (rfc3339(until_ms), "429: later") if shown else (None, "")
    assert (desk.paused_until, desk.pause_reason) == told


def test_a_desk_shows_what_holds_its_requests_up_and_until_when(staffed):
    """The last trouble of those on their way, not of those that are done."""
    first, second, *_ = staffed.references()
    staffed.through(first, Claimed(), Refused("long ago"))
    asked = NotSent(Cause.THROTTLED, "429: come back later", 600.0)
    staffed.through(second, Claimed(), asked, at_ms=T0_MS + MINUTE_MS)
    (desk,) = cityhall_of(staffed.books).desks
    assert desk.trouble == "429: come back later"
    assert desk.unsent == 3
    assert desk.next_at is None  # two others may go at once


def test_who_stopped_filing_and_why_is_shown(staffed):
    """As long as it is stopped."""
    staffed.change("INSERT INTO meta VALUES ('stopped', 'by ann: storm')")
    assert cityhall_of(staffed.books).stopped == "by ann: storm"


# -- windows ---------------------------------------------------------------------------------------


def window(**about):
    given = {"from_ms": T0_MS, "for_ms": HOUR_MS} | about
    return Silence(who="ann", why="works", **given)


@pytest.mark.parametrize(
    ("about", "things", "kind", "waited"),
    [
        ({"assets": ("B-0",)}, 1, 1, 1),
        ({"zones": ("north",)}, 6, 2, 2),  # five bins, and the zone itself
        ({"zones": ("north",), "from_ms": T0_MS + 2 * DAY_MS}, 6, 2, 0),
        ({"assets": ("nothing",)}, 0, 0, 0),
    ],
)
def test_a_window_is_tried_on_what_was_found(staffed, about, things, kind, waited):
    """What it is about, and which of the last incidents would have waited."""
    staffed.clock.ms = T0_MS + DAY_MS
    told = window_preview(staffed.books, window(rules=("bin_full",), **about))
    assert (told.things, told.of_its_kind, told.would_have_waited) == (things, kind, waited)


def test_there_is_something_to_choose_for_a_window(staffed):
    """What stands in the city, by name."""
    choices = choices_of(staffed.books)
    assert choices.zones == ["north", "south"]
    assert "bin_full" in choices.rules
    assert "BIN_FULL" in choices.services
    assert json.loads(choices.model_dump_json())["time_zone"] == choices.time_zone


def test_a_request_held_back_is_in_one_heap_only(staffed):
    """Moving it moves the count."""
    reference = staffed.references()[0]
    before = waiting_of(staffed.books)
    staffed.through(reference, Diverted("over a budget"))
    assert waiting_of(staffed.books) == before + 1
