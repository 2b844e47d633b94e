"""Recordings and labels: what is written reads back, and bad files say where they are bad."""

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.city import City
from simulators.plan import messages, plan_of
from simulators.recording import RecordingError, read_recording, write_recording
from simulators.register import write_assets
from simulators.truth import Label, LabelsError, read_labels, write_labels
from simulators.wire import Message

pytestmark = pytest.mark.slow

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)  # fmt: skip
COMPACT = JSON.map(lambda value: json.dumps(value, separators=(",", ":")).encode())
PAYLOADS = COMPACT | st.binary(max_size=60)
ROWS = st.tuples(st.integers(0, 4 * 10**12), PAYLOADS, st.sampled_from([0, 1]), st.booleans())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(rows=st.lists(ROWS))
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_any_message_reads_back(tmp_path, name, rows):
    """Time, topic, flags; the payload byte for byte, or the same JSON."""
    sent = [Message(t, "a/b", payload, qos, retain) for t, payload, qos, retain in sorted(rows)]
    path = tmp_path / name
    assert write_recording(path, sent) == len(sent)
    back = list(read_recording(path))
    assert [m._replace(payload=b"") for m in back] == [m._replace(payload=b"") for m in sent]
    for one, two in zip(sent, back, strict=True):
        assert one.payload == two.payload or json.loads(one.payload) == json.loads(two.payload)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b'{"a":NaN}', b'{"a":1,"a":2}', b"1e999", b"{", b"\xef\xbb\xbf1"],
    ids=["empty", "bytes", "nan", "duplicate-key", "infinity", "cut", "bom"],
)
def test_what_json_cannot_carry_is_kept_as_bytes(tmp_path, payload):
    """A spoilt payload is what a recording is often made for."""
    path = tmp_path / "a.jsonl"
    write_recording(path, [Message(0, "t", payload)])
    assert base64.b64decode(json.loads(path.read_text())["payload_b64"]) == payload
    assert next(read_recording(path)).payload == payload


def test_a_city_survives_recording_with_every_byte(tmp_path):
    """Replaying a recorded city is the same as running it."""
    sent = list(messages(plan_of(City.sized(9, lamps=30, bins=10, road=6, duration="5h"))))
    path = tmp_path / "day.jsonl.gz"
    write_recording(path, sent)
    assert list(read_recording(path)) == [m._replace(concentrator="", speaker="") for m in sent]
    again = tmp_path / "other name.jsonl.gz"
    write_recording(again, sent)
    assert path.read_bytes() == again.read_bytes()


GOOD = '{"t": "2026-01-01T00:00:00Z", "topic": "a", "payload": 1}\n'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "2:"),
        ('{"topic": "a", "payload": 1}', "'t'"),
        ('{"t": "2026-01-01T00:00:00", "topic": "a", "payload": 1}', "zone"),
        ('{"t": "2025-01-01T00:00:00Z", "topic": "a", "payload": 1}', "earlier"),
        ('{"t": "2026-01-01T00:00:00Z", "topic": 4, "payload": 1}', "topic must be text"),
        ('{"t": "2026-01-01T00:00:00Z", "topic": "a", "qos": 3, "payload": 1}', "qos"),
        ('{"t": "2026-01-01T00:00:00Z", "topic": "a", "payload_b64": "*"}', "2:"),
        ("[]", "2:"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path, line, says):
    """The lines before it were good and have been given."""
    path = tmp_path / "bad.jsonl"
    path.write_text(GOOD + line + "\n")
    reading = read_recording(path)
    assert next(reading).payload == b"1"
    with pytest.raises(RecordingError, match=r"bad\.jsonl:2:") as refused:
        next(reading)
    assert says in str(refused.value)


def test_a_cut_gzip_is_refused(tmp_path):
    """Half a file is not a shorter recording."""
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD.encode() * 1000)[:-20])
    with pytest.raises(RecordingError):
        list(read_recording(path))


def test_labels_read_back(tmp_path):
    """In order of start, to the second, open ends and places included."""
    labels = [
        Label(2_000_000, None, "pothole", "", 41.5, -87.25),
        Label(1_000_000, 3_000_000, "lamp_out", "lamp-1", 41.0, -87.0, must_file=False),
    ]
    path = tmp_path / "labels.csv"
    write_labels(path, labels)
    assert path.read_text().splitlines()[0] == "start,end,rule,asset_id,lat,long,must_file"
    assert read_labels(path) == sorted(labels, key=lambda label: label.start_ms)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("start,end\n", ":1: no column 'rule'"),
        ("start,end,rule,asset_id,lat,long,must_file\nnoon,,r,a,,,true\n", ":2:"),
        ("start,end,rule,asset_id,lat,long,must_file\n2026-01-01T00:00Z,,r,a,,,maybe\n", ":2:"),
        ("start,end,rule,asset_id,lat,long,must_file\n2026-01-01T00:00Z,,r\n", ":2:"),
    ],
)
def test_bad_labels_are_refused_with_their_line(tmp_path: Path, text, says):
    """A score against misread labels would be worth nothing."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(LabelsError) as refused:
        read_labels(path)
    assert says in str(refused.value)


def test_assets_are_written_as_one_json_document(tmp_path):
    """One feature a line, so that a difference is readable."""
    collection = plan_of(City.sized(1, lamps=20, bins=3, road=3)).assets()
    path = tmp_path / "assets.geojson"
    write_assets(path, collection)
    assert json.loads(path.read_text()) == collection
    assert len(path.read_text().splitlines()) == len(collection["features"]) + 2
