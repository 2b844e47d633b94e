"""`sense311 dlq`: what was refused, what would become of it today, and sent again without a loss.

One whole story with real processes: an unknown device, adopted, and its messages replayed.
"""

import base64
import json
import subprocess

import pytest
from books import BINS, T0_MS, Books, incoming, message, topic
from conftest import SENSE311, a_bin, a_lamp, write_city

from gateway.cityhall.requests import rfc3339
from gateway.effects import REFUSED_BYTES_KEPT, Incoming
from gateway.field.dead_letters import paced
from gateway.sources import Source


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path)


# -- ls, show -------------------------------------------------------------------------------------


def test_what_was_refused_is_listed_the_latest_first(books):
    """By reason, by device, so many."""
    bad = {"values": {"fill_pct": 20}, "ts": None, "colour": "red"}
    books.take(incoming("new", message(1)), incoming("bin-1", bad), incoming("new", message(2)))
    rows = books.run("dlq", "ls")["letters"]
    assert [(row["id"], row["device"]) for row in rows] == [(3, "new"), (2, "bin-1"), (1, "new")]
    ids = [row["id"] for row in books.run("dlq", "ls", "--reason", "unknown_key")["letters"]]
    assert ids == [2]
    assert len(books.run("dlq", "ls", "--device", "new", "--limit", 1)["letters"]) == 1


def test_a_letter_is_shown_with_all_that_its_sender_needs(books):
    """Reason, path, hint, topic, the message as text, and how many of the kind since when."""
    books.take(incoming("new", message(1)), now_ms=T0_MS)
    books.take(incoming("new", message(2)), now_ms=T0_MS + 60_000)
    told = books.run("dlq", "show", 2)
    assert (told["reason"], told["path"], told["count"]) == ("unknown_device", "topic", 2)
    assert told["hint"] == "add it to the devices of an asset"
    assert told["first_seen"] == rfc3339(T0_MS)
    assert json.loads(told["payload"])["seq"] == 2


def test_bytes_that_are_no_text_are_shown_as_base64(books):
    """As the dead letter topic has them."""
    books.take(incoming("bin-1", b"\xff\x00"))
    told = books.run("dlq", "show", 1)
    assert base64.b64decode(told["payload_b64"]) == b"\xff\x00"


def test_a_letter_that_is_not_there_is_said_to_be(books):
    """Exit 1, and what to do."""
    books.take()
    assert "dlq ls" in books.run("dlq", "show", 7, code=1)["error"]
    assert "7" in books.run("dlq", "replay", 7, code=1)["error"]
    assert "name messages" in books.run("dlq", "replay", code=2)["error"]


# -- what would become of it -----------------------------------------------------------------------


def test_nothing_is_sent_while_nothing_is_mended(books):
    """The same refusal, from the decoder of the gateway."""
    books.take(incoming("new", message(1)))
    found = books.run("dlq", "replay", "1", "--dry-run", code=1)
    (letter,) = found["letters"]
    assert (letter["prospect"], letter["refusals"][0]["reason"]) == ("refused", "unknown_device")
    assert found["messages"] == 0


def test_after_an_adoption_the_letters_would_be_taken_in(books):
    """Whether they came alone or in a batch, whose messages are sent as batches of one."""
    batch = [message(seq) for seq in (2, 3)]
    books.take(incoming("new", message(1)), incoming("new", batch, leaf="batch"))
    books.run("devices", "adopt", "new", "--asset", "B-1")
    found = books.run("dlq", "replay", "--device", "new", "--dry-run")
    assert [letter["prospect"] for letter in found["letters"]] == ["accepted"] * 3
    assert [letter["topic"] for letter in found["letters"]] == [
        topic("new"), topic("new", leaf="batch"), topic("new", leaf="batch"),
    ]  # fmt: skip


def test_what_came_in_meanwhile_is_left_out(books):
    """The device said the same again after it was adopted: that is no second reading."""
    books.take(incoming("new", message(1)), incoming("new", message(2)))
    books.run("devices", "adopt", "new", "--asset", "B-1")
    books.take(incoming("new", message(1)))
    assert books.prospects("--device", "new", code=0) == (["stored", "accepted"], 1)


def test_what_was_refused_twice_is_sent_once(books):
    """A device that got no acknowledgement said it again."""
    books.take(*[incoming("new", message(1))] * 3)
    books.run("devices", "adopt", "new", "--asset", "B-1")
    assert books.prospects("--device", "new", code=0) == (["accepted", "repeated", "repeated"], 1)


def test_a_message_without_a_time_is_not_sent_as_if_it_happened_now(books):
    """Unless somebody wants all of them."""
    books.take(incoming("new", message(1) | {"ts": None}))
    books.run("devices", "adopt", "new", "--asset", "B-1")
    assert books.prospects("1", code=1) == (["timeless"], 0)
    assert books.prospects("1", "--all", code=0) == (["timeless"], 1)


