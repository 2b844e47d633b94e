"""The store on a real file: durable or refused, a batch whole or not at all, pruned not too far."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.books import database, schema
from gateway.books.store import PRUNE_ROWS, Store
from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import Claimed, Filed, Policy, Row, ServiceRequest
from gateway.cityhall.outbox import RowChangedError, advance, reference_for
from gateway.effects import Effects, Entry, StoredReading, StoredRefusal
from gateway.errors import StoreBroken, StoreFull
from gateway.field.devices import Device

HOUR_MS = 3_600_000


@pytest.fixture
def books(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


def a_reading(number, received_ms=0, size=0):
    body = json.dumps({"values": {"fill_pct": 1, "lid_open": True}, "pad": "x" * size}).encode()
    return StoredReading(number, "d", "bin", "z", "B-1", number, received_ms, "fresh", body)


def readings(first, count, **options):
    return Effects(readings=[a_reading(n, **options) for n in range(first, first + count)])


def an_incident(number):
    return Incident(number, "bin_full", f"B-{number}", 1, State.QUEUED, 1, 2, 3, {"fill_pct": 92})


def a_row(number):
    request = ServiceRequest(41.9, -87.6, "full", 1, "bin_full", asset_id=f"B-{number}")
    return Row(reference_for(f"k{number}"), number, "BIN_FULL", request, created_ms=number)


def fault(number):
    entry = Entry(1, 1, f"B-{number}", "bin_full", number, "ok", "firing", "why", None)
    return Effects(incidents={number: an_incident(number)}, outbox=[a_row(number)], journal=[entry])


def count(books, table):
    return books._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


# -- opening ----------------------------------------------------------------------------------


def test_every_connection_is_durable(books):
    """Write-ahead log and a synchronous commit, on the writer and on the reader."""
    for db in (books._db, books._reader):
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2


@pytest.mark.parametrize(
    ("path", "pragma", "said"),
    [
        (":memory:", "synchronous = FULL", "journal_mode=memory"),
        ("file", "journal_mode = DELETE", "journal_mode=delete"),
        ("file", "synchronous = NORMAL", "synchronous=1"),
        ("file", "synchronous = OFF", "synchronous=0"),
    ],
)
def test_a_database_that_is_not_durable_is_refused(tmp_path, path, pragma, said):
    """Whatever is not WAL with synchronous=FULL would lose what was acknowledged."""
    with closing(sqlite3.connect(tmp_path / "x.db" if path == "file" else path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA {pragma}")
        with pytest.raises(StoreBroken, match=said):
            database._assert_durable(db)


def test_migrations_run_once_each_and_in_order(tmp_path, monkeypatch):
    """A file of version 1 gets what is new, keeps what it has, and is left alone after."""
    with closing(Store(tmp_path)) as old:
        old.commit(readings(1, 3))
        installation = old.load().installation
    more = (*schema.MIGRATIONS, "CREATE TABLE more (id); INSERT INTO more VALUES (1)")
    monkeypatch.setattr(database, "MIGRATIONS", more)
    for _ in range(2):
        with closing(Store(tmp_path)) as new:
            assert count(new, "more") == 1
            assert count(new, "readings") == 3
            assert new.load().installation == installation


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    """Its statements and the note that it ran are one transaction."""
    Store(tmp_path).close()
    bad = (*schema.MIGRATIONS, "CREATE TABLE half (id); INSERT INTO no_such_table VALUES (1)")
    monkeypatch.setattr(database, "MIGRATIONS", bad)
    with pytest.raises(StoreBroken, match="no_such_table"):
        Store(tmp_path)
    monkeypatch.setattr(database, "MIGRATIONS", schema.MIGRATIONS)
    with closing(Store(tmp_path)) as good:
        names = [n for (n,) in good._db.execute("SELECT name FROM sqlite_master")]
        assert "half" not in names


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    """An older program must not write what it does not understand."""
    Store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "sense311.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreBroken, match="newer version"):
        Store(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """And said so by its path, without a trace of SQLite's own errors."""
    (tmp_path / "sense311.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreBroken, match=r"sense311\.db"):
        Store(tmp_path)


def test_a_folder_is_used_by_one_gateway_at_a_time(tmp_path):
    """The second is told; once the first has gone it may have it."""
    with closing(Store(tmp_path)), pytest.raises(StoreBroken, match="another gateway is using"):
        Store(tmp_path)
    Store(tmp_path).close()


# -- a batch ----------------------------------------------------------------------------------


def test_what_is_committed_is_there_when_it_is_opened_again(tmp_path):
    """Readings, refusals, devices, states, places, incidents, requests, journal, times."""
    effects = fault(1)
    effects.readings = [a_reading(7)]
    effects.refusals = [StoredRefusal(1, "t", "d", "not_json", "line 1", "m", "h", 3, b"abc")]
    effects.devices = {"d": Device("d")}
    effects.states, effects.places = [("B-1", b"s")], [("p", b"place")]
    effects.tick_ms, effects.follow_ms = 60_000, 61_000
    with closing(Store(tmp_path)) as first:
        first.commit(effects)
    with closing(Store(tmp_path)) as second:
        saved = second.load()
        assert (saved.tick_ms, saved.follow_ms) == (60_000, 61_000)
        assert (saved.reading_id, saved.incident_id) == (7, 1)
        assert saved.incidents == [an_incident(1)]
        assert saved.episodes == {("bin_full", "B-1"): 1}
        assert (saved.states, saved.places) == ([("B-1", b"s")], [b"place"])
        assert second.outbox_due(1, 10) == [a_row(1)]
        assert [count(second, table) for table in ("refusals", "journal")] == [1, 1]


def test_a_batch_that_fails_at_its_end_leaves_nothing(books):
    """The same incident twice in the outbox: none of the readings before it stay either."""
    effects = fault(1)
    effects.readings = [a_reading(1)]
    effects.outbox.append(replace(effects.outbox[0], reference="SCG-another"))
    with pytest.raises(StoreBroken, match="UNIQUE"):
        books.commit(effects)
    assert [count(books, t) for t in ("readings", "incidents", "outbox", "journal")] == [0] * 4
    books.commit(fault(1))


def test_one_incident_never_has_two_requests(books):
    """The database itself refuses a second row, and a second incident of an episode."""
    books.commit(fault(1))
    again = fault(2)
    again.outbox = [a_row(2)]
    again.incidents = {2: an_incident(1)}
    again.incidents[2].id = 2
    with pytest.raises(StoreBroken, match="UNIQUE"):
        books.commit(again)
    assert count(books, "outbox") == 1


def test_a_delivery_moves_by_one_hand_only(books):
    """A step from a state that is no longer the stored one is refused and not logged."""
    books.commit(fault(1))
    row = a_row(1)
    claimed = advance(row, Claimed(), 5, Policy())
    books.outbox_save(row, claimed, "claimed", 5)
    with pytest.raises(RowChangedError):
        books.outbox_save(row, claimed, "claimed", 6)
    filed = advance(claimed, Filed("SR-1"), 7, Policy())
    books.outbox_save(claimed, filed, "filed", 7)
    assert books.outbox_rows() == [filed]
    assert count(books, "deliveries") == 2


def test_history_reads_on_from_its_cursor(books):
    """In the order stored, numbers and truths only."""
    books.commit(readings(1, 5))
    books.history_advance(3)
    found = books.readings_after(books.history_cursor(), 10)
    assert [reading.id for reading in found] == [4, 5]
    assert found[0].values == {"fill_pct": 1, "lid_open": True}


# -- retention --------------------------------------------------------------------------------


def test_retention_by_age_spares_what_history_waits_for(books):
    """Of ten old readings, history has six: four stay, and all the younger ones."""
    books.commit(readings(1, 10, received_ms=0))
    books.commit(readings(11, 5, received_ms=9 * HOUR_MS))
    assert books.prune(HOUR_MS, 1 << 40, history_cursor=6) == 6
    assert [r.id for r in books.readings_after(0, 99)] == list(range(7, 16))
    assert books.prune(HOUR_MS, 1 << 40, history_cursor=None) == 4
    assert [r.id for r in books.readings_after(0, 99)] == list(range(11, 16))


def test_retention_by_size_takes_the_oldest_and_spares_history(books):
    """However large the file is, what history has not is not touched."""
    books.commit(readings(1, 20, received_ms=9 * HOUR_MS, size=4000))
    assert books.prune(0, 1, history_cursor=5) == 5
    assert books.prune(0, 1, history_cursor=5) == 0
    assert books.prune(0, 1, history_cursor=None) == 15


def test_one_call_prunes_a_bounded_number(books):
    """The writer is never away for long; what is left is for the next call."""
    books.commit(readings(1, PRUNE_ROWS + 10))
    assert books.prune(HOUR_MS, 1 << 40, None) == PRUNE_ROWS
    assert books.prune(HOUR_MS, 1 << 40, None) == 10


def test_incidents_and_requests_are_never_pruned(books):
    """Open or ended, filed or not, however old and however large the file."""
    books.commit(fault(1))
    books.commit(fault(2))
    books.commit(readings(1, 5))
    books.prune(1 << 50, 0, None)
    assert [count(books, t) for t in ("readings", "incidents", "outbox")] == [0, 2, 2]


def test_numbers_are_not_given_twice_after_pruning(tmp_path):
    """A cursor that points behind the last reading must not hide the next one."""
    with closing(Store(tmp_path)) as first:
        first.commit(readings(1, 5))
        first.history_advance(5)
        first.prune(HOUR_MS, 1 << 40, 5)
    with closing(Store(tmp_path)) as second:
        assert second.load().reading_id == 5


# -- a full disk ------------------------------------------------------------------------------


def test_full_is_told_apart_from_broken_and_passes(books):
    """No page is left: the batch has no effect; with room it goes through."""
    books.commit(readings(1, 5))
    used = books.pragma("page_count")
    books._db.execute(f"PRAGMA max_page_count = {used}")
    with pytest.raises(StoreFull):
        books.commit(readings(6, 50, size=4000))
    assert books.load().reading_id == 5
    with pytest.raises(StoreFull):
        books.commit(readings(6, 50, size=4000))
    books._db.execute(f"PRAGMA max_page_count = {used + 200}")
    books.probe()
    books.commit(readings(6, 50, size=4000))
    assert books.load().reading_id == 55


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 3 MiB."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no mount here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder, leave=0):
    """Takes every last block, then gives some back."""
    with (folder / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - leave))


def fits(books, first):
    try:
        books.commit(readings(first, 10, size=2000))
    except StoreFull:
        return False
    assert first < 2000, "the disk took everything: it was not full"
    return True


def test_a_really_full_disk_is_full_and_recovers(small_disk):
    """Every batch is all there or not at all, and the first after there is room goes through."""
    with closing(Store(small_disk)) as books:
        books.commit(readings(1, 10))
        fill(small_disk)
        first = 11
        while fits(books, first):
            first += 10
        with pytest.raises(StoreFull):
            books.commit(readings(first, 10, size=200_000))
        assert [r.id for r in books.readings_after(0, 10_000)] == list(range(1, first))
        (small_disk / "filler").unlink()
        books.make_room()
        books.probe()
        books.commit(readings(first, 10))
        assert books.load().reading_id == first + 9


def test_the_ballast_is_given_up_for_room(books):
    """It takes its room at the start, so that recovery has some."""
    ballast = books.path.parent / "ballast"
    assert ballast.stat().st_size == database.BALLAST_BYTES
    books.make_room()
    assert not ballast.exists()
    books.keep_ballast()
    assert ballast.exists()
