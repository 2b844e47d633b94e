"""Envelopes opened: the right values in canonical units, or the right reason."""

import base64
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ms_of
from gateway.envelopes.mapping import read_mapping
from gateway.envelopes.sparkplug import REBIRTH, REBIRTH_MS, Sparkplug
from gateway.envelopes.sparkplug_payload import read_payload
from gateway.refusal import Reason
from gateway.sources import Source, Sources, fits
from rules.fields import CATALOGUE
from simulators.wire import Message, encode, rfc3339
from simulators.wires import wire_of
from simulators.wires.uplink_frame import frames_of

NOW_MS = 1_789_491_600_123
AT = "2026-01-15T20:05:00.123456789Z"
AT_MS = ms_of("2026-01-15T20:05:00.123Z")


def through(format_, topic, body, **more):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Sources([Source("#", format_, **more)]).decode(topic, payload, NOW_MS)


def the_values(decoded):
    assert list(decoded.refusals) == []
    (reading,) = decoded.readings
    return reading.values


def tts(**uplink):
    said = {"f_cnt": 7, "received_at": "2026-01-15T20:05:09Z", "settings": {"time": AT}} | uplink
    told = {key: value for key, value in said.items() if value is not None}
    ids = {"device_id": "bin-7"}
    received = "2026-01-15T20:05:10Z"
    return {"end_device_ids": ids, "received_at": received, "uplink_message": told}


def test_an_uplink_of_the_things_stack_has_the_time_of_the_radio():
    """Nanoseconds cut off; a port that is not said is 0; the device by its id."""
    (reading,) = through("tts", "v3/a@t/devices/bin-7/up", tts(
        decoded_payload={"distance": "2799 mm", "battery": "3.6 V"})).readings  # fmt: skip
    assert (reading.address.device, reading.address.kind, reading.ts_ms) == ("bin-7", "bin", AT_MS)
    assert reading.values == {"distance_mm": 2799, "battery_v": 3.6}


@pytest.mark.parametrize(
    ("uplink", "at"),
    [
        ({}, AT_MS),
        ({"settings": {}, "rx_metadata": [{"time": "2026-01-15T20:05:05Z"}]},
         ms_of("2026-01-15T20:05:05Z")),
        ({"settings": {}}, ms_of("2026-01-15T20:05:09Z")),
        ({"settings": {}, "received_at": None}, ms_of("2026-01-15T20:05:10Z")),
        ({"settings": {"time": "0001-01-01T00:00:00Z"}}, ms_of("2026-01-15T20:05:09Z")),
    ],
)  # fmt: skip
def test_the_best_clock_that_is_known_counts(uplink, at):
    """Of the radio, of a concentrator, of the servers; one that was never set does not."""
    body = tts(decoded_payload={"fillLevel": 83}, **uplink)
    (reading,) = through("tts", "v3/a/devices/x/up", body).readings
    assert reading.ts_ms == at


WITHIN_A_NUMBER = "byte 1: it ends within a number"
EM400 = base64.b64encode(bytes.fromhex("0367010104824408")).decode()
READ = {"temperature_c": 25.7, "distance_mm": 2116}


