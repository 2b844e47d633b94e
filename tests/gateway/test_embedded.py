"""The bundled broker, as a real process: who may speak, what survives, what is refused."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from gateway.access.credentials import BrokerConfig, BrokerError, BrokerReason, Credentials, prepare
from gateway.access.embedded import Broker

DEVICES = {"lamp-a": ["lamp-a"], "lamp-b": ["lamp-b"], "fleet": ["*"]}
SOURCES = {"lorawan": ["v3/+/devices/+/up"]}
FORBIDDEN_TO_LAMP_B = [
    *("#", "city/#", "+/v1/+/+/+/ack", "city/v1/+/+/+/ack", "city/v1/+/+/lamp-a/ack"),
    *("$MQTT/sub/#", "$MQTT/sub/+", "$MQTT/#", "$JS/#", "$SYS/#", "city/v1/+/+/lamp-b/telemetry"),
]
GATEWAY_TOPICS = [f"city/v1/+/+/+/{leaf}" for leaf in ("telemetry", "batch", "status")]


def until(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"never: {what}"
        time.sleep(0.01)


class Session:
    """A real MQTT client that writes down all it is told."""

    def __init__(self, url: str, user: str, password: str, name: str, *, keep: bool = False):
        self.received: list[tuple[str, bytes]] = []
        self.acknowledged: set[int] = set()
        self.granted: dict[int, list[bool]] = {}
        self.connected: list[bool] = []
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            name,
            clean_session=not keep,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        self.client.username_pw_set(user, password)
        self.client.on_connect = lambda *a: self.connected.append(not a[3].is_failure)
        self.client.on_publish = lambda *a: self.acknowledged.add(a[2])
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda _c, _u, m: self.received.append((m.topic, m.payload))
        try:
            self.client.connect("127.0.0.1", int(url.rsplit(":", 1)[1]))
        except OSError:
            self.client._reset_sockets()
            raise
        self.client.loop_start()
        until(lambda: self.connected, "an answer to CONNECT")

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, codes: Any, _properties: Any):
        self.granted[mid] = [not code.is_failure for code in codes]

    def subscribe(self, topic: str, qos: int = 1) -> bool:
        _, mid = self.client.subscribe(topic, qos)
        until(lambda: mid in self.granted, f"SUBACK for {topic}")
        return self.granted[mid][0]

    def publish(self, topic: str, payload: bytes, **options: Any) -> int:
        return self.client.publish(topic, payload, qos=1, **options).mid

    def say(self, topic: str, payload: bytes, **options: Any) -> None:
        mid = self.publish(topic, payload, **options)
        until(lambda: mid in self.acknowledged, f"PUBACK for {topic}")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client._reset_sockets()  # else paho leaves its own pair of sockets to the collector


class City:
    """A running broker with the logins it gave out."""

    def __init__(self, folder: Path, **options: Any):
        self.config = BrokerConfig(folder, devices=DEVICES, sources=SOURCES, **options)
        self.broker = Broker(self.config)
        self.url = self.broker.start()
        self.sessions: list[Session] = []

    @property
    def credentials(self) -> Credentials:
        return json.loads((self.config.folder / "credentials.json").read_text())

    def login(self, user: str, *, keep: bool = False, name: str = "") -> Session:
        found = self.credentials
        logins = {"gateway": found["gateway"], **found["devices"], **found["sources"]}
        session = Session(self.url, user, logins[user]["password"], name or user, keep=keep)
        self.sessions.append(session)
        return session

    def gateway(self) -> Session:
        session = self.login("gateway", keep=True)
        assert all(session.subscribe(topic) for topic in GATEWAY_TOPICS)
        return session

    def crash(self) -> None:
        pid = self.broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.broker.pid is None, "the server's death")
        for session in self.sessions:
            session.close()

    def close(self) -> None:
        for session in self.sessions:
            session.close()
        self.broker.stop()


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    city = City(tmp_path / "broker")
    yield city
    city.close()


def topic(device: str, leaf: str = "telemetry") -> str:
    return f"city/v1/north/streetlight/{device}/{leaf}"


@pytest.mark.slow
def test_device_cannot_speak_for_another(city: City):
    """What device B publishes as device A reaches nobody, on any leaf, retained or as a will."""
    gateway, b = city.gateway(), city.login("lamp-b")
    for leaf in ("telemetry", "batch", "status"):
        b.publish(topic("lamp-a", leaf), b"spoof")
    b.publish(topic("lamp-a", "status"), b"spoof", retain=True)
    b.publish("$MQTT/msgs/" + topic("lamp-a"), b"spoof")
    b.publish(topic("lamp-b", "ack"), b"spoof")
    b.publish("city/v1/device-status/lamp-a", b"spoof", retain=True)
    b.say(topic("lamp-b"), b"own")
    until(lambda: gateway.received, "the honest message")
    assert gateway.received == [(topic("lamp-b"), b"own")]
    late = city.login("gateway", name="late")
    assert late.subscribe(GATEWAY_TOPICS[2])
    b.say(topic("lamp-b", "status"), b"honest", retain=True)
    until(lambda: late.received, "the honest status")
    assert late.received == [(topic("lamp-b", "status"), b"honest")]


@pytest.mark.slow
def test_will_of_another_device_never_fires(city: City):
    """A client that dies with a will on another's topic leaves nothing; its own will arrives."""
    gateway = city.gateway()
    password = city.credentials["devices"]["lamp-b"]["password"]
    for victim in ("lamp-a", "lamp-b"):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "dying", protocol=mqtt.MQTTv311)
        client.username_pw_set("lamp-b", password)
        client.will_set(topic(victim, "status"), b"gone", qos=1)
        client.connect("127.0.0.1", int(city.url.rsplit(":", 1)[1]))
        while not client.is_connected():
            client.loop(0.1)
        client.socket().shutdown(socket.SHUT_RDWR)
        client._reset_sockets()
    until(lambda: gateway.received, "the own will")
    assert gateway.received == [(topic("lamp-b", "status"), b"gone")]


