"""The audit log: nothing of it is changed or lost, and it is read in pages."""

import json
import sqlite3

import pytest
from staffed import ADMIN, OPERATOR, T0_MS, VIEWER, Staffed
from typer.testing import CliRunner

from gateway.books import by_hand
from gateway.books.audit import Entry, entries_of
from gateway.books.schema import MIGRATIONS
from gateway.books.store import Store
from gateway.cli import app
from gateway.cli.audit import audit as audit_command
from gateway.errors import StoreBroken
from gateway.staff.deed import Code, Deed
from gateway.staff.deeds import Via
from gateway.staff.people import Role
from gateway.views.audit import audit_of


@pytest.fixture
def staffed(tmp_path):
    return Staffed(tmp_path)


def entry(number, who="ana", deed=Deed.HOLD):
    said = f"R-{number}", "because"
    return Entry(T0_MS + 1000 * number, who, Role.OPERATOR, Via.CONSOLE, deed, *said)


def test_an_entry_is_read_as_it_was_written(staffed):
    """With everything that is asked of it later."""
    by_hand.record(staffed.database, entry(1), Code.REFUSED, "it is not waiting")
    (line,) = entries_of(staffed.database)
    assert line.as_dict() == {
        "id": 1, "at": "2026-01-15T05:00:01Z", "who": "ana", "role": "operator",
        "via": "console", "deed": "hold", "subject": "R-1", "why": "because", "code": "refused",
        "text": "it is not waiting",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET who = 'nobody'", "DELETE FROM audit", "UPDATE audit_ends SET text = ''",
        "DELETE FROM audit_ends", "REPLACE INTO audit_ends VALUES (1, 0, 'done', 'forged')",
    ],
)  # fmt: skip
def test_no_entry_can_be_changed_or_taken_away(staffed, change):
    """Neither by a slip of ours: the database refuses."""
    number = by_hand.record(staffed.database, entry(1), Code.WAITING, "begun")
    by_hand.record_end(staffed.database, number, T0_MS, Code.DONE, "it is done")
    db = sqlite3.connect(staffed.database, isolation_level=None)
    db.execute("PRAGMA recursive_triggers = ON")  # else REPLACE deletes unseen
    with pytest.raises(sqlite3.IntegrityError, match="audit log is"):
        db.execute(change)
    db.close()
    (line,) = entries_of(staffed.database)
    assert (line.who, line.code, line.text) == ("ana", "done", "it is done")


def test_a_deed_that_was_cut_off_stands_as_begun(staffed):
    """Whoever looks knows that it may have been done, or not."""
    by_hand.record(staffed.database, entry(1), Code.WAITING, "begun")
    (line,) = entries_of(staffed.database)
    assert (line.code, line.text) == ("waiting", "begun")


def test_an_order_and_its_entry_are_there_together_or_not_at_all(staffed, monkeypatch):
    """A fault between the two leaves neither."""

    def fail(*_args):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("gateway.books.audit.enter", fail)
    with pytest.raises(StoreBroken):
        by_hand.stop(staffed.database, entry(1))
    one, two, _ = staffed.incidents()
    assert staffed.deeds().merge(OPERATOR, two, one, "w").code is Code.FAILED
    assert staffed.rows("SELECT * FROM orders") == []
    assert staffed.rows("SELECT * FROM meta WHERE key = 'stopped'") == []


def test_the_log_is_read_in_pages_the_newest_first(staffed):
    """Each entry once, whatever is written meanwhile."""
    for number in range(1, 8):
        by_hand.record(staffed.database, entry(number), Code.DONE, "")
    seen, before = [], None
    while True:
        page = audit_of(staffed.books, before, 3)
        seen += [line.subject for line in page.entries]
        by_hand.record(staffed.database, entry(99, who="later"), Code.DONE, "")
        before = page.next
        if before is None:
            break
    assert seen == [f"R-{number}" for number in range(7, 0, -1)]


