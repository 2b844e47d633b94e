"""Wire formats, read back by small readers of their own: what the device said arrives in each."""

import base64
import json
import struct
from collections import defaultdict
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.city import City
from simulators.plan import messages, plan_of
from simulators.wire import Message, encode, parse_rfc3339, rfc3339
from simulators.wires import translated, wire_of
from simulators.wires.uplink_frame import frames_of
from simulators.wires.vendor import em400_mud, ldds75

pytestmark = pytest.mark.slow

T_MS = 1_789_491_600_123
FORMATS = ("tts", "chirpstack", "chirpstack3", "sparkplug", "ngsi", "ngsi2", "senml", "vendor")
BIN = {"distance_mm": 812, "temperature_c": -3.4, "battery_v": 3.55}
LAMP = {"active_power_w": 57.3, "dim_level_pct": 100.0, "relay_on": True, "voltage_v": 239.1}


def native(values, kind="bin", device="bs-0001", seq=7, leaf="telemetry", **more):
    body = {"ts": rfc3339(T_MS), "boot": 3, "seq": seq, "values": values, "sim": True} | more
    payload = encode([body] if leaf == "batch" else body)
    return Message(T_MS + 400, f"city/v1/north/{kind}/{device}/{leaf}", payload, 1, False, "gw-1",
                   device)  # fmt: skip


def through(name, *said):
    wire = wire_of(name)
    return [out for message in said for frame in frames_of(message) for out in wire.say(frame)]


# -- readers, knowing the public formats and nothing of the writers --------------------------------


def fields(data):
    """Protobuf without a schema: (field, wire type, value)."""
    at = 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 1:
            at += 8
            yield key >> 3, struct.unpack("<d", data[at - 8 : at])[0]
        else:
            size = varint()
            at += size
            yield key >> 3, data[at - size : at]


def sparkplug(payload):
    found = {"metrics": [], "seq": None}
    for number, value in fields(payload):
        if number == 2:
            found["metrics"].append(dict(fields(value)))
        elif number == 3:
            found["seq"] = value
    return found


def value_of(metric):
    if 14 in metric:
        return bool(metric[14])
    return metric.get(13, metric.get(15, b"").decode() if 15 in metric else metric.get(11))


def senml(pack):
    """Resolved as RFC 8428, section 4.6, for packs with one head."""
    head = pack[0]
    return {
        head["bn"] + one["n"]: (one.get("v", one.get("vb")), one.get("u"),
                                head["bt"] + one.get("t", 0))
        for one in pack
    }  # fmt: skip


# -- the formats -----------------------------------------------------------------------------------


def test_the_things_stack():
    """Topic, ids, counter, nanoseconds, numbers as texts, and marked as simulated."""
    [one] = through("tts", native(BIN))
    body = json.loads(one.payload)
    assert one.topic == "v3/bins@city/devices/bs-0001/up"
    assert one.qos == 0
    assert body["simulated"] is True
    uplink = body["uplink_message"]
    assert uplink["decoded_payload"] == BIN
    assert uplink["f_cnt"] == 7
    assert isinstance(uplink["settings"]["frequency"], str)
    assert uplink["settings"]["time"].endswith(".123000000Z")
    assert len(bytes.fromhex(body["end_device_ids"]["dev_eui"])) == 8
    assert base64.b64decode(uplink["frm_payload"])


def test_what_is_zero_is_left_out_of_the_envelope_but_not_of_the_values():
    """As proto3 JSON does it: a missing f_cnt is 0; a reading of 0 W is still a reading."""
    values = {"active_power_w": 0.0, "dim_level_pct": 0}
    for name, counter in (("tts", "f_cnt"), ("chirpstack", "fCnt")):
        [one] = through(name, native(values, "streetlight", seq=0))
        body = json.loads(one.payload)
        uplink = body.get("uplink_message", body)
        assert counter not in uplink
        assert uplink.get("decoded_payload", uplink.get("object")) == values


