"""Bad input end to end: refused with reason and path, stored, told, acknowledged; nothing slows."""

import base64
import json
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import a_bin, a_lamp

from gateway.refusal import Reason
from simulators.wire import Message
from simulators.wires import wire_of
from simulators.wires.uplink_frame import frames_of

pytestmark = pytest.mark.slow

T0 = 1_768_453_200
ASSETS = [a_bin(1), a_bin(2), a_bin(3), a_lamp(1)]
BIN = "city/v1/z/bin/bin-1/telemetry"
ROAD = "city/v1/z/road/car-1/telemetry"
TS = '"ts": "2026-01-15T05:00:00Z"'


def values(text):
    return f'{{{TS}, "values": {{{text}}}}}'.encode()


SAMPLES = ",".join(["9.8"] * 8)
REFUSED = [
    ("city/v1/z z/bin/bin-1/telemetry", values(""), Reason.WRONG_TOPIC, "topic"),
    (f"city/v1/{'z' * 65}/bin/bin-1/batch", b"[]", Reason.WRONG_TOPIC, "topic"),
    ("city/v1/z/bins/bin-1/telemetry", values(""), Reason.UNKNOWN_KIND, "topic"),
    (BIN, values('"fill_pct": 20') + b" " * 17_000, Reason.TOO_LARGE, ""),
    ("city/v1/z/bin/bin-1/batch", b"[" + b" " * (9 << 20) + b"]", Reason.TOO_LARGE, ""),
    (BIN, b'{"ts": "\xff\xfe"}', Reason.NOT_UTF8, "byte 8"),
    (BIN, b'{"ts": ', Reason.NOT_JSON, "line 1 column 8"),
    (BIN, b"[" * 16_000, Reason.TOO_DEEP, ""),
    ("city/v1/z/bin/bin-1/batch", b"[" * 100_000, Reason.NOT_JSON, "byte 100000"),
    ("city/v1/z/bin/bin-1/batch", b"[" + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"]",
     Reason.TOO_LARGE, "[0]"),
    (BIN, values('"fill_pct": 20, "fill_pct": 21'), Reason.DUPLICATE_KEY, "values.fill_pct"),
    (BIN, values('"fill_pc": 20'), Reason.UNKNOWN_KEY, "values.fill_pc"),
    (BIN, b'{"values": {}}', Reason.MISSING_KEY, "ts"),
    (BIN, values('"fill_pct": "20"'), Reason.WRONG_TYPE, "values.fill_pct"),
    (BIN, values('"fill_pct": true'), Reason.WRONG_TYPE, "values.fill_pct"),
    (BIN, values('"fill_pct": NaN'), Reason.NOT_FINITE, "values.fill_pct"),
    (BIN, values('"fill_pct": 101'), Reason.OUT_OF_RANGE, "values.fill_pct"),
    (ROAD, values('"accel": {"rate_hz": 100, "z_ms2": [1]}'), Reason.WRONG_LENGTH,
     "values.accel.z_ms2"),
    (BIN, b'{"ts": "2026-01-15T05:00:00", "values": {}}', Reason.BAD_TIME, "ts"),
    (BIN, f'{{{TS}, "sim": true, "values": {{}}}}'.encode(), Reason.SIMULATED, "sim"),
    ("city/v1/z/bin/bin-9/telemetry", values('"fill_pct": 20'), Reason.UNKNOWN_DEVICE, "topic"),
    ("city/v1/z/streetlight/bin-1/telemetry", values(""), Reason.WRONG_KIND, "topic"),
    (ROAD, values('"peak_ms2": 20'), Reason.NO_POSITION, "loc"),
    ("city/v1/z/bin/bin-1/status", b'{"online": 1}', Reason.WRONG_TYPE, "online"),
    ("city/v1/z/bin/bin-1/status", b"x" * 2000, Reason.TOO_LARGE, ""),
]  # fmt: skip
OF_SOURCES = {
    Reason.NOT_A_READING, Reason.UNKNOWN_FRAME, Reason.SENSOR_FAULT, Reason.NO_CODEC,
    Reason.NOT_BORN, Reason.OUT_OF_ORDER, Reason.NO_VALUES, Reason.OVER_QUOTA,
    Reason.INTERNAL_ERROR,
}  # fmt: skip
SOURCES = [("v3/#", "tts"), ("bytes/+", "em400-mud"), ("spBv1.0/#", "sparkplug")]
KEPT = "city/v1/z/bin/bin-2/telemetry"


def refusals(gateway):
    columns = "topic, reason, path, message, hint, size"
    return gateway.query(f"SELECT {columns} FROM refusals ORDER BY id")


