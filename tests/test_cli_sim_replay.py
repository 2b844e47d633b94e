"""`sense311 sim record` and `sim replay`, as a person or a script uses them."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import SENSE311, BundledBroker, Mosquitto, end, running, wait_until
from typer.testing import CliRunner

from gateway.cli import app
from simulators.recording import read_recording
from simulators.truth import read_labels
from simulators.wire import Message, parse_rfc3339

SMALL = ("--seed=3", "--lamps=30", "--bins=6", "--road=6", "--hours=3")


def sim(*words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the object on standard output, the words on standard error."""
    done = CliRunner().invoke(app, ["sim", *map(str, words), "--json"])
    body = json.loads(done.stdout) if done.stdout else {}
    return done.exit_code, body, done.stderr


@pytest.fixture
def city(tmp_path: Path) -> Path:
    assert sim("run", "city", *SMALL, "--out", tmp_path / "city")[0] == 0
    return tmp_path / "city"


def recording(folder: Path) -> Path:
    return folder / "recording.jsonl.gz"


def messages(path: Path) -> list[Message]:
    return list(read_recording(path))


# -- into a file ----------------------------------------------------------------------------------


def test_a_part_of_a_recording_becomes_a_recording(city: Path, tmp_path: Path) -> None:
    """Chosen by topic and time, without a broker."""
    given = ("--topic", "city/v1/+/bin/#", "--exclude", "+/+/+/+/+/status",
             "--from", "2026-09-15T18:00:00Z")  # fmt: skip
    code, told, _ = sim("replay", recording(city), tmp_path / "part.jsonl", *given)

    found = messages(tmp_path / "part.jsonl")
    since_ms = parse_rfc3339("2026-09-15T18:00:00Z")
    bins = [m for m in messages(recording(city)) if "/bin/" in m.topic and m.leaf != "status"]
    wanted = [m for m in bins if m.t_ms >= since_ms]
    assert (code, told["messages"]) == (0, len(wanted))
    assert found == wanted


def test_rounds_begin_when_they_are_asked_to(city: Path, tmp_path: Path) -> None:
    """Three times three hours, from the moment given."""
    given = ("--loop", "3", "--shift-to", "2027-02-01T00:00:00Z")
    code, told, _ = sim("replay", recording(city), tmp_path / "long.jsonl.gz", *given)

    found = messages(tmp_path / "long.jsonl.gz")
    assert (code, told["messages"]) == (0, 3 * len(messages(recording(city))))
    assert found[0].t_ms == parse_rfc3339("2027-02-01T00:00:00Z")
    assert found[-1].t_ms > found[0].t_ms + 8 * 3_600_000


def test_an_anonymous_recording_fits_its_register_and_its_labels(
    city: Path, tmp_path: Path
) -> None:
    """The key is told, and gives the same names again."""
    given = ("--anonymise", "--assets", city / "assets.geojson", tmp_path / "a.geojson",
             "--labels", city / "labels.csv", tmp_path / "l.csv")  # fmt: skip
    code, told, _ = sim("replay", recording(city), tmp_path / "one.jsonl", *given)
    again = sim("replay", recording(city), tmp_path / "two.jsonl", "--anonymise",
                "--key", told["key"])  # fmt: skip

    register = json.loads((tmp_path / "a.geojson").read_text())["features"]
    devices = {device for feature in register for device in feature["properties"]["devices"]}
    assets = {feature["properties"]["asset_id"] for feature in register}
    text = (tmp_path / "one.jsonl").read_text()
    assert (code, again[0]) == (0, 0)
    assert text == (tmp_path / "two.jsonl").read_text()
    assert devices & {m.device for m in messages(tmp_path / "one.jsonl")}
    assert {label.asset_id for label in read_labels(tmp_path / "l.csv")} - {""} <= assets
    assert "lamp" not in text
    assert "north" not in text


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--topic", "a/#/b"], "topic filter"),
        (["--from", "yesterday"], "--from"),
        (["--shift-to", "soon"], "--shift-to"),
        (["--assets", "a", "b"], "--anonymise"),
        (["--key", "k"], "--anonymise"),
        (["--anonymise", "--assets", "nowhere", "b"], "nowhere"),
    ],
)
def test_wrong_usage_ends_with_a_hint(
    city: Path, tmp_path: Path, words: list[str], hint: str
) -> None:
    """Exit 2 and nothing written."""
    code, _, told = sim("replay", recording(city), tmp_path / "out.jsonl", *words)

    assert (code, hint in told, "Traceback" in told) == (2, True, False)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_that_is_there_is_never_written_over(city: Path) -> None:
    """Neither by a replay nor by a recording."""
    before = recording(city).read_bytes()

    assert sim("replay", recording(city), recording(city))[0] == 2
    assert sim("record", "mqtt://127.0.0.1:1", "--out", recording(city))[0] == 2
    assert recording(city).read_bytes() == before


