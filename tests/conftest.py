"""What the tests of the wiring share: the real parts, each in a process of its own, on loopback.

A bundled broker, a real Mosquitto, the simulated 311 desk, the gateway from a folder with its
configuration, a publisher that waits for its acknowledgements. Everything ends what it starts.
"""

import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import paho.mqtt.client as mqtt
import pytest

from gateway.access.credentials import BrokerConfig
from gateway.access.embedded import Broker

SENSE311 = [sys.executable, "-m", "gateway.cli"]
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CANARY_KEY = "canary-api-key-5b1f"
START_S = 30.0

# `make check` looks at a fourth of the examples that `make test` does.
hypothesis.settings.register_profile("quick", max_examples=25)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests begin first: the many short ones fill up what is left at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = START_S) -> Any:
    """What the condition gives, once it is true."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"never: {what}"
        time.sleep(0.02)
    return found


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its words in a file; ended, or killed, at the end."""
    with log.open("ab") as words:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=words, **options)
    try:
        yield child
    finally:
        end(child)
        if child.stdout is not None:
            child.stdout.close()


def end(child: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> int:
    with suppress(ProcessLookupError):
        child.send_signal(number)
    try:
        return child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


class Publisher:
    """A device, or many: publishes at QoS 1 and knows what the broker acknowledged."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.received: list[tuple[str, Any]] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(user, password)
        self.client.max_inflight_messages_set(100)
        self.client.on_message = lambda _c, _d, m: self.received.append((m.topic, m.payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(self.client.is_connected, f"{user} is let in")

    def publish(self, topic: str, body: Any, qos: int = 1, **options: Any) -> mqtt.MQTTMessageInfo:
        """Handed over; `wait_for_publish` of the result waits for the acknowledgement."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.publish(topic, payload, qos=qos, **options)

    def say(self, topic: str, *bodies: Any, **options: Any) -> None:
        """Published and acknowledged, in order."""
        for told in [self.publish(topic, body, **options) for body in bodies]:
            told.wait_for_publish(20)
            assert told.is_published()

    def listen(self, topic: str) -> list[tuple[str, Any]]:
        self.client.subscribe(topic, 1)
        return self.received

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client._reset_sockets()


class BundledBroker:
    """nats-server as `sense311 broker` runs it; lamp-a and lamp-b may speak for themselves only."""

    name = "bundled"

    def __init__(self, folder: Path) -> None:
        users = {"fleet": ["*"], "lamp-a": ["lamp-a"], "lamp-b": ["lamp-b"]}
        self._broker = Broker(BrokerConfig(folder, devices=users))
        self.credentials = folder / "credentials.json"
        self._publishers: list[Publisher] = []
        self.port = int(self._broker.start().rpartition(":")[2])

    def login(self, user: str = "fleet") -> Publisher:
        password = json.loads(self.credentials.read_text())["devices"][user]["password"]
        self._publishers.append(Publisher(self.port, user, password))
        return self._publishers[-1]

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.close()
        self._broker.stop()


class Mosquitto:
    """A real Mosquitto; `extra` are lines of its configuration. Anybody may do anything unless
    they say otherwise."""

    name = "mosquitto"

    def __init__(self, folder: Path, extra: Sequence[str] = ()) -> None:
        assert MOSQUITTO is not None
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, a_free_port()
        self.credentials = folder / "credentials.json"
        login = {"user": "gateway", "password": "gateway-password"}
        url = f"mqtt://127.0.0.1:{self.port}"
        self.credentials.write_text(json.dumps({"url": url, "gateway": login}))
        self.credentials.chmod(0o600)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "max_inflight_messages 1000",
            "max_queued_messages 1000000",
            "persistence true",
            f"persistence_location {folder}/",
            "user root" if os.getuid() == 0 else "",
            *(extra or ["allow_anonymous true"]),
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._publishers: list[Publisher] = []
        self._stack = ExitStack()
        self.start()

    def start(self) -> None:
        command = [str(MOSQUITTO), "-c", str(self.folder / "mosquitto.conf")]
        log = self.folder / "mosquitto.log"
        self.process = self._stack.enter_context(running(command, log, stdout=subprocess.DEVNULL))
        wait_until(self._answers, f"mosquitto answers: {log.read_text()[-500:]}")

    def stop(self) -> None:
        """It saves its sessions."""
        self._stack.close()

    def forget(self) -> None:
        """It loses every session, as one without persistence does when it dies."""
        end(self.process, signal.SIGKILL)
        for path in self.folder.glob("mosquitto.db*"):
            path.unlink()
        self.start()

    def login(self, user: str = "fleet", password: str = "none") -> Publisher:
        self._publishers.append(Publisher(self.port, user, password))
        return self._publishers[-1]

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "mosquitto.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.close()
        self.stop()


class Desk:
    """The simulated 311 desk: its address, its ledger as the oracle, its faults."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url, self._http = url, http

    def filed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get("/desk/ledger").raise_for_status().json()
        return found

    def misbehave(self, **faults: Any) -> None:
        bearer = {"Authorization": f"Bearer {CANARY_KEY}"}
        self._http.put("/desk/faults", json=faults, headers=bearer).raise_for_status()


class GatewayProcess:
    """`sense311 run` in a folder of its own, with its configuration and its books."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config = folder, config
        self.data = folder / "data"
        self.log = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, until: str = "green") -> "GatewayProcess":
        (self.data / "status.json").unlink(missing_ok=True)
        with self.log.open("ab") as words:
            command = [*SENSE311, "run", "-c", str(self.config)]
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )
        if until:
            wait_until(lambda: self.status().get("state") == until, f"the gateway is {until}")
        return self

    def status(self) -> dict[str, Any]:
        assert self.process is None or self.process.poll() is None, self.log.read_text()[-3000:]
        with suppress(OSError, ValueError):
            said: dict[str, Any] = json.loads((self.data / "status.json").read_bytes())
            return said
        return {}

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with suppress(sqlite3.OperationalError):  # it is just being made
            db = sqlite3.connect(f"file:{self.data / 'sense311.db'}?mode=ro", uri=True)
            try:
                return db.execute(sql, values).fetchall()
            finally:
                db.close()
        return []

    def count(self, table: str) -> int:
        rows = self.query(f"SELECT count(*) FROM {table}")
        return int(rows[0][0]) if rows else 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit code."""
        process, self.process = self.process, None
        return end(process, number) if process is not None else 0

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


def a_bin(number: int) -> dict[str, Any]:
    return {"asset_id": f"B-{number}", "kind": "bin", "devices": [f"bin-{number}"]}


def a_lamp(number: int) -> dict[str, Any]:
    return {
        "asset_id": f"L-{number}",
        "kind": "streetlight",
        "nominal_power_w": 60,
        "devices": [f"lamp-{number}"],
    }


def write_city(path: Path, assets: Sequence[Mapping[str, Any]]) -> None:
    """The assets a hundred metres apart, in Chicago."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [-87.63 + i * 1e-3, 41.88]},
            "properties": asset,
        }
        for i, asset in enumerate(assets)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_config(folder: Path, more: str = "") -> Path:
    """Of a gateway whose broker and city nobody is. `more`: TOML for the other sections."""
    (folder / "key").write_text(CANARY_KEY)
    (folder / "key").chmod(0o600)
    config = folder / "sense311.toml"
    config.write_text(
        '[broker]\nurl = "mqtt://127.0.0.1:9"\n[city]\nendpoint = "http://127.0.0.1:9/v2"\n'
        'api_key_file = "key"\n[assets]\nfiles = ["assets.geojson"]\n[store]\nfolder = "data"\n'
        f"{more}\n"
    )
    return config


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    """Polls a condition; fails with `what` when it never comes true."""
    return wait_until


