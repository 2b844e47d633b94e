"""Provisioned on the bundled broker and on a real Mosquitto: each device speaks for itself alone,
and who is withdrawn is cut off.

A broker may acknowledge what it drops, so what counts is what arrives; behind each attempt goes
what is allowed, as the sign that the attempt has been dealt with.
"""

import base64
import json
import os
import shutil
import stat
import subprocess
import sys

import pytest
from conftest import SENSE311, wait_until
from provisioned import (
    GATEWAY_FILTERS,
    LEAVES,
    BundledPlace,
    MosquittoPlace,
    devices,
    topic,
)

from gateway.access import mosquitto
from gateway.access.credentials import BrokerConfig, BrokerError, prepare
from gateway.access.hangup import tell_bundled, tell_mosquitto

A, B = "lamp-a", "lamp-b"
WIDE = [
    *("city/v1/#", "city/v1/+/+/+/ack", "+/v1/+/+/+/ack", "#", "+/#", "$SYS/#", "$share/g/#"),
    *("$share/g/city/v1/#", topic(B, "ack"), topic(B), "city/v1/dead-letter/#"),
    *(f"city/v1/dead-letter/native/{B}", f"city/v1/device-status/{B}", *GATEWAY_FILTERS),
]


@pytest.fixture(params=["bundled", "mosquitto"])
def place(request, tmp_path):
    if request.param == "bundled":
        found = BundledPlace(tmp_path / "broker")
    else:
        start = request.getfixturevalue("start_mosquitto")
        found = MosquittoPlace(tmp_path / "broker", start)
    yield found
    found.close()


def fence(ear, client, device, body=b"fence"):
    """All that was published before has arrived: it has gone the same ways."""
    for leaf in LEAVES:
        client.publish(topic(device, leaf), body)
    for leaf in LEAVES:
        ear.wait_for(topic(device, leaf), body)


def of_others(received, own):
    return [told for told in received if f"/{own}" not in told[0]]


# -- speaking for another, listening in -------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [A, B])
def test_a_device_cannot_publish_as_another(place, name):
    """On no leaf, at no quality of service, retained or not, whatever its client id."""
    ear, spoofer = place.gateway(), place.client(A, name)
    for retain in (False, True):
        for qos in (0, 1, 2):
            for leaf in (*LEAVES, "ack"):
                spoofer.publish(topic(B, leaf), b"spoof", qos, retain=retain)
    spoofer.publish(f"city/v1/device-status/{B}", b"spoof", retain=True)
    fence(ear, spoofer, A)
    assert of_others(ear.received, A) == []

    late = place.gateway("late")  # what was retained would come now
    fence(late, spoofer, A, b"second fence")
    assert of_others(late.received, A) == []


@pytest.mark.slow
def test_a_device_cannot_tell_another_what_only_the_gateway_tells(place):
    """Neither that its readings are on disk, nor what was refused, nor how it stands."""
    told = [topic(B, "ack"), f"city/v1/dead-letter/native/{B}", f"city/v1/device-status/{B}"]
    b, spoofer, gateway = place.client(B), place.client(A), place.gateway()
    b.subscribe(*told)
    for where in told:
        for retain in (False, True):
            spoofer.publish(where, b"spoof", retain=retain)
    fence(gateway, spoofer, A)
    for where in told:
        gateway.publish(where, b"true")
    for where in told:
        b.wait_for(where, b"true")
    assert sorted(b.received) == sorted((where, b"true") for where in told)


@pytest.mark.slow
def test_a_device_cannot_speak_for_another_by_its_will(place):
    """It dies with a will on another's topic, then with one on its own, which arrives."""
    ear = place.gateway()
    for device in (B, A):
        place.client(A, f"dying-{device}", will=topic(device, "status")).die()
    ear.wait_for(topic(A, "status"), b"gone")
    fence(ear, place.client(A), A)
    assert of_others(ear.received, A) == []


@pytest.mark.slow
def test_a_device_cannot_listen_in(place):
    """Not by the other's topics, nor by wildcards, shared subscriptions or the broker's own."""
    b, gateway, spy = place.client(B), place.gateway(), place.client(A)
    b.subscribe(topic(B, "ack"))
    spy.subscribe(*WIDE, topic(A, "ack"))
    gateway.publish(f"city/v1/device-status/{B}", b"kept", retain=True)
    spy.subscribe("city/v1/device-status/#")
    b.publish(topic(B), b"a reading")
    gateway.publish(topic(B, "ack"), b"for b")
    gateway.publish(f"city/v1/dead-letter/native/{B}", b"for b")
    gateway.publish(topic(A, "ack"), b"for a")
    b.wait_for(topic(B, "ack"), b"for b")
    gateway.wait_for(topic(B), b"a reading")
    spy.wait_for(topic(A, "ack"), b"for a")
    assert set(spy.received) == {(topic(A, "ack"), b"for a")}


