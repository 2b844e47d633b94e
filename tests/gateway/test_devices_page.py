"""The page for those who make devices says what the gateway does: all that it shows is run.

Messages go through the decoder, commands through a shell, the first device through a real broker
and gateway, the adapter through an installed package's entry points.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_docs import FENCE, PORT, arguments_of, run, workshop
from typer.testing import CliRunner

from gateway.access.credentials import _PAYLOAD_BYTES_MAX
from gateway.cityhall.requests import rfc3339
from gateway.cli import app
from gateway.codecs import codecs
from gateway.contract import FAULTS_MAX, SAMPLES_MAX, SAMPLES_MIN, MessageBase
from gateway.effects import REFUSED_BYTES_KEPT
from gateway.envelopes import envelopes
from gateway.field.device_status import DeviceState
from gateway.field.devices import (
    AGE_MS_MAX,
    DIGESTS_MAX,
    EPOCH_MS_MIN,
    LIVES_MAX,
    RUNS_MAX,
    SETTLE_MS,
    SKEW_MS_MAX,
    UNTIMED_REPEAT_MS,
)
from gateway.field.published import MEANINGS, message_schema, schemas
from gateway.field.replies import ACK_EVERY_MS, DEAD_LETTER_EVERY_MS
from gateway.sources import PAYLOAD_BYTES_MAX
from gateway.telemetry import (
    BATCH_BYTES_MAX,
    BATCH_MESSAGES_MAX,
    MESSAGE_BYTES_MAX,
    ROAD_BYTES_MAX,
    STATUS_BYTES_MAX,
    Decoder,
)
from rules.fields import CATALOGUE, REPORTED_KINDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "gateway/DEVICES.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = FENCE.findall(TEXT)


def shown(language, about=None):
    """The blocks of a language, or those that are called `about`."""
    return [text for lang, name, text in BLOCKS if lang == language and about in (None, name)]


def part(title):
    """What stands under a heading."""
    return re.split(r"^#+ ", TEXT.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def with_outputs(language):
    """Each script, with the text that stands after it."""
    following = [(lang, text) for lang, _, text in BLOCKS[1:]] + [("", "")]
    for (lang, _, script), (after, told) in zip(BLOCKS, following, strict=True):
        if lang == language:
            yield script, told if after == "text" else ""


# -- what it says ---------------------------------------------------------------------------------


def values():
    for kind in REPORTED_KINDS:
        for f in CATALOGUE[kind].values():
            unit = "" if f.is_bool or f.unit == "1" else f.unit
            span = "true or false" if f.is_bool else f"{f.low:.0f} to {f.high:.0f}"
            yield f"| `{kind}` | `{f.key}` | {unit} | {span} | {MEANINGS[f.key]} |"


def test_every_value_stands_there_as_the_catalogue_has_it():
    """Kind, name, unit, range and meaning, in the same order."""
    assert re.findall(r"^\| `\w+` \| `\w+` \|.*\|$", part("Values"), re.MULTILINE) == [*values()]


def test_every_codec_and_every_format_stands_there():
    """Those that are installed with the gateway."""
    rows = [f"| `{codec.name}` | `{codec.kind}` | {codec.about} |" for codec in codecs().values()]
    table = TEXT.partition("| codec | kind | device |")[2].partition("\n# ")[0]
    formats = re.findall(r"^\| `(\w+)`", part("Networks and platforms"), re.MULTILINE)

    assert re.findall(r"^\| `.*\|$", table, re.MULTILINE) == rows
    assert {*formats} == {*envelopes(), "mapping"}


def test_every_key_of_a_message_stands_there():
    """With whether it may be left out, and whether it may be null."""
    rows = re.findall(
        r"^\| `(\w+)` \| .*? \| (no|yes)[^|]* \| (no|yes)[^|]* \|$", part("A message"), re.MULTILINE
    )
    schema = message_schema("bin")
    properties, required = schema["properties"], schema["required"]

    assert [name for name, *_ in rows] == ["ts", "boot", "seq", "values", "loc", "faults", "sim"]
    assert {name for name, *_ in rows} == {*MessageBase.model_fields, "values"}
    for name, may_lack, may_be_null in rows:
        assert (may_lack == "yes") == (name not in required)
        assert (may_be_null == "yes") == ({"type": "null"} in properties[name].get("anyOf", []))


def test_every_key_of_what_devices_are_told_stands_there():
    """On their topics; and every state."""
    topics = part("Topics")
    for name in ("ack", "dead-letter", "device-status"):
        keys = schemas()[name]["properties"]
        quoted = '"{}"' if name == "ack" else "`{}`"
        assert [key for key in keys if quoted.format(key) not in topics] == []
    assert [state for state in DeviceState if f"`{state}`" not in topics] == []


def test_every_figure_is_that_of_the_code():
    """Bytes, counts and times."""
    ten_minutes = 600_000
    assert SETTLE_MS == UNTIMED_REPEAT_MS == ten_minutes
    assert (ACK_EVERY_MS, DEAD_LETTER_EVERY_MS) == (500, 60_000)
    assert rfc3339(EPOCH_MS_MIN) == "2015-01-01T00:00:00Z"
    assert (LIVES_MAX, PAYLOAD_BYTES_MAX, AGE_MS_MAX) == (4, 1 << 20, 24 * 3_600_000)
    for figure in (
        f"{MESSAGE_BYTES_MAX:,} bytes; {ROAD_BYTES_MAX:,} of kind `road`",
        f"{BATCH_MESSAGES_MAX} messages and {BATCH_BYTES_MAX:,} bytes",
        f"take {_PAYLOAD_BYTES_MAX:,} bytes in one piece",
        f"{STATUS_BYTES_MAX:,} bytes",
        f"the first {REFUSED_BYTES_KEPT:,} bytes",
        f"at most {FAULTS_MAX} claims",
        f"each with {SAMPLES_MIN} to {SAMPLES_MAX} numbers",
        f"at most {RUNS_MAX} holes",
        f"the last {DIGESTS_MAX} messages",
        f"at most {SKEW_MS_MAX // 1000} s (`ingest.max_skew_s`)",
    ):
        assert figure in TEXT, figure


def test_what_it_points_at_is_there():
    """Files, and commands with their options."""
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (PAGE.parent / link).exists(), link
    joined = re.sub(r"\\\n\s*", " ", TEXT)
    commands = re.findall(r"`(sense311 [^`\n]+)`", joined)
    commands += re.findall(r"^(?:until |.*\| )?(sense311 .*)$", joined, re.MULTILINE)

    assert len(commands) > 10
    for command in dict.fromkeys(commands):
        words = arguments_of(command)
        told = CliRunner().invoke(app, [*words, "--help"])
        assert told.exit_code == 0, f"{command}\n{told.output}"


# -- what it shows --------------------------------------------------------------------------------


@pytest.mark.parametrize(("topic", "text"), [(n, t) for lang, n, t in BLOCKS if lang == "json"])
def test_every_message_is_taken(topic, text):
    """Under the topic that its fence names."""
    decoded = Decoder().decode(topic, text.encode())

    assert list(decoded.refusals) == []
    assert len(decoded.readings) == 1


@pytest.mark.slow
def test_every_command_runs_and_says_what_is_shown(tmp_path):
    """One after the other, in one folder."""
    environment = workshop(tmp_path, PORT)
    scripts = [*with_outputs("bash")]

    assert len(scripts) >= 6
    for script, said in scripts:
        assert said.rstrip("\n") in run(script, tmp_path, environment), script


@pytest.mark.slow
def test_the_first_device_hears_what_became_of_its_messages(tmp_path, free_port):
    """Through a broker and a gateway of one's own: the dead letter, and the acknowledgement."""
    environment = workshop(tmp_path, PORT)
    (tmp_path / "bin/python").symlink_to(sys.executable)
    (device,) = shown("python", "device.py")
    (tmp_path / "device.py").write_text(device, "utf-8")
    ((script, said),) = with_outputs("sh")
    # The interpreter finds its libraries by where it was started, not by where it is.
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    told = run(script.replace(PORT, str(free_port())), tmp_path, environment)

    assert said in told


