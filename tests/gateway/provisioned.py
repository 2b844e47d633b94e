"""Two brokers whose users `sense311 devices` made, real processes both, and clients to try them."""

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from conftest import Mosquitto, wait_until
from typer.testing import CliRunner

from gateway.access.credentials import BrokerConfig
from gateway.access.embedded import Broker
from gateway.cli import app

LEAVES = ("telemetry", "batch", "status")
GATEWAY_FILTERS = [f"city/v1/+/+/+/{leaf}" for leaf in LEAVES]


def topic(device: str, leaf: str = "telemetry") -> str:
    return f"city/v1/north/streetlight/{device}/{leaf}"


def devices(verb: str, *words: Any) -> tuple[int, dict[str, Any], str]:
    """`sense311 devices ...`: exit code, the JSON object, all that was printed."""
    done = CliRunner().invoke(app, ["devices", verb, "--json", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout), done.output


class Client:
    """A real MQTT client that writes down all it is told."""

    def __init__(
        self, login: dict[str, Any], name: str = "", *, keep: bool = False, will: str = ""
    ):
        self.received: list[tuple[str, bytes]] = []
        self.answered: set[int] = set()
        self.states: list[bool] = []
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, name or login["user"], clean_session=not keep,
            protocol=mqtt.MQTTv311, reconnect_on_failure=False,
        )  # fmt: skip
        if "password" in login:
            self.client.username_pw_set(login["user"], login["password"])
        if "certificate" in login:
            context = ssl.create_default_context(cafile=login["ca_file"])
            context.load_cert_chain(login["certificate"], login["key"])
            self.client.tls_set_context(context)
        if will:
            self.client.will_set(will, b"gone", 1)
        self.client.on_connect = lambda *a: self.states.append(not a[3].is_failure)
        self.client.on_disconnect = lambda *_: self.states.append(False)
        self.client.on_publish = lambda *a: self.answered.add(a[2])
        self.client.on_subscribe = lambda *a: self.answered.add(a[2])
        self.client.on_message = lambda _c, _d, m: self.received.append((m.topic, m.payload))
        host, _, port = login["url"].partition("://")[2].partition(":")
        self.client.connect(host, int(port))
        self.client.loop_start()
        wait_until(lambda: self.states, "an answer to CONNECT")

    @property
    def is_in(self) -> bool:
        return self.states[-1]

    def _answered(self, mid: int | None) -> None:
        wait_until(lambda: mid in self.answered or not self.is_in, "an answer")

    def publish(self, where: str, body: bytes, qos: int = 1, *, retain: bool = False) -> None:
        self._answered(self.client.publish(where, body, qos, retain).mid)

    def subscribe(self, *filters: str) -> None:
        for each in filters:
            self._answered(self.client.subscribe(each, 1)[1])

    def wait_for(self, where: str, body: bytes) -> None:
        wait_until(lambda: (where, body) in self.received, f"{body!r} on {where}")

    def die(self) -> None:
        """Without a goodbye."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not self.is_in, "its death")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client._reset_sockets()


class Place:
    """A running broker with lamp-a, lamp-b and the gateway; its clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clients: list[Client] = []
        self.printed = ""

    def where(self) -> list[Any]:
        """The options that name the broker, and how it is told."""
        raise NotImplementedError

    def log(self) -> str:
        raise NotImplementedError

    def do(self, verb: str, *words: Any) -> dict[str, Any]:
        code, said, printed = devices(verb, *words, *self.where())
        assert code == 0, printed
        self.printed += printed
        return said

    def credentials(self, user: str) -> dict[str, Any]:
        if user != "gateway":
            return json.loads((self.folder / "devices" / f"{user}.json").read_text())
        found = json.loads((self.folder / "credentials.json").read_text())
        return {"url": found["url"], **found["gateway"]}

    def client(self, user: str | dict[str, Any], name: str = "", **options: Any) -> Client:
        login = self.credentials(user) if isinstance(user, str) else user
        self.clients.append(Client(login, name, **options))
        return self.clients[-1]

    def gateway(self, name: str = "ear") -> Client:
        ear = self.client("gateway", name)
        ear.subscribe(*GATEWAY_FILTERS)
        return ear

    def close(self) -> None:
        for client in self.clients:
            client.close()


class BundledPlace(Place):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.do("provision", "lamp-a", "lamp-b")
        self.broker = Broker(BrokerConfig(folder, devices={"self-test-a": ["self-test-a"]}))
        self.broker.start()

    def where(self) -> list[Any]:
        return ["--broker", self.folder]

    def log(self) -> str:
        return (self.folder / "nats.log").read_text()

    def close(self) -> None:
        super().close()
        self.broker.stop()


class MosquittoPlace(Place):
    """`start_mosquitto` as the fixture of that name; `more`: further lines of configuration."""

    def __init__(
        self,
        folder: Path,
        start_mosquitto: Callable[..., Mosquitto],
        more: Sequence[str] = (),
        options: Sequence[Any] = (),
        url: str = "mqtt://127.0.0.1",
        gateway_url: str = "",
    ) -> None:
        super().__init__(folder)
        self.server: Mosquitto | None = None
        self.options = list(options)
        self.do("provision", "lamp-a", "lamp-b")
        lines = [f"password_file {folder}/passwords", f"acl_file {folder}/acl"]
        self.server = start_mosquitto(*lines, "allow_anonymous false", "log_type all", *more)
        url = f"{url}:{self.server.port}"
        addresses = ["--url", url, "--gateway-url", gateway_url or url]
        self.do("provision", "lamp-a", "lamp-b", *addresses)

    def where(self) -> list[Any]:
        told = [] if self.server is None else ["--reload-pid", self.server.process.pid]
        return ["--mosquitto", self.folder, *self.options, *told]

    def log(self) -> str:
        assert self.server is not None
        return (self.server.folder / "mosquitto.log").read_text()


def an_authority(folder: Path) -> Path:
    """The folder of a new certificate authority, whose broker is `localhost`."""
    script = Path(__file__).resolve().parents[2] / "deploy/mosquitto/certificates.sh"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["bash", str(script), str(folder), "init", "localhost"], check=True)
    return folder