@pytest.mark.slow
def test_a_device_cannot_take_over_what_waits_for_another(place):
    """Nor by the other's client id, under which messages were kept."""
    first, gateway = place.client(B, keep=True), place.gateway()
    first.subscribe(topic(B, "ack"))
    first.close()
    gateway.publish(topic(B, "ack"), b"kept for b")
    thief = place.client(A, B, keep=True)
    thief.subscribe(topic(A, "ack"))
    gateway.publish(topic(B, "ack"), b"and another")
    gateway.publish(topic(A, "ack"), b"for a")
    thief.wait_for(topic(A, "ack"), b"for a")
    assert thief.received == [(topic(A, "ack"), b"for a")]


@pytest.mark.slow
def test_an_edge_node_hears_that_it_is_to_be_born_again(place):
    """Of its own group; the gateway may ask it, and nothing else is said to a source."""
    place.do("provision", "--source", "plc", "--topic", "spBv1.0/city/#")
    node, gateway = place.client("plc"), place.gateway()
    node.subscribe("spBv1.0/city/NCMD/mast-1", "spBv1.0/other/NCMD/mast-1", topic(A, "ack"))
    gateway.publish("spBv1.0/other/NCMD/mast-1", b"not for it")
    gateway.publish(topic(A, "ack"), b"not for it")
    gateway.publish("spBv1.0/city/NCMD/mast-1", b"rebirth")
    node.wait_for("spBv1.0/city/NCMD/mast-1", b"rebirth")
    assert node.received == [("spBv1.0/city/NCMD/mast-1", b"rebirth")]


@pytest.mark.slow
def test_a_source_publishes_its_topics_and_nothing_else(place):
    """Not for a device either, not even one of its own name; the gateway may read it."""
    place.do("provision", "--source", "lora", "--topic", "v3/+/devices/+/up")
    ear, source = place.gateway(), place.client("lora")
    ear.subscribe("v3/+/devices/+/up")
    source.publish(topic(A), b"spoof")
    source.publish(topic("lora"), b"spoof")
    fence(ear, place.client(A), A)
    source.publish("v3/app/devices/d1/up", b"uplink")
    ear.wait_for("v3/app/devices/d1/up", b"uplink")
    assert of_others(ear.received, A) == [("v3/app/devices/d1/up", b"uplink")]


# -- changes while the broker runs ------------------------------------------------------------


@pytest.mark.slow
def test_who_is_revoked_is_cut_off_and_nobody_else(place):
    """Its session ends, nothing more of it arrives, it is not let in again; others stay."""
    ear, a, b = place.gateway(), place.client(A), place.client(B)
    login = place.credentials(A)
    fence(ear, a, A)
    said = place.do("revoke", A)
    assert said["users"] == [{"user": A, "state": "revoked", "file": None}]
    wait_until(lambda: not a.is_in, "its session ends")
    ear.received.clear()
    again = place.client(login)
    again.client.publish(topic(A), b"after")
    fence(ear, b, B)
    assert again.states[0] is False
    assert of_others(ear.received, B) == []
    assert (ear.states, b.states) == ([True], [True])
    assert not (place.folder / "devices/lamp-a.json").exists()
    assert devices("rotate", A, *place.where())[0] == 2


@pytest.mark.slow
def test_who_was_revoked_can_be_provisioned_anew(place):
    """With another password; the old one stays out."""
    login = place.credentials(A)
    place.do("revoke", A)
    place.do("provision", A)
    assert place.credentials(A)["password"] != login["password"]
    wait_until(lambda: place.client(A, "new").states[0], "it is let in")
    assert place.client(login, "old").states[0] is False
    ear = place.gateway()
    fence(ear, place.client(A, "third"), A)


@pytest.mark.slow
def test_a_rotated_password_takes_the_place_of_the_old_one(place):
    """Who is connected with the old one is cut off; others stay connected."""
    ear, a, b = place.gateway(), place.client(A), place.client(B)
    old = place.credentials(A)
    said = place.do("rotate", A)
    assert [(user["user"], user["state"]) for user in said["users"]] == [(A, "rotated")]
    wait_until(lambda: not a.is_in, "its session ends")
    assert place.client(old, "old").states[0] is False
    fence(ear, place.client(A, "new"), A)
    assert (ear.states, b.states) == ([True], [True])