@pytest.mark.parametrize(
    ("uplink", "more", "values", "reason"),
    [
        ({"frm_payload": EM400, "f_port": 85}, {"codec": "em400-mud"}, READ, None),
        ({"frm_payload": EM400, "version_ids": {"model_id": "em400-mud"}}, {}, READ, None),
        ({"frm_payload": EM400}, {}, {}, Reason.NO_CODEC),
        ({"frm_payload": "!!"}, {"codec": "em400-mud"}, {}, Reason.WRONG_TYPE),
        ({"decoded_payload": {"weather": "fine"}}, {}, {}, Reason.NO_VALUES),
        ({"decoded_payload": {"weather": "fine"}, "frm_payload": EM400}, {"codec": "em400-mud"},
         READ, None),
        ({"decoded_payload": {"temperature": 20.5, "battery": 92}, "frm_payload": EM400},
         {"codec": "em400-mud"},
         {"temperature_c": 20.5, "battery_level_pct": 92, "distance_mm": 2116}, None),
        ({"decoded_payload": {"temperature": 20.5}, "frm_payload": "AA=="}, {"codec": "em400-mud"},
         {"temperature_c": 20.5}, None),
        ({"decoded_payload": {"distance": {"value": 127, "unit": "cm", "displayName": "Distance"},
                              "battery_voltage": {"value": 3.1, "unit": "V"}}}, {},
         {"distance_mm": 1270, "battery_v": 3.1}, None),
        ({"decoded_payload": {"Bat": 3.2, "Distance": "1800 mm"}}, {"codec": "ldds75"},
         {"battery_v": 3.2, "distance_mm": 1800}, None),
        ({"decoded_payload": {"Bat": 3.2}}, {}, {}, Reason.NO_VALUES),
        ({"decoded_payload": {"distance": "No Sensor"}}, {}, {}, Reason.SENSOR_FAULT),
        ({"decoded_payload": {"distance": "far"}}, {}, {}, Reason.WRONG_TYPE),
        ({"decoded_payload": {"distance": "12 parsec"}}, {}, {}, Reason.WRONG_TYPE),
        ({"decoded_payload": {"fillLevel": 130}}, {}, {}, Reason.OUT_OF_RANGE),
        ({}, {}, {}, Reason.NO_VALUES),
    ],
)  # fmt: skip
def test_the_decoded_object_counts_before_the_bytes(uplink, more, values, reason):
    """And the bytes where it tells nothing that is known."""
    decoded = through("tts", "v3/a/devices/x/up", tts(**uplink), **more)
    said = {key: value for reading in decoded.readings for key, value in reading.values.items()}
    assert said == values
    assert [refusal.reason for refusal in decoded.refusals] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("format_", "topic", "body", "reason", "path"),
    [
        ("tts", "v3/a/devices/x/join", {"join_accept": {}}, Reason.NOT_A_READING, "uplink_message"),
        ("tts", "t", {"uplink_message": {}}, Reason.MISSING_KEY, "end_device_ids.device_id"),
        ("tts", "t", [], Reason.WRONG_TYPE, ""),
        ("tts", "t", b"{", Reason.NOT_JSON, "line 1 column 2"),
        ("tts", "t", b'{"a": 1, "a": 2}', Reason.DUPLICATE_KEY, "a"),
        ("tts", "t", b"\xff", Reason.NOT_UTF8, "byte 0"),
        ("chirpstack", "application/a/device/b/event/status", {"margin": 3}, Reason.NOT_A_READING,
         "topic"),
        ("chirpstack", "application/a/device/b/event/up", {}, Reason.MISSING_KEY,
         "deviceInfo.devEui"),
        ("chirpstack", "application/1/device/b/event/up", {"devEUI": "nope"}, Reason.WRONG_TYPE,
         "devEUI"),
        ("ngsi", "x", {"data": [{"type": "Streetlight"}]}, Reason.MISSING_KEY, "data[0]"),
        ("senml", "x", {}, Reason.WRONG_TYPE, ""),
        ("senml", "x", [{"bver": 11, "n": "fill_pct", "v": 1}], Reason.WRONG_TYPE, "[0].bver"),
        ("senml", "x", [{"n": "fill_pct", "v": 1, "new_": 1}], Reason.WRONG_TYPE, "[0].new_"),
        ("senml", "x", [{"n": "fill_pct", "v": "1"}], Reason.WRONG_TYPE, "[0].v"),
        ("sparkplug", "spBv1.0/g/NDATA/n", b"\x18\x05", Reason.NOT_BORN, "topic"),
        ("sparkplug", "spBv1.0/g/NDATA/n", b"\xff", Reason.WRONG_TYPE, WITHIN_A_NUMBER),
        ("sparkplug", "elsewhere", b"", Reason.WRONG_TOPIC, "topic"),
    ],
)  # fmt: skip
def test_what_holds_no_reading_says_why_and_where(format_, topic, body, reason, path):
    """Counted, kept, told; never an error."""
    decoded = through(format_, topic, body)
    assert list(decoded.readings) == []
    (refusal,) = decoded.refusals
    assert (refusal.reason, refusal.path) == (reason, path)


