"""The books beside the gateway: read without a trace, and one thing a person may change."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.books import by_hand, ledger
from gateway.books.store import Store
from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import (
    Absent,
    Cause,
    Claimed,
    NoReadBack,
    Policy,
    Refused,
    Retry,
    Row,
    ServiceRequest,
    Unknown,
)
from gateway.cityhall.outbox import advance, in_doubt, reference_for
from gateway.effects import Effects, Entry
from gateway.errors import StoreBroken

POLICY = Policy(visibility_ms=0, absent_gap_ms=0, absent_reads=1)
T0 = 1_768_453_200_000


def a_row(number):
    request = ServiceRequest(41.9, -87.6, "full", 1, "bin_full", asset_id=f"B-{number}")
    return Row(reference_for(f"k{number}"), number, "BIN_FULL", request, created_ms=T0)


@pytest.fixture
def books(tmp_path):
    opened = Store(tmp_path)
    for number in (1, 2, 3):
        incident = Incident(
            number, "bin_full", f"B-{number}", 1, State.QUEUED, T0, T0, T0, {"fill_pct": 92},
            cleared_ms=T0 if number == 3 else None,
        )  # fmt: skip
        entry = Entry(T0, T0, f"B-{number}", "bin_full", number, "ok", "firing", "why", None)
        opened.commit(
            Effects(incidents={number: incident}, outbox=[a_row(number)], journal=[entry])
        )
    yield opened
    opened.close()


def moved(books, row, *events):
    for at_ms, event in enumerate(events, T0):
        after = advance(row, event, at_ms, POLICY)
        books.outbox_save(row, after, type(event).__name__, at_ms)
        row = after
    return row


def test_open_incidents_are_listed_with_times_that_people_read(books):
    """The ended one only when asked for."""
    assert [row["id"] for row in ledger.incidents_of(books.path, ended=False)] == [1, 2]
    rows = ledger.incidents_of(books.path, ended=True)
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert rows[2]["cleared_at"] == rows[0]["fired_at"] == "2026-01-15T05:00:00Z"


def test_an_incident_is_shown_with_its_steps_and_its_request(books):
    """None for one that is not there."""
    story = ledger.incident_story(books.path, 1)
    assert story is not None
    assert story["request"]["reference"] == a_row(1).reference
    assert [(step["before"], step["after"]) for step in story["journal"]] == [("ok", "firing")]
    assert ledger.incident_story(books.path, 9) is None


def test_a_request_is_shown_with_each_step_of_its_delivery(books):
    """What is asked, and what became of it."""
    moved(books, a_row(1), Claimed(), Refused("no such service"))
    story = ledger.request_story(books.path, a_row(1).reference)
    assert story is not None
    assert story["request"]["asset_id"] == "B-1"
    assert [step["after"] for step in story["deliveries"]] == ["sending", "refused"]
    assert story["reason"] == "no such service"
    assert ledger.request_story(books.path, "SCG-none") is None


def test_retry_puts_a_refused_request_back(books):
    """It is due at once, and the step is in its log."""
    moved(books, a_row(1), Claimed(), Refused("no such service"))
    assert by_hand.move(books.path, a_row(1).reference, Retry(), T0 + 5).state == "ready"
    assert books.outbox_due(T0 + 5, 9)[0].reference == a_row(1).reference
    story = ledger.request_story(books.path, a_row(1).reference)
    assert story is not None
    assert story["deliveries"][-1]["event"] == "retry"
    assert story["attempts"] == 1


def test_retry_keeps_what_the_row_knows(books):
    """An attempt of unknown outcome, absent at the desk once, then refused: after the retry it is
    still in doubt, so it is looked up before it is sent."""
    unknown = Unknown(Cause.TIMEOUT, "timeout")
    doubtful = moved(books, a_row(1), Claimed(), unknown, Absent(T0 + 10))
    assert in_doubt(doubtful)
    refused = moved(books, doubtful, Claimed(), Refused("closed today"))
    assert by_hand.move(books.path, refused.reference, Retry(), T0 + 50).state == "ready"
    (after,) = [r for r in books.outbox_rows() if r.reference == refused.reference]
    assert after == replace(refused, state="ready", looks=0, next_ms=T0 + 50)
    assert in_doubt(after)


def test_retry_takes_a_held_request(books):
    """A person has looked with their own eyes."""
    held = moved(books, a_row(1), Claimed(), Unknown(Cause.TIMEOUT, "timeout"), NoReadBack())
    assert held.state == "held"
    assert by_hand.move(books.path, held.reference, Retry(), T0).state == "ready"


@pytest.mark.parametrize("events", [[], [Claimed()], [Claimed(), Unknown(Cause.DROPPED, "x")]])
def test_retry_leaves_a_request_alone_that_is_under_way(books, events):
    """Ready, sending, uncertain: not a person's to move; nothing is changed."""
    row = moved(books, a_row(1), *events)
    with pytest.raises(by_hand.NotPossibleError, match=f"{row.state}: it is not refused or held"):
        by_hand.move(books.path, row.reference, Retry(), T0)
    assert books.outbox_rows()[0] == row
    with pytest.raises(by_hand.NotPossibleError, match="no request SCG-none"):
        by_hand.move(books.path, "SCG-none", Retry(), T0)


def test_the_books_are_open_while_the_gateway_writes_and_after_it_has_gone(tmp_path):
    """A reader beside an open transaction sees what is committed; so does one of a closed file."""
    with closing(Store(tmp_path)) as books, books.transaction() as db:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('x', 'y')")
        assert ledger.requests_of(books.path) == []
    assert ledger.incidents_of(tmp_path / "sense311.db", ended=True) == []


def test_reading_the_books_cannot_change_them(books):
    """Not even by mistake."""
    with ledger._reading(books.path) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("DELETE FROM outbox")


def test_books_that_are_not_there_are_not_made(tmp_path):
    """Nor is a file that is no database taken for one."""
    with pytest.raises(StoreBroken, match="has the gateway run"):
        ledger.requests_of(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "bad.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreBroken, match=r"bad\.db"):
        ledger.requests_of(tmp_path / "bad.db")


def test_progress_counts_different_refusals(books):
    """A message that was delivered twice is refused once."""
    assert ledger.progress_of(books.path) == {"readings": 0, "refused": 0, "latest_ms": 0}
