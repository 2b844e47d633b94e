"""The self-test passes where devices are kept apart, and finds each single way around it."""

import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import SENSE311, a_lamp, end, running, wait_until
from provisioned import (
    BundledPlace,
    Client,
    MosquittoPlace,
    an_authority,
    devices,
)
from typer.testing import CliRunner

from gateway.access import mosquitto, provisioning, self_test
from gateway.access.credentials import BrokerConfig, BrokerError
from gateway.access.embedded import Broker
from gateway.access.logins import Login
from gateway.access.provisioning import SELF_TEST_USERS, self_test_logins
from gateway.access.self_test import try_broker
from gateway.broker import Session
from gateway.broker_settings import BrokerSettings
from gateway.cli import app

pytestmark = pytest.mark.slow
OTHER = f"city/v1/{mosquitto.SELF_TEST_ZONE}/streetlight/{mosquitto.SELF_TEST_OTHER}"


@pytest.fixture(params=["bundled", "mosquitto"])
def place(request, tmp_path):
    if request.param == "bundled":
        found = BundledPlace(tmp_path / "broker")
    else:
        start = request.getfixturevalue("start_mosquitto")
        found = MosquittoPlace(tmp_path / "broker", start)
    yield found
    found.close()


def told(place):
    """Exit code and leaks of the command."""
    code, said, _ = devices("self-test", *place.where()[:2])
    assert said["ok"] == (not said["leaks"])
    return code, said["leaks"]


def test_a_broker_that_keeps_devices_apart_passes(place):
    """Again and again, and nothing stays behind; the gateway's kept session is not disturbed."""
    gateway = place.client("gateway", "sense311-gateway", keep=True)
    gateway.subscribe("city/v1/+/+/+/telemetry", "city/v1/+/+/+/batch")
    for _ in range(3):
        assert told(place) == (0, [])
    assert (gateway.states, gateway.received) == ([True], [])
    late = place.gateway("late")
    lamp = place.client("lamp-a")
    lamp.publish("city/v1/north/streetlight/lamp-a/status", b"own")
    late.wait_for("city/v1/north/streetlight/lamp-a/status", b"own")
    assert late.received == [("city/v1/north/streetlight/lamp-a/status", b"own")]


def test_a_gateway_that_runs_is_not_disturbed(place, a_gateway):
    """It runs on the login that was made for it, and the trial costs it no message and no state."""
    login = SimpleNamespace(credentials=place.folder / "credentials.json")
    gateway = a_gateway(login, assets=[a_lamp(1)]).start()
    place.do("provision", "lamp-1")
    lamp = wait_until(lambda: next_in(place, "lamp-1"), "the lamp is let in")
    assert told(place) == (0, [])
    reading = b'{"ts": "2026-01-15T05:00:00Z", "values": {"active_power_w": 57.9}}'
    lamp.publish("city/v1/z/streetlight/lamp-1/telemetry", reading)
    wait_until(lambda: gateway.count("readings"), "the reading is stored")
    assert (gateway.status()["state"], gateway.count("readings")) == ("green", 1)


def next_in(place, user):
    client = place.client(user)
    return client if client.is_in else None


def test_a_broker_where_anybody_may_do_anything_fails(start_mosquitto):
    """Every way around is told; what was left behind is taken back."""
    open_to_all = start_mosquitto("allow_anonymous true")
    url = f"mqtt://127.0.0.1:{open_to_all.port}"
    trial = try_broker(Login(url, "gateway", "x"), Login(url, "self-test-a", "x"))
    ways = "the telemetry of|the batch of|listen in|by its will|a retained status"
    assert [way for way in ways.split("|") if way not in " ".join(trial.leaks)] == []
    with pytest.raises(BrokerError, match="can publish the telemetry") as refused:
        trial.verdict(url)
    assert refused.value.hint
    late = Client({"url": url, "user": "late"})
    late.subscribe("#")
    late.publish("last", b"word")
    late.wait_for("last", b"word")
    late.close()
    assert late.received == [("last", b"word")]


def test_it_may_be_told_apart_by_its_user_alone(tmp_path, start_mosquitto):
    """Where the user name takes the place of the client id, nobody can push another off."""
    place = MosquittoPlace(tmp_path / "broker", start_mosquitto, ["use_username_as_clientid true"])
    b = place.client("lamp-b")
    place.client("lamp-a", "lamp-b").publish("any/topic", b"x")
    assert told(place) == (0, [])
    b.publish("any/topic", b"x")
    assert b.states == [True]
    place.close()


