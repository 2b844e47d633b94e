"""`sense311 devices ls|show|adopt`: who was heard of, how each stands, and whose it is."""

import json
import subprocess

import pytest
from books import BINS, Books, incoming, message
from conftest import SENSE311, a_lamp
from typer.testing import CliRunner

from gateway.cityhall.requests import rfc3339
from gateway.cli import app
from gateway.clock import SystemClock
from gateway.effects import Incoming

NOW_MS = SystemClock().now_ms() // 1000 * 1000
HOUR_MS = 3_600_000


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path, [*BINS, a_lamp(1)])


def said(seq, ts_ms=NOW_MS, boot=1, **values):
    return {"ts": rfc3339(ts_ms), "boot": boot, "seq": seq, "values": values or {"fill_pct": 20}}


def states(books, *words):
    return {row["device"]: row["state"] for row in books.run("devices", "ls", *words)["devices"]}


def test_every_device_heard_of_is_listed_with_what_was_counted(books):
    """Gaps, repeats, late ones, refusals, a battery."""
    messages = [
        incoming("bin-1", said(1, NOW_MS - 30 * HOUR_MS)),
        incoming("bin-1", said(2)),
        incoming("bin-1", said(5, fill_pct=30, battery_v=3.4)),
        incoming("bin-1", said(5, fill_pct=30, battery_v=3.4)),
        incoming("bin-1", said(6, fill_pct=300)),
    ]
    books.take(*messages, now_ms=NOW_MS)
    (row,) = books.run("devices", "ls")["devices"]
    wanted = {"device": "bin-1", "kind": "bin", "zone": "z", "asset": "B-1", "missing": 2,
              "duplicates": 1, "late": 1, "rejected": 1, "resets": 0, "battery_v": 3.4,
              "last_seen": rfc3339(NOW_MS), "refused": "out_of_range"}  # fmt: skip
    assert {key: row[key] for key in wanted} == wanted


def test_how_each_stands_is_one_word(books):
    """Heard, late, silent, unknown, refused, with a clock that is ahead, and lost by the broker."""
    books.take(incoming("bin-1", said(1)), incoming("new", said(1)), now_ms=NOW_MS)
    books.take(incoming("bin-2", said(1, NOW_MS - 30 * HOUR_MS)), now_ms=NOW_MS - 30 * HOUR_MS)
    assert states(books) == {"bin-1": "online", "bin-2": "late", "new": "quarantined"}
    books.take(incoming("bin-1", said(2, fill_pct=900)), now_ms=NOW_MS + 1)
    books.take(incoming("bin-2", said(2, NOW_MS + HOUR_MS)), now_ms=NOW_MS)
    books.take(incoming("lamp-1", said(1, active_power_w=1.0), "streetlight"),
               now_ms=NOW_MS - 27 * HOUR_MS)  # fmt: skip
    online = incoming("bin-3", {"online": False}, leaf="status", retain=True)
    books.take(incoming("bin-3", said(1, NOW_MS - HOUR_MS)), online, now_ms=NOW_MS - HOUR_MS)
    assert states(books) == {
        "bin-1": "fault", "bin-2": "fault", "bin-3": "silent", "lamp-1": "silent",
        "new": "quarantined",
    }  # fmt: skip
    assert states(books, "--state", "fault") == {"bin-1": "fault", "bin-2": "fault"}
    assert states(books, "--kind", "streetlight") == {"lamp-1": "silent"}
    assert "quarantined" in books.run("devices", "ls", "--state", "lost", code=2)["error"]


def test_what_the_broker_kept_is_no_sign_of_life(books):
    """Nor a fault of the device: the gateway asked for it when it came back."""
    books.take(incoming("bin-1", said(1, NOW_MS - 30 * HOUR_MS)), now_ms=NOW_MS - 30 * HOUR_MS)
    books.take(incoming("bin-1", said(1), retain=True), now_ms=NOW_MS)
    assert states(books) == {"bin-1": "late"}


