"""Nothing acknowledged is lost and nothing counts twice: kill -9, forgetful brokers, full disks."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Publisher, a_bin

from gateway.books.store import Store

pytestmark = pytest.mark.slow

T0 = 1_768_453_200
BINS = [a_bin(n) for n in range(1, 6)]
ACKS = "city/v1/+/+/+/ack"


def reading(seq):
    ts = datetime.fromtimestamp(T0 + seq, UTC).isoformat().replace("+00:00", "Z")
    return {"ts": ts, "boot": 1, "seq": seq, "values": {"fill_pct": 20}}


def topic(device):
    return f"city/v1/z/bin/bin-{device}/telemetry"


def stored(gateway):
    """(device, seq) of every reading on disk, as often as it is there."""
    rows = gateway.query("SELECT device, body FROM readings")
    return sorted((device, json.loads(body)["seq"]) for device, body in rows)


class Fleet:
    """Five bins that publish and hear how far they are on disk."""

    def __init__(self, broker):
        self.client = broker.login()
        self.heard = self.client.listen(ACKS)
        self.published = []

    def publish(self, count):
        """So many more readings of each, acknowledged by the broker."""
        first = len(self.published) // 5
        numbers = [(device, seq) for seq in range(first, first + count) for device in range(1, 6)]
        told = [self.client.publish(topic(device), reading(seq)) for device, seq in numbers]
        for each in told:
            each.wait_for_publish(20)
        self.published += [(f"bin-{device}", seq) for device, seq in numbers]

    def acknowledged(self):
        """Every (device, seq) that a device was told to be on disk."""
        upto = {}
        for name, body in list(self.heard):
            device = name.split("/")[4]
            upto[device] = max(upto.get(device, -1), json.loads(body)["upto"])
        return {(device, seq) for device, last in upto.items() for seq in range(last + 1)}


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing(
    seed, mosquitto, a_gateway, wait_for
):
    """The gateway dies three times while it works off a backlog. What devices were told is on disk
    each time, and in the end everything that was published is there once."""
    moments = random.Random(seed)
    ingest = 'clock = "follow"\ndevice_acks = true'
    gateway = a_gateway(mosquitto, assets=BINS, ingest=ingest).start()
    gateway.kill()
    fleet = Fleet(mosquitto)
    for _ in range(3):
        before = gateway.count("readings")
        fleet.publish(300)
        gateway.start(until="")
        wait_for(lambda before=before: gateway.count("readings") > before, "something is stored")
        time.sleep(moments.uniform(0.0, 0.2))  # the moment is what is tested
        gateway.kill()
        lost = fleet.acknowledged() - set(stored(gateway))
        assert not lost, "told to be on disk, and is not"
    gateway.start()

    wait_for(lambda: gateway.count("readings") >= len(fleet.published), "all is stored", 60)
    assert stored(gateway) == sorted(fleet.published)
    assert len(fleet.acknowledged()) > 0


def test_kill_9_in_the_middle_of_a_commit_loses_nothing(mosquitto, a_gateway, wait_for):
    """The disk is held so that a batch is taken and cannot be committed: nobody is told of it, and
    it comes again after the kill."""
    gateway = a_gateway(mosquitto, ingest='clock = "follow"\ndevice_acks = true').start()
    client = mosquitto.login()
    heard = client.listen(ACKS)
    client.say(topic(1), *map(reading, range(50)))
    wait_for(lambda: heard and json.loads(heard[-1][1])["upto"] == 49, "the first are stored")
    with closing(sqlite3.connect(gateway.data / "sense311.db", isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        client.say(topic(2), *map(reading, range(50)))
        time.sleep(1.0)  # long enough for a word that must not come
        gateway.kill()
    assert gateway.count("readings") == 50
    assert {name.split("/")[4] for name, _ in heard} == {"bin-1"}
    gateway.start()
    wait_for(lambda: gateway.count("readings") == 100, "the others come again")
    assert stored(gateway) == [(f"bin-{n}", seq) for n in (1, 2) for seq in range(50)]


def test_a_device_that_keeps_its_readings_survives_a_broker_that_forgets(
    mosquitto, a_gateway, wait_for
):
    """The broker acknowledged, died and lost its queue; what the device was not told to be on disk
    it sends again, and all of it is stored once."""
    gateway = a_gateway(mosquitto, ingest='clock = "follow"\ndevice_acks = true').start()
    first = mosquitto.login()
    heard = first.listen(ACKS)
    first.say(topic(1), *map(reading, range(20)))
    wait_for(lambda: heard and json.loads(heard[-1][1])["upto"] == 19, "it is told so")
    gateway.stop()
    first.say(topic(1), *map(reading, range(20, 40)))
    mosquitto.forget()
    gateway.start()
    assert gateway.status()["sessions_lost"] == 1
    assert gateway.count("readings") == 20, "the rest is gone with the broker"

    upto = json.loads(heard[-1][1])["upto"]
    again = mosquitto.login()
    again.say(topic(1), *map(reading, range(upto - 5, 40)))
    wait_for(lambda: gateway.count("readings") == 40, "all is there")
    assert [seq for _, seq in stored(gateway)] == list(range(40))


# -- the store by itself ----------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from gateway.effects import Effects, StoredReading
from gateway.books.store import Store
books = Store(Path(sys.argv[1]))
batch = books.load().reading_id // 20
while True:
    batch += 1
    books.commit(Effects(readings=[
        StoredReading(20 * batch - 19 + n, "d", "bin", "z", None, 1, 1, "fresh", b"x" * 300)
        for n in range(20)
    ]))
    sys.stdout.write(f"{batch}\\n")
    sys.stdout.flush()
"""