def test_chirpstack_3_has_base64_euis_and_json_within_a_text():
    """The object counts; the time is the server's where the radio's is null."""
    body = {
        "devEUI": base64.b64encode(bytes.fromhex("0101010101010101")).decode(),
        "rxInfo": [{"time": None}], "publishedAt": AT, "fCnt": 0,
        "objectJSON": '{"temp": "11.5", "fillinglvl": 60}',
    }  # fmt: skip
    (reading,) = through("chirpstack", "application/1/device/x/event/up", body).readings
    assert (reading.address.device, reading.ts_ms) == ("0101010101010101", AT_MS)
    assert reading.values == {"temperature_c": 11.5, "fill_pct": 60}
    bent = body | {"objectJSON": '{"temp": '}
    (refusal,) = through("chirpstack", "application/1/device/x/event/up", bent).refusals
    assert (refusal.reason, refusal.path) == (Reason.NOT_JSON, "objectJSON line 1 column 10")


def test_levels_of_smart_data_models_are_shares():
    """Normalized and key-values, LD and v2; longitude first; a status is a claim."""
    entity = {
        "id": "urn:ngsi-ld:WasteContainer:bin-7", "type": "WasteContainer",
        "fillingLevel": {"type": "Property", "value": 0.83, "observedAt": AT},
        "location": {"type": "GeoProperty",
                     "value": {"type": "Point", "coordinates": [-87.63, 41.88]}},
        "status": {"type": "Property", "value": "lidOpen"},
    }  # fmt: skip
    (reading,) = through("ngsi", "ngsi-ld/x", {"body": {"data": [entity]}}).readings
    assert reading.values == {"fill_pct": 83, "lid_open": True}
    assert (reading.loc, reading.ts_ms, reading.address.kind) == ((41.88, -87.63), AT_MS, "bin")
    lamp = {"powerState": "on", "illuminanceLevel": 0.5, "powerConsumption": 31, "TimeInstant": AT,
            "status": "defectiveLamp"}  # fmt: skip
    (reading,) = through("ngsi", "/key/lamp-1/attrs", lamp).readings
    assert reading.values == {"relay_on": True, "dim_level_pct": 50, "active_power_w": 31}
    assert (reading.address.device, reading.faults) == ("lamp-1", ("lamp_failure",))


def test_a_senml_time_below_2_to_the_28_is_relative_to_now():
    """And base values add up; units are converted where they are others."""
    pack = [
        {"bn": "urn:dev:mac:0024befffe804ff1_", "bt": -60, "n": "distance_mm", "u": "m", "v": 1.2},
        {"n": "temperature_c", "u": "K", "v": 284.65},
    ]
    (reading,) = through("senml", "senml/x", pack).readings
    assert (reading.address.device, reading.ts_ms) == ("0024befffe804ff1", NOW_MS - 60_000)
    assert reading.values == pytest.approx({"distance_mm": 1200, "temperature_c": 11.5})


def test_senml_paths_of_ucifi_objects_are_claims_and_values():
    """As LwM2M servers forward them."""
    pack = [{"bn": "lamp-3", "bt": AT_MS / 1000, "n": "/3416/0/5", "vb": True},
            {"n": "/3418/0/4", "v": 231}]  # fmt: skip
    (reading,) = through("senml", "x", pack).readings
    assert (reading.values, reading.faults) == ({"voltage_v": 231}, ("lamp_failure",))