@pytest.mark.slow
@pytest.mark.parametrize("wanted", FORBIDDEN_TO_LAMP_B)
def test_device_cannot_listen_in(city: City, wanted: str):
    """A device may read its own acknowledgements and nothing else, at either quality of service."""
    b = city.login("lamp-b")
    assert not b.subscribe(wanted, qos=1)
    assert not b.subscribe(wanted, qos=0)


@pytest.mark.slow
def test_acks_reach_their_device_alone(city: City):
    """The gateway's acknowledgement arrives at the device it names, at QoS 1."""
    gateway, a, b = city.gateway(), city.login("lamp-a"), city.login("lamp-b")
    assert a.subscribe(topic("lamp-a", "ack"))
    assert b.subscribe("city/v1/+/+/lamp-b/ack")
    gateway.say(topic("lamp-a", "ack"), b"1")
    gateway.say(topic("lamp-b", "ack"), b"2")
    until(lambda: a.received and b.received, "both acknowledgements")
    assert a.received == [(topic("lamp-a", "ack"), b"1")]
    assert b.received == [(topic("lamp-b", "ack"), b"2")]


@pytest.mark.slow
def test_fleet_and_source_users_reach_the_gateway(city: City):
    """A fleet user speaks for every device; a source publishes its own topics, and only those."""
    gateway, fleet, source = city.gateway(), city.login("fleet"), city.login("lorawan")
    assert gateway.subscribe(SOURCES["lorawan"][0])
    source.publish(topic("lamp-a"), b"spoof")
    source.say("v3/app/devices/d1/up", b"uplink")
    fleet.say(topic("lamp-77"), b"virtual")
    until(lambda: len(gateway.received) >= 2, "both messages")
    assert sorted(gateway.received) == [
        (topic("lamp-77"), b"virtual"),
        ("v3/app/devices/d1/up", b"uplink"),
    ]
    assert not source.subscribe("v3/app/devices/d1/up")


@pytest.mark.slow
def test_strangers_are_refused(city: City):
    """A wrong password, an unknown user and no login at all are answered with a refusal."""
    for user, password in (("lamp-a", "wrong"), ("nobody", "x"), ("keeper", ""), ("", "")):
        stranger = Session(city.url, user, password, "stranger")
        stranger.close()
        assert stranger.connected == [False]


@pytest.mark.slow
def test_messages_wait_for_an_absent_gateway(city: City):
    """What is published while the gateway is away is delivered when its session comes back."""
    gateway = city.gateway()
    gateway.close()
    a = city.login("lamp-a")
    for number in range(50):
        a.say(topic("lamp-a"), b"%d" % number)
    back = city.login("gateway", keep=True)
    until(lambda: len(back.received) >= 50, "the stored messages")
    assert [payload for _, payload in back.received] == [b"%d" % n for n in range(50)]


@pytest.mark.slow
def test_acknowledged_messages_survive_kill(city: City):
    """After kill -9 of the server every message it acknowledged is delivered, and once restarted
    its address, its passwords and the gateway's session are the same."""
    city.gateway().close()
    a = city.login("lamp-a")
    mids = {a.publish(topic("lamp-a"), b"%d" % n): b"%d" % n for n in range(400)}
    until(lambda: len(a.acknowledged) >= 100, "100 acknowledgements")
    before = city.credentials
    city.crash()
    promised = {mids[mid] for mid in a.acknowledged if mid in mids}
    assert len(promised) >= 100
    assert city.broker.start() == city.url
    assert city.credentials == before
    back = city.login("gateway", keep=True)
    until(lambda: promised <= {p for _, p in back.received}, "all that was acknowledged")