@pytest.mark.slow
def test_a_new_device_is_let_in_and_nobody_notices(place):
    """No restart, no new password for others."""
    b, before = place.client(B), place.credentials(B)
    said = place.do("provision", "lamp-c", B)
    assert said["told"]
    assert [user["state"] for user in said["users"]] == ["new", "kept"]
    wait_until(lambda: place.client("lamp-c", "new").states[0], "it is let in")
    assert (b.states, place.credentials(B)) == ([True], before)


@pytest.mark.slow
def test_no_secret_is_printed_or_logged_and_files_are_their_owners(place):
    """After all that can be done; with `--show`, and only then, it is printed."""
    place.client(A).close()
    place.do("rotate", A, B)
    place.client(A, "again").close()
    passwords = [place.credentials(user)["password"] for user in (A, B, "gateway")]
    assert [p for p in passwords if p in place.printed or p in place.log()] == []
    secret = [path for path in place.folder.rglob("*") if path.is_file() and
              any(p in path.read_text("utf-8", "replace") for p in passwords)]  # fmt: skip
    assert len(secret) >= 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    for private in ("acl", "passwords", "nats.conf", "users.json"):
        path = place.folder / private
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((place.folder / "devices").stat().st_mode) == 0o700
    assert devices("provision", A, "--show", *place.where())[1]["users"][0]["password"] in passwords


# -- files alone ------------------------------------------------------------------------------


@pytest.fixture(params=["--broker", "--mosquitto"])
def where(request, tmp_path):
    """The options of a broker that does not run."""
    return [request.param, tmp_path / "place"]


def test_provisioning_twice_keeps_the_password(where):
    """And says that nobody was told."""
    path = where[1] / "devices/lamp-a.json"
    assert devices("provision", A, *where)[1]["users"][0]["state"] == "new"
    first = path.read_text()
    code, said, printed = devices("provision", A, B, *where)
    assert (code, said["told"]) == (0, False)
    assert [user["state"] for user in said["users"]] == ["kept", "new"]
    assert path.read_text() == first
    assert json.loads(first)["user"] == A
    assert "start" in printed or "kill -HUP" in printed


@pytest.mark.parametrize(
    "name",
    ["a b", "a/b", "+", "#", "", "a" * 65, "a.b", "ü", "a:b", "a\nb", "gateway", "keeper",
     "self-test-a", "self-test-b"],
)  # fmt: skip
def test_a_name_that_cannot_be_is_a_finding(where, name):
    """All of them are told, and nothing is written."""
    code, said, _ = devices("provision", *where, "--", A, name, "x y")
    assert (code, said["ok"]) == (2, False)
    assert [found["file"] for found in said["findings"]] == [name, "x y"]
    assert all(found["code"] == "E430" and found["help"] for found in said["findings"])
    assert not where[1].exists()


def test_topics_of_a_source_that_open_too_much_are_a_finding(where):
    """Nor may it be named like a device."""
    for topics in ("#", "city/v1/#", "a/#/b", "a b/c"):
        assert devices("provision", *where, "--source", "s", "--topic", topics)[0] == 2
    devices("provision", A, *where)
    code, said, _ = devices("provision", *where, "--source", A, "--topic", "v3/#")
    assert (code, said["findings"][0]["file"]) == (2, A)
    devices("provision", *where, "--source", "s", "--topic", "v3/#")
    assert devices("provision", "s", *where)[0] == 2