# -- sparkplug ------------------------------------------------------------------------------------


def native(values, kind="bin", seq=7, **more):
    body = {"ts": rfc3339(NOW_MS), "boot": 3, "seq": seq, "values": values, "sim": True} | more
    topic = f"city/v1/north/{kind}/bs-0001/telemetry"
    return Message(NOW_MS + 400, topic, encode(body), 1, False, "gw-1", "bs-0001")


def session(*said):
    """The messages of an edge node: its birth, then what the device says."""
    wire = wire_of("sparkplug")
    return [out for message in said for frame in frames_of(message) for out in wire.say(frame)]


def test_data_bears_aliases_alone_and_a_gap_is_told_with_the_reading():
    """The birth names them; a message was lost, a rebirth is asked for once."""
    values = [{"distance_mm": 812.0 + n, "battery_v": 3.5} for n in range(6)]
    said = session(*(native(one, seq=n) for n, one in enumerate(values)))
    sources = Sources([Source("#", "sparkplug")])
    told = []
    for nth, message in enumerate(said):
        if nth == 4:
            continue
        decoded = sources.decode(message.topic, message.payload, NOW_MS)
        told += [*(r.values["distance_mm"] for r in decoded.readings),
                 *(refusal.reason for refusal in decoded.refusals)]  # fmt: skip
    assert told == [812, 813, 814, 816, Reason.OUT_OF_ORDER, 817]
    assert list(sources.commands()) == [("spBv1.0/city/NCMD/gw-1", REBIRTH)]
    assert list(sources.commands()) == []


def test_the_command_for_a_rebirth_is_a_payload_that_says_so():
    """One boolean metric, true."""
    (metric,) = read_payload(REBIRTH).metrics
    assert (metric.name, metric.datatype, metric.value) == ("Node Control/Rebirth", 11, True)


def test_a_rebirth_is_asked_for_once_a_minute():
    """However much comes before a birth."""
    node = Sparkplug()
    for now_ms in (0, 1, REBIRTH_MS - 1, REBIRTH_MS):
        node.open("spBv1.0/g/NDATA/n", b"\x18\x05", now_ms)
    assert len(node.take_rebirths()) == 2


def test_a_death_counts_only_for_the_birth_that_it_belongs_to():
    """A will may overtake the next birth."""

    def varint(number):
        return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])

    def payload(bd_seq, seq=None):
        metric = b"\x0a\x05bdSeq\x20\x04\x58" + varint(bd_seq)
        tail = b"\x18" + varint(seq) if seq is not None else b""
        return b"\x12" + varint(len(metric)) + metric + tail

    node = Sparkplug()
    node.open("spBv1.0/g/NBIRTH/n", payload(4, 0), 0)
    node.open("spBv1.0/g/NDEATH/n", payload(3), 0)
    assert node.open("spBv1.0/g/NDATA/n", b"\x18\x01", 0)[1] == []
    node.open("spBv1.0/g/NDEATH/n", payload(4), 0)
    assert node.open("spBv1.0/g/NDATA/n", b"\x18\x02", 0)[1][0].reason is Reason.NOT_BORN


