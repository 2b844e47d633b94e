"""What residents reported already is linked, not asked for again."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from delivery import KEY, SqliteLedger, a_row, running_desk

from gateway.cityhall.delivery import Approved, CannotTell, Cause, Diverted, Found, State
from gateway.cityhall.filing import Filer
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.outbox import advance, reference_for
from gateway.cityhall.profile import read_profile
from gateway.cityhall.residents import FRESH_S, Residents, best_of

DESK = read_profile("desk")
LAT, LONG = 41.8807, -87.6301
M = 1 / 111_195  # degrees of latitude


def theirs(**more):
    return {"service_request_id": "7", "status": "open", "description": "dark for days",
            "lat": str(LAT), "long": str(LONG)} | more  # fmt: skip


@pytest.mark.parametrize(
    ("record", "score"),
    [
        (theirs(), 1.0),
        (theirs(lat=str(LAT + 7.5 * M)), 0.75),
        (theirs(lat=str(LAT + 16 * M)), None),
        (theirs(lat=str(LAT + 100 * M), description="pole L-0042 is dark"), 0.95),
        (theirs(lat=str(LAT + 900 * M), description="pole L-0042 is dark"), None),
        (theirs(lat="", long="", attributes={"pole": "l-0042"}), 0.95),
        (theirs(lat=str(LAT + 100 * M), description="pole L-00421 is dark"), None),
        (theirs(service_request_id=""), None),
        (theirs(description="x [SCG-0123456789ABCDEF0123456789ABCDEF]"), None),
        (theirs(lat="0", long="0"), None),
        (theirs(lat="north"), None),
        (theirs(lat=None), None),
    ],
)
def test_an_open_request_of_somebody_else_at_the_spot_is_the_same_fault(record, score):
    """Or one that names the asset; ours, and those elsewhere, are not."""
    match = best_of([record], a_row(), 15.0, set)
    assert (match.score if match else None) == (
        score if score is None else pytest.approx(score, 0.01)
    )


OURS, OTHER = (f"x [{reference_for(key).upper()}]" for key in ("lamp-1", "another"))


@pytest.mark.parametrize(
    ("record", "known", "ended"),
    [
        (theirs(description=OTHER), True, None),
        (theirs(description=OTHER), False, Diverted),
        (theirs(description=f"pole L-0042 {OTHER}"), False, Found),
        (theirs(description=f"pole L-0042 {OTHER}"), True, None),
        (theirs(description=OTHER, lat=str(LAT + 16 * M)), False, None),
        (theirs(description="x [SCG-0123]"), False, None),
        (theirs(description=" ".join(reference_for(f"{n}") for n in range(99))), False, None),
        (theirs(description=OURS), False, Found),
        (theirs(description=OURS, lat=str(LAT + 900 * M)), False, Found),
        (theirs(description=OURS, service_request_id=""), False, None),
    ],
)
def test_a_gateways_request_that_the_books_do_not_know_is_not_asked_for_twice(record, known, ended):
    """They were lost, or put back, or are another gateway's: it is linked where it has the very
    reference or names the asset; where it is only near, a person sees it first.
    """
    residents = Residents(lambda *_: [record], lambda: 0.0)
    event = residents.match(a_row(), 15.0, 30, 14, NOW_MS, set if known else lambda _: set())
    assert (type(event) if event else None) is ended
    if event is not None:
        assert "7" in str(event)


NOW_MS = 1_768_500_000_000
HOUR_MS = 3_600_000


def closed_at(hours_ago):
    at = datetime.fromtimestamp(NOW_MS / 1000 - hours_ago * 3600, UTC)
    return at.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("more", "began_h", "found"),
    [
        ({}, 5, True),
        ({"status": "OPEN "}, 5, True),
        ({"status": ""}, 5, False),
        ({"status": None}, 5, False),
        ({"status": "closed", "updated_datetime": closed_at(2)}, 5, True),
        ({"status": "closed", "updated_datetime": closed_at(2)}, 1, False),
        ({"status": "closed", "updated_datetime": closed_at(15 * 24)}, 20 * 24, False),
        ({"status": "closed", "updated_datetime": "yesterday"}, 5, False),
        ({"status": "closed"}, 5, False),
    ],
)
def test_a_request_that_was_closed_after_the_fault_began_is_about_it_too(more, began_h, found):
    """For two weeks; one that was closed before it began was about another fault."""
    residents = Residents(lambda *_: [theirs(**more)], lambda: 0.0)
    row = a_row()
    request = replace(row.request, observed_at_ms=NOW_MS - began_h * HOUR_MS)
    match = residents.match(replace(row, request=request), 15.0, 30, 14, NOW_MS, set)
    assert (match is not None) == found


def test_of_several_the_nearest_is_linked():
    """With its distance as a reason."""
    records = [theirs(lat=str(LAT + d * M), service_request_id=str(d)) for d in (9, 3, 12)]
    match = best_of(records, a_row(), 15.0, set)
    assert (match.request_id, match.why) == ("3", "3 m from here")


def test_a_storm_of_faults_reads_the_list_once():
    """And what could not be read stops nothing."""
    now_s, asked = [0.0], []

    def read(service, since_ms, until_ms, status):
        asked.append(service)
        return CannotTell(Cause.TIMEOUT, "t")

    residents = Residents(read, lambda: now_s[0])
    for _ in range(5):
        assert residents.match(a_row(), 15.0, 30, 0, 0, set) is None
    now_s[0] = FRESH_S
    residents.match(a_row(), 15.0, 30, 0, 0, set)
    assert asked == ["STREETLIGHT_OUT"] * 2


@pytest.mark.slow
def test_a_residents_open_report_for_the_same_lamp_is_linked_and_not_filed_again(tmp_path):
    """One lamp was reported by a resident, its neighbour was not; the score stands with the row."""
    report = {"api_key": KEY, "service_code": "SL-OUT", "lat": LAT + 5 * M, "long": LONG,
              "description": "The lamp before our house is dark."}  # fmt: skip
    rows = [a_row("reported"), a_row("not", lat=LAT + 60 * M, asset_id="L-0043")]
    ledger = SqliteLedger(tmp_path / "rows.db")
    ledger.add(*rows)
    with running_desk(tmp_path) as desk:
        answer = desk.http.post("/open311/v2/requests.json", data=report).raise_for_status()
        their_id = answer.json()[0]["service_request_id"]
        with Open311Client(desk.endpoint, KEY, DESK) as client:
            Filer(ledger, client, DESK, lambda: int(time.time() * 1000)).step()
        stored = desk.stored()
    linked, filed = sorted(ledger.rows(), key=lambda row: row.request.asset_id)
    ledger.close()
    assert (linked.state, linked.request_id, linked.attempts) == (State.FILED, their_id, 0)
    assert "reported by somebody else: 5 m from here (score 0.83)" in linked.reason
    assert (filed.state, filed.reason) == (State.FILED, "")
    assert len(stored) == 2


@pytest.mark.slow
@pytest.mark.parametrize("urgent", [False, True])
def test_what_a_lost_gateway_asked_for_nearby_is_seen_by_a_person_first(tmp_path, urgent):
    """Once: what they let pass is sent. What is urgent waits for nobody."""
    asked = {"api_key": KEY, "service_code": "SL-OUT", "lat": LAT + 5 * M, "long": LONG,
             "description": f"dark {OTHER}"}  # fmt: skip
    ledger = SqliteLedger(tmp_path / "rows.db")
    ledger.add(replace(a_row(), urgent=urgent))
    states = []
    with running_desk(tmp_path) as desk:
        desk.http.post("/open311/v2/requests.json", data=asked).raise_for_status()
        with Open311Client(desk.endpoint, KEY, DESK) as client:
            filer = Filer(ledger, client, DESK, lambda: int(time.time() * 1000))
            filer.step()
            (row,) = ledger.rows()
            states.append(row.state)
            if not urgent:
                assert "is 5 m from here: link it if it is the same fault" in row.reason
                now_ms = int(time.time() * 1000)
                approved = advance(row, Approved("ann"), now_ms, DESK.policy(row.service))
                ledger.outbox_save(row, approved, "approved", now_ms)
                filer.step()
                states.append(ledger.rows()[0].state)
        stored = desk.stored()
    ledger.close()
    assert states == ([State.FILED] if urgent else [State.REVIEW, State.FILED])
    assert len(stored) == 2
