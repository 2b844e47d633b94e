"""`sense311 sim` and `sense311 replay`, as a person or a script uses them."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import SENSE311, BundledBroker, Publisher, running, wait_until
from typer.testing import CliRunner

from gateway.cli import app
from simulators.faults import Kind
from simulators.recording import read_recording
from simulators.truth import Label, read_labels, write_labels

SMALL = ["--seed=3", "--lamps=30", "--bins=6", "--road=6", "--hours=3"]
START_MS = 1_789_491_600_000


def sense311(*words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the object on standard output, the words on standard error."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    body = json.loads(done.stdout) if done.stdout else {}
    return done.exit_code, body, done.stderr


# -- run ------------------------------------------------------------------------------------------


def test_a_city_in_virtual_time_is_four_files(tmp_path: Path) -> None:
    """Recording, register, truth, and which device speaks through what."""
    code, told, _ = sense311("sim", "run", "city", *SMALL, "--out", tmp_path)

    messages = list(read_recording(tmp_path / "recording.jsonl.gz"))
    devices = json.loads((tmp_path / "devices.json").read_text())
    register = json.loads((tmp_path / "assets.geojson").read_text())["features"]
    assert (code, told["messages"]) == (0, len(messages))
    assert told["labels"] == len(read_labels(tmp_path / "labels.csv"))
    known = {device for ids in devices.values() for device in ids}
    assert {message.device for message in messages} <= known
    assert {d for feature in register for d in feature["properties"]["devices"]} <= known


def test_the_same_seed_is_the_same_city_and_another_is_not(tmp_path: Path) -> None:
    """Byte by byte."""
    for folder, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        sense311("sim", "run", *SMALL, "--seed", seed, "--out", tmp_path / folder)

    a, b, c = ((tmp_path / x / "recording.jsonl.gz").read_bytes() for x in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sim", "run", "moon", "--out", "x"], "city"),
        (["sim", "run", "city"], "--live"),
        (["sim", "run", "--live", "http://127.0.0.1:1"], "mqtt://"),
        (["sim", "run", "--live", "mqtt://127.0.0.1:1", "--speed", "fast"], "max"),
        (["sim", "run", "--live", "mqtt://127.0.0.1:1", "--credentials", "/nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_ends_with_a_hint(words: list[str], hint: str) -> None:
    """No traceback: a message that says how it is meant."""
    done = CliRunner().invoke(app, words)

    assert done.exit_code in (2, 3)
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_what_can_be_simulated_is_listed() -> None:
    """By name, with a file and a line each."""
    code, told, _ = sense311("sim", "list")

    names = [one["name"] for one in told["scenarios"]]
    assert code == 0
    assert {"city", "quiet-night", "tutorial"} < set(names)
    assert all(Path(one["path"]).is_file() and one["description"] for one in told["scenarios"])


def test_a_scenario_runs_with_some_of_its_values_changed(tmp_path: Path) -> None:
    """By name or by file; what is not said stays as it is."""
    code, told, _ = sense311("sim", "run", "tutorial", "--hours", 9, "--out", tmp_path / "a")
    sense311("sim", "new", "mine", "-o", tmp_path / "mine.yaml")
    sense311("sim", "run", tmp_path / "mine.yaml", "--hours", 9, "--out", tmp_path / "b")

    one, two = (read_labels(tmp_path / x / "labels.csv") for x in "ab")
    assert (code, told["scenario"], told["seed"]) == (0, "tutorial", 7)
    assert one == two != []


# -- scenario files -------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["tutorial", "lamp-ageing", "city"])
def test_a_new_scenario_is_one_that_checks(tmp_path: Path, source: str) -> None:
    """With the rule files that it names, and under its own name."""
    path = tmp_path / "folder/mine.yaml"
    code, told, words = sense311("sim", "new", "mine", "--from", source, "-o", path)

    assert (code, told["file"], "sim run" in words) == (0, str(path), True)
    assert sense311("sim", "check", path)[:2] == (0, {"ok": True, "findings": []})
    assert "name: mine\n" in path.read_text()
    assert all((path.parent / name).is_file() for name in told["also"])
    assert bool(told["also"]) == (source == "lamp-ageing")
    assert sense311("sim", "new", "mine", "-o", path)[0] == 2  # nothing is overwritten


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sim", "new", "Mine"], "lower case"),
        (["sim", "new", "mine", "--from", "tutorail"], "tutorial"),
        (["sim", "check", "quiet-nite"], "quiet-night"),
        (["sim", "run", "nowhere.yaml", "--out", "x"], "nowhere.yaml"),
        (["sim", "run", "tutorial", "--hours", "2", "--out", "x"], "tutorial.yaml:20:"),
        (["demo", "lamp-ageing"], "sim score"),
    ],
)
def test_a_scenario_that_cannot_be_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], hint: str
) -> None:
    """In one line with a hint, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)

    assert done.exit_code in (1, 2)
    assert hint in done.output
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_findings_of_a_scenario_are_objects(tmp_path: Path) -> None:
    """With file, line, column, message and hint."""
    path = tmp_path / "bad.yaml"
    path.write_text("scenario: 1\nname: bad\ndescription: d\nfaults:\n  - {kind: lamp_uot}\n")
    code, told, _ = sense311("sim", "check", path, "city")

    assert (code, told["ok"]) == (1, False)
    (found,) = told["findings"]
    assert (found["file"], found["line"], found["column"]) == (str(path), 5, 12)
    assert "lamp_uot" in found["message"]
    assert "lamp_out" in found["hint"]