def test_chirpstack_four_and_three():
    """Version 3 has base64 EUIs, an application that is a number in a text, JSON in a text."""
    [four], [three] = (through(name, native(BIN)) for name in ("chirpstack", "chirpstack3"))
    new, old = json.loads(four.payload), json.loads(three.payload)
    assert new["object"] == json.loads(old["objectJSON"]) == BIN
    eui = new["deviceInfo"]["devEui"]
    assert base64.b64decode(old["devEUI"]).hex() == eui
    assert four.topic.endswith(f"/device/{eui}/event/up")
    assert old["applicationID"].isdecimal()
    assert three.topic == f"application/{old['applicationID']}/device/{eui}/event/up"
    assert new["deviceInfo"]["tags"] == {
        "device": "bs-0001", "zone": "north", "kind": "bin", "sim": "true",
    }  # fmt: skip
    assert new["time"] == "2026-09-15T17:00:00.123000000+00:00"


def test_bytes_without_a_codec():
    """Then the frame's bytes are all there is."""
    [one] = through("vendor", native(BIN))
    body = json.loads(one.payload)
    assert "object" not in body
    assert base64.b64decode(body["data"]) in (em400_mud(BIN), ldds75(BIN))


def test_the_bytes_of_two_makers():
    """Against bytes worked out by hand from their manuals."""
    assert em400_mud({"distance_mm": 0x0102, "temperature_c": 26.5, "battery_v": 3.6}).hex() == (
        "0175640367090104820201"
    )
    assert em400_mud({"distance_mm": 5, "tilt_deg": 80.0}).hex() == "04820500050001"
    assert ldds75({"distance_mm": 2872, "battery_v": 3.403, "temperature_c": -1.5}).hex() == (
        "0d4b0b3800fff101"
    )


def test_sparkplug_births_name_what_data_only_numbers():
    """NBIRTH, DBIRTH with names and datatypes, then DDATA by alias; one count for the node."""
    sent = through("sparkplug", native(LAMP, "streetlight", "lc-1"),
                   native(LAMP, "streetlight", "lc-1", 8),
                   native(BIN, "bin", "bs-1"), native(LAMP, "streetlight", "lc-1", 9))  # fmt: skip
    assert [m.topic.split("/")[2:] for m in sent] == [
        ["NBIRTH", "gw-1"], ["DBIRTH", "gw-1", "lc-1"], ["DDATA", "gw-1", "lc-1"],
        ["DBIRTH", "gw-1", "bs-1"], ["DDATA", "gw-1", "lc-1"],
    ]  # fmt: skip
    told = [sparkplug(m.payload) for m in sent]
    assert [one["seq"] for one in told] == [0, 1, 2, 3, 4]
    born = {metric[2]: metric[1].decode() for metric in told[1]["metrics"] if 2 in metric}
    for data in (told[2], told[4]):
        assert all(1 not in metric and 4 not in metric for metric in data["metrics"])
        assert {born[m[2]]: value_of(m) for m in data["metrics"]} == LAMP
    assert {value_of(m) for m in told[0]["metrics"] if m[1] == b"bdSeq"} == {0}


def test_sparkplug_a_node_dies_and_is_born_again():
    """The death bears the number of its birth; afterwards all is named anew."""
    wire, lamp = wire_of("sparkplug"), native(LAMP, "streetlight", "lc-1")
    status = Message(T_MS, "city/v1/north/streetlight/lc-1/status", b'{"online":false}', 1, True,
                     "gw-1", "lc-1")  # fmt: skip
    first = list(wire.say(next(frames_of(lamp))))
    death = list(wire.online(status, is_online=False))
    assert list(wire.online(status, is_online=False)) == []
    again = list(wire.say(next(frames_of(lamp))))
    kinds = [m.topic.split("/")[2] for m in (*first, *death, *again)]
    assert kinds == ["NBIRTH", "DBIRTH", "NDEATH", "NBIRTH", "DBIRTH"]
    births = [sparkplug(m.payload)["metrics"][0] for m in (first[0], death[0], again[0])]
    assert [value_of(metric) for metric in births] == [0, 0, 1]
    assert sparkplug(death[0].payload)["seq"] is None


def test_what_was_kept_during_an_outage_is_historical():
    """So that nobody takes it for news."""
    news = native(LAMP, "streetlight", "lc-1")
    kept = native(LAMP, "streetlight", "lc-1", 8, leaf="batch")
    *_, data = through("sparkplug", news, kept)
    assert all(metric[5] == 1 for metric in sparkplug(data.payload)["metrics"])


