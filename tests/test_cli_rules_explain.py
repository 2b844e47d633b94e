"""`rules explain` and `rules why-not`: files in, an explanation out, exit codes that say why."""

import json
import re
from contextlib import closing

import pytest
from conftest import a_free_port, a_lamp, write_city
from typer.testing import CliRunner

from gateway.books.store import Store
from gateway.cli import app
from gateway.config import read_config
from gateway.core import Core
from gateway.effects import Incoming, Settings
from gateway.plans import prepare
from simulators.recording import write_recording
from simulators.wire import Message, Said, Voice, rfc3339

NIGHT_MS = 1_768_528_800_000  # 2026-01-15T20:00-06:00
MINUTE_MS = 60_000
AT = "2026-01-15T20:25:00-06:00"


def messages():
    """Two lamps that report every five minutes; the first is dark from 20:15 on."""
    voices = [Voice("z", "streetlight", f"lamp-{i}", "", 1, 0, sim=False) for i in (1, 2)]
    for minute in range(0, 60, 5):
        for i, voice in enumerate(voices):
            at_ms = NIGHT_MS + minute * MINUTE_MS
            dark = i == 0 and minute >= 15
            values = {"active_power_w": 0.0 if dark else 58.0, "dim_level_pct": 100.0}
            yield voice.say(Said(at_ms + i, at_ms, values))


@pytest.fixture
def files(tmp_path):
    """A recording and its assets, with lines that matter to nobody."""
    write_city(tmp_path / "assets.geojson", [a_lamp(1), a_lamp(2)])
    noise = Message(NIGHT_MS, "city/v1/z/bin/b-1/telemetry", b"not json")
    write_recording(tmp_path / "r.jsonl.gz", [noise, *messages()])
    return ["--recording", tmp_path / "r.jsonl.gz", "--assets", tmp_path / "assets.geojson"]


@pytest.fixture
def config(tmp_path):
    """The configuration of a gateway that has lived through these messages."""
    write_city(tmp_path / "assets.geojson", [a_lamp(1), a_lamp(2)])
    path = tmp_path / "sense311.toml"
    path.write_text(
        f'[broker]\nurl = "mqtt://127.0.0.1:{a_free_port()}"\n'
        f'[city]\nendpoint = "http://127.0.0.1:9/v2"\n[assets]\nfiles = ["assets.geojson"]\n'
        '[store]\nfolder = "data"\n'
    )
    plans = prepare(*read_config(path))
    with closing(Store(tmp_path / "data")) as store:
        settings = Settings(start_ms=NIGHT_MS - MINUTE_MS)
        core = Core(plans.city, plans.bundle, settings, store.load())
        for message in messages():
            for effects in (
                core.pass_time(message.t_ms),
                core.process([Incoming(message.topic, message.payload)], message.t_ms),
            ):
                if effects is not None:
                    store.commit(effects)
    return path