def test_of_a_long_message_only_the_beginning_was_kept(books):
    """It is said so, and is never sent, not even with all."""
    books.take(incoming("bin-1", b'{"note": "' + b"x" * REFUSED_BYTES_KEPT + b'"}'))
    assert books.prospects("1", "--all", code=1) == (["cut"], 0)


def test_retained_telemetry_stays_what_it_is(books):
    """A kept value has no age."""
    books.take(incoming("bin-1", message(1), retain=True))
    assert books.prospects("1", code=1) == (["refused"], 0)


def test_a_reading_that_came_in_an_envelope_is_said_natively(tmp_path):
    """It was kept in canonical form, and belongs to the asset that has the device now."""
    books = Books(tmp_path, sources=[Source("x/#", "ngsi")])
    entity = {"id": "urn:WasteContainer:new", "type": "WasteContainer", "fillingLevel": 0.5,
              "dateObserved": rfc3339(T0_MS)}  # fmt: skip
    books.take(Incoming("x/notify", json.dumps(entity).encode()))
    books.run("devices", "adopt", "new", "--asset", "B-1")
    (letter,) = books.run("dlq", "replay", "1", "--dry-run")["letters"]
    assert letter["topic"] == "city/v1/-/bin/new/telemetry"
    assert letter["readings"][0]["values"] == {"fill_pct": 50.0}


def test_an_envelope_that_could_not_be_read_is_not_sent_again_but_what_is_in_it(tmp_path):
    """Of which kind the device is was not known: now an asset has it."""
    books = Books(tmp_path, sources=[Source("x/#", "ngsi")])
    attributes = {"fillingLevel": 0.5, "dateObserved": rfc3339(T0_MS)}
    books.take(Incoming("x/new/attrs", json.dumps(attributes).encode()))
    assert books.prospects("1", code=1) == (["refused"], 0)
    write_city(books.assets, [a_bin(1) | {"devices": ["new"]}])
    (letter,) = books.run("dlq", "replay", "1", "--dry-run")["letters"]
    assert (letter["prospect"], letter["topic"]) == ("accepted", "city/v1/-/bin/new/telemetry")


def test_letters_are_sent_at_a_pace_that_leaves_a_device_room():
    """Half of what it may say in a minute; at once where it may say what it likes."""
    assert paced(["a", "a", "b", "a"], 60) == [0, 2000, 0, 4000]
    assert paced(["a", "a"], None) == [0, 0]


# -- the whole story ------------------------------------------------------------------------------


def command(gateway, *words, code=0):
    line = [*SENSE311, *map(str, words), "--json", "-c", str(gateway.config)]
    done = subprocess.run(line, capture_output=True, timeout=90, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def as_whom(broker, gateway):
    """The bundled broker's credentials name the user; a Mosquitto's do not."""
    if broker.name == "bundled":
        return []
    file = gateway.folder / "password"
    file.write_text("none")
    return ["--user", "fleet", "--password-file", file]


@pytest.mark.slow
def test_an_unknown_device_is_adopted_and_nothing_of_it_is_lost_or_counted_twice(
    each_broker, a_gateway, wait_for
):
    """Quarantined, listed, adopted, reloaded, replayed twice, and heard again in between."""
    gateway = a_gateway(each_broker, assets=[*BINS, a_lamp(1)]).start()
    client = each_broker.login()
    login = as_whom(each_broker, gateway)
    client.say(topic("new", leaf="status"), {"online": True})
    client.say(topic("new"), *[message(seq, seq) for seq in (1, 2, 3)])
    client.say(topic("new", leaf="batch"), [message(4, 4), message(5, 5)])
    wait_for(lambda: gateway.count("refusals") == 5, "it is quarantined")

    rows = command(gateway, "devices", "ls", "--state", "quarantined")["devices"]
    assert [(row["device"], row["kind"], row["rejected"]) for row in rows] == [("new", "bin", 5)]
    told = command(gateway, "devices", "adopt", "new", "--asset", "B-2", "--reload")
    assert told["reload"]["result"] == "loaded"
    client.say(topic("new"), message(5, 5), message(6, 6))
    wait_for(lambda: gateway.count("readings") == 2, "what it says is taken in")

    sent = command(gateway, "dlq", "replay", "--device", "new", *login)
    assert sent["messages"] == 4
    wait_for(lambda: gateway.count("readings") == 6, "the letters are taken in")
    again = command(gateway, "dlq", "replay", "--device", "new", *login)
    assert {letter["prospect"] for letter in again["letters"]} == {"stored"}
    client.say(topic("new"), *[message(seq, seq) for seq in range(1, 7)])
    wait_for(lambda: gateway.status()["duplicates"] == 6, "repeats are repeats")
    bodies = gateway.query("SELECT body FROM readings WHERE device = 'new'")
    assert sorted(json.loads(body)["seq"] for (body,) in bodies) == [1, 2, 3, 4, 5, 6]
    (row,) = command(gateway, "devices", "ls", "--kind", "bin")["devices"]
    assert (row["asset"], row["missing"]) == ("B-2", 0)
    assert gateway.stop() == 0
