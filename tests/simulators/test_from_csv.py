"""A city's CSV becomes a recording; what cannot is told with its row and reason."""

import json
from pathlib import Path

import pytest

from simulators.from_csv import BAD_ROWS_SHOWN_MAX, from_csv
from simulators.mapping import load_mapping
from simulators.recording import read_recording, write_recording
from simulators.wire import parse_rfc3339

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "bins_daily.toml"
HEADER = "Bin ID,Fullness,fullnessThreshold,timestamp,reason\n"

MINIMAL = """
kind = "streetlight"
zone = "{district}"
device = "lc-{id}"
[time]
column = "at"
format = "%Y-%m-%d %H:%M"
zone = "America/Chicago"
[values.active_power_w]
column = "kw"
scale = 1000
"""


def _run(tmp_path: Path, mapping: str, table: str):
    (tmp_path / "m.toml").write_text(mapping)
    (tmp_path / "t.csv").write_text(table)
    return from_csv(tmp_path / "m.toml", tmp_path / "t.csv")


def _bodies(result) -> list[dict]:
    return [json.loads(message.payload) for message in result.messages]


def test_the_shipped_example_reads_a_daily_export(tmp_path):
    """Day-first dates out of order, tenths, exact duplicates kept, a register with thresholds."""
    table = HEADER + (
        "12,8,6,02-01-2020,FULLNESS\n"
        "7,3,8,01-01-2020,NOT_READY\n"
        "7,3,8,01-01-2020,NOT_READY\n"
        "12,0,6,30-12-2019,ALERT\n"
    )
    (tmp_path / "t.csv").write_text(table)
    result = from_csv(EXAMPLE, tmp_path / "t.csv")
    assert (result.ok, result.rows, result.bad_rows, result.findings) == (True, 4, 0, [])
    bodies = _bodies(result)
    assert [body["values"]["fill_pct"] for body in bodies] == [0, 30, 30, 80]
    assert bodies[1]["ts"] == "2020-01-01T01:00:00Z"  # noon in Melbourne's summer
    assert result.messages[1] == result.messages[2]
    assert result.messages[0].topic == "city/v1/wyndham/bin/bin-12/telemetry"
    thresholds = {
        f["properties"]["asset_id"]: f["properties"]["fill_threshold_pct"]
        for f in result.assets["features"]
    }
    assert thresholds == {"bin-12": 60, "bin-7": 80}
    path = tmp_path / "out.jsonl"
    write_recording(path, result.messages)
    assert list(read_recording(path)) == result.messages


def test_bad_rows_are_counted_and_the_others_kept(tmp_path):
    """Row numbers are those of the file; a wrong cell never stops the run."""
    table = (
        "district,id,at,kw\n"
        "north,1,2026-01-01 00:00,0.05\n"
        "north,2,01.01.2026,0.05\n"
        "north,3,2026-01-01 00:00,much\n"
        "north,4 b,2026-01-01 00:00,0.05\n"
        "north,5,2026-01-01 00:00\n"
        "north,6,2026-01-01 00:00,inf\n"
        "no rth,7,2026-01-01 00:00,0.05\n"
        "north,8,2026-01-01 00:00,0.05,surplus\n"
    )
    result = _run(tmp_path, MINIMAL, table)
    assert (result.rows, len(result.messages), result.bad_rows) == (8, 1, 7)
    assert _bodies(result)[0] == {"ts": "2026-01-01T06:00:00Z", "values": {"active_power_w": 50}}
    assert [finding.where for finding in result.findings] == [f"row {n}" for n in range(3, 10)]
    assert "'much' is no number" in str(result.findings[1])
    assert "is no time" in str(result.findings[0])


def test_only_the_first_bad_rows_are_told_all_are_counted(tmp_path):
    """A wrong mapping makes every row bad."""
    table = "district,id,at,kw\n" + "north,1,never,1\n" * 500
    result = _run(tmp_path, MINIMAL, table)
    assert result.bad_rows == 500
    assert len(result.findings) == BAD_ROWS_SHOWN_MAX