def test_where_time_is_that_of_the_data_nobody_is_silent_for_it(tmp_path):
    """A replay of last year is as live as it was then."""
    books = Books(tmp_path, ingest='clock = "follow"')
    books.take(incoming("bin-1", message(1)), incoming("bin-2", message(1, fill_pct=900)))
    assert states(books)["bin-1"] == "online"


def test_a_device_is_shown_with_its_clock_its_last_words_and_its_refusals(books):
    """In words whose clock is believed; verdicts of readings; hints of refusals."""
    books.take(incoming("bin-1", said(1)), incoming("bin-1", said(2, NOW_MS + HOUR_MS)),
               incoming("bin-1", said(3, fill_pct="full")), now_ms=NOW_MS)  # fmt: skip
    told = books.run("devices", "show", "bin-1")
    assert told["clock"] == "the time of receipt is believed: its own is 3600 s ahead"
    assert [(one["verdict"], one["values"]) for one in told["readings"]] == [
        ("fresh", {"fill_pct": 20}), ("fresh", {"fill_pct": 20}),
    ]  # fmt: skip
    (refusal,) = told["refusals"]
    assert (refusal["reason"], refusal["path"]) == ("wrong_type", "values.fill_pct")
    assert refusal["hint"]


def test_people_get_lines(books):
    """Without --json: a table, and one fact a line."""
    books.take(incoming("bin-1", said(1)), now_ms=NOW_MS)
    for words, wanted in (("ls",), "bin-1   online"), (("show", "bin-1"), "last readings:"):
        done = CliRunner().invoke(app, ["devices", *words, "-c", str(books.config)])
        assert (done.exit_code, wanted in done.stdout) == (0, True), done.stdout


def test_one_that_nobody_heard_of_is_said_to_be(books):
    """Exit 1; one that an asset has and that was never heard is silent."""
    books.take()
    assert "devices ls" in books.run("devices", "show", "nobody", code=1)["error"]
    told = books.run("devices", "show", "bin-3")
    assert (told["state"], told["last_seen"], told["asset"]) == ("silent", None, "B-3")


# -- adoption -------------------------------------------------------------------------------------


def test_an_adopted_device_speaks_for_the_asset_and_nothing_else_changes(books):
    """The file differs in one list."""
    books.take(incoming("new", said(1)), now_ms=NOW_MS)
    before = books.assets.read_text()
    told = books.run("devices", "adopt", "new", "--asset", "B-2")
    assert told["devices"] == ["bin-2", "new"]
    assert books.assets.read_text() == before.replace('["bin-2"]', '["bin-2", "new"]')
    assert [path.name for path in books.folder.glob(".*")] == []
    assert books.take(incoming("new", said(2)), now_ms=NOW_MS)
    assert states(books)["new"] == "online"


def test_an_asset_that_spoke_for_itself_goes_on_if_it_was_heard(tmp_path):
    """Its own id stays among its devices; one that never spoke does not enter."""
    books = Books(tmp_path, [{"asset_id": name, "kind": "bin"} for name in ("A", "B")])
    books.take(incoming("A", said(1)), incoming("n1", said(1)), incoming("n2", said(1)))
    assert books.run("devices", "adopt", "n1", "--asset", "A")["devices"] == ["A", "n1"]
    assert books.run("devices", "adopt", "n2", "--asset", "B")["devices"] == ["n2"]


def test_a_table_is_rewritten_in_one_cell(tmp_path):
    """Line ends, quotes and other rows stay as they are."""
    books = Books(tmp_path)
    table = (
        '\ufeffasset_id,kind,lat,long,devices,address\r\nB-1,bin,1,2,,"a, b"\r\nB-2,bin,1,2,x,\r\n'
    )
    (tmp_path / "assets.csv").write_bytes(table.encode())
    books.config.write_text(books.config.read_text().replace("assets.geojson", "assets.csv"))
    books.assets = tmp_path / "assets.csv"
    books.take(incoming("new", said(1)), now_ms=NOW_MS)
    books.run("devices", "adopt", "new", "--asset", "B-2")
    written = books.assets.read_bytes().decode()
    assert written == table.replace("2,x,", "2,x;new,")