def test_the_log_is_looked_through_by_person_deed_and_subject(staffed):
    """Together too."""
    by_hand.record(staffed.database, entry(1), Code.DONE, "")
    by_hand.record(staffed.database, entry(2, who="ben"), Code.DONE, "")
    by_hand.record(staffed.database, entry(3, who="ben", deed=Deed.RETRY), Code.DONE, "")

    def found(**wanted):
        return [line.id for line in audit_of(staffed.books, **wanted).entries]

    assert found(who="ben") == [3, 2]
    assert found(deed="hold") == [2, 1]
    assert found(who="ben", deed="hold") == [2]
    assert found(subject="R-3") == [3]
    assert found(who="'; DROP TABLE audit; --") == []


def test_books_of_before_get_the_log_when_the_gateway_starts(tmp_path):
    """And until then a deed is refused with what to do, not done unseen."""
    before = next(n for n, script in enumerate(MIGRATIONS) if "CREATE TABLE audit" in script)
    path = tmp_path / "sense311.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(";".join(MIGRATIONS[:before]) + f"; PRAGMA user_version = {before}")
    db.close()
    with pytest.raises(StoreBroken, match="start the gateway of this version once"):
        by_hand.stop(path, entry(1))
    Store(tmp_path).close()
    by_hand.stop(path, entry(1))
    assert [line.who for line in entries_of(path)] == ["ana"]


def test_a_file_of_a_newer_version_is_not_written(staffed):
    """Its tables may mean something else."""
    db = sqlite3.connect(staffed.database, isolation_level=None)
    db.execute("PRAGMA user_version = 999")
    db.close()
    assert staffed.deeds().stop_filing(ADMIN, "w").code is Code.FAILED


def test_the_command_lists_what_all_did(staffed):
    """Through whatever they came."""
    reference = staffed.references()[0]
    staffed.deeds(Via.CONSOLE).hold(OPERATOR, reference, "crew there")
    staffed.deeds(Via.API).retry(VIEWER, reference)

    def run(*words):
        done = CliRunner().invoke(audit_command, ["ls", "-c", str(staffed.config), *words])
        return done.exit_code, done.stdout

    code, said = run("--json")
    entries = json.loads(said)["entries"]
    assert code == 0
    assert [(one["via"], one["who"], one["deed"], one["code"]) for one in entries] == [
        ("api", "the-viewer", "retry", "not_allowed"),
        ("console", "the-operator", "hold", "done"),
    ]
    assert [one["deed"] for one in json.loads(run("--json", "--deed", "hold")[1])["entries"]] == [
        "hold"
    ]
    assert "crew there" in run("--who", "the-operator")[1]
    assert run("--deed", "nonsense")[0] == 2


def test_what_is_done_by_a_command_stands_in_the_log_too(staffed):
    """As done by an admin, whose name the command is given; without a reason it says so."""
    first, second, _ = staffed.references()

    def run(*words):
        done = CliRunner().invoke(app, [*words, "-c", str(staffed.config), "--json"])
        return done.exit_code, json.loads(done.stdout)

    assert run("requests", "hold", first, "--who", "ben") == (
        0, {"reference": first, "state": "review"},
    )  # fmt: skip
    assert run("requests", "approve", second, "--who", "ben")[0] == 1
    assert (
        run("requests", "stop", "--who", "ben", "--why", "storm")[1]["stopped"] == "by ben: storm"
    )
    assert run("incidents", "split", "99", "--who", "ben")[0] == 1
    found = [(one.via, one.role, one.who, one.deed, one.code, one.why) for one in
             reversed(audit_of(staffed.books).entries)]  # fmt: skip
    by_ben = ("command", "admin", "ben")
    assert found == [
        (*by_ben, "hold", "done", "no reason given"),
        (*by_ben, "approve", "refused", ""),
        (*by_ben, "stop_filing", "done", "storm"),
        (*by_ben, "split", "not_found", "no reason given"),
    ]