@pytest.mark.slow
def test_full_store_refuses_but_lets_the_gateway_in(tmp_path: Path):
    """A full store acknowledges nothing more, and the gateway can still come and empty it."""
    city = City(tmp_path / "broker", store_bytes_max=1 << 20)
    try:
        city.gateway().close()
        a = city.login("lamp-a")
        for _ in range(200):
            a.publish(topic("lamp-a"), b"x" * 10_000)
        until(lambda: not a.client.is_connected(), "the refusal")
        stored = len(a.acknowledged)
        assert 50 < stored < 110
        city.crash()
        city.broker.start()
        back = city.login("gateway", keep=True)
        assert back.connected == [True]
        until(lambda: len(back.received) >= stored, "the stored messages")
        again = city.login("lamp-a", name="again")
        again.say(topic("lamp-a"), b"y" * 10_000)
    finally:
        city.close()


@pytest.mark.slow
def test_new_device_is_let_in_while_running(city: City):
    """Adding a device changes nobody's password and drops nobody's connection."""
    gateway = city.gateway()
    before = city.credentials
    prepare(BrokerConfig(city.config.folder, devices={"lamp-c": ["lamp-c"]}))
    city.broker.reload()
    assert city.credentials["devices"].items() > before["devices"].items()
    assert city.credentials["url"] == city.url

    def let_in() -> bool:
        session = city.login("lamp-c")
        return session.connected == [True]

    until(let_in, "the new device")
    city.sessions[-1].say(topic("lamp-c"), b"hello")
    until(lambda: gateway.received, "its message")
    assert gateway.client.is_connected()


@pytest.mark.slow
def test_listens_on_loopback_only(city: City):
    """Every listening socket of the server is bound to 127.0.0.1."""
    folder = Path(f"/proc/{city.broker.pid}/fd")
    inodes = {str(fd.readlink()) for fd in folder.iterdir()}
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                addresses.append(fields[1].split(":")[0])
    assert len(addresses) == 2
    assert set(addresses) == {"0100007F"}


@pytest.mark.slow
def test_one_broker_in_a_folder(city: City):
    """A second broker in the same folder is refused by name, and the first one goes on."""
    with pytest.raises(BrokerError, match=str(city.broker.pid)) as refused:
        Broker(city.config).start()
    assert refused.value.reason is BrokerReason.FOLDER_IN_USE
    assert city.login("lamp-a").connected == [True]


@pytest.mark.slow
def test_taken_port_is_told(tmp_path: Path):
    """A port somebody else holds is reported as such, with no process left behind."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        broker = Broker(BrokerConfig(tmp_path / "b", port=other.getsockname()[1]))
        with pytest.raises(BrokerError) as refused:
            broker.start()
    assert refused.value.reason is BrokerReason.DID_NOT_START
    assert broker.pid is None


@pytest.mark.slow
def test_log_holds_no_password(city: City):
    """After logins good and bad, no password stands in the server's log."""
    city.login("lamp-a")
    Session(city.url, "lamp-a", "wrong-but-secret", "stranger").close()
    log = (city.config.folder / "nats.log").read_text()
    secrets = [login["password"] for login in city.credentials["devices"].values()]
    assert "authentication error" in log
    assert not [secret for secret in [*secrets, "wrong-but-secret"] if secret in log]


FOREGROUND = """
import sys
from pathlib import Path
from gateway.access.embedded import BrokerConfig, run_foreground
sys.exit(run_foreground(BrokerConfig(Path(sys.argv[1])), lambda url: print(url, flush=True)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_foreground_restarts_a_dead_server_and_stops_on_a_signal(tmp_path: Path, end: int):
    """The foreground broker brings a killed server back at the same address; a signal ends both."""
    command = [sys.executable, "-c", FOREGROUND, str(tmp_path / "broker")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        url = shell.stdout.readline().strip()
        first = int((tmp_path / "broker" / "lock").read_text())
        os.kill(first, signal.SIGKILL)

        def second() -> int:
            return int((tmp_path / "broker" / "lock").read_text() or first)

        until(lambda: second() != first, "a second server")
        login = json.loads((tmp_path / "broker" / "credentials.json").read_text())["gateway"]

        def answers() -> bool:
            try:
                session = Session(url, "gateway", login["password"], "probe")
            except ConnectionRefusedError:
                return False
            session.close()
            return session.connected == [True]

        until(answers, "an answer at the same address")
        shell.send_signal(end)
        assert shell.wait(20) == 0
        assert not Path(f"/proc/{second()}").exists()


@pytest.mark.slow
def test_wait_returns_when_told_to_stop(city: City):
    """Waiting on a living server ends when the event is set."""
    stopping = threading.Event()
    stopping.set()
    city.broker.wait(stopping)
    assert city.broker.pid is not None