def test_integers_are_twos_complement_as_the_birth_says_and_null_is_not_known():
    """An Int32 of -15; a metric that is null."""

    def metric(name, alias, datatype, value, null=False):
        parts = b"\x0a" + bytes([len(name)]) + name if name else b""
        parts += b"\x10" + bytes([alias]) + (b"\x20" + bytes([datatype]) if datatype else b"")
        parts += b"\x38\x01" if null else b"\x50" + value
        return b"\x12" + bytes([len(parts)]) + parts

    minus_15 = b"\xf1\xff\xff\xff\x0f"
    node = Sparkplug()
    born = metric(b"temperature_c", 1, 3, minus_15) + metric(b"fill_pct", 2, 3, b"\x28")
    node.open("spBv1.0/g/NBIRTH/n", b"\x18\x00", 0)
    (uplink,), _ = node.open("spBv1.0/g/DBIRTH/n/d", born + b"\x18\x01", 0)
    assert uplink.object == {"temperature_c": -15, "fill_pct": 40}
    data = metric(b"", 1, 0, minus_15) + metric(b"", 2, 0, b"", null=True) + b"\x18\x02"
    (uplink,), refusals = node.open("spBv1.0/g/DDATA/n/d", data, 0)
    assert (uplink.object, refusals) == ({"temperature_c": -15}, [])
    (_, refusals) = node.open("spBv1.0/g/DDATA/n/d", metric(b"", 9, 0, b"\x01") + b"\x18\x03", 0)
    assert refusals[0].reason is Reason.NOT_BORN


# -- every wire of the simulators, which knows nothing of this side --------------------------------

WIRES = [
    ("tts", "tts"),
    ("chirpstack", "chirpstack"),
    ("chirpstack3", "chirpstack"),
    ("sparkplug", "sparkplug"),
    ("ngsi", "ngsi"),
    ("ngsi2", "ngsi"),
    ("senml", "senml"),
]
SAID = {
    "bin": {"distance_mm": 812, "temperature_c": -3.4, "battery_v": 3.55, "lid_open": True},
    "streetlight": {"active_power_w": 57.3, "dim_level_pct": 100.0, "relay_on": False,
                    "voltage_v": 239.1, "power_factor": -0.97},
    "cabinet": {"voltage_v": 231.0, "door_open": False, "current_a": 12.5},
    "road": {"speed_mps": 11.0, "ppv_mm_s": 3.25},
}  # fmt: skip


@pytest.mark.parametrize(("wire", "format_"), WIRES)
@pytest.mark.parametrize("kind", SAID)
def test_what_a_simulated_device_says_arrives_through_every_envelope(wire, format_, kind):
    """The same values, its position, and that it is simulated."""
    sources = Sources([Source("#", format_)])
    loc = {"loc": [41.88, -87.63]} if kind == "road" else {}
    outs = [out for frame in frames_of(native(SAID[kind], kind, **loc))
            for out in wire_of(wire).say(frame)]  # fmt: skip
    readings = [reading for out in outs
                for reading in sources.decode(out.topic, out.payload, NOW_MS).readings]  # fmt: skip
    (reading,) = readings
    assert reading.values == pytest.approx(SAID[kind])
    assert reading.sim
    assert (reading.loc is not None) == (kind == "road")
    assert abs(reading.ts_ms - NOW_MS) <= 500


@pytest.mark.slow
@pytest.mark.parametrize("wire", [wire for wire, _ in WIRES])
@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_a_mutated_message_is_a_reading_or_a_refusal_with_reason(wire, data):
    """Bytes changed, cut, doubled: never an error, never a value out of range."""
    outs = list(_sound(wire))
    out = data.draw(st.sampled_from(outs))
    payload = bytearray(out.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(payload) - 1)))
        what = data.draw(st.sampled_from(("set", "cut", "insert", "double")))
        if what == "set" and payload:
            payload[at] = data.draw(st.integers(0, 255))
        elif what == "cut":
            del payload[at:]
        elif what == "insert":
            payload[at:at] = data.draw(st.binary(max_size=4))
        else:
            payload[at:at] = payload[at : at + 20]
    format_ = dict(WIRES)[wire]
    decoded = Sources([Source("#", format_)]).decode(out.topic, bytes(payload), NOW_MS)
    for refusal in decoded.refusals:
        assert refusal.reason in set(Reason)
        assert refusal.message
    for reading in decoded.readings:
        for key, value in reading.values.items():
            known = CATALOGUE[reading.address.kind][key]
            assert isinstance(value, bool) if known.is_bool else known.low <= value <= known.high