def test_every_kind_of_bad_message_is_refused_told_and_acknowledged(mosquitto, a_gateway, wait_for):
    """Stored with reason, path, message and hint; a dead letter where its maker can see it; and
    none of them comes back after a restart. What is retained is never taken for fresh."""
    client = mosquitto.login()
    letters = client.listen("city/v1/dead-letter/#")
    client.say(KEPT, values('"fill_pct": 20'), retain=True)
    gateway = a_gateway(mosquitto, assets=ASSETS).start()
    for topic, payload, _, _ in REFUSED:
        client.say(topic, payload)

    wait_for(lambda: gateway.count("refusals") > len(REFUSED), "all are refused")
    found = refusals(gateway)
    assert found[0][:3] == (KEPT, "retained", "retain")
    expected = [(topic, reason, path) for topic, _, reason, path in REFUSED]
    assert [row[:3] for row in found[1:]] == expected
    assert all(message and hint for _, _, _, message, hint, _ in found)
    assert [row[5] for row in found[1:]] == [
        len(body) if path != "[0]" else len(body) - 2 for _, body, _, path in REFUSED
    ]
    assert {row[1] for row in found} == {str(reason) for reason in set(Reason) - OF_SOURCES}
    assert gateway.count("readings") == 0
    said = wait_for(gateway.status, "a status")
    wait_for(lambda: gateway.status()["refusals"] == len(found), "they are counted")
    assert said["state"] == "green"
    the_letters_are_right(letters, found, wait_for)

    assert gateway.stop() == 0
    client.publish(KEPT, b"", retain=True).wait_for_publish(5)
    gateway.start()
    client.say(BIN, values('"fill_pct": 20'))
    wait_for(lambda: gateway.count("readings") == 1, "a good message is taken")
    # The empty message that took the retained one away is the only new refusal.
    assert [row[:2] for row in refusals(gateway)[len(found) :]] == [(KEPT, "not_json")]


def spoken(wire, step):
    """What an edge node says of bin-1."""
    body = {"ts": None, "boot": 1, "seq": step, "values": {"fill_pct": 20}}
    payload, device = json.dumps(body).encode(), "bin-1"
    native = Message((T0 + step) * 1000, BIN, payload, concentrator="mast", speaker=device)
    return [(out.topic, out.payload) for frame in frames_of(native) for out in wire.say(frame)]


def uplink(**more):
    return {"end_device_ids": {"device_id": "bin-1"}, "uplink_message": more}


def test_what_comes_in_envelopes_is_refused_with_its_own_reasons(mosquitto, a_gateway, wait_for):
    """Each reason that no native message has, but that of an adapter gone wrong; nothing is a
    reading that is none, and a flood of one device is no flood of the gateway."""
    more = "\n".join(f'[[source]]\ntopic = "{topic}"\nformat = "{name}"' for topic, name in SOURCES)
    ingest = 'clock = "system"\nallow_simulated = true\ndevice_per_minute_max = 5'
    gateway = a_gateway(mosquitto, assets=ASSETS, ingest=ingest, more=more).start()
    client, up, wire = mosquitto.login(), "v3/a/devices/bin-1/up", wire_of("sparkplug")
    first, _lost, third = (spoken(wire, step) for step in (1, 2, 3))
    for topic, body in [
        ("v3/a/devices/bin-1/join", {"end_device_ids": {"device_id": "bin-1"}, "join_accept": {}}),
        (up, uplink(frm_payload="AA==")),
        (up, uplink(decoded_payload={"weather": "fine"})),
        (up, uplink(decoded_payload={"distance": "No Sensor"})),
        ("bytes/bin-1", bytes.fromhex("0B0B01")),
        ("spBv1.0/city/NDATA/other", b"\x18\x05"),
        *first,
        *third,
    ]:
        client.say(topic, body)
    client.say("city/v1/z/bin/bin-3/telemetry", *[values(f'"fill_pct": {n}') for n in range(20)])

    def reasons():
        return {row[1] for row in refusals(gateway)}

    wait_for(lambda: reasons() == OF_SOURCES - {"internal_error"}, "each reason is there")
    assert all(row[3] and row[4] for row in refusals(gateway))
    assert gateway.status()["state"] == "green"
    devices = [device for (device,) in gateway.query("SELECT device FROM readings")]
    assert devices.count("bin-3") in (5, 10)  # one minute, or the turn of one
    assert devices.count("bin-1") == 2


def the_letters_are_right(letters, found, wait_for):
    """One for each device and reason, saying what was refused."""
    kinds = {(topic.split("/")[4] if reason not in ("wrong_topic", "unknown_kind") else "", reason)
             for topic, reason, *_ in found}  # fmt: skip
    wait_for(lambda: len(letters) >= len(kinds), "the dead letters")
    read = {(t.split("/")[-1], (body := json.loads(p))["reason"]): body for t, p in letters}
    assert len(read) == len(letters), "one for each device and reason"
    letter = read["bin-1", "unknown_key"]
    assert letter["path"] == "values.fill_pc"
    assert "fill_pct" in letter["hint"]
    assert base64.b64decode(letter["payload_b64"]) == values('"fill_pc": 20')
    assert letter["topic"] == BIN
    assert letter["count"] == 1


