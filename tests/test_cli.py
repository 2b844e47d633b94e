"""The command line: help is quick, answers are one JSON object, exit codes say what happened."""

import json
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import CANARY_KEY, SENSE311, a_bin, a_free_port, wait_until, write_city
from typer.testing import CliRunner

from gateway.books.store import Store
from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import Claimed, Policy, Refused, Row, ServiceRequest
from gateway.cityhall.outbox import advance, reference_for
from gateway.cli import app
from gateway.effects import Effects

T0 = 1_768_453_200_000
HEAVY = ("httpx", "influxdb_client", "lark", "msgspec", "numpy", "paho", "pydantic", "starlette")
REFERENCE = reference_for("k")
MESSAGE = b'{"ts": "2026-01-15T05:00:00Z", "values": {"fill_pct": 20}}'
BIN = "city/v1/z/bin/bin-1/telemetry"


def commands():
    """Every command there is, as its words."""

    def walk(command, words):
        children = getattr(command, "commands", {})
        if not children:
            yield words
        for name, child in children.items():
            yield from walk(child, [*words, name])

    from typer.main import get_command

    return list(walk(get_command(app), []))


@pytest.fixture
def config(tmp_path):
    """A checked configuration, whose data folder holds one open incident with a refused request."""
    write_city(tmp_path / "assets.geojson", [a_bin(1)])
    path = tmp_path / "sense311.toml"
    path.write_text(
        f'[broker]\nurl = "mqtt://127.0.0.1:{a_free_port()}"\n'
        f'[city]\nendpoint = "http://127.0.0.1:9/v2"\n[assets]\nfiles = ["assets.geojson"]\n'
        '[store]\nfolder = "data"\n'
    )
    request = ServiceRequest(41.9, -87.6, "full", T0, "bin_full", asset_id="B-1")
    row = Row(REFERENCE, 1, "BIN_FULL", request, T0)
    incident = Incident(1, "bin_full", "B-1", 1, State.QUEUED, T0, T0, T0, {"fill_pct": 92})
    with closing(Store(tmp_path / "data")) as books:
        books.commit(Effects(incidents={1: incident}, outbox=[row]))
        claimed = advance(row, Claimed(), T0, Policy())
        books.outbox_save(row, claimed, "claimed", T0)
        refused = advance(claimed, Refused("no such bin"), T0, Policy())
        books.outbox_save(claimed, refused, "refused", T0)
    return path


def sense311(*words, stdin=None):
    """(exit code, the one JSON object on standard output)."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"], input=stdin)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, json.loads(lines[0])


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_and_takes_json(words):
    """What it is for stands in one line at least."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    assert "--json" in done.stdout
    assert "Usage" in done.stdout