HOLES = {
    "client id": ("pattern write city/v1/+/+/%c/telemetry", "publish the telemetry"),
    "one leaf": ("user self-test-a\ntopic write city/v1/+/+/+/batch", "publish the batch"),
    "status": ("user self-test-a\ntopic write city/v1/+/+/+/status", "by its will"),
    "retained": ("user self-test-a\ntopic write city/v1/+/+/+/status", "retained status"),
    "acks": ("user self-test-a\ntopic read city/v1/+/+/+/ack", "listen in on"),
    "dead letters": ("user self-test-a\ntopic read city/v1/dead-letter/#", "listen in on"),
    "what others say": ("user self-test-a\ntopic read city/v1/+/+/+/status", "listen in on"),
    "all": ("topic readwrite #\nuser self-test-a\ntopic read #", "listen in on"),
}


@pytest.mark.parametrize(("rules", "leak"), HOLES.values(), ids=HOLES)
def test_each_single_hole_is_found(rules, leak, tmp_path, start_mosquitto):
    """In an access list that is right but for one line."""
    place = MosquittoPlace(tmp_path / "broker", start_mosquitto)
    assert told(place) == (0, [])
    path = place.folder / "acl"
    path.write_text(path.read_text() + "\n" + rules + "\n")
    place.do("provision", "lamp-a")  # it writes the list anew, so the hole is closed
    assert told(place) == (0, [])
    path.write_text(path.read_text() + "\n" + rules + "\n")
    place.server.process.send_signal(1)
    found = wait_until(lambda: told(place)[1], "the hole is in force and found")
    assert leak in " ".join(found)
    place.close()


def test_a_bundled_broker_with_a_hole_is_not_started(tmp_path, monkeypatch):
    """`sense311 broker` ends with exit code 3 and says why; no server is left behind."""
    monkeypatch.setattr(provisioning, "SELF_TEST_USERS", {"self-test-a": ["*"]})
    folder = tmp_path / "broker"
    done = CliRunner().invoke(app, ["broker", "--dir", str(folder), "--json"])
    assert done.exit_code == 3
    said = json.loads(done.stdout)
    assert "can publish the telemetry of another" in said["error"]
    assert not Path(f"/proc/{(folder / 'lock').read_text()}").exists()


def test_sense311_broker_tries_itself_and_takes_sources(tmp_path):
    """Ready after the self-test; its users are those of the files that were named."""
    (tmp_path / "devices.json").write_text('{"fleet": ["*"]}')
    (tmp_path / "sources.json").write_text('{"lora": ["v3/+/devices/#"]}')
    command = [*SENSE311, "broker", "--dir", str(tmp_path / "b"), "--json"]
    command += ["--devices", str(tmp_path / "devices.json")]
    command += ["--sources", str(tmp_path / "sources.json")]
    with running(command, tmp_path / "log", stdout=subprocess.PIPE) as process:
        url = json.loads(process.stdout.readline())["url"]
        found = json.loads((tmp_path / "b/credentials.json").read_text())
        assert found["sources"]["lora"]["topics"] == ["v3/+/devices/#"]
        assert set(found["devices"]) == {"fleet", "self-test-a"}
        assert devices("self-test", "--broker", tmp_path / "b")[1]["url"] == url
        assert end(process) == 0
    (tmp_path / "sources.json").write_text("[]")
    words = ["broker", "--dir", str(tmp_path / "b"), "--sources", str(tmp_path / "sources.json")]
    assert CliRunner().invoke(app, words).exit_code == 2


def test_a_full_store_does_not_keep_the_broker_from_starting(tmp_path):
    """The self-test needs no room."""
    users = {"fleet": ["*"], **SELF_TEST_USERS}
    config = BrokerConfig(tmp_path / "b", devices=users, store_bytes_max=1 << 20)
    with Broker(config):
        found = json.loads((tmp_path / "b/credentials.json").read_text())
        gateway = Client({"url": found["url"], **found["gateway"]}, "kept", keep=True)
        gateway.subscribe("city/v1/+/+/+/telemetry")
        gateway.close()
        login = {"url": found["url"], "user": "fleet", **found["devices"]["fleet"]}
        fleet = Client(login)
        with suppress(AssertionError):
            for _ in range(200):
                fleet.client.publish("city/v1/z/bin/b/telemetry", b"x" * 10_000, 1)
            wait_until(lambda: not fleet.is_in, "the store is full", 5)
        fleet.close()
    with Broker(config):
        assert try_broker(*self_test_logins(tmp_path / "b")).leaks == ()


def test_a_trial_that_cannot_be_held_says_nothing_good(place, monkeypatch, free_port):
    """No broker, a wrong password, a gateway that hears nothing: an error each, never a pass."""
    monkeypatch.setattr(self_test, "_ANSWER_S", 0.5)
    url = place.credentials("gateway")["url"]
    gateway = Login(**place.credentials("gateway"))
    lamp = Login(**place.credentials("lamp-a"))
    nobody = Login(f"mqtt://127.0.0.1:{free_port()}", "a", "b")
    for ear, device in ((nobody, nobody), (gateway, Login(url, "self-test-a", "wrong")),
                        (lamp, lamp), (gateway, lamp)):  # fmt: skip
        with pytest.raises(BrokerError) as refused:
            try_broker(ear, device)
        assert "self-test" in str(refused.value)
        assert lamp.password not in str(refused.value)


