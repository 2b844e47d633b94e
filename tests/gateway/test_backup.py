"""Backups on real files, a real gateway and a real desk: whole, checked, put back without harm.

What was filed after the backup is at the desk once, however old the store is that was put back.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from conftest import CANARY_KEY, SENSE311, GatewayProcess, a_bin
from typer.testing import CliRunner

from gateway.books import schema
from gateway.books.backup import BackupError, back_up, check, restore
from gateway.books.city_book import row_where
from gateway.books.doubts import CACHED_MS, DAY_MS, LOOK_MS, put_in_doubt
from gateway.books.schema import MIGRATIONS
from gateway.books.store import Store
from gateway.cases.incident import Incident
from gateway.cases.incident import State as Standing
from gateway.cityhall.delivery import Absent, Approved, Policy, Row, ServiceRequest, State
from gateway.cityhall.outbox import advance, reference_for
from gateway.cli.backup import add_to
from gateway.effects import Effects
from gateway.errors import StoreBroken

MADE_MS = 1_768_500_000_000
NOW_MS = MADE_MS + 3_600_000
CONFIG = """
[broker]
credentials = "broker/credentials.json"
[city]
profile = "ours.toml"
endpoint = "http://127.0.0.1:1/v2"
api_key_file = "key"
[assets]
files = ["assets.geojson"]
[rules]
files = ["rules", "more/extra.yaml"]
"""
FILES = {
    "broker/credentials.json": "secret-login", "ours.toml": "profile", "key": "secret-key",
    "assets.geojson": "assets", "rules/a.yaml": "rule a", "rules/note.txt": "no rule",
    "more/extra.yaml": "extra", "sense311-data/accounts.json": "{}",
}  # fmt: skip
SECRET = {"broker/credentials.json", "key"}

app = typer.Typer()
add_to(app)


def an_incident(number):
    return Incident(number, "bin_full", f"B-{number}", 1, Standing.QUEUED, 1, 2, 3, {})


def a_row(number, created_ms=MADE_MS - 1, place=None, **more):
    asked = ServiceRequest(41.9, -87.6, "full", 1, "bin_full", place_id=place)
    return Row(reference_for(f"k{number}"), number, "BIN_FULL", asked, created_ms, **more)


def an_installation(folder, *rows):
    """A configuration with all that it names, and a store with these requests."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600 if name in SECRET else 0o644)
    (folder / "sense311.toml").write_text(CONFIG)
    with closing(Store(folder / "sense311-data")) as store:
        incidents = {row.incident_id: an_incident(row.incident_id) for row in rows}
        store.commit(Effects(incidents=incidents, outbox=list(rows)))
    return folder / "sense311.toml"


@pytest.fixture
def config(tmp_path):
    return an_installation(tmp_path / "city", a_row(1))


@pytest.fixture
def made(config, tmp_path):
    back_up(config, tmp_path / "made", MADE_MS, with_secrets=False)
    return tmp_path / "made"


def put_back(made, config, now_ms=NOW_MS, **options):
    chosen = {"replace": False, "files": False} | options
    return restore(made, config, now_ms, **chosen)


def doubted(tmp_path, *rows, now_ms=NOW_MS):
    """A store with these requests, put in doubt."""
    with closing(Store(tmp_path)) as store:
        incidents = {row.incident_id: an_incident(row.incident_id) for row in rows}
        store.commit(Effects(incidents=incidents))
        with store.transaction() as db:
            for row in rows:
                store_row(db, row)
    with closing(sqlite3.connect(tmp_path / "sense311.db", isolation_level=None)) as db:
        put_in_doubt(db, MADE_MS, now_ms)
    return Store(tmp_path)


def store_row(db, row):
    from gateway.books.stored_rows import ROW_COLUMNS, ROW_HOLES, columns_of

    db.execute(f"INSERT INTO outbox ({ROW_COLUMNS}) VALUES ({ROW_HOLES})", columns_of(row))


def only(store):
    (row,) = store.outbox_rows()
    return row


# -- a backup -------------------------------------------------------------------------------------