def sense311(*words):
    """(exit code, the one JSON object on standard output, the rest)."""
    done = CliRunner().invoke(app, ["rules", *map(str, words), "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, json.loads(done.stdout), done.stderr


def spoken(*words):
    done = CliRunner().invoke(app, ["rules", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_a_recording_is_explained(files):
    """Phase, clauses, what comes next: as an object."""
    code, said, _ = sense311("explain", "lamp_out", "--asset", "L-1", "--at", AT, *files)
    assert code == 0
    assert (said["phase"], said["progress"]) == ("pending", "10min of 15min")
    assert said["clauses"]["when"]["parts"][2]["said"] == "0 W < 12 W"
    assert said["notes"] == []


def test_each_clause_says_where_it_stands(files, tmp_path):
    """For an editor: in the condition, and in the `let` behind a name."""
    rules = tmp_path / "dark.yaml"
    rules.write_text(
        "apiVersion: sense311/v1\nsensor: streetlight\nrules:\n  - id: dark\n    title: dark\n"
        "    let: {off: active_power < 1 W and dim_level > 5%}\n"
        "    when: is_night()\n      and off\n"
    )
    _, said, _ = sense311("explain", "dark", "--asset", "L-1", "--at", AT, *files, "--rules", rules)
    whole = said["clauses"]["when"]
    clauses = [whole, *whole["parts"], *whole["parts"][1]["parts"]]
    places = [(one["origin"]["text"], one["origin"]["line"], one["origin"]["column"])
              for one in clauses]  # fmt: skip
    assert places == [
        ("is_night() and off", 7, 11),
        ("is_night()", 7, 11),
        ("off", 8, 11),
        ("active_power < 1 W", 6, 16),
        ("dim_level > 5%", 6, 39),
    ]
    assert whole["origin"]["file"] == str(rules)


def test_people_read_lines_in_the_zone_in_which_they_asked(files):
    """Where it stands first, and when it would fire."""
    lines = spoken("explain", "lamp_out", "--asset", "L-1", "--at", AT, *files)
    assert lines[0] == f"lamp_out  L-1  {AT}  -> pending (10min of 15min)"
    assert any("would fire at 2026-01-15T20:30:00-06:00" in line for line in lines)


def test_why_not_begins_with_what_stands_in_the_way(files):
    """The same answer, turned."""
    lines = spoken("why-not", "lamp_out", "--asset", "L-2", "--at", AT, *files)
    assert lines[1] == " blocked: `when` is false: active_power < 12 W is not so (now 58 W)"


def test_a_time_after_the_end_is_answered_with_a_warning(files):
    """Nobody knows what would have come."""
    late = "2026-01-15T22:00:00-06:00"
    _, said, _ = sense311("explain", "lamp_out", "--asset", "L-1", "--at", late, *files)
    assert said["notes"] == [
        "the recording ends at 2026-01-15T20:55:00-06:00: after it, silence is only assumed"
    ]


def test_rules_may_be_ones_own(files, tmp_path):
    """These and no others."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "apiVersion: sense311/v1\nsensor: streetlight\nowner: me\nrules:\n  - id: dim\n"
        '    title: "dim"\n    when: active_power < 70 W\n    identity: [asset.id]\n'
    )
    words = ("--asset", "L-2", "--at", AT, *files, "--rules", mine)
    _, said, _ = sense311("explain", "dim", *words)
    assert said["phase"] == "firing"
    code, said, _ = sense311("explain", "lamp_out", *words)
    assert (code, said["error"]) == (2, "there is no rule 'lamp_out'; known: dim")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("explain lamp_ot --asset L-1 --at {at} {files}", "did you mean lamp_out?"),
        ("explain lamp_out --asset L-7 --at {at} {files}", "there is no streetlight 'L-7'"),
        ("explain lamp_out --asset L-1 --at now {files}", "--at now: write 2026-01-15T20:25"),
        ("explain lamp_out --asset L-1 --at {at}", "give --recording with --assets"),
        ("explain lamp_out --asset L-1 --at 2025-01-01T00:00:00Z {files}", "before the first"),
    ],
)
def test_a_question_without_an_answer_is_exit_2(files, words, said):
    """With what could be asked instead."""
    filled = words.format(at=AT, files=" ".join(map(str, files))).split()
    code, answered, _ = sense311(*filled)
    assert code == 2
    assert said in answered["error"]


def test_rules_that_are_wrong_are_findings(files, tmp_path):
    """As everywhere: file, line, code."""
    (tmp_path / "bad.yaml").write_text("apiVersion: sense311/v1\nsensor: lamp\nrules: []\n")
    code, said, _ = sense311(
        "explain", "x", "--asset", "L-1", "--at", AT, *files, "--rules", tmp_path / "bad.yaml"
    )
    assert code == 2
    assert said["findings"][0]["file"].endswith("bad.yaml")


def test_a_recording_that_is_broken_where_it_matters_is_exit_2(files, tmp_path):
    """With its line; other lines are not read."""
    line = f'{{"t": "{rfc3339(NIGHT_MS)}", "topic": "city/v1/z/streetlight/lamp-1/telemetry", '
    broken = tmp_path / "broken.jsonl"
    broken.write_text(line + "\n")
    code, said, _ = sense311(
        "explain", "lamp_out", "--asset", "L-1", "--at", AT,
        "--recording", broken, "--assets", files[3],
    )  # fmt: skip
    assert code == 2
    assert "broken.jsonl:1" in said["error"]


def test_a_recording_that_is_not_there_is_exit_2(files, tmp_path):
    """The command was wrong."""
    code, said, _ = sense311(
        "explain", "lamp_out", "--asset", "L-1", "--at", AT,
        "--recording", tmp_path / "none", "--assets", files[3],
    )  # fmt: skip
    assert code == 2
    assert said["error"].endswith("none: no such recording")


def test_the_store_is_explained_with_its_own_journal(config):
    """And with the true incident and its request."""
    at = "2026-01-15T20:40:00-06:00"
    code, said, _ = sense311("explain", "lamp_out", "--asset", "L-1", "--at", at, "-c", config)
    assert (code, said["phase"]) == (0, "firing")
    notes = "\n".join(said["notes"])
    assert "pending -> firing: the condition held for its time" in notes
    assert "journal: 2026-01-15T20:30:00-06:00" in notes
    assert re.search("incident 1: queued, request [^ ]+ ready$", notes)
    assert "the gateway itself had it" not in notes


@pytest.mark.parametrize("at", ["now", "-2h", "-30min"])
def test_the_store_may_be_asked_about_now(config, at):
    """Long after its last reading nothing is left to go by, and it says so."""
    code, said, _ = sense311("explain", "lamp_out", "--asset", "L-1", "--at", at, "-c", config)
    assert code == 2
    assert said["error"].startswith("there is no message of lamp-1 in the 14d before ")


def test_what_the_gateway_had_otherwise_is_said(config, tmp_path):
    """Rules that changed since: the answer is of today, the journal of then."""
    text = config.read_text()
    config.write_text(text + '[rules]\nparams = {"lamp_out.persist" = "2h"}\n')
    at = "2026-01-15T20:40:00-06:00"
    _, said, _ = sense311("explain", "lamp_out", "--asset", "L-1", "--at", at, "-c", config)
    assert said["phase"] == "pending"
    assert said["notes"][0].startswith("the gateway itself had it firing")