def test_what_cannot_be_recorded_leaves_no_file(tmp_path: Path) -> None:
    """No broker: exit 3; a wrong duration or address: exit 2."""
    out = ("--out", tmp_path / "a.jsonl")

    assert sim("record", "mqtt://127.0.0.1:1", *out)[0] == 3
    assert sim("record", "mqtt://127.0.0.1:1", *out, "--for", "ten")[0] == 2
    assert sim("record", "http://127.0.0.1:1", *out)[0] == 2
    assert not (tmp_path / "a.jsonl").exists()


# -- through a broker -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_broker_is_recorded_while_a_recording_is_replayed_into_it(
    city: Path, tmp_path: Path, bundled_broker: BundledBroker
) -> None:
    """Each with its own user; Ctrl-C ends a recording well."""
    url = f"mqtt://127.0.0.1:{bundled_broker.port}"
    out, answer = tmp_path / "heard.jsonl.gz", tmp_path / "answer"
    given = ("--credentials", bundled_broker.credentials)
    command = [*SENSE311, "sim", "record", url, "--out", out, *given, "--json"]
    part = ("--topic", "city/v1/+/bin/#", "--speed", "max")
    with answer.open("wb") as file, running(command, tmp_path / "log", stdout=file) as process:
        wait_until(out.exists, "it begins")
        bundled_broker.login().say("city/v1/n/bin/first/status", {"online": True}, retain=True)
        wait_until(lambda: out.stat().st_size, "it hears")
        code, told, _ = sim("replay", recording(city), url, *part, *given)
        sent = [m for m in messages(recording(city)) if "/bin/" in m.topic]
        wait_until(lambda: len(messages(out)) == len(sent) + 1, "all is heard")
        assert end(process, signal.SIGINT) == 0

    assert (code, told["messages"]) == (0, len(sent))
    assert json.loads(answer.read_text())["messages"] == len(sent) + 1
    heard = {(m.topic, m.payload, m.qos) for m in messages(out)[1:]}
    assert heard == {(m.topic, m.payload, m.qos) for m in sent}


@pytest.mark.slow
def test_a_recording_for_a_while_with_a_gap_says_so(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """On standard error at once, in the summary, and by exit code 1."""
    url, out = f"mqtt://127.0.0.1:{mosquitto.port}", tmp_path / "a.jsonl"
    command = [*SENSE311, "sim", "record", url, "--out", str(out), "--for", "6s", "--json"]
    mosquitto.login().say("city/v1/n/bin/b/status", {"online": True}, retain=True)
    log = tmp_path / "log"
    with running(command, log, stdout=subprocess.PIPE) as process:
        wait_until(lambda: out.exists() and out.stat().st_size, "it hears")
        mosquitto.stop()
        wait_until(lambda: "the broker is gone" in log.read_text(), "the gap is told")
        mosquitto.start()
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        assert process.wait(20) == 1

    assert (told["messages"], told["repeated"], len(told["gaps"])) == (1, 1, 1)
    assert told["gaps"][0]["from"] < told["gaps"][0]["to"]
    assert "is back" in log.read_text()
