"""The whole path on real parts: a fault published over MQTT becomes one request at the desk."""

import gzip
import http.server
import json
import signal
import sqlite3
import subprocess
import threading
from datetime import UTC, datetime

import pytest
from conftest import CANARY_KEY, SENSE311, a_bin, a_lamp

from gateway.app import Gateway
from gateway.config import read_config
from gateway.field import devices
from gateway.plans import prepare

pytestmark = pytest.mark.slow

T0 = 1_768_453_200  # 2026-01-15T05:00Z: 23:00 in Chicago, dark
BINS = [a_bin(1), a_bin(2), a_bin(3)]
LAMPS = [a_lamp(1), a_lamp(2), a_lamp(3)]


def at(minute):
    return datetime.fromtimestamp(T0 + 60 * minute, UTC).isoformat().replace("+00:00", "Z")


def message(minute, seq, **values):
    return {"ts": at(minute), "boot": 1, "seq": seq, "values": values}


def topic(kind, number, leaf="telemetry"):
    return f"city/v1/z/{kind}/{kind.replace('streetlight', 'lamp')}-{number}/{leaf}"


def say_rounds(client, kind, rounds, *, minutes, start=0):
    """One message of each of three devices a round; `rounds` are the values of the three."""
    for nth, values in enumerate(rounds):
        for number, each in enumerate(values, 1):
            body = message(start + nth * minutes, start + nth, **each)
            client.say(topic(kind, number), body)


FULL, EMPTY = {"fill_pct": 92}, {"fill_pct": 20}
DARK, LIT = {"active_power_w": 0.4}, {"active_power_w": 59.0}


def filed_for(desk, asset):
    return [row for row in desk.filed() if asset in json.dumps(row)]


def settled(gateway, desk, count):
    """The desk has so many requests and the gateway knows of each."""
    states = gateway.query("SELECT state FROM outbox")
    return len(desk.filed()) >= count and [s for (s,) in states] == ["filed"] * len(states)


def test_a_full_bin_becomes_exactly_one_request(each_broker, desk, a_gateway, wait_for):
    """Once at the desk, for the right asset, however often the bin says that it is full."""
    gateway = a_gateway(each_broker, desk=desk, assets=BINS).start()

    say_rounds(each_broker.login(), "bin", [(FULL, EMPTY, EMPTY)] * 6, minutes=10)

    wait_for(lambda: settled(gateway, desk, 1), "a request is filed")
    wait_for(lambda: gateway.count("readings") == 18, "all is stored")
    assert len(desk.filed()) == 1
    assert "B-1" in desk.filed()[0]["description"]
    assert gateway.stop() == 0


def test_a_dark_lamp_becomes_exactly_one_request(bundled_broker, desk, a_gateway, wait_for):
    """Commanded on at night and drawing nothing, between two that burn."""
    gateway = a_gateway(bundled_broker, desk=desk, assets=LAMPS).start()

    say_rounds(bundled_broker.login(), "streetlight", [(LIT, DARK, LIT)] * 9, minutes=5)

    wait_for(lambda: settled(gateway, desk, 1), "a request is filed")
    wait_for(lambda: gateway.count("readings") == 27, "all is stored")
    assert [len(filed_for(desk, f"L-{n}")) for n in (1, 2, 3)] == [0, 1, 0]


def test_a_second_episode_is_a_second_request(mosquitto, desk, a_gateway, wait_for):
    """Full, emptied, full again: the second pile of rubbish is not taken for the first."""
    gateway = a_gateway(mosquitto, desk=desk, assets=BINS).start()
    story = [FULL] * 4 + [EMPTY] * 4 + [FULL] * 4

    say_rounds(mosquitto.login(), "bin", [(step, EMPTY, EMPTY) for step in story], minutes=10)

    wait_for(lambda: settled(gateway, desk, 2), "two requests are filed")
    assert len(filed_for(desk, "B-1")) == 2
    assert [e for (e,) in gateway.query("SELECT episode FROM incidents ORDER BY 1")] == [1, 2]


