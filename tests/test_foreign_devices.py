"""Devices that do not speak the contract, through a real broker: one request for each full bin."""

import base64
import json

import pytest
from conftest import a_bin, wait_until

from gateway.envelopes.sparkplug_payload import read_payload
from simulators.wire import Message, rfc3339
from simulators.wires import wire_of
from simulators.wires.uplink_frame import frames_of

pytestmark = pytest.mark.slow

T0 = 1_768_471_200_000
EVERY_MS = 900_000
FILLS = (35, 36, 36, 98, 98, 98, 98)

PLATFORMS = {
    "tts": ("v3/+/devices/+/up", "tts"),
    "chirpstack": ("application/+/device/+/event/up", "chirpstack"),
    "sparkplug": ("spBv1.0/#", "sparkplug"),
    "ngsi": ("ngsi-ld/#", "ngsi"),
    "senml": ("senml/#", "senml"),
}
BYTES = "level-meters/+/device/+/event/up"
VENDOR = "vendor/+/state"
INGEST = 'clock = "follow"\nidle_s = 0.3\nallow_simulated = true'


def sources(topics):
    """`[[source]]` blocks for every platform."""
    blocks = [f'[[source]]\ntopic = "{topic}"\nformat = "{name}"' for topic, name in topics]
    blocks.append(f'[[source]]\ntopic = "{BYTES}"\nformat = "chirpstack"\ncodec = "em400-mud"')
    blocks.append(f'[[source]]\ntopic = "{VENDOR}"\nformat = "mapping"\nmapping = "vendor.toml"')
    return "\n".join(blocks)


MAPPING = """
kind = "bin"
device = "topic:1"
time = "at"
time_unit = "s"
[values.fill_pct]
path = "level"
scale = 100
"""


def said_by(device, step, fill):
    """A native message, as the simulated device gives it to its platform."""
    at_ms = T0 + step * EVERY_MS
    body = {"ts": rfc3339(at_ms), "boot": 1, "seq": step, "values": {"fill_pct": fill}}
    topic = f"city/v1/z/bin/{device}/telemetry"
    payload = json.dumps(body).encode()
    return Message(at_ms, topic, payload, concentrator="mast-1", speaker=device)


def eui(device):
    """Network servers know a device by this."""
    (frame,) = frames_of(said_by(device, 0, 0))
    return frame.eui.hex()


def level_meter(step, fill):
    """A ChirpStack uplink with the bytes of an EM400-MUD, 1 m above the bottom of its bin."""
    frame = bytes.fromhex("036701010482") + round(1000 - fill * 10).to_bytes(2, "little")
    body = {
        "deduplicationId": f"{step:032x}",
        "time": rfc3339(T0 + step * EVERY_MS),
        "deviceInfo": {"deviceName": "meter", "devEui": "00" * 7 + "07"},
        "fCnt": step, "fPort": 85, "data": base64.b64encode(frame).decode(),
    }  # fmt: skip
    return "level-meters/1/device/x/event/up", body


def test_each_platform_has_its_full_bin_filed_once(mosquitto, a_gateway, desk):
    """Seven platforms, each says the same twice over: seven requests, each of the right bin."""
    wires = {name: wire_of(name) for name in PLATFORMS}
    messages = [
        (out.topic, out.payload)
        for step, fill in enumerate(FILLS)
        for name, wire in wires.items()
        for frame in frames_of(said_by(f"bin-{name}", step, fill))
        for out in wire.say(frame)
    ]
    for step, fill in enumerate(FILLS):
        messages.append(level_meter(step, fill))
        at_s = (T0 + step * EVERY_MS) // 1000
        messages.append(("vendor/bin-vendor/state", {"at": at_s, "level": fill / 100}))
    names = [*PLATFORMS, "vendor"]
    assets = [
        {"asset_id": f"B-{name}", "kind": "bin", "devices": [f"bin-{name}", eui(f"bin-{name}")]}
        for name in names
    ]
    meter = {
        "asset_id": "B-meter",
        "kind": "bin",
        "devices": ["0000000000000007"],
        "height_mm": 1000,
    }
    gateway = a_gateway(
        mosquitto, desk=desk, assets=[*assets, meter, a_bin(1)], ingest=INGEST,
        more=sources(PLATFORMS.values()),
    )  # fmt: skip
    (gateway.folder / "vendor.toml").write_text(MAPPING)
    gateway.start()
    platform = mosquitto.login()
    for _ in range(2):
        for topic, payload in messages:
            platform.say(topic, payload)
    last = said_by("bin-1", len(FILLS) + 4, 30)
    platform.say(last.topic, last.payload)
    wait_until(lambda: len(desk.filed()) >= 7, f"filed: {gateway.log.read_text()[-2000:]}", 60)
    refused = gateway.query("SELECT reason, topic, message FROM refusals")
    assert {reason for reason, _, _ in refused} <= {"not_a_reading", "out_of_order"}, refused
    assert gateway.stop() == 0
    filed = gateway.query("SELECT subject, count(*) FROM incidents GROUP BY subject")
    assert sorted(filed) == sorted((f"B-{name}", 1) for name in [*names, "meter"])
    assert len(desk.filed()) == 7


def test_an_edge_node_that_was_not_heard_from_the_start_is_asked_for_its_birth(
    mosquitto, a_gateway
):
    """Data before a birth: the rebirth command goes to that node, and the data after it count."""
    assets = [{"asset_id": "B-1", "kind": "bin", "devices": ["bin-1"]}]
    more = sources([PLATFORMS["sparkplug"]])
    gateway = a_gateway(mosquitto, assets=assets, ingest=INGEST, more=more)
    (gateway.folder / "vendor.toml").write_text(MAPPING)
    gateway.start()
    wire = wire_of("sparkplug")
    node = mosquitto.login()
    commands = node.listen("spBv1.0/+/NCMD/#")

    def say(step):
        frames = frames_of(said_by("bin-1", step, 20))
        return [(out.topic, out.payload) for frame in frames for out in wire.say(frame)]

    birth, data = say(0), say(1)
    for topic, payload in data:
        node.say(topic, payload)
    wait_until(lambda: commands, "a rebirth is asked for")
    (topic, payload), *_ = commands
    assert topic == "spBv1.0/city/NCMD/mast-1"
    (metric,) = read_payload(payload).metrics
    assert (metric.name, metric.value) == ("Node Control/Rebirth", True)
    for topic, payload in [*birth, *say(2)]:
        node.say(topic, payload)
    wait_until(lambda: gateway.count("readings") >= 2, "its data count after the birth")
    assert {r for (r,) in gateway.query("SELECT reason FROM refusals")} <= {
        "not_born", "not_a_reading", "out_of_order",
    }  # fmt: skip