def test_a_backup_holds_all_but_the_secrets_and_says_so(made):
    """The store, the configuration, accounts, assets, rules and the profile; with their hashes."""
    manifest = check(made)
    paths = {entry.get("path") for entry in manifest["files"]} - {None}

    assert paths == {"ours.toml", "assets.geojson", "rules/a.yaml", "more/extra.yaml"}
    assert set(manifest["left_out"]) == SECRET
    assert not any(b"secret-" in path.read_bytes() for path in made.iterdir())
    assert {oct(path.stat().st_mode & 0o777) for path in made.iterdir()} == {"0o600"}
    assert made.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(f"file:{made}/sense311.db?mode=ro", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_secrets_are_in_it_where_they_are_asked_for(config, tmp_path):
    """And come back as files that only their owner may read."""
    back_up(config, tmp_path / "made", MADE_MS, with_secrets=True)
    elsewhere = tmp_path / "elsewhere" / "sense311.toml"
    done = put_back(tmp_path / "made", elsewhere)

    assert done.secrets == []
    for name in SECRET:
        back = elsewhere.parent / name
        assert back.read_text() == FILES[name]
        assert back.stat().st_mode & 0o777 == 0o600


def test_a_backup_that_fails_is_not_there(config, tmp_path):
    """A store that is damaged is told; nothing is left behind."""
    database = config.parent / "sense311-data/sense311.db"
    database.write_bytes(database.read_bytes()[:4096] + b"\xff" * 40_000)

    with pytest.raises((BackupError, StoreBroken), match=r"sense311\.db"):
        back_up(config, tmp_path / "b" / "made", MADE_MS, with_secrets=False)
    assert list((tmp_path / "b").iterdir()) == []


def test_a_backup_never_takes_the_place_of_another(config, made):
    """One that is there stays as it is."""
    before = (made / "manifest.json").read_bytes()
    with pytest.raises(BackupError, match="there already"):
        back_up(config, made, NOW_MS, with_secrets=False)
    assert (made / "manifest.json").read_bytes() == before


def test_a_disk_without_room_is_told_before_it_is_full(config, tmp_path, monkeypatch):
    """How much is needed, and how much is there."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    with pytest.raises(BackupError, match=r"\d+ MB are needed, 1 are free"):
        back_up(config, tmp_path / "made", MADE_MS, with_secrets=False)
    assert not (tmp_path / "made").exists()


# -- what is not put back -------------------------------------------------------------------------


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def rewrite(made, change):
    manifest = json.loads((made / "manifest.json").read_text())
    change(manifest)
    (made / "manifest.json").write_text(json.dumps(manifest))


def renamed(name):
    return lambda manifest: manifest["files"][2].update(name=name)


def moved(path):
    return lambda manifest: manifest["files"][-1].update(path=path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda made: flip(made / "sense311.db"), "not as it was written"),
        (lambda made: flip(made / "sense311.toml"), "not as it was written"),
        (lambda made: (made / "accounts.json").unlink(), "accounts.json"),
        (lambda made: (made / "manifest.json").unlink(), "no backup"),
        (lambda made: (made / "manifest.json").write_text("[]"), "no backup"),
        (lambda made: rewrite(made, lambda m: m.pop("made_ms")), "no backup"),
        (lambda made: rewrite(made, lambda m: m.update(format=2)), "can read"),
        (lambda made: rewrite(made, lambda m: m.update(schema=99)), "newer version"),
        (lambda made: rewrite(made, renamed("../sense311.db")), "no file of a backup"),
        (lambda made: rewrite(made, moved("../../etc/passwd")), "its configuration does not"),
        (lambda made: rewrite(made, moved("/etc/cron.d/x.yaml")), "its configuration does not"),
    ],
)
def test_what_is_not_as_it_was_written_is_not_put_back(made, tmp_path, spoil, said):
    """A changed byte, a missing file, a manifest that names other places: told, nothing written."""
    spoil(made)
    with pytest.raises(BackupError, match=said):
        put_back(made, tmp_path / "new" / "sense311.toml")
    assert not (tmp_path / "new/sense311-data/sense311.db").exists()


def test_a_store_that_is_there_is_not_replaced_unasked(made, config):
    """With `replace` it is set aside with its accounts, and can be taken back."""
    data = config.parent / "sense311-data"
    before = (data / "sense311.db").read_bytes()
    with pytest.raises(BackupError, match="--replace"):
        put_back(made, config)
    assert (data / "sense311.db").read_bytes() == before

    done = put_back(made, config, replace=True)
    assert (done.set_aside / "sense311.db").read_bytes() == before
    assert (done.set_aside / "accounts.json").exists()
    assert (data / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_put_back_under_a_gateway_that_runs(made, config):
    """Whoever holds the folder is asked to stop first."""
    with (
        closing(Store(config.parent / "sense311-data")),
        pytest.raises(StoreBroken, match="a gateway is using this folder"),
    ):
        put_back(made, config, replace=True)


def test_files_that_are_there_stay_unless_they_are_asked_for(made, config):
    """Both are told; what made room lies beside."""
    (config.parent / "assets.geojson").write_text("newer")
    (config.parent / "rules/a.yaml").unlink()
    done = put_back(made, config, replace=True)

    assert done.kept == [str(config.parent / "assets.geojson")]
    assert done.files == [str(config.parent / "rules/a.yaml")]
    assert (config.parent / "assets.geojson").read_text() == "newer"

    put_back(made, config, NOW_MS + 1, replace=True, files=True)
    assert (config.parent / "assets.geojson").read_text() == "assets"
    assert (config.parent / f"assets.geojson.before-{NOW_MS + 1}").read_text() == "newer"


def test_on_an_empty_machine_everything_comes_back_but_the_secrets(made, tmp_path):
    """The configuration too; which secrets are wanted is told."""
    config = tmp_path / "new" / "sense311.toml"
    done = put_back(made, config)

    assert config.read_text() == CONFIG
    assert done.secrets == [str(config.parent / name) for name in sorted(SECRET)]
    assert (config.parent / "rules/a.yaml").read_text() == "rule a"
    assert not (config.parent / "rules/note.txt").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_puts_back_belongs_to_the_owner_of_the_folder(made, config):
    """A service with a user of its own can go on with it."""
    data = config.parent / "sense311-data"
    for path in (data, *data.iterdir()):
        os.chown(path, 4711, 4711)
    put_back(made, config, replace=True)
    assert {path.stat().st_uid for path in (data / "sense311.db", data / "lock")} == {4711}


# -- the commands ---------------------------------------------------------------------------------


def test_the_commands_answer_and_explain(config, tmp_path):
    """Exit code 1 where they refuse; after a restore what is to be done, step by step."""
    command = CliRunner()
    made = str(tmp_path / "made")
    told = command.invoke(app, ["backup", "-c", str(config), "--to", made, "--json"])
    assert told.exit_code == 0
    assert json.loads(told.stdout)["folder"] == made
    assert command.invoke(app, ["backup", "-c", str(config), "--to", made]).exit_code == 1
    assert command.invoke(app, ["restore", made, "-c", str(config)]).exit_code == 1

    told = command.invoke(app, ["restore", made, "-c", str(config), "--replace"])
    assert told.exit_code == 0
    assert "requests go" in told.stdout
    assert "1 requests that were on their way" in told.stdout


# -- what may be at the city already --------------------------------------------------------------


@pytest.mark.parametrize("state", [State.READY, State.SENDING, State.UNCERTAIN])
def test_what_was_on_its_way_is_looked_for_and_all_sending_is_stopped(tmp_path, state):
    """In the city's list since the backup, and twice after the restore."""
    sent = None if state is State.READY else MADE_MS - 500
    was = a_row(1, state=state, absent_reads=1, first_sent_ms=sent, last_sent_ms=sent)
    with closing(doubted(tmp_path, was)) as store:
        row = only(store)
        assert (row.state, row.absent_reads, row.last_sent_ms) == (State.UNCERTAIN, 0, NOW_MS)
        assert row.first_sent_ms == (sent or MADE_MS)
        assert store.stopped().startswith("by restore")
        assert store.outbox_due(NOW_MS, 10) == [row]


@pytest.mark.parametrize(
    "state", [State.FILED, State.REVIEW, State.REFUSED, State.HELD, State.TOKENED, State.WITHDRAWN]
)
def test_what_was_not_on_its_way_stays_as_it_was(tmp_path, state):
    """Nothing of it is sent by itself."""
    was = a_row(1, state=state, request_id="7", token="t")
    with closing(doubted(tmp_path, was)) as store:
        assert only(store) == was


def test_what_a_person_lets_pass_after_a_restore_is_looked_for_first(tmp_path):
    """It may have been let pass before, by the store that is lost."""
    with closing(doubted(tmp_path, a_row(1, state=State.REVIEW))) as store:
        before = only(store)
        after = advance(before, Approved("ana"), NOW_MS + 1, Policy())
        store.outbox_save(before, after, "approved", NOW_MS + 1)
        row = only(store)
        assert (row.state, row.approved) == (State.UNCERTAIN, True)
        assert (row.first_sent_ms, row.last_sent_ms) == (MADE_MS, NOW_MS)


def absent_until_ready(store, at_ms):
    """The states of the request while the city's list does not show it."""
    states = list[str]()
    while only(store).state is State.UNCERTAIN:
        row = only(store)
        at_ms = max(at_ms + 1, row.next_ms)
        after = advance(row, Absent(at_ms), at_ms, Policy())
        store.outbox_save(row, after, "absent", at_ms)
        states.append(str(only(store).state))
    return states, at_ms


def test_a_fault_found_after_a_restore_is_looked_for_before_it_is_sent(tmp_path):
    """What the list does not show was never sent: it may go now, and counts in no budget yet."""
    with closing(doubted(tmp_path)) as store:
        store.commit(Effects(incidents={1: an_incident(1)}, outbox=[a_row(1, NOW_MS + 1)]))
        row = only(store)
        assert (row.state, row.first_sent_ms) == (State.UNCERTAIN, MADE_MS)

        _, at_ms = absent_until_ready(store, NOW_MS)
        row = only(store)
        assert (row.state, row.first_sent_ms, row.absent_reads) == (State.READY, None, 2)
        assert at_ms >= NOW_MS + Policy().visibility_ms + Policy().absent_gap_ms


def test_once_no_list_can_be_old_a_single_look_is_enough(tmp_path):
    """So nothing is kept waiting for weeks after a restore."""
    created_ms = NOW_MS + CACHED_MS + 1
    with closing(doubted(tmp_path)) as store:
        store.commit(Effects(incidents={1: an_incident(1)}, outbox=[a_row(1, created_ms)]))
        states, at_ms = absent_until_ready(store, created_ms)
        assert states == ["ready"]
        assert at_ms <= created_ms + 1


@pytest.mark.parametrize(
    ("place", "urgent", "after_ms", "state"),
    [
        (None, False, 1, State.UNCERTAIN),
        (None, True, 1, State.UNCERTAIN),
        (None, False, LOOK_MS - 1, State.UNCERTAIN),
        (None, False, LOOK_MS, State.READY),
        ("place:x", False, 1, State.REVIEW),
        ("place:x", True, 1, State.UNCERTAIN),
        ("place:x", False, DAY_MS - 1, State.REVIEW),
        ("place:x", False, DAY_MS, State.UNCERTAIN),
    ],
)
def test_new_requests_after_a_restore(tmp_path, place, urgent, after_ms, state):
    """Looked for during 30 days; places, which are named anew, are seen by a person first."""
    with closing(doubted(tmp_path)) as store:
        row = a_row(1, NOW_MS + after_ms, place, urgent=urgent)
        store.commit(Effects(incidents={1: an_incident(1)}, outbox=[row]))
        assert only(store).state is state


def test_a_place_that_a_person_lets_pass_is_looked_for_too(tmp_path):
    """From review it takes the way of all others."""
    with closing(doubted(tmp_path)) as store:
        row = a_row(1, NOW_MS + 1, "place:x")
        store.commit(Effects(incidents={1: an_incident(1)}, outbox=[row]))
        before = only(store)
        after = advance(before, Approved("ana"), NOW_MS + 2, Policy())
        store.outbox_save(before, after, "approved", NOW_MS + 2)
        assert only(store).state is State.UNCERTAIN


def test_a_second_restore_begins_anew(tmp_path):
    """A backup of a restored store can be put back too."""
    doubted(tmp_path, a_row(1, state=State.FILED)).close()
    with closing(sqlite3.connect(tmp_path / "sense311.db", isolation_level=None)) as db:
        put_in_doubt(db, NOW_MS, NOW_MS + DAY_MS)
        row = db.execute("SELECT from_ms, at_ms FROM restore_note").fetchall()
        names = db.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'restore_*'"
        ).fetchone()
        assert row == [(NOW_MS, NOW_MS + DAY_MS)]
        assert names == (4,)
        assert row_where(db, "reference = ?", a_row(1).reference).state is State.FILED