@pytest.mark.parametrize(
    ("device", "asset", "wanted"),
    [
        ("new", "B-9", "there is no asset 'B-9'; name one of the asset file"),
        ("new", "L-1", "new is a bin, and L-1 a streetlight; it publishes to .../bin/new/..."),
        ("bin-1", "B-2", "already for B-1; take it from the devices of B-1 first"),
        ("bin-1", "B-1", "bin-1 speaks already"),
        ("nobody", "B-1", "nobody has heard of a device 'nobody'"),
    ],
)
def test_what_cannot_be_adopted_is_refused_with_what_to_do(books, device, asset, wanted):
    """No such asset, another kind, another's device, nobody's; the file is not touched."""
    books.take(incoming("new", said(1)), incoming("bin-1", said(1)), now_ms=NOW_MS)
    before = books.assets.read_bytes()
    told = books.run("devices", "adopt", device, "--asset", asset, code=1)
    assert wanted in told["error"]
    assert books.assets.read_bytes() == before


@pytest.mark.slow
def test_two_who_adopt_at_once_do_not_undo_each_other(books):
    """Each waits for the other; both devices stand there."""
    books.take(*[incoming(f"n{i}", said(1)) for i in range(4)], now_ms=NOW_MS)
    command = [*SENSE311, "devices", "adopt", "--asset", "B-1", "-c", str(books.config)]
    running = [subprocess.Popen([*command, f"n{i}"], stdout=subprocess.DEVNULL) for i in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    (listed,) = [
        feature["properties"]["devices"]
        for feature in json.loads(books.assets.read_text())["features"]
        if feature["properties"]["asset_id"] == "B-1"
    ]
    assert sorted(listed) == ["bin-1", "n0", "n1", "n2", "n3"]


def test_before_the_gateway_ever_ran_there_is_nothing_to_look_at(books):
    """Exit 3, as for all books."""
    for words in (("devices", "ls"), ("devices", "show", "x"), ("dlq", "ls")):
        assert "has the gateway run" in books.run(*words, code=3)["error"]


def test_a_message_of_no_device_is_in_no_list(books):
    """A topic that is none names nobody."""
    books.take(Incoming("city/v1/z/bin", b"{}"), incoming("bin-1", said(1)), now_ms=NOW_MS)
    assert states(books) == {"bin-1": "online"}


@pytest.mark.slow
def test_how_a_device_stands_is_kept_at_the_broker(mosquitto, a_gateway, wait_for):
    """Who comes later is told too; a bad message makes a fault of it, after a restart it is told
    again."""
    gateway = a_gateway(mosquitto, assets=BINS, ingest="device_status = true").start()
    client = mosquitto.login()

    def kept(name):
        heard = mosquitto.login(f"watch-{len(watched)}").listen(f"city/v1/device-status/{name}")
        watched.append(wait_for(lambda: heard and json.loads(heard[0][1]), f"{name} is told of"))
        return watched[-1]["state"]

    watched = []
    client.say("city/v1/z/bin/bin-1/telemetry", said(1, battery_v=3.6))
    client.say("city/v1/z/bin/new/telemetry", said(1))
    wait_for(lambda: gateway.count("readings") and gateway.count("refusals"), "both are heard")
    assert (kept("bin-1"), kept("new")) == ("online", "quarantined")
    assert watched[0]["battery_v"] == 3.6
    heard = client.listen("city/v1/device-status/bin-1")
    client.say("city/v1/z/bin/bin-1/telemetry", said(2, fill_pct=900))
    wait_for(lambda: json.loads(heard[-1][1])["state"] == "fault", "what it says is refused")
    assert gateway.stop() == 0
    count = len(heard)
    gateway.start()
    wait_for(lambda: len(heard) > count, "it is told again")