def test_what_comes_twice_counts_once_also_after_a_restart(
    bundled_broker, desk, a_gateway, wait_for
):
    """The whole story again, word by word: counted as duplicates, and no second request."""
    gateway = a_gateway(bundled_broker, desk=desk, assets=BINS).start()
    client, story = bundled_broker.login(), [(FULL, EMPTY, EMPTY)] * 5
    say_rounds(client, "bin", story, minutes=10)
    wait_for(lambda: settled(gateway, desk, 1), "a request is filed")

    say_rounds(client, "bin", story, minutes=10)
    wait_for(lambda: gateway.status()["duplicates"] == 15, "they are told apart")
    assert gateway.stop() == 0
    gateway.start()
    say_rounds(client, "bin", story, minutes=10)

    wait_for(lambda: gateway.status()["duplicates"] == 15, "they are told apart again")
    assert gateway.count("readings") == 15
    assert len(desk.filed()) == 1


def test_what_comes_while_the_gateway_is_away_is_taken_in_after(
    each_broker, desk, a_gateway, wait_for
):
    """The broker keeps the session: the fault is filed when the gateway is back."""
    gateway = a_gateway(each_broker, desk=desk, assets=BINS).start()
    assert gateway.stop() == 0

    say_rounds(each_broker.login(), "bin", [(FULL, EMPTY, EMPTY)] * 5, minutes=10)
    gateway.start()

    wait_for(lambda: settled(gateway, desk, 1), "a request is filed")
    assert gateway.count("readings") == 15
    assert gateway.status()["sessions_lost"] == 0


def test_a_desk_that_drops_its_answers_gets_one_request(mosquitto, desk, a_gateway, wait_for):
    """It stored the request and hung up: looked up, never sent again."""
    gateway = a_gateway(mosquitto, desk=desk, assets=BINS).start()
    desk.misbehave(drop_after_rate=1.0)

    say_rounds(mosquitto.login(), "bin", [(FULL, EMPTY, EMPTY)] * 5, minutes=10)

    wait_for(lambda: settled(gateway, desk, 1), "the request is found again")
    assert len(desk.filed()) == 1


def test_batches_backfill_and_status_is_taken(mosquitto, desk, a_gateway, wait_for):
    """A device's backlog in one message counts like its messages one by one."""
    gateway = a_gateway(mosquitto, desk=desk, assets=BINS).start()
    client = mosquitto.login()

    client.say(topic("bin", 2, "status"), {"online": True}, retain=True)
    for number, values in ((2, EMPTY), (3, EMPTY), (1, FULL)):
        messages = [message(10 * n, n, **values) for n in range(6)]
        client.say(topic("bin", number, "batch"), messages)

    wait_for(lambda: settled(gateway, desk, 1), "a request is filed")
    assert gateway.count("readings") == 18
    assert gateway.status()["refusals"] == 0


def test_devices_hear_how_far_they_are_on_disk(mosquitto, a_gateway, wait_for):
    """The last word covers the last message, refused ones too, and there are few words."""
    gateway = a_gateway(
        mosquitto, assets=BINS, ingest='clock = "follow"\ndevice_acks = true\nbatch_max = 10'
    ).start()
    client = mosquitto.login()
    heard = client.listen("city/v1/+/+/+/ack")
    bodies = [message(n / 60, n, fill_pct=20) for n in range(300)]
    bodies[150]["values"]["fill_pct"] = 900

    client.say(topic("bin", 1), *bodies)

    wait_for(lambda: heard and json.loads(heard[-1][1])["upto"] == 299, "the last word")
    assert all(topic == "city/v1/z/bin/bin-1/ack" for topic, _ in heard)
    uptos = [json.loads(body)["upto"] for _, body in heard]
    assert uptos == sorted(uptos)
    assert len(uptos) < 15, "one each half second, not one a batch"
    assert gateway.count("readings") == 299


