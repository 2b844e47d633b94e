"""Incidents, requests and windows as they are shown: what is wanted, in pages."""

import time

import pytest
from staffed import OPERATOR, T0_MS, Staffed

from gateway.books import by_hand
from gateway.books.case_book import PAGE_ROWS_MAX
from gateway.cases.incident import State as IncidentState
from gateway.cases.silences import Silence
from gateway.cityhall import outbox
from gateway.cityhall.delivery import State
from gateway.errors import StoreBroken
from gateway.staff.deed import Deed
from gateway.views import requests, silences
from gateway.views.incidents import Wanted, incident_view, incidents_of
from gateway.views.requests import request_view, requests_of

pytestmark = pytest.mark.slow


@pytest.fixture
def staffed(tmp_path):
    return Staffed(tmp_path)


def numbers(staffed, **wanted):
    return [row.id for row in incidents_of(staffed.books, Wanted(**wanted)).incidents]


def test_an_incident_is_shown_with_its_asset_and_its_request(staffed):
    """What it is about, where, since when, and how its request stands."""
    staffed.file(staffed.references()[0], "CITY-7")
    row = incidents_of(staffed.books).incidents[-1]
    assert (row.id, row.rule, row.subject, row.title) == (1, "bin_full", "B-0", "Bin B-0 is full")
    assert (row.kind, row.zone, row.address) == ("bin", "north", "0 Lake St")
    assert (row.state, row.open, row.cleared_at) == (IncidentState.QUEUED, True, None)
    assert row.started_at == "2026-01-15T05:00:00Z"
    assert row.request is not None
    assert (row.request.state, row.request.request_id) == (State.FILED, "CITY-7")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"rule": "bin_full"}, [3, 2, 1]),
        ({"rule": "gone"}, []),
        ({"kind": "bin"}, [6, 5, 4, 3, 2, 1]),
        ({"kind": "streetlight"}, []),
        ({"kind": "bin", "rule": "slow_bin"}, [6, 5, 4]),
        ({"kind": "streetlight", "rule": "slow_bin"}, []),
        ({"zone": "south"}, [5, 2]),
        ({"zone": "nowhere"}, []),
        ({"asset": "B-2"}, [6, 3]),
        ({"state": "shadow"}, [6, 5, 4]),
        ({"open": True, "zone": "north"}, [6, 4, 3, 1]),
        ({"open": False}, []),
        ({"waiting": True}, [1]),
        ({"search": "b-1"}, [5, 2]),
        ({"search": "2 LAKE"}, [6, 3]),
        ({"search": "CITY-9"}, []),
        ({"search": "%"}, []),
        ({"hours": 1.0}, [6, 5, 4, 3, 2, 1]),
    ],
)
def test_incidents_are_found_by_what_is_wanted(staffed, wanted, found):
    """Several wishes must all come true; signs of SQL are letters."""
    staffed.divert(staffed.references()[0])
    assert numbers(staffed, **wanted) == found


def test_an_incident_is_found_by_its_reference_and_the_number_of_the_city(staffed):
    """As somebody on the telephone has it."""
    reference = staffed.references()[1]
    staffed.file(reference, "26-000123")
    assert numbers(staffed, search=reference[:12]) == [2]
    assert numbers(staffed, search=" 26-000123 ") == [2]