def test_smart_data_models():
    """Shares from 0 to 1, longitude first, the model's names and units."""
    said = native({"fill_pct": 82.0, "lid_open": True}, loc=[41.5, -87.5])
    [ld], [v2] = through("ngsi", said), through("ngsi2", said)
    [entity] = json.loads(ld.payload)["body"]["data"]
    assert (entity["type"], entity["fillingLevel"]["value"]) == ("WasteContainer", 0.82)
    assert entity["location"]["value"]["coordinates"] == [-87.5, 41.5]
    assert entity["status"]["value"] == "lidOpen"
    assert parse_rfc3339(entity["fillingLevel"]["observedAt"]) == T_MS
    flat = json.loads(v2.payload)
    assert (flat["fillingLevel"], flat["status"]) == (0.82, "lidOpen")
    assert v2.topic == "/city/bs-0001/attrs"


def test_senml():
    """Names, units and times resolve; a window's samples have their own times."""
    accel = {"rate_hz": 50, "z_ms2": [9.8, 9.7, 15.2, 9.9]}
    [one] = through("senml", native({"speed_mps": 11.5, "ppv_mm_s": 2.0, "accel": accel}, "road"))
    pack = json.loads(one.payload)
    name = pack[0]["bn"]
    found = senml(pack)
    assert found[name + "speed_mps"][:2] == (11.5, "m/s")
    assert found[name + "ppv_mm_s"][:2] == (0.002, "m/s")
    times = [one.get("t", 0) for one in pack if one["n"] == "z_ms2"]
    assert times == [-0.04, -0.02, 0.0, 0.02]
    assert pack[0]["bt"] == pytest.approx(T_MS / 1000)


def test_a_clock_never_set_is_relative_in_senml():
    """A time below 2^28 is relative to now."""
    body = {"ts": "1970-01-01T00:10:00Z", "boot": 1, "seq": 1, "values": {"fill_pct": 3.0}}
    said = native({})._replace(payload=encode(body))
    [one] = through("senml", said)
    assert json.loads(one.payload)[0]["bt"] < 2**28


SAFE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(
        {"active_power_w": SAFE, "voltage_v": SAFE},
        optional={"relay_on": st.booleans(), "energy_wh": SAFE, "dim_level_pct": st.floats(0, 100)},
    ),
    st.integers(0, 2**31),
)
def test_every_value_comes_back(values, seq):
    """Whatever the values, in the formats that carry them under our names."""
    said = native(values, "streetlight", "lc-9", seq)
    assert json.loads(through("chirpstack", said)[0].payload)["object"] == values
    assert (
        json.loads(through("tts", said)[0].payload)["uplink_message"]["decoded_payload"] == values
    )
    birth = sparkplug(through("sparkplug", said)[1].payload)
    got = {m[1].decode(): value_of(m) for m in birth["metrics"] if 2 in m}
    assert got == values
    pack = json.loads(through("senml", said)[0].payload)
    assert {one["n"]: one.get("v", one.get("vb")) for one in pack if one["n"] != "sim"} == values


@pytest.mark.parametrize("name", FORMATS)
def test_a_spoilt_message_comes_through_in_every_format(name):
    """As bytes or as it was, never as values."""
    said = native(BIN)._replace(payload=b"\xff\xfe{spoilt")
    for one in through(name, said):
        assert b"812" not in one.payload


@pytest.mark.parametrize("name", FORMATS)
def test_a_city_speaks_every_format(name):
    """Each device in its fleet's, the others natively; the same reading for reading."""
    fleets = {"bins": {"count": 6, "wire": name}, "lamps": {"count": 8}}
    city = City.sized(5, duration="6h", fleets=fleets)
    sent = list(messages(plan_of(city)))
    topics = defaultdict(int)
    for message in sent:
        topics[message.topic.startswith("city/v1/")] += 1
    assert topics[True] > 100
    assert topics[False] >= 30
    assert not [m for m in sent if m.topic.startswith("city/v1/") and "/bin/" in m.topic]
    assert sent == list(messages(plan_of(city)))


def test_times_have_nanoseconds_as_the_servers_write_them():
    """And Python reads them back once cut to microseconds."""
    [one] = through("tts", native(BIN))
    text = json.loads(one.payload)["received_at"]
    assert datetime.fromisoformat(text[:26] + "+00:00").microsecond == 523_000


def test_native_fleets_are_left_alone():
    """Not even looked at."""
    said = [native(BIN)]
    assert list(translated(City.sized(1, lamps=1, bins=1, road=0), said)) == said