def test_two_gateways_on_one_folder_are_one_too_many(mosquitto, a_gateway):
    """The second ends with a clear word and leaves the first alone; that one ends as it is told,
    and its status is not left green."""
    gateway = a_gateway(mosquitto).start()
    second = subprocess.run(
        [*SENSE311, "run", "-c", gateway.config], capture_output=True, text=True, check=False
    )
    assert second.returncode == 3
    assert "another gateway is using this folder" in second.stderr
    assert gateway.status()["state"] == "green"
    assert gateway.stop(signal.SIGINT) == 0
    said = json.loads((gateway.data / "status.json").read_bytes())
    assert (said["state"], said["problem"]) == ("red", "stopped")


def test_a_message_that_meets_a_bug_is_put_aside_alone(mosquitto, a_gateway, wait_for, monkeypatch):
    """With a bug planted, one message of many breaks the core: it is kept, told and acknowledged,
    and all the others are taken in once."""
    admit = devices.admit

    def buggy(device, reading, times):
        assert b'"fill_pct": 13' not in reading.body, "planted"
        return admit(device, reading, times)

    monkeypatch.setattr(devices, "admit", buggy)
    folder = a_gateway(mosquitto, assets=BINS)
    gateway = Gateway(prepare(*read_config(folder.config)))
    thread = threading.Thread(target=gateway.run)
    thread.start()
    try:
        bodies = [message(n, n, fill_pct=13 if n == 33 else 20) for n in range(100)]
        wait_for(lambda: gateway.status()["state"] == "green", "it is up")
        client = mosquitto.login()
        for body in bodies:
            client.publish(topic("bin", 1), body)
        wait_for(lambda: folder.count("readings") == 99, "the others are taken in")
        ((reason, body),) = folder.query("SELECT reason, payload FROM refusals")
        assert (reason, json.loads(body)["seq"]) == ("internal_error", 33)
    finally:
        gateway.stop()
        thread.join(20)


@pytest.fixture
def influx():
    """A server that takes writes as InfluxDB does; what it was sent, line by line."""
    lines = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            lines.extend(gzip.decompress(body).decode().splitlines())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", lines
        server.shutdown()
        thread.join()


def test_readings_go_to_history_where_it_is_configured(mosquitto, a_gateway, wait_for, influx):
    """Each once, after it is stored; the cursor moves with them."""
    url, lines = influx
    section = f'[history]\nurl = "{url}"\norg = "o"\nbucket = "b"\ntoken_file = "api_key"'
    gateway = a_gateway(mosquitto, assets=BINS, more=section).start()
    say_rounds(mosquitto.login(), "bin", [(EMPTY, EMPTY, EMPTY)] * 4, minutes=10)
    wait_for(lambda: len(lines) == 12, "all are in the history")
    assert lines[0].startswith("bin,asset=B-1,device=bin-1,zone=z fill_pct=20.0 1768453200000")
    cursor = "SELECT value FROM meta WHERE key = 'history'"
    wait_for(lambda: gateway.query(cursor) == [("12",)], "the cursor has moved")


def test_secrets_are_in_no_log_no_status_and_no_database(
    start_mosquitto, tmp_path, desk, a_gateway, wait_for
):
    """Canaries for the broker's password and the city's key, through success and refusal."""
    canary = "canary-mqtt-password-91ac"
    broker = start_mosquitto()
    login = json.loads(broker.credentials.read_text())
    login["gateway"]["password"] = canary
    broker.credentials.write_text(json.dumps(login))
    gateway = a_gateway(broker, desk=desk, assets=BINS).start()
    desk.misbehave(error_after_rate=0.5, seed=4)
    say_rounds(broker.login(), "bin", [(FULL, EMPTY, EMPTY)] * 5, minutes=10)
    wait_for(lambda: settled(gateway, desk, 1), "a request is filed")
    gateway.stop()

    with sqlite3.connect(gateway.data / "sense311.db") as db:
        dump = "\n".join(db.iterdump())
    db.close()
    written = [p for p in gateway.data.iterdir() if p.name != "ballast"]
    texts = [gateway.log.read_bytes(), dump.encode(), *(p.read_bytes() for p in written)]
    assert not [t for t in texts if canary.encode() in t or CANARY_KEY.encode() in t]