@pytest.fixture
def free_port() -> Callable[[], int]:
    return a_free_port


@pytest.fixture
def bundled_broker(tmp_path: Path) -> Iterator[BundledBroker]:
    broker = BundledBroker(tmp_path / "broker")
    yield broker
    broker.close()


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Makes one with further lines of configuration."""
    if MOSQUITTO is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    started: list[Mosquitto] = []

    def start(*extra: str) -> Mosquitto:
        started.append(Mosquitto(tmp_path / f"mosquitto-{len(started)}", extra))
        return started[-1]

    yield start
    for broker in started:
        broker.close()


@pytest.fixture
def mosquitto(start_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    return start_mosquitto()


@pytest.fixture(params=["bundled", "mosquitto"])
def each_broker(request: pytest.FixtureRequest) -> BundledBroker | Mosquitto:
    """The test runs against both."""
    fixture = "bundled_broker" if request.param == "bundled" else "mosquitto"
    found: BundledBroker | Mosquitto = request.getfixturevalue(fixture)
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    key = tmp_path / "desk_key"
    key.write_text(CANARY_KEY)
    command = [sys.executable, "-m", "simulators.desk", "--port", "0"]
    command += ["--db", str(tmp_path / "desk.db"), "--api-key-file", str(key)]
    with running(command, tmp_path / "desk.log", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], START_S)[0], "the desk did not start"
        url = json.loads(process.stdout.readline())["url"].removesuffix("/open311/v2")
        with httpx.Client(base_url=url, trust_env=False) as http:
            yield Desk(f"{url}/open311/v2", http)


@pytest.fixture
def a_gateway(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Makes a gateway's folder: `assets`, a broker, a desk, and TOML for the other sections."""
    made: list[GatewayProcess] = []

    def make(
        broker: Any, *, desk: Desk | None = None, assets: Sequence[Mapping[str, Any]] = (),
        more: str = "", ingest: str = 'clock = "follow"\nidle_s = 0.3', data: str = "data",
    ) -> GatewayProcess:  # fmt: skip
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        write_city(folder / "assets.geojson", assets or [a_bin(1), a_bin(2), a_bin(3)])
        key = folder / "api_key"
        key.write_text(CANARY_KEY)
        key.chmod(0o600)
        endpoint = desk.url if desk is not None else f"http://127.0.0.1:{a_free_port()}/v2"
        config = folder / "sense311.toml"
        config.write_text(
            f'[broker]\ncredentials = "{broker.credentials}"\n'
            f'[city]\nendpoint = "{endpoint}"\napi_key_file = "api_key"\n'
            f'[assets]\nfiles = ["assets.geojson"]\n[store]\nfolder = "{data}"\n'
            f"[ingest]\n{ingest}\n{more}\n"
        )
        made.append(GatewayProcess(folder, config))
        made[-1].data = folder / data
        return made[-1]

    yield make
    for gateway in made:
        gateway.stop()