def test_who_has_no_credentials_is_a_finding(where):
    """To rotate or to revoke."""
    devices("provision", A, *where)
    for verb in ("rotate", "revoke"):
        code, said, _ = devices(verb, A, "nobody", *where)
        assert (code, [found["file"] for found in said["findings"]]) == (2, ["nobody"])
    assert (where[1] / "devices/lamp-a.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        "provision a",
        "provision a --broker x --mosquitto y",
        "provision --broker x",
        "provision a --broker x --source s",
        "provision a --broker x --reload-pid 1",
        "provision a --broker x --url mqtt://b",
        "provision a --mosquitto x --url http://b",
        "revoke a",
        "self-test",
        "self-test --broker x --mosquitto y",
    ],
)
def test_what_makes_no_sense_is_exit_2(words, tmp_path, monkeypatch):
    """And writes nothing."""
    monkeypatch.chdir(tmp_path)
    assert devices(*words.split())[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_the_server_keeps_its_settings(tmp_path):
    """A device is added without changing when the store reaches the disk, or how large it is."""
    prepare(BrokerConfig(tmp_path, sync="2m", store_bytes_max=5 << 20, devices={"fleet": ["*"]}))
    before = json.loads((tmp_path / "nats.conf").read_text())
    devices("provision", A, "--broker", tmp_path)
    after = json.loads((tmp_path / "nats.conf").read_text())
    assert before.pop("authorization") != after.pop("authorization")
    assert before == after
    assert devices("provision", "fleet", "--broker", tmp_path)[0] == 2, "it has wider rights"


def test_the_rules_are_those_of_the_deployment():
    """And the self-test's ear hears its own zone only."""
    shipped = (mosquitto.Path(__file__).parents[2] / "deploy/mosquitto/acl").read_text()
    lines = [line for line in shipped.splitlines() if line and not line.startswith("#")]
    ours = [line for line in mosquitto.access_rules(mosquitto.Users()).splitlines() if line]
    assert ours[1 : len(lines) + 1] == lines
    assert all("self-test" in line for line in ours[len(lines) + 1 :])


def test_an_acl_of_somebody_else_is_left_alone(tmp_path):
    """Named, with what to do, and nothing else is written."""
    (tmp_path / "acl").write_text("user somebody\ntopic #\n")
    code, said, _ = devices("provision", A, "--mosquitto", tmp_path)
    assert (code, "somebody else" in said["error"]) == (3, True)
    assert (tmp_path / "acl").read_text() == "user somebody\ntopic #\n"
    assert not (tmp_path / "passwords").exists()


@pytest.mark.slow
def test_a_hash_is_one_that_mosquitto_would_have_made(tmp_path):
    """Its own program's, made again from the same password and salt."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed")
    path = tmp_path / "passwords"
    path.touch(mode=0o600)
    subprocess.run([program, "-b", path, A, "any password"], check=True, capture_output=True)
    hashed = path.read_text().strip().partition(":")[2]
    salt = base64.b64decode(hashed.split("$")[3])
    assert mosquitto.hash_of("any password", salt) == hashed


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_root_writes_is_the_brokers_to_read(where):
    """A broker is not root: its files belong to the owner of its folder."""
    where[1].mkdir()
    os.chown(where[1], 4711, 4712)
    devices("provision", A, *where)
    read = [where[1] / name for name in ("passwords", "acl", "nats.conf", "credentials.json")]
    assert {(p.stat().st_uid, p.stat().st_gid) for p in read if p.exists()} == {(4711, 4712)}


@pytest.mark.slow
def test_two_who_provision_at_once_lose_nothing(where):
    """Each waits for the other."""
    words = [*SENSE311, "devices", "provision", *map(str, where)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    children = [subprocess.Popen([*words, f"lamp-{n}"], **quiet) for n in range(6)]
    assert [child.wait(60) for child in children] == [0] * 6
    file = "users.json" if where[0] == "--mosquitto" else "credentials.json"
    found = json.loads((where[1] / file).read_text())
    assert set(found["devices"]) == {f"lamp-{n}" for n in range(6)}
    for n in range(6):
        login = json.loads((where[1] / f"devices/lamp-{n}.json").read_text())
        assert login["password"]
    lines = (where[1] / "passwords").read_text().splitlines() if file == "users.json" else []
    for name, _, hashed in (line.partition(":") for line in lines):
        login = "credentials" if name == "gateway" else f"devices/{name}"
        found = json.loads((where[1] / f"{login}.json").read_text())
        password = found.get("gateway", found)["password"]
        assert mosquitto.hash_of(password, base64.b64decode(hashed.split("$")[3])) == hashed
    assert len(lines) in (0, 6 + len(mosquitto.OWN))


def test_nobody_else_is_signalled(tmp_path):
    """Not a process whose number stands in a stale lock, nor one that is no Mosquitto."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / "lock").write_text(str(other.pid))
        (tmp_path / "pid").write_text(f"{other.pid}\n")
        assert not tell_bundled(tmp_path)
        with pytest.raises(BrokerError, match="not mosquitto"):
            tell_mosquitto(other.pid)
        place = tmp_path / "place"
        words = ["provision", A, "--mosquitto", place, "--pid-file", tmp_path / "pid"]
        assert devices(*words)[0] == 3
        assert not place.exists()
        other.communicate(b"\n", timeout=20)
    assert other.returncode == 0
    assert devices("provision", A, "--mosquitto", place, "--reload-pid", other.pid)[0] == 3
