"""The reference publisher: a device whose power fails loses no reading and sends none twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import SENSE311, a_bin, wait_until
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "deploy/publisher"
sys.path.insert(0, str(FOLDER))
from sense311_publisher import Kept, Publisher, milliseconds, rfc3339  # noqa: E402

DEVICE = """
import json, sys, time
from sense311_publisher import PahoClient, Publisher
port, user, password, folder = sys.argv[1:5]
client = PahoClient("bin-1", "127.0.0.1", int(port), user, password)
device = Publisher(client, "z", "bin", "bin-1", folder, keep_max=5000)
print("boot", device._kept.boot, flush=True)
while True:
    seq = device.add({"fill_pct": 20})
    print("kept", device._kept.boot, seq, flush=True)
    device.poll()
    time.sleep(0.002)
"""


class Client:
    """What `umqtt.simple.MQTTClient` looks like, with no network behind it."""

    def __init__(self):
        self.sent, self.fails = [], False

    def set_callback(self, hear):
        self.hear = hear

    def set_last_will(self, topic, payload, retain, qos):
        self.will = (topic, payload, retain)

    def connect(self):
        if self.fails:
            raise OSError("nobody there")

    def disconnect(self):
        pass

    def ping(self):
        pass

    def subscribe(self, topic, qos):
        self.ack = topic

    def check_msg(self):
        if self.fails:
            raise OSError("gone")

    def publish(self, topic, payload, retain, qos):
        if self.fails:
            raise OSError("gone")
        self.sent.append((topic.rpartition("/")[2], json.loads(payload)))


def acknowledge(client, boot, upto):
    told = {"boot": boot, "upto": upto, "server_time": "2026-01-15T20:05:00Z"}
    client.hear(b"ack", json.dumps(told).encode())


def numbers(client):
    found = []
    for leaf, said in client.sent:
        if leaf != "status":
            found += [(m["boot"], m["seq"]) for m in (said if leaf == "batch" else [said])]
    return found


@given(st.integers(0, 7_258_118_400_000))
def test_the_calendar_is_that_of_everybody_else(ms):
    """Times to the year 2200, worked out in whole numbers, are those of the standard library."""
    text = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert rfc3339(ms) == f"{text}.{ms % 1000:03}Z"
    assert milliseconds(rfc3339(ms)) == ms
    assert milliseconds(f"{text}Z") == ms // 1000 * 1000


def test_a_reading_is_kept_until_its_number_is_acknowledged(tmp_path):
    """Only an `ack` that passed its number lets a reading go; the file is empty afterwards."""
    client = Client()
    device = Publisher(client, "z", "bin", "b", str(tmp_path))
    for fill in range(3):
        device.add({"fill_pct": fill})
    assert device.poll()
    assert numbers(client) == [(1, 0), (1, 1), (1, 2)]
    acknowledge(client, 1, 1)
    assert device.waiting == 1
    acknowledge(client, 7, 9)
    assert device.waiting == 1
    acknowledge(client, 1, 2)
    assert device.waiting == 0
    assert (tmp_path / "b.kept").read_text() == ""


def test_without_a_clock_a_reading_says_so_until_the_city_tells_the_time(tmp_path):
    """`ts` is null before the first acknowledgement and the city's time after it."""
    client = Client()
    device = Publisher(client, "z", "bin", "b", str(tmp_path))
    device.add({"fill_pct": 1})
    device.poll()
    acknowledge(client, 1, 0)
    device.add({"fill_pct": 2})
    device.poll()
    first, second = (said for leaf, said in client.sent if leaf == "telemetry")
    assert first["ts"] is None
    assert second["ts"].startswith("2026-01-15T20:05:0")


def test_readings_of_two_starts_wait_for_each_other(tmp_path):
    """An acknowledgement speaks of one start: those of the next are sent after it."""
    Publisher(Client(), "z", "bin", "b", str(tmp_path)).add({"fill_pct": 1})
    client = Client()
    device = Publisher(client, "z", "bin", "b", str(tmp_path))
    device.add({"fill_pct": 2})
    device.poll()
    device.poll()
    assert numbers(client) == [(1, 0)]
    acknowledge(client, 1, 0)
    device.poll()
    assert numbers(client) == [(1, 0), (2, 0)]


def test_a_full_device_lets_the_oldest_go_and_the_gap_tells(tmp_path):
    """Of seven readings with room for five, the last five are sent under their own numbers."""
    client = Client()
    device = Publisher(client, "z", "bin", "b", str(tmp_path), keep_max=5)
    client.fails = True
    for fill in range(7):
        device.add({"fill_pct": fill})
        assert not device.poll()
    assert isinstance(device.problem, OSError)
    client.fails = False
    device._connect_at = 0
    assert device.poll()
    assert numbers(client) == [(1, seq) for seq in range(2, 7)]
    again = Kept(str(tmp_path), "b", 5)
    assert [m["seq"] for m in again.messages] == [2, 3, 4, 5, 6]


def test_power_may_fail_at_any_byte(tmp_path):
    """Whatever stood on flash whole is sent after the next start, under a number of its own."""
    kept = Kept(str(tmp_path), "b", 9)
    for fill in range(3):
        kept.add({"ts": None, "values": {"fill_pct": fill}})
    whole = (tmp_path / "b.kept").read_bytes()
    for length in range(len(whole) + 1):
        (tmp_path / "b.kept").write_bytes(whole[:length])
        again = Kept(str(tmp_path), "b", 9)
        assert again.boot == length + 2
        assert [m["seq"] for m in again.messages] == list(range(len(again.messages)))
        assert len(again.messages) >= whole[:length].count(b"\n")
        again.add({"ts": None, "values": {}})
        assert len(Kept(str(tmp_path), "b", 9).messages) == len(again.messages)
        (tmp_path / "b.boot").write_text(str(length + 2))