# -- upgrades -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_store_of_every_earlier_version_opens_with_what_it_holds(tmp_path, version):
    """Also when it comes from a backup: what was on its way is in doubt, and goes on."""
    with closing(sqlite3.connect(tmp_path / "sense311.db", isolation_level=None)) as db:
        db.executescript(";".join(schema.MIGRATIONS[:version]))
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(
            "INSERT INTO incidents (id, rule, subject, episode, state, started_ms, fired_ms, "
            "due_ms, vals, why) VALUES (1, 'bin_full', 'B-1', 1, 'queued', 1, 2, 3, '{}', 'w')"
        )
        asked = json.dumps(a_row(1).request.to_dict())
        db.execute(
            "INSERT INTO outbox (reference, incident_id, service, request, created_ms, state, "
            "attempts, next_ms, absent_reads, looks, reason) "
            "VALUES (?, 1, 'BIN_FULL', ?, 5, 'ready', 0, 0, 0, 0, '')",
            (a_row(1).reference, asked),
        )
        put_in_doubt(db, MADE_MS, NOW_MS)
    with closing(Store(tmp_path)) as store:
        assert store.pragma("user_version") == len(MIGRATIONS)
        assert [incident.subject for incident in store.load().incidents] == ["B-1"]
        assert replace(only(store), created_ms=0).state is State.UNCERTAIN