def test_the_sources_shown_are_good_ones(tmp_path):
    """`sense311 check` has nothing to say of them."""
    (sources,) = shown("toml", "source")
    examples = ROOT / "deploy/examples"
    (tmp_path / "vendor.toml").write_bytes((examples / "vendor.toml").read_bytes())
    (tmp_path / "assets.geojson").write_bytes((examples / "assets.geojson").read_bytes())
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[broker]\nurl = "mqtt://127.0.0.1:1883"\n[city]\nendpoint = "http://127.0.0.1:9/v2"\n'
        f'[assets]\nfiles = ["assets.geojson"]\n{sources}',
        "utf-8",
    )
    told = CliRunner().invoke(app, ["check", "-c", str(config), "--json"])

    assert json.loads(told.stdout) == {"ok": True, "findings": []}
    formats = {source["format"] for source in tomllib.loads(sources)["source"]}
    assert formats >= {*envelopes(), "mapping"}


# -- the adapter ----------------------------------------------------------------------------------


@pytest.fixture
def sense311_with_acme(tmp_path):
    """The command, where the adapter of the page is installed: its code, what it printed."""
    (code,) = shown("python", "acme_sense311.py")
    (project,) = shown("toml", "pyproject.toml")
    (tmp_path / "acme_sense311.py").write_text(code, "utf-8")
    points = tomllib.loads(project)["project"]["entry-points"]
    lines = []
    for group, names in points.items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in names.items())]
    folder = tmp_path / "acme_sense311-1.0.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sense311\nVersion: 1.0\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def decode(*words, stdin=""):
        command = [sys.executable, "-m", "gateway.cli", "decode", *words, "--json"]
        done = subprocess.run(
            command, input=stdin, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, json.loads(done.stdout)

    return decode


@pytest.mark.slow
def test_the_adapter_shown_is_found_and_used(sense311_with_acme):
    """A codec and an envelope of somebody else's package."""
    code, told = sense311_with_acme("--hex", "08441d", "--fport", "2", "--format", "acme-level")
    (read,) = told["readings"]
    assert (code, read["values"]) == (0, {"distance_mm": 2116, "battery_v": 2.9})
    assert (read["kind"], read["faults"]) == ("bin", ["low_battery"])

    code, told = sense311_with_acme("--hex", "0844", "--fport", "2", "--format", "acme-level")
    assert (code, told["refusals"][0]["reason"]) == (1, "wrong_length")
    code, told = sense311_with_acme("--hex", "0844", "--fport", "3", "--format", "acme-level")
    assert (code, told["refusals"][0]["reason"]) == (1, "unknown_frame")

    said = '{"serial": "b-17", "ms": 1768507500000, "said": {"fill_pct": 83}}'
    code, told = sense311_with_acme("--format", "acme-cloud", stdin=said)
    (read,) = told["readings"]
    assert (code, read["device"], read["ts"]) == (0, "b-17", "2026-01-15T20:05:00Z")
    assert read["values"] == {"fill_pct": 83}
    code, told = sense311_with_acme("--format", "acme-cloud", stdin="{}")
    assert (code, told["refusals"][0]["path"]) == (1, "said")