def test_a_file_that_was_being_replaced_is_found_again(tmp_path):
    """Where renaming does not replace, power may fail between removing and renaming."""
    (tmp_path / "b.boot.new").write_text("41")
    (tmp_path / "b.kept.new").write_text('{"boot": 41, "seq": 0}\n')
    kept = Kept(str(tmp_path), "b", 9)
    assert (kept.boot, len(kept.messages)) == (42, 1)


def login_of(broker):
    if broker.name == "mosquitto":
        return "fleet", "none"
    return "fleet", json.loads(broker.credentials.read_text())["devices"]["fleet"]["password"]


def a_life(broker, folder, seconds):
    """A device at work for so long, then without power: (boot, seq) of all that it had kept."""
    command = [sys.executable, "-c", DEVICE, str(broker.port), *login_of(broker), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=FOLDER)
    assert process.stdout is not None
    first = process.stdout.readline()  # it has begun
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    whole = (first + said).decode().split("\n")[:-1]  # the last one may have been cut off
    lines = [line.split() for line in whole]
    return [(int(line[1]), int(line[2])) for line in lines if line[0] == "kept"]


@pytest.mark.slow
def test_readings_survive_the_device_and_the_gateway(each_broker, a_gateway, tmp_path):
    """The device dies six times and the gateway three, by kill -9: what the device had kept is on
    disk exactly once.
    """
    device = tmp_path / "device"
    device.mkdir()
    ingest = 'device_acks = true\nclock = "system"'
    gateway = a_gateway(each_broker, assets=[a_bin(1)], ingest=ingest).start(until="")
    chance = random.Random(7)
    kept = []
    for life in range(6):
        kept += a_life(each_broker, device, 1 + chance.random())
        if life % 2:
            gateway.kill()
            gateway.start(until="")
    assert len(kept) > 300

    user, password = login_of(each_broker)
    from sense311_publisher import PahoClient

    client = PahoClient("bin-1", "127.0.0.1", each_broker.port, user, password)
    last = Publisher(client, "z", "bin", "bin-1", str(device), keep_max=5000)

    def all_acknowledged():
        last.poll()
        return last.waiting == 0

    wait_until(all_acknowledged, "everything is acknowledged", 60)
    last.close()
    bodies = [json.loads(body) for (body,) in gateway.query("SELECT body FROM readings")]
    found = sorted((body["boot"], body["seq"]) for body in bodies)
    assert found == sorted(set(found))
    assert set(kept) <= set(found)
    assert gateway.stop() == 0


ON_A_MICROCONTROLLER = """
import json, sys
sys.path.insert(0, "/")
from sense311_publisher import Publisher
class Client:
    sent = []
    def set_callback(self, hear): self.hear = hear
    def publish(self, topic, payload, retain, qos): self.sent.append((topic, payload))
    def nothing(self, *told): pass
    connect = disconnect = ping = subscribe = check_msg = set_last_will = nothing
client = Client()
device = Publisher(client, "z", "bin", "b-1", "/")
for fill in range(3):
    device.add({"fill_pct": fill})
assert device.poll(), device.problem
told = {"boot": 1, "upto": 1, "server_time": "2026-01-15T20:05:00Z"}
client.hear(b"ack", json.dumps(told).encode())
device.add({"fill_pct": 9})
assert device.poll(), device.problem
after = Publisher(Client(), "z", "bin", "b-1", "/")
print(json.dumps([sys.implementation.name, device.waiting, after._kept.boot, client.sent]))
"""


@pytest.mark.slow
def test_it_runs_on_micropython_within_a_quarter_of_a_megabyte(tmp_path):
    """The real interpreter, 256 KiB of heap: kept, sent, acknowledged, found after a start."""
    parts = ROOT / ".venv/node"  # where deploy/test-parts.sh puts it
    if not (parts / "node_modules/@micropython").is_dir():
        why = "MicroPython is not installed: `make parts`, with node and npm"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    program = tmp_path / "program.py"
    program.write_text(ON_A_MICROCONTROLLER)
    command = ["node", ROOT / "tests/node/micropython.mjs", parts, FOLDER, program]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    name, waiting, boot, sent = json.loads(ran.stdout)
    assert (name, waiting, boot) == ("micropython", 2, 2)
    topic, payload = sent[-1]
    assert topic == "city/v1/z/bin/b-1/telemetry"
    assert json.loads(payload)["ts"].startswith("2026-01-15T20:05:0")


@pytest.mark.slow
def test_what_it_sends_keeps_the_contract(tmp_path):
    """A message of it, decoded by the gateway's own decoder, is a reading."""
    client = Client()
    device = Publisher(client, "z", "road", "bus-1", str(tmp_path), clock=lambda: 1_768_507_500_000)
    device.add({"rms_ms2": 1.5, "speed_mps": 9}, (41.88, -87.63), ["lamp_failure"])
    device.poll()
    (message,) = (said for leaf, said in client.sent if leaf == "telemetry")
    command = [*SENSE311, "decode", "--json", "--topic", "city/v1/z/road/bus-1/telemetry"]
    ran = subprocess.run(
        command, input=json.dumps(message).encode(), capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (reading,) = json.loads(ran.stdout)["readings"]
    assert reading["ts"] == "2026-01-15T20:05:00Z"
    assert reading["values"] == {"rms_ms2": 1.5, "speed_mps": 9}