def test_every_kind_of_fault_is_told() -> None:
    """And the schema knows the same."""
    _, told, _ = sense311("sim", "faults")
    _, schema, _ = sense311("sim", "schema")

    kinds = [one["kind"] for one in told["faults"]]
    assert kinds == schema["$defs"]["Kind"]["enum"] == [kind.value for kind in Kind]


# -- score ----------------------------------------------------------------------------------------


def a_request(number: int, asset: str, minute: int) -> dict[str, Any]:
    at = f"2026-09-15T17:{minute:02d}:00Z"
    return {
        "service_request_id": str(number), "service_code": "SL-OUT", "lat": 41.88, "long": -87.63,
        "attributes": {"asset_id": asset, "observed_at": at},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("requests", "code", "counts"),
    [
        ([a_request(1, "lamp-1", 5)], 0, (0, 0, 0)),
        ([], 1, (1, 0, 0)),
        ([a_request(1, "lamp-1", 5), a_request(2, "lamp-2", 6)], 1, (0, 1, 0)),
        ([a_request(1, "lamp-1", 5), a_request(2, "lamp-1", 9)], 1, (0, 0, 1)),
    ],
    ids=["perfect", "missed", "false", "twice"],
)
def test_only_a_perfect_score_exits_with_0(
    tmp_path: Path, requests: list[Any], code: int, counts: tuple[int, ...]
) -> None:
    """One lamp was dark: exactly one request is right, and what is wrong is named."""
    write_labels(tmp_path / "labels.csv", [Label(START_MS, None, "lamp_out", "lamp-1")])
    (tmp_path / "requests.json").write_text(json.dumps(requests))

    given = ("--labels", tmp_path / "labels.csv", "--requests", tmp_path / "requests.json")
    found, told, _ = sense311("sim", "score", *given)

    assert (found, (told["missed"], told["false"], told["duplicates"])) == (code, counts)
    named = ("missed_labels", "false_requests", "duplicate_requests")
    assert tuple(len(told[name]) for name in named) == counts


@pytest.mark.parametrize("text", ["{}", "[1]", "nonsense"])
def test_what_is_no_list_of_requests_is_refused(tmp_path: Path, text: str) -> None:
    """Exit 2."""
    write_labels(tmp_path / "labels.csv", [])
    (tmp_path / "requests.json").write_text(text)

    given = ("--labels", tmp_path / "labels.csv", "--requests", tmp_path / "requests.json")
    assert sense311("sim", "score", *given)[0] == 2


# -- from-csv -------------------------------------------------------------------------------------

MAPPING = """\
kind = "bin"
zone = "north"
device = "bin-{id}"
[time]
column = "when"
format = "rfc3339"
[values.fill_pct]
column = "full"
scale = 10
[asset]
id = "bin-{id}"
lat = 41.88
lon = -87.63
"""
TABLE = "id,when,full\n7,2026-01-15T06:00:00Z,8\n8,2026-01-15T05:00:00Z,2\n"


def from_csv(folder: Path, mapping: str, table: str) -> tuple[int, dict[str, Any], str]:
    (folder / "mapping.toml").write_text(mapping)
    (folder / "table.csv").write_text(table)
    files = (folder / "mapping.toml", folder / "table.csv")
    outs = ("--out", folder / "out.jsonl.gz", "--assets", folder / "assets.geojson")
    return sense311("sim", "from-csv", *files, *outs)


def test_a_table_becomes_a_recording_and_a_register(tmp_path: Path) -> None:
    """In order of time, with the values scaled."""
    code, told, _ = from_csv(tmp_path, MAPPING, TABLE)

    messages = list(read_recording(tmp_path / "out.jsonl.gz"))
    assert (code, told["rows"], told["messages"], told["bad_rows"]) == (0, 2, 2, 0)
    assert [json.loads(m.payload)["values"]["fill_pct"] for m in messages] == [20, 80]
    assert len(json.loads((tmp_path / "assets.geojson").read_text())["features"]) == 2