# -- all of it, on real parts ---------------------------------------------------------------------

FULL, EMPTY = {"fill_pct": 92}, {"fill_pct": 20}
T0 = "2026-01-15T"


def message(minute, **values):
    hour, rest = divmod(5 * 60 + minute, 60)
    return {"ts": f"{T0}{hour:02d}:{rest:02d}:00Z", "boot": 1, "seq": minute, "values": values}


def say(client, rounds, start, numbers=(1, 2, 3)):
    for nth, each in enumerate(rounds):
        for number, values in zip(numbers, each, strict=True):
            client.say(f"city/v1/z/bin/bin-{number}/telemetry", message(start + 10 * nth, **values))


def sense311(*words, code=0):
    told = CliRunner().invoke(app, [*map(str, words)])
    assert told.exit_code == code, told.output
    assert CANARY_KEY not in told.output


def filed(gateway):
    return gateway.query("SELECT subject, outbox.state, request_id FROM outbox JOIN incidents i "
                         "ON i.id = incident_id ORDER BY 1")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("resent", [True, False], ids=["devices send it again", "news only"])
def test_what_was_filed_after_the_backup_is_at_the_desk_once(
    resent, bundled_broker, desk, a_gateway, wait_for, tmp_path
):
    """The backup is made while the gateway runs. The fault after it is found again, looked for and
    taken for its own, while nothing is sent; a new fault is filed once a person says go.
    """
    gateway: GatewayProcess = a_gateway(
        bundled_broker, desk=desk, assets=[a_bin(n) for n in (1, 2, 3)]
    ).start()
    client = bundled_broker.login()
    say(client, [(EMPTY, EMPTY, EMPTY)] * 2, 0)
    wait_for(lambda: gateway.count("readings") == 6, "all is stored")
    sense311("backup", "-c", gateway.config, "--to", tmp_path / "made")
    story = [(FULL, EMPTY, EMPTY)] * 5
    say(client, story, 20)
    wait_for(lambda: [s for _, s, _ in filed(gateway)] == ["filed"], "it is filed")
    sense311("restore", tmp_path / "made", "-c", gateway.config, "--replace", code=3)
    assert gateway.stop() == 0
    before = filed(gateway)
    sense311("restore", tmp_path / "made", "-c", gateway.config, code=1)

    sense311("restore", tmp_path / "made", "-c", gateway.config, "--replace")
    assert filed(gateway) == []
    gateway.start(until="amber")
    say(client, story, 20 if resent else 70)
    wait_for(lambda: filed(gateway) == before, "the same request is found at the desk")

    say(client, [(FULL, FULL, EMPTY)] * 4, 130)
    wait_for(lambda: len(filed(gateway)) == 2, "a new fault is found")
    assert len(desk.filed()) == 1
    subprocess.run([*SENSE311, "requests", "go", "-c", str(gateway.config)], check=True)
    wait_for(lambda: [s for _, s, _ in filed(gateway)] == ["filed"] * 2, "it is filed")
    assert len(desk.filed()) == 2
    assert len({json.dumps(row["attributes"], sort_keys=True) for row in desk.filed()}) == 2
    assert gateway.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asset", "state"),
    [("BIN-0001", "filed"), ("B-1", "review")],
    ids=["a name that tells", "a name that may stand in any text"],
)
def test_what_was_filed_before_all_books_were_lost_is_not_filed_again(
    asset, state, bundled_broker, desk, a_gateway, wait_for
):
    """Without any backup, and with other references since: the city's list shows the asset's name,
    and the request is taken for its own; or the place, and a person sees it first.
    """
    gateway: GatewayProcess = a_gateway(
        bundled_broker, desk=desk, assets=[{**a_bin(1), "asset_id": asset}, a_bin(2), a_bin(3)]
    ).start()
    client = bundled_broker.login()
    say(client, [(FULL, EMPTY, EMPTY)] * 6, 0)
    wait_for(lambda: [s for _, s, _ in filed(gateway)] == ["filed"], "it is filed")
    ((_, _, number),) = filed(gateway)
    assert gateway.stop() == 0
    shutil.rmtree(gateway.data)

    gateway.start()
    say(client, [(FULL, EMPTY, EMPTY)] * 6, 60)
    wait_for(lambda: [s for _, s, _ in filed(gateway)] == [state], "it is found at the desk")
    ((reason, held),) = gateway.query("SELECT reason, request_id FROM outbox")
    assert number in (held or reason)
    assert len(desk.filed()) == 1
    assert gateway.stop() == 0


@pytest.mark.slow
def test_a_backup_beside_a_busy_gateway_is_of_one_instant(mosquitto, a_gateway, wait_for, tmp_path):
    """Each of several: whole batches, nothing torn, and ingest goes on."""
    gateway = a_gateway(mosquitto, assets=[a_bin(1)]).start()
    client = mosquitto.login()
    topic = "city/v1/z/bin/bin-1/telemetry"
    for nth in range(3):
        told = [client.publish(topic, message(10 * nth + n, **EMPTY)) for n in range(10)]
        sense311("backup", "-c", gateway.config, "--to", tmp_path / str(nth))
        for each in told:
            each.wait_for_publish(20)
    wait_for(lambda: gateway.count("readings") == 30, "all is stored")
    for nth in range(3):
        check(tmp_path / str(nth))
        database: Path = tmp_path / str(nth) / "sense311.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            ids = [number for (number,) in db.execute("SELECT id FROM readings ORDER BY 1")]
            assert ids == list(range(1, len(ids) + 1))
    assert gateway.stop() == 0