def test_incidents_of_long_ago_are_not_found_within_hours(staffed):
    """By when they fired."""
    staffed.clock.ms += 10 * 3_600_000
    assert numbers(staffed, hours=1.0) == []


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 100])
def test_pages_hold_each_incident_once_whatever_comes_meanwhile(staffed, limit):
    """The newest first; the last page says that it is the last."""
    seen, after, pages = [], None, 0
    while True:
        page = incidents_of(staffed.books, Wanted(), after, limit)
        seen += [row.id for row in page.incidents]
        assert len(page.incidents) <= limit
        after, pages = page.next, pages + 1
        if after is None:
            break
    assert (seen, pages) == ([6, 5, 4, 3, 2, 1], -(-6 // limit))


def test_one_incident_is_told_whole(staffed):
    """Its steps, its request with the delivery, what was measured, what may be done."""
    view = incident_view(staffed.books, 1)
    assert view is not None
    assert view.values["fill_pct"] == 95
    assert [step.after for step in view.journal][-1] == "queued"
    assert view.whole_request is not None
    assert "95" in view.whole_request.asked.description
    assert view.evidence is not None
    assert max(value for _, value in view.evidence.signals[0].points) == 95
    assert "how sure" in view.evidence.facts
    assert Deed.MERGE in view.possible
    assert Deed.REOPEN not in view.possible
    assert incident_view(staffed.books, 1, evidence=False).evidence is None


def test_an_incident_in_shadow_shows_what_it_would_have_asked(staffed):
    """And has no request."""
    view = incident_view(staffed.books, 4)
    assert view.request is None
    assert view.would_have_filed.service == "BIN_FULL"
    assert "B-0" in view.would_have_filed.asked.description


def test_an_incident_names_what_it_explains(staffed):
    """Merged by hand."""
    staffed.deeds().merge(OPERATOR, 2, 1, "one bin")
    staffed.carry_out()
    assert incident_view(staffed.books, 1).explains == [2]
    part = incident_view(staffed.books, 2)
    assert (part.parent, part.state) == (1, IncidentState.ABSORBED)
    assert {Deed.SPLIT, Deed.MERGE} <= set(part.possible)


@pytest.mark.parametrize("number", [0, 7, 99, 2**63 - 1])
def test_an_incident_that_is_not_there_is_none(staffed, number):
    """No error."""
    assert incident_view(staffed.books, number) is None


def test_of_a_rule_and_an_asset_that_are_gone_the_books_say_what_is_left(staffed):
    """The incident stays to be seen."""
    staffed.rule_file.write_text(staffed.rule_file.read_text().replace("slow_bin", "other_bin"))
    staffed.assets.write_text(staffed.assets.read_text().replace('"B-0"', '"B-77"'))
    with by_hand.opened(staffed.database, "rw") as db:
        db.execute("DELETE FROM meta WHERE key = 'rules'")
    gone = incident_view(staffed.books, 4)
    assert (gone.rule, gone.title, gone.kind, gone.evidence) == ("slow_bin", "", "", None)
    kept = incident_view(staffed.books, 1)
    assert (kept.kind, kept.address, kept.evidence is not None) == ("bin", "0 Lake St", True)


# -- requests -------------------------------------------------------------------------------------


def test_what_may_be_done_with_a_request_is_what_the_delivery_allows(staffed):
    """For each state; a request that may be at the city is not sent again."""
    waits, filed, ready = staffed.references()
    staffed.divert(waits)
    staffed.file(filed)
    found = {row.reference: row.possible for row in requests_of(staffed.books).requests}
    assert set(found[waits]) == {Deed.APPROVE, Deed.LINK}
    assert found[filed] == []
    assert Deed.HOLD in found[ready]
    for state in State:
        moves = set(requests.moves_of(state))
        assert (Deed.APPROVE in moves) == outbox.legal(state, requests._MOVES[Deed.APPROVE])


def test_requests_are_found_by_state_service_desk_and_zone_in_pages(staffed):
    """The newest first."""
    staffed.divert(staffed.references()[1])

    def found(**wanted):
        return [row.incident for row in requests_of(staffed.books, **wanted).requests]

    assert found() == [3, 2, 1]
    assert found(state="review") == [2]
    assert found(service="BIN_FULL", zone="north") == [3, 1]
    assert found(desk="emergency") == []
    page = requests_of(staffed.books, limit=2)
    assert page.next == 2
    assert [row.incident for row in requests_of(staffed.books, page.next, 2).requests] == [1]


def test_one_request_is_told_with_each_step_of_its_delivery(staffed):
    """What is asked, and what became of it."""
    reference = staffed.references()[0]
    staffed.file(reference, "CITY-1")
    view = request_view(staffed.books, reference)
    assert [step.event for step in view.deliveries] == ["claimed", "filed"]
    assert (view.request_id, view.asked.asset_id, view.asked.extra["zone"]) == (
        "CITY-1", "B-0", "north",
    )  # fmt: skip
    assert request_view(staffed.books, "SCG-none") is None


# -- windows --------------------------------------------------------------------------------------


def test_windows_are_shown_until_they_never_come_again(staffed):
    """With `over` those too."""
    for from_ms in (T0_MS - 10 * 3_600_000, T0_MS - 60_000):
        window = Silence(who="", why="", from_ms=from_ms, for_ms=3_600_000, zones=("north",))
        staffed.deeds().silence(OPERATOR, window, "works")
    staffed.carry_out()
    (shown,) = silences.silences_of(staffed.books).silences
    assert (shown.id, shown.state, shown.zones, shown.lasts_s) == (2, "in force", ["north"], 3600)
    assert (shown.who, shown.why) == ("the-operator", "works")
    assert [one.id for one in silences.silences_of(staffed.books, over=True).silences] == [2, 1]


# -- many -----------------------------------------------------------------------------------------


def test_without_books_the_views_say_so(staffed):
    """As every reader of the store does."""
    for path in staffed.data.glob("sense311.db*"):
        path.unlink()
    with pytest.raises(StoreBroken):
        incidents_of(staffed.books)


@pytest.mark.slow
def test_a_page_of_many_thousand_incidents_is_cut_by_the_database(staffed):
    """The first page and the last cost the same, a small part of a second."""
    with by_hand.opened(staffed.database, "rw") as db:
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO incidents (id, rule, subject, episode, state, started_ms, fired_ms, "
            "due_ms, vals, why) VALUES (?, 'bin_full', ?, ?, 'noted', 1, ?, 1, '{}', 'x')",
            [(100 + n, f"B-{n % 10}", 10 + n, T0_MS + n) for n in range(20_000)],
        )
        db.execute("COMMIT")
    incidents_of(staffed.books)  # the plans are read once
    began_s = time.perf_counter()
    first = incidents_of(staffed.books, Wanted(zone="north", kind="bin"), None, PAGE_ROWS_MAX)
    last = incidents_of(staffed.books, Wanted(search="b-3"), 150, 100)
    took_s = time.perf_counter() - began_s
    assert len(first.incidents) == PAGE_ROWS_MAX
    assert [row.id for row in last.incidents] == [143, 133, 123, 113, 103]
    assert took_s < 2.0