def test_a_hundred_megabytes_are_refused_and_nothing_else_suffers(
    mosquitto, desk, a_gateway, wait_for
):
    """Counted with its size, not kept; the fault right behind it is filed; memory comes back."""
    gateway = a_gateway(mosquitto, desk=desk, assets=ASSETS).start()
    client = mosquitto.login()
    client.publish(BIN, b"[" * 100_000_000)
    publish_a_fault(client, 2)

    wait_for(lambda: len(desk.filed()) == 1, "the fault is filed")
    ((reason, size, kept),) = gateway.query("SELECT reason, size, length(payload) FROM refusals")
    assert (reason, size, kept) == ("too_large", 100_000_000, 4096)
    assert gateway.process is not None
    pages = Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1]
    assert int(pages) * 4096 < 400_000_000


def publish_a_fault(client, number):
    """A bin is full in one report after the other, and two others let time pass."""
    for minute in range(0, 60, 10):
        ts = datetime.fromtimestamp(T0 + 60 * minute, UTC).isoformat().replace("+00:00", "Z")
        for each in (1, 2, 3):
            fill = 92 if each == number else 20
            body = {"ts": ts, "boot": 1, "seq": minute, "values": {"fill_pct": fill}}
            client.say(f"city/v1/z/bin/bin-{each}/telemetry", body)


def test_a_flood_of_rubbish_does_not_keep_a_fault_waiting(mosquitto, desk, a_gateway, wait_for):
    """One device sends rubbish as fast as it can; the fault of another is filed meanwhile, and one
    dead letter speaks for all of it."""
    gateway = a_gateway(mosquitto, desk=desk, assets=ASSETS).start()
    flooder, client = mosquitto.login("flooder"), mosquitto.login()
    letters = client.listen("city/v1/dead-letter/native/lamp-1")
    stopping = threading.Event()

    def flood():
        while not stopping.wait(0.01):
            for _ in range(20):
                flooder.publish("city/v1/z/streetlight/lamp-1/telemetry", b"rubbish", qos=0)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        wait_for(lambda: gateway.count("refusals") > 500, "the flood is on")
        began = time.monotonic()
        publish_a_fault(client, 2)
        wait_for(lambda: len(desk.filed()) == 1, "the fault is filed")
        assert time.monotonic() - began < 15
    finally:
        stopping.set()
        thread.join()
    assert gateway.count("readings") == 18
    assert len(letters) == 1


def test_a_device_cannot_speak_for_another(bundled_broker, a_gateway, wait_for):
    """The broker knows who it is: what it says for another reaches nobody, nor does a dead letter
    or an acknowledgement of its own making."""
    lamps = [{**a_lamp(1), "devices": ["lamp-a"]}, {**a_lamp(2), "devices": ["lamp-b"]}]
    gateway = a_gateway(bundled_broker, assets=lamps).start()
    honest, other = bundled_broker.login("lamp-b"), bundled_broker.login("lamp-b")
    heard = honest.listen("city/v1/+/+/lamp-b/ack")
    thief = bundled_broker.login("lamp-a")
    body = values('"active_power_w": 1')
    for topic in ("z/streetlight/lamp-b/telemetry", "z/streetlight/lamp-b/ack"):
        thief.publish(f"city/v1/{topic}", body, qos=0)
    other.say("city/v1/z/streetlight/lamp-b/telemetry", body)
    bundled_broker.login("lamp-a").say("city/v1/z/streetlight/lamp-a/telemetry", body)

    wait_for(lambda: gateway.count("readings") == 2, "each has spoken for itself")
    assert gateway.status()["duplicates"] == 0, "the thief's would have been one"
    assert heard == []


def test_a_topic_that_is_not_utf_8_reaches_nobody(mosquitto, a_gateway, wait_for):
    """The broker hangs up on it; the gateway never notices."""
    gateway = a_gateway(mosquitto, assets=ASSETS).start()
    with socket.create_connection(("127.0.0.1", mosquitto.port)) as wire:
        wire.settimeout(5)
        wire.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01x")
        assert wire.recv(4) == b"\x20\x02\x00\x00"
        topic = b"city/v1/\xff/bin/bin-1/telemetry"
        wire.sendall(b"\x30" + bytes([2 + len(topic), 0, len(topic)]) + topic)
        assert wire.recv(4) == b""
    mosquitto.login().say(BIN, values('"fill_pct": 20'))
    wait_for(lambda: gateway.count("readings") == 1, "a good message is taken")
    assert gateway.status()["refusals"] == 0