def test_kill_9_in_the_middle_of_commits_keeps_every_batch_that_returned(tmp_path):
    """A child writes and says which batch is committed; it is killed at random moments. What it
    said is there, and no batch is there in part."""
    moments = random.Random(7)
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(moments.uniform(0, 0.1))  # the moment is what is tested
            child.send_signal(signal.SIGKILL)
            said = [int(line) for line in child.stdout if line.endswith("\n")]
        with closing(Store(tmp_path)) as books:
            rows = books._db.execute("SELECT id FROM readings ORDER BY id").fetchall()
            assert [number for (number,) in rows] == list(range(1, len(rows) + 1))
            assert len(rows) % 20 == 0
            assert len(rows) >= 20 * max(said, default=1)


# -- a full disk ------------------------------------------------------------------------------


@contextmanager
def small_disk(folder, size):
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path):
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_full_disk_stops_the_gateway_and_it_recovers(tmp_path, mosquitto, a_gateway, wait_for):
    """No room: red with the reason, nothing acknowledged, nothing told to devices. With room it
    goes on by itself, with every message once."""
    with small_disk(tmp_path / "disk", "6m") as disk:
        gateway = a_gateway(mosquitto, assets=BINS, data=str(disk / "data"), ingest=(
            'clock = "follow"\ndevice_acks = true\nbatch_max = 20')).start()  # fmt: skip
        client: Publisher = mosquitto.login()
        heard = client.listen(ACKS)
        client.say(topic(1), *map(reading, range(50)))
        wait_for(lambda: gateway.count("readings") == 50, "the first are stored")
        fill(disk / "filler")
        told = [client.publish(topic(1), reading(seq)) for seq in range(50, 3000)]
        said = wait_for(lambda: red(gateway), "it says that the disk is full")
        assert "full" in said["problem"]
        for each in told:
            each.wait_for_publish(20)
        held = gateway.count("readings")
        assert 50 <= held < 3000, "the disk took everything: it was not full"
        assert max(json.loads(body)["upto"] for _, body in heard) < held
        (disk / "filler").unlink()
        wait_for(lambda: gateway.status().get("state") == "green", "it recovers")
        wait_for(lambda: gateway.count("readings") >= 3000, "all is stored")
        assert [seq for _, seq in stored(gateway)] == list(range(3000))
        assert gateway.stop() == 0


def red(gateway):
    said = gateway.status()
    return said if said.get("state") == "red" else None
