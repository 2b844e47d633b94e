"""The publisher against the real bundled broker: at least once, in order, none lost."""

import asyncio
import contextlib
import json
import math
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.buffer import PATIENCE_S, TRIES_MAX, Buffer
from simulators.city import City
from simulators.excerpt import shifted
from simulators.plan import messages, plan_of
from simulators.publisher import Pace, publish, replay
from simulators.recording import write_recording
from simulators.uplink import Login, LoginRefusedError, Uplink
from simulators.wire import Message, encode

CONFIG = """
server_name: test
host: 127.0.0.1
port: -1
mqtt {{ host: 127.0.0.1, port: {port}, ack_wait: "5s", max_ack_pending: 4096 }}
jetstream {{ store_dir: {store!r}, sync_interval: always }}
authorization {{ users: [ {users} ] }}
"""
READY_S, PATIENT_S = 20, 60


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nats:
    """The bundled broker with users anna, bert and reader; password = name + '-secret'."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        users = ", ".join(
            f"{{user: {u}, password: {u}-secret}}" for u in ("anna", "bert", "reader")
        )
        self._config = folder / "nats.conf"
        self._config.write_text(
            CONFIG.format(port=self.port, store=str(folder / "js"), users=users)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        server = Path(sys.executable).with_name("nats-server")
        self._process = subprocess.Popen(
            [server, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            time.sleep(0.05)
        raise AssertionError("the broker does not listen")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(10)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    broker = Nats(tmp_path)
    broker.start()
    yield broker
    broker.stop()


class Reader:
    """A persistent session: what the broker acknowledged, it must hear."""

    def __init__(self, nats: Nats) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="reader", clean_session=False
        )
        self._client.username_pw_set("reader", "reader-secret")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("city/v1/#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload))
        self._client.connect("127.0.0.1", nats.port)
        self._client.loop_start()
        assert self._subscribed.wait(READY_S)

    def wait_for(self, expected: set[tuple[str, bytes]]) -> None:
        deadline = time.monotonic() + PATIENT_S
        while not expected <= set(self.heard) and time.monotonic() < deadline:
            time.sleep(0.05)
        missing = expected - set(self.heard)
        assert not missing, f"{len(missing)} of {len(expected)} lost, such as {min(missing)}"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def reader(nats: Nats) -> Iterator[Reader]:
    one = Reader(nats)
    yield one
    one.close()


LOGINS = {name: Login(name, f"{name}-secret") for name in ("anna", "bert")}


def _numbered(count: int) -> list[Message]:
    """Messages of four devices behind two concentrators, one a simulated second."""
    made = []
    for n in range(count):
        device, concentrator = f"d{n % 4}", ("anna", "bert")[n % 2]
        payload = encode({"ts": None, "boot": 1, "seq": n, "values": {"active_power_w": n % 100}})
        topic = f"city/v1/north/streetlight/{device}/telemetry"
        made.append(Message(n * 1000, topic, payload, concentrator=concentrator))
    return made


def _expected(sent: list[Message]) -> set[tuple[str, bytes]]:
    return {(message.topic, message.payload) for message in sent}


def _sequences(heard: list[tuple[str, bytes]]) -> dict[str, list[int]]:
    """Device -> sequence numbers in the order of their first arrival."""
    sequences: dict[str, list[int]] = defaultdict(list)
    for topic, payload in heard:
        device, seq = topic.split("/")[4], json.loads(payload)["seq"]
        if seq not in sequences[device]:
            sequences[device].append(seq)
    return sequences


@pytest.mark.slow
def test_every_message_arrives_once_and_in_order_on_a_good_connection(nats, reader):
    """Two concentrators, each with its own login; progress tells how far it is."""
    sent, told = _numbered(1000), []
    pace = Pace(0, time.time())
    result = asyncio.run(
        publish(sent, nats.url, LOGINS, pace, on_progress=lambda *now: told.append(now))
    )
    reader.wait_for(_expected(sent))
    assert (result.messages, result.reconnects, result.given_up) == (1000, 0, 0)
    assert len(reader.heard) == 1000
    assert all(seqs == sorted(seqs) for seqs in _sequences(reader.heard).values())
    assert told[-1] == (999_000, 1000)


@pytest.mark.slow
def test_nothing_is_lost_when_the_broker_is_killed_midway(nats, reader):
    """kill -9, two seconds of nothing, a new process on the same store: all messages are there."""
    sent = _numbered(3000)

    async def run() -> object:
        pace = Pace(0, time.time(), speed=600)  # five seconds
        sending = asyncio.create_task(publish(sent, nats.url, LOGINS, pace))
        for _ in range(2):
            await asyncio.sleep(1.2)
            assert not sending.done()
            nats.stop(signal.SIGKILL)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(nats.start)
        return await asyncio.wait_for(sending, PATIENT_S)

    result = asyncio.run(run())
    reader.wait_for(_expected(sent))
    assert result.messages == 3000
    assert result.reconnects >= 4  # two connections, two kills
    assert {d: sorted(s) for d, s in _sequences(reader.heard).items()} == {
        f"d{n}": list(range(n, 3000, 4)) for n in range(4)
    }


@pytest.mark.slow
def test_a_message_waits_for_the_gateways_word_when_told_to(nats):
    """Broker acknowledgements are not enough: `publish` ends when all is covered by `ack`."""
    sent, answers, heard_all = _numbered(40), threading.Event(), threading.Event()
    gateway = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
    gateway.username_pw_set("reader", "reader-secret")
    last: dict[str, int] = {}

    def heard(client, _userdata, message):
        device = message.topic.split("/")[4]
        last[device] = max(last.get(device, -1), json.loads(message.payload)["seq"])
        if sum(upto >= 36 for upto in last.values()) == 4:
            heard_all.set()
        if answers.is_set():
            topic = message.topic.replace("telemetry", "ack")
            client.publish(topic, json.dumps({"boot": 1, "upto": last[device]}), 1)

    gateway.on_message = heard
    gateway.connect("127.0.0.1", nats.port)
    gateway.subscribe("city/v1/+/+/+/telemetry", 1)
    gateway.loop_start()

    async def run() -> bool:
        pace = Pace(0, time.time())
        sending = asyncio.create_task(publish(sent, nats.url, LOGINS, pace, await_ack=True))
        all_heard = await asyncio.to_thread(heard_all.wait, READY_S)
        assert all_heard
        early = sending.done()
        answers.set()
        for device, upto in last.items():
            topic = f"city/v1/north/streetlight/{device}/ack"
            gateway.publish(topic, json.dumps({"boot": 1, "upto": upto}), 1)
        result = await asyncio.wait_for(sending, PATIENT_S)
        assert (result.messages, result.given_up) == (40, 0)
        return early

    try:
        assert asyncio.run(run()) is False
    finally:
        gateway.disconnect()
        gateway.loop_stop()


@pytest.mark.slow
def test_a_wrong_password_ends_the_run_and_is_not_shown(nats):
    """Retrying for ever would hide it."""
    logins = {"anna": Login("anna", "hunter2"), "bert": Login("bert", "hunter2")}
    with pytest.raises(LoginRefusedError) as refused:
        asyncio.run(publish(_numbered(4), nats.url, logins, Pace(0, time.time())))
    assert "hunter2" not in f"{refused.value!r}{logins}"


@pytest.mark.slow
def test_a_recording_is_replayed_with_its_times_moved(nats, reader, tmp_path):
    """Times in payloads move along; a clock that was never set, and foreign formats, do not."""
    topic = "city/v1/north/bin/b1/telemetry"
    recorded = [
        Message(1_000_000_000_000, topic, encode({"ts": "2001-09-09T01:46:39Z", "values": {}})),
        Message(1_000_000_001_000, topic, encode({"ts": "1970-01-01T00:00:05Z", "values": {}})),
        Message(1_000_000_002_000, topic, b"\xff\x00"),
    ]
    path = tmp_path / "r.jsonl"
    write_recording(path, recorded)
    login = Login("anna", "anna-secret")
    result = asyncio.run(replay(path, nats.url, login, speed=10, shift_to_ms=1_100_000_000_000))
    assert result.messages == 3
    expected = [
        encode({"ts": "2004-11-09T11:33:19Z", "values": {}}),
        encode({"ts": "1970-01-01T00:00:05Z", "values": {}}),
        b"\xff\x00",
    ]
    reader.wait_for({(topic, payload) for payload in expected})


@pytest.mark.slow
def test_a_small_city_goes_through_the_broker_whole(nats, reader):
    """Status, telemetry, spoilt payloads and all; concentrators without login are refused none."""
    plan = plan_of(City.sized(4, lamps=20, bins=6, road=6, duration="4h"))
    sent = list(messages(plan))
    logins = dict.fromkeys(plan.concentrators(), LOGINS["anna"])
    pace = Pace(plan.city.start_ms, time.time())
    result = asyncio.run(publish(iter(sent), nats.url, logins, pace))
    reader.wait_for(_expected(sent))
    assert result.messages == len(sent)


def test_a_message_is_due_when_its_time_has_come_at_that_pace():
    """Speed 60: a simulated minute a second."""
    pace = Pace(start_ms=1_000_000, origin_s=50.0, speed=60)
    assert pace.due_s(1_000_000) == 50.0
    assert pace.due_s(1_060_000) == 51.0
    assert Pace(0, 50.0, math.inf).due_s(10**12) == 50.0


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://127.0.0.1", "mqtt://"])
def test_an_address_that_is_none_is_refused_at_once(url):
    """With an example of a good one."""

    async def make() -> None:
        Uplink("x", url)

    with pytest.raises(ValueError, match="mqtt://127"):
        asyncio.run(make())


def test_unmoved_messages_keep_their_bytes():
    """Replay without a shift sends exactly what was recorded."""
    message = Message(5, "t", b'{"ts" : "2020-01-01T00:00:00Z"}')
    assert list(shifted([message], 0)) == [message]


def test_what_was_in_flight_when_the_connection_broke_is_sent_again_in_its_old_place():
    """Acknowledged ones are not."""
    buffer = Buffer(await_ack=False)
    sent = _numbered(5)
    for message in sent:
        buffer.put(message)
    flights = [buffer.take_off() for _ in range(3)]
    buffer.landed(flights[1], 0.0)
    buffer.connection_lost()
    again = []
    while entry := buffer.take_off():
        again.append(entry.message)
        buffer.landed(entry, 0.0)
    assert again == [sent[0], sent[2], sent[3], sent[4]]
    assert len(buffer) == 0


def test_what_the_gateway_does_not_speak_for_is_sent_again_and_in_the_end_given_up():
    """After a patient wait, five times."""
    buffer, now_s = Buffer(await_ack=True), 0.0
    buffer.put(_numbered(1)[0])
    for _ in range(TRIES_MAX):
        entry = buffer.take_off()
        assert buffer.landed(entry, now_s) is False
        assert buffer.overdue(now_s + PATIENCE_S / 2) == []
        now_s += PATIENCE_S + 1
        tired = buffer.overdue(now_s)
    assert tired == _numbered(1)
    assert (len(buffer), buffer.given_up) == (0, 1)


def test_an_acknowledgement_covers_all_before_it_of_its_device_and_boot():
    """Not what came after, not another device's, not a later boot's."""
    buffer = Buffer(await_ack=True)
    for message in _numbered(12):
        buffer.put(message)
    while entry := buffer.take_off():
        buffer.landed(entry, 0.0)
    assert [json.loads(m.payload)["seq"] for m in buffer.cover("d0", 1, 4)] == [0, 4]
    assert buffer.cover("d1", 0, 99) == []
    assert len(buffer.cover("d0", 2, 0)) == 1
    assert len(buffer) == 9