# -- certificates -----------------------------------------------------------------------------


@pytest.fixture
def by_certificate(tmp_path, start_mosquitto, free_port):
    """A Mosquitto as deploy/mosquitto/mosquitto.conf sets it up, with its devices' certificates,
    and a second listener on loopback where the gateway has a password."""
    authority = an_authority(tmp_path / "authority")
    names = {"cafile": "ca.crt", "certfile": "server.crt", "keyfile": "server.key"}
    tls = [f"{key} {authority}/{name}" for key, name in names.items()]
    tls += [f"crlfile {authority}/ca.crl", "require_certificate true"]
    port = free_port()
    more = [*tls, "use_identity_as_username true", f"listener {port} 127.0.0.1"]
    place = MosquittoPlace(
        tmp_path / "broker",
        start_mosquitto,
        more,
        ["--certificates", authority],
        "mqtts://localhost",
        f"mqtt://127.0.0.1:{port}",
    )
    place.authority = authority
    yield place
    place.close()


def lamp(name):
    return f"city/v1/north/streetlight/{name}/telemetry"


def test_a_certificate_speaks_for_its_own_device_only(by_certificate):
    """Whatever user name it gives, by will too; no password is made. The self-test agrees."""
    place = by_certificate
    login = place.credentials("lamp-a")
    assert "password" not in login
    assert "lamp-a:" not in (place.folder / "passwords").read_text()
    ear, a = place.gateway(), place.client({**login, "user": "lamp-b", "password": "x"}, "lamp-b")
    a.publish(lamp("lamp-b"), b"spoof")
    place.client("lamp-a", "dying", will="city/v1/north/streetlight/lamp-b/status").die()
    a.publish(lamp("lamp-a"), b"own")
    ear.wait_for(lamp("lamp-a"), b"own")
    assert ear.received == [(lamp("lamp-a"), b"own")]
    assert told(place) == (0, [])


def test_the_gateway_comes_with_a_certificate_of_its_own(by_certificate):
    """As deploy/mosquitto/mosquitto.conf asks of everybody; without one it is not let in."""
    authority = by_certificate.authority
    files = {"ca_file": authority / "ca.crt", "certificate_file": authority / "gateway.crt",
             "key_file": authority / "gateway.key"}  # fmt: skip
    url = f"mqtts://localhost:{by_certificate.server.port}"
    session = Session(BrokerSettings(url, client_id="with", **files))
    without = Session(BrokerSettings(url, client_id="without", ca_file=authority / "ca.crt"))
    for one in (session, without):
        one.start()
    try:
        wait_until(lambda: session.is_ready, "it is let in and may subscribe")
        by_certificate.client("lamp-a").publish(lamp("lamp-a"), b"own")
        (delivery,) = session.take(1, 10)
        assert delivery.incoming.payload == b"own"
        assert not without.is_ready
    finally:
        session.stop()
        without.stop()


def test_a_revoked_certificate_is_cut_off(by_certificate):
    """The live session is silenced, new ones are not let in; another device goes on; a rotated
    certificate takes the place of the old one."""
    place = by_certificate
    old = place.folder / "old"
    old.mkdir()
    login = place.credentials("lamp-a")
    for key in ("certificate", "key"):  # the thief has a copy
        login[key] = shutil.copy(login[key], old / key)
    ear, a, b = place.gateway(), place.client("lamp-a"), place.client("lamp-b")
    a.subscribe("city/v1/+/+/lamp-a/ack")
    before = place.log().count("Reloading config")
    place.do("revoke", "lamp-a")
    wait_until(lambda: place.log().count("Reloading config") > before, "it is told")
    a.client.publish(lamp("lamp-a"), b"after", 1)
    ear.publish("city/v1/north/streetlight/lamp-a/ack", b"for a")
    b.publish(lamp("lamp-b"), b"own")
    ear.wait_for(lamp("lamp-b"), b"own")
    assert ear.received == [(lamp("lamp-b"), b"own")]
    assert (a.received, b.states, ear.states) == ([], [True], [True])
    again = place.client(login, "again")
    assert again.states[0] is False

    place.do("provision", "lamp-a")
    place.do("rotate", "lamp-b")
    place.client("lamp-a", "new").publish(lamp("lamp-a"), b"new")
    ear.wait_for(lamp("lamp-a"), b"new")
    place.client("lamp-b", "new-b").publish(lamp("lamp-b"), b"new")
    ear.wait_for(lamp("lamp-b"), b"new")