def test_a_bad_row_is_told_and_the_others_are_kept(tmp_path: Path) -> None:
    """Exit 1: there were findings."""
    code, told, _ = from_csv(tmp_path, MAPPING, TABLE + "9,yesterday,3\n")

    assert (code, told["messages"], told["bad_rows"]) == (1, 2, 1)
    assert told["findings"][0]["where"] == "row 4"


def test_a_wrong_mapping_writes_nothing(tmp_path: Path) -> None:
    """Exit 2, with what is wrong."""
    code, told, _ = from_csv(tmp_path, MAPPING.replace('"bin"', '"tree"'), TABLE)

    assert (code, told["ok"]) == (2, False)
    assert told["findings"]
    assert not (tmp_path / "out.jsonl.gz").exists()


# -- live and replay ------------------------------------------------------------------------------


@pytest.fixture
def ear(bundled_broker: BundledBroker) -> Any:
    """The gateway's ear on the bundled broker."""
    password = json.loads(bundled_broker.credentials.read_text())["gateway"]["password"]
    listener = Publisher(bundled_broker.port, "gateway", password)
    listener.listen("city/v1/+/+/+/telemetry")
    yield listener
    listener.close()


def a_config(folder: Path, credentials: Path) -> Path:
    config = folder / "sense311.toml"
    config.write_text(
        f'[broker]\ncredentials = "{credentials}"\n[city]\nendpoint = "http://127.0.0.1:1/v2"\n'
        '[assets]\nfiles = ["assets.geojson"]\n'
    )
    return config


@pytest.mark.slow
def test_a_recording_is_replayed_into_the_broker_of_a_configuration(
    tmp_path: Path, bundled_broker: BundledBroker, ear: Publisher
) -> None:
    """Every message, at the time asked for, by a user that may speak for every device."""
    from_csv(tmp_path, MAPPING, TABLE)
    config = a_config(tmp_path, bundled_broker.credentials)

    given = (tmp_path / "out.jsonl.gz", "-c", config, "--shift-to", "2027-02-01T00:00:00Z")
    code, told, _ = sense311("replay", *given)

    assert (code, told["messages"]) == (0, 2)
    wait_until(lambda: len(ear.received) == 2, "both messages arrive")
    times = [json.loads(payload)["ts"] for _, payload in ear.received]
    assert times == ["2027-02-01T00:00:00Z", "2027-02-01T01:00:00Z"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--user", "nobody"], "nobody"),
        (["--shift-to", "tomorrow"], "--shift-to"),
        (["--password-file", "x"], "--user"),
    ],
)
def test_a_replay_that_cannot_be_says_why(
    tmp_path: Path, bundled_broker: BundledBroker, more: list[str], words: str
) -> None:
    """Exit 2, before anything is published."""
    from_csv(tmp_path, MAPPING, TABLE)
    config = a_config(tmp_path, bundled_broker.credentials)

    code, _, told = sense311("replay", tmp_path / "out.jsonl.gz", "-c", config, *more)

    assert (code, words in told) == (2, True)


@pytest.mark.slow
def test_without_a_user_for_every_device_it_tells_how_to_make_one(
    tmp_path: Path, bundled_broker: BundledBroker
) -> None:
    """A broker for devices only."""
    from_csv(tmp_path, MAPPING, TABLE)
    body = json.loads(bundled_broker.credentials.read_text())
    del body["devices"]["fleet"]
    only = tmp_path / "only.json"
    only.write_text(json.dumps(body))
    only.chmod(0o600)

    code, _, told = sense311("replay", tmp_path / "out.jsonl.gz", "-c", a_config(tmp_path, only))

    assert (code, "sense311 broker --devices" in told) == (2, True)


@pytest.mark.slow
def test_a_live_city_publishes_what_the_recording_holds(tmp_path: Path) -> None:
    """Through one login for each concentrator."""
    (tmp_path / "city").mkdir()
    sense311("sim", "run", *SMALL, "--out", tmp_path / "city")
    broker = ["broker", "--json", "--dir", str(tmp_path / "live"),
              "--devices", str(tmp_path / "city/devices.json")]  # fmt: skip
    credentials = tmp_path / "live/credentials.json"

    with running([*SENSE311, *broker], tmp_path / "log", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        given = ("--live", url, "--credentials", credentials, "--speed", "max")
        code, told, _ = sense311("sim", "run", *SMALL, *given)
        process.send_signal(signal.SIGTERM)

    recorded = list(read_recording(tmp_path / "city/recording.jsonl.gz"))
    assert (code, told["messages"]) == (0, len(recorded))
    readings = {(m.topic, m.payload) for m in recorded if m.leaf == "telemetry"}
    assert told["distinct"] == len(readings)