@pytest.mark.slow
def test_help_imports_nothing_heavy():
    """So that it is there at once."""
    program = (
        "import sys, json\nfrom gateway.cli import main\nsys.argv = ['sense311', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"sys.stderr.write(json.dumps([code, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stderr) == [0, []]
    assert b"sense311" in done.stdout


def test_check_says_good(config):
    """Exit 0 and no findings."""
    assert sense311("check", "-c", config) == (0, {"ok": True, "findings": []})


@pytest.mark.parametrize(
    "words",
    ["check", "run", "status", "incidents ls", "requests ls", "requests show x"],
)
def test_a_wrong_configuration_is_exit_2_everywhere(config, words):
    """With the finding in the answer."""
    config.write_text("[brokr]\n" + config.read_text())
    first, *rest = words.split()
    code, said = sense311(first, *rest, "-c", config)
    assert code == 2
    assert [f["code"] for f in said["findings"]] == ["E402"]
    assert said["findings"][0]["help"] == "did you mean broker?"


@pytest.mark.parametrize("words", ["check", "incidents", "requests show", "decode --no-such"])
def test_wrong_usage_is_exit_2(words):
    """Typer's own word on what is missing."""
    assert CliRunner().invoke(app, words.split()).exit_code == 2


def test_incidents_are_listed_and_shown(config):
    """From the books of a gateway that need not run."""
    code, said = sense311("incidents", "ls", "-c", config)
    assert code == 0
    assert [(i["id"], i["rule"], i["subject"]) for i in said["incidents"]] == [
        (1, "bin_full", "B-1")
    ]
    code, said = sense311("incidents", "show", "-c", config, 1)
    assert (code, said["request"]["state"]) == (0, "refused")
    code, said = sense311("incidents", "show", "-c", config, 7)
    assert (code, said["ok"]) == (1, False)


def test_requests_are_listed_shown_and_retried(config):
    """A retry moves it; a second one has nothing to move."""
    code, said = sense311("requests", "ls", "-c", config)
    assert (code, [r["state"] for r in said["requests"]]) == (0, ["refused"])
    code, said = sense311("requests", "show", "-c", config, REFERENCE)
    assert (code, said["reason"]) == (0, "no such bin")
    assert sense311("requests", "retry", "-c", config, REFERENCE) == (
        0,
        {"reference": REFERENCE, "state": "ready"},
    )
    assert sense311("requests", "retry", "-c", config, REFERENCE)[0] == 1
    assert sense311("requests", "show", "-c", config, "SCG-none")[0] == 1


def test_people_get_tables(config):
    """Without --json."""
    done = CliRunner().invoke(app, ["requests", "ls", "-c", str(config)])
    assert done.exit_code == 0
    assert REFERENCE in done.stdout
    assert "refused" in done.stdout


def test_books_that_are_not_there_are_exit_3(config):
    """The gateway has not run: no file is made."""
    config.write_text(config.read_text().replace('"data"', '"elsewhere"'))
    code, said = sense311("requests", "ls", "-c", config)
    assert (code, said["ok"]) == (3, False)
    assert "has the gateway run" in said["error"]
    assert sense311("status", "-c", config)[0] == 3
    assert not (config.parent / "elsewhere").exists()


@pytest.mark.parametrize(
    ("said", "code", "state"),
    [
        ({"state": "green", "problem": "", "at_ms": 1 << 50}, 0, "green"),
        ({"state": "red", "problem": "disk full", "at_ms": 1 << 50}, 1, "red"),
        ({"state": "green", "problem": "", "at_ms": 0}, 1, "red"),
    ],
    ids=["green", "red", "old"],
)
def test_status_is_what_was_said_unless_that_is_old(config, said, code, state):
    """A gateway that is gone is not green."""
    (config.parent / "data/status.json").write_text(json.dumps(said))
    found, answer = sense311("status", "-c", config)
    assert (found, answer["state"]) == (code, state)


def test_decode_takes_the_bytes_of_an_envelope_in_hexadecimal():
    """Where the format, or the topic, says that they are one; else they are those of a frame."""
    node = "spBv1.0/city/NDATA/mast"
    for words in (("--format", "sparkplug"), ()):
        code, told = sense311("decode", "--hex", "1805", "--topic", node, *words)
        assert (code, told["refusals"][0]["reason"]) == (1, "not_born")
    code, told = sense311("decode", "--hex", "036701010482 4408", "--format", "em400-mud")
    assert (code, told["readings"][0]["values"]["distance_mm"]) == (0, 2116)
    assert sense311("decode", "--hex", "1805")[0] == 2


def test_decode_of_json_lines_takes_each_for_a_message(tmp_path):
    """Uplinks one a line, without topics; one of them laid out over several lines is one."""
    uplink = {"end_device_ids": {"device_id": "b"}, "uplink_message": {"decoded_payload": {}}}
    lines = []
    for fill in (10, 20):
        uplink["uplink_message"]["decoded_payload"] = {"fillLevel": fill}
        lines.append(json.dumps(uplink))
    code, told = sense311("decode", stdin="\n".join(lines).encode())
    assert code == 0
    assert [reading["values"]["fill_pct"] for reading in told["readings"]] == [10, 20]
    code, told = sense311("decode", stdin=json.dumps(uplink, indent=1).encode())
    assert (code, len(told["readings"])) == (0, 1)


def test_decode_of_a_recording_passes_over_no_line(tmp_path):
    """A line that is none and a key written twice are refusals; what follows is decoded."""
    lines = [
        '{"topic": "city/v1/z/bin/b/telemetry", "payload": {"ts": null, "values": {}}}',
        "{broken",
        '{"topic": "city/v1/z/bin/b/telemetry", "payload": {"ts": null, "ts": 1, "values": {}}}',
        '{"topic": "city/v1/z/bin/b/telemetry", "payload_b64": "?"}',
        '{"topic": "city/v1/z/bin/c/telemetry", "payload": {"ts": null, "values": {}}}',
    ]
    path = tmp_path / "recording.jsonl"
    path.write_text("\n".join(lines))
    code, told = sense311("decode", path)
    assert code == 1
    assert [reading["device"] for reading in told["readings"]] == ["b", "c"]
    reasons = [refusal["reason"] for refusal in told["refusals"]]
    assert reasons == ["not_json", "duplicate_key", "wrong_type"]
    assert told["refusals"][0]["path"] == "line 2"


def test_decode_tells_readings_and_refusals():
    """With the decoder of the gateway: exit 0, or 1 with reason, path and hint."""
    code, said = sense311("decode", "--topic", BIN, stdin=MESSAGE)
    assert (code, said["refusals"]) == (0, [])
    assert said["readings"][0]["values"] == {"fill_pct": 20}
    code, said = sense311("decode", "--topic", BIN, stdin=MESSAGE.replace(b"fill", b"fil"))
    assert (code, said["readings"]) == (1, [])
    assert said["refusals"][0]["path"] == "values.fil_pct"
    assert "fill_pct" in said["refusals"][0]["hint"]
    assert sense311("decode", "--topic", BIN, "no-such-file")[0] == 2


@pytest.mark.slow
def test_run_ends_with_0_on_sigterm_and_answers_once(mosquitto, a_gateway):
    """With --json its last status is the one object on standard output."""
    gateway = a_gateway(mosquitto).start()
    gateway.stop()
    with subprocess.Popen(
        [*SENSE311, "run", "-c", gateway.config, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        gateway.process = child
        (gateway.data / "status.json").unlink()
        wait_until(lambda: gateway.status().get("state") == "green", "it is green")
        child.terminate()
        out, _ = child.communicate(timeout=20)
        gateway.process = None
    assert child.returncode == 0
    assert json.loads(out)["problem"] == "stopped"
    assert CANARY_KEY.encode() not in out