def test_everything_a_mapping_can_say(tmp_path):
    """Constants, offsets, blanks, numbers, positions, filters, delimiter, columns as places."""
    mapping = """
        kind = "road"
        zone = "ring"
        device = "{car}"
        delimiter = ";"
        sim = true
        [time]
        column = "t"
        format = "unix_s"
        [values.speed_mps]
        column = "kmh"
        scale = 0.5
        offset = -1
        [values.peak_ms2]
        column = "peak"
        blank = "skip"
        [constants]
        heading_deg = 90
        [seq]
        column = "n"
        boot = 2
        [loc]
        lat = "y"
        lon = "x"
        [[keep]]
        column = "type"
        equals = ["drive", "test"]
        [[skip]]
        column = "type"
        equals = "test"
        [asset]
        id = "a-{car}"
        lat = "y"
        lon = "x"
        [asset.constants]
        owner = "works"
    """
    table = (
        "t;n;car;kmh;peak;y;x;type\n"
        "10.5;1;v1;30;;41.5;-87;drive\n"
        "5;7;v2;30;2.5;41;-87;drive\n"
        "6;8;v2;30;2.5;41;-87;test\n"
        "7;9;v2;30;2.5;41;-87;park\n"
    )
    result = _run(tmp_path, mapping, table)
    assert (result.rows, result.skipped, result.bad_rows) == (4, 2, 0)
    assert _bodies(result) == [
        {"ts": "1970-01-01T00:00:05Z", "boot": 2, "seq": 7, "loc": [41, -87], "sim": True,
         "values": {"heading_deg": 90, "speed_mps": 14, "peak_ms2": 2.5}},
        {"ts": "1970-01-01T00:00:10.500Z", "boot": 2, "seq": 1, "loc": [41.5, -87], "sim": True,
         "values": {"heading_deg": 90, "speed_mps": 14}},
    ]  # fmt: skip
    one = result.assets["features"][0]
    assert one["geometry"]["coordinates"] == [-87, 41.5]
    assert one["properties"] == {
        "asset_id": "a-v1", "kind": "road", "zone": "ring", "devices": ["v1"], "owner": "works",
    }  # fmt: skip


def test_rows_of_one_time_keep_the_order_of_the_file(tmp_path):
    """The sort is stable."""
    table = "district,id,at,kw\n" + "".join(
        f"north,{n},2026-01-01 00:00,{n}\n" for n in (5, 1, 9, 3)
    )
    result = _run(tmp_path, MINIMAL, table)
    assert [message.device for message in result.messages] == ["lc-5", "lc-1", "lc-9", "lc-3"]


@pytest.mark.parametrize(
    ("change", "where", "says"),
    [
        ('kind = "lamp"', "kind", "no kind of device"),
        ("knid = 1", "knid", "did you mean 'kind'?"),
        ('zone = "a/b"', "zone", "cannot be part of a topic"),
        ('delimiter = ";;"', "delimiter", "one character"),
        ('[time]\ncolumn = "at"\nformat = "%d"', "time.zone", "is needed"),
        ('[time]\ncolumn = "at"\nformat = "%d"\nzone = "Mars/Base"', "time.zone", "no time zone"),
        ('[time]\ncolumn = "at"\nformat = "rfc3339"\nat = "6 pm"', "time.at", "no time of day"),
        ("time = 5", "time", "must be a table"),
        (
            '[values.active_power_w]\ncolumn = "kw"\nscale = "ten"',
            "values.active_power_w.scale",
            "must be a number",
        ),
        ("[values.active_power_w]\nscale = 2", "values.active_power_w.column", "is needed"),
        ("values = {}", "values", "nothing is reported"),
        ("[asset]\nid = 'x'\nlon = 1", "asset.lat", "is needed"),
        ("[[skip]]\ncolumn = 'kw'", "skip[1].equals", "text"),
        ('[seq]\ncolumn = "n"\nboot = "one"', "seq.boot", "whole number"),
        ("kind =", "TOML", ""),
    ],
)  # fmt: skip
def test_a_faulty_mapping_is_told_by_its_key(change, where, says):
    """Before any row is read."""
    key = change.split("\n")[0].split("=")[0].strip(" []").split(".")[0]
    blocks = MINIMAL.replace("\n[", "\n\x00[").split("\x00")
    head = "\n".join(x for x in blocks[0].splitlines() if not x.startswith(key + " "))
    rest = [block for block in blocks[1:] if not block.startswith(f"[{key}")]
    text = "\n".join([head, *rest, change] if change.startswith("[") else [head, change, *rest])
    mapping, findings = load_mapping("m.toml", text)
    assert mapping is None
    assert any(finding.where == where and says in str(finding) for finding in findings), findings


def test_a_column_that_the_table_lacks_is_told_with_those_it_has(tmp_path):
    """The usual mistake."""
    result = _run(tmp_path, MINIMAL, "district,id,when,kw\nnorth,1,x,1\n")
    assert not result.ok
    assert "no column 'at'" in str(result.findings[0])
    assert "when" in result.findings[0].hint


def test_times_around_the_change_of_clocks_are_the_zones_own():
    """A local time is turned by the zone's rules of that day."""
    assert parse_rfc3339("2026-03-08T01:59:00-06:00") + 60_000 == parse_rfc3339(
        "2026-03-08T03:00:00-05:00"
    )