def _sound(wire):
    for kind, values in SAID.items():
        loc = {"loc": [41.88, -87.63]} if kind == "road" else {}
        for frame in frames_of(native(values, kind, **loc)):
            yield from wire_of(wire).say(frame)


# -- mappings, sources ----------------------------------------------------------------------------

VENDOR = Path("deploy/examples/vendor.toml")


def test_a_mapping_reads_several_readings_in_one_message():
    """Shares, texts that are numbers, words, and what stands for nothing."""
    body = {"id": "b-17", "readings": [
        {"at": 1_768_507_500, "level": 0.83, "t": "11.5", "lid": "closed"},
        {"at": 1_768_507_560, "level": 0.84, "t": "n/a", "lid": "open"},
    ]}  # fmt: skip
    decoded = through("mapping", "vendor/x/up", body, mapping=read_mapping(VENDOR))
    assert [reading.values for reading in decoded.readings] == [
        {"fill_pct": 83, "temperature_c": 11.5, "lid_open": False},
        {"fill_pct": 84, "lid_open": True},
    ]
    assert decoded.readings[1].ts_ms - decoded.readings[0].ts_ms == 60_000


@pytest.mark.parametrize(
    ("body", "reason", "path"),
    [
        ({"id": "b", "readings": [{"at": "soon"}]}, Reason.BAD_TIME, "at"),
        ({"readings": [{"at": 1}]}, Reason.MISSING_KEY, "id"),
        ({"id": "b", "readings": {}}, Reason.WRONG_TYPE, "readings"),
        ({"id": "b", "readings": [{"at": 1, "lid": "ajar"}]}, Reason.WRONG_TYPE, "readings[0].lid"),
        ({"id": "b b", "readings": [{"at": 1, "level": 0.5}]}, Reason.WRONG_TOPIC, "device"),
    ],
)
def test_what_a_mapping_does_not_find_is_told_with_its_path(body, reason, path):
    """In the vendor's own message."""
    decoded = through("mapping", "t", body, mapping=read_mapping(VENDOR))
    assert (decoded.refusals[0].reason, decoded.refusals[0].path) == (reason, path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kind = 1", "kind"),
        ('kind = "tree"\ndevice = "id"\n[values.fill_pct]\npath = "a"', "no kind 'tree'"),
        ('kind = "bin"\ndevice = "id"\n[values.smell]\npath = "a"', "not in the contract"),
        ('kind = "bin"\ndevice = "id"\n[values.fill_pct]\npath = "a..["', "no path"),
        ('kind = "bin"\ndevice = "id"\ncolour = 1\n[values.fill_pct]\npath = "a"', "colour"),
        ("kind = ", "TOML"),
    ],
)  # fmt: skip
def test_a_mapping_with_a_fault_is_a_finding(tmp_path, text, word):
    """Before anything starts."""
    path = tmp_path / "m.toml"
    path.write_text(text)
    findings = read_mapping(path)
    assert any(word in str(finding) for finding in findings)


@pytest.mark.parametrize(
    ("filter_", "topic", "is_one"),
    [
        ("v3/+/devices/+/up", "v3/a/devices/b/up", True),
        ("v3/+/devices/+/up", "v3/a/devices/b/join", False),
        ("v3/#", "v3/a/devices/b/up", True),
        ("v3/+", "v3/a/b", False),
        ("v3/a/b", "v3/a", False),
        ("#", "anything/at/all", True),
    ],
)
def test_a_source_is_chosen_by_its_topic_filter(filter_, topic, is_one):
    """As MQTT has it."""
    assert fits(filter_.split("/"), topic) == is_one


def test_numbers_of_doubles_are_read_as_they_are():
    """The wire of protobuf is little endian."""
    metric = b"\x0a\x08fill_pct\x69" + struct.pack("<d", 42.5)
    (read,) = read_payload(b"\x12" + bytes([len(metric)]) + metric).metrics
    assert (read.name, read.value) == ("fill_pct", 42.5)
