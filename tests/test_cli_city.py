"""`sense311 city`: a server looked at, and the rules held against it, with nothing asked of it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "gateway"))
from delivery import KEY, running_desk

from gateway.cli import app

EXAMPLES = Path(__file__).resolve().parent.parent / "deploy/examples"
pytestmark = pytest.mark.slow


def city(*words, code=0):
    done = CliRunner().invoke(app, ["city", *map(str, words), "--json"])
    assert done.exit_code == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path):
    shutil.copy(EXAMPLES / "assets.geojson", tmp_path)
    (tmp_path / "desk.key").touch(0o600)
    (tmp_path / "desk.key").write_text(KEY)
    (tmp_path / "broker.json").touch(0o600)
    (tmp_path / "broker.json").write_text(
        '{"url": "mqtt://127.0.0.1:1", "users": {"gateway": "a"}}'
    )
    return tmp_path


def config(folder, endpoint, profile="desk"):
    path = folder / "sense311.toml"
    path.write_text(
        f'[broker]\nurl = "mqtt://127.0.0.1:1"\n[city]\nprofile = "{profile}"\n'
        f'endpoint = "{endpoint}"\napi_key_file = "desk.key"\n'
        '[assets]\nfiles = ["assets.geojson"]\n'
    )
    return path


def test_every_rule_is_held_against_the_live_definitions_and_nothing_is_sent(folder):
    """All of the shipped rules fit the simulated desk."""
    with running_desk(folder) as desk:
        told = city("test", "-c", config(folder, desk.endpoint))
        stored = desk.stored()
    assert told["ok"] is True
    assert {one["rule"] for one in told["rules"]} >= {"lamp_out", "bin_full", "pothole"}
    assert all(KEY not in json.dumps(one) for one in told["rules"])
    assert stored == []


def test_a_profile_that_does_not_fit_is_told_rule_by_rule_with_its_fix(folder):
    """A code that is not there, a required attribute, one that nobody asks for."""
    table = (Path(__file__).parent.parent / "simulators/desk/services.toml").read_text()
    table = table.replace('code = "SL-DAY"', 'code = "SL-DAYS"').replace(
        'code = "observed_at"', 'code = "seen_at"\nrequired = true'
    )
    (folder / "services.toml").write_text(table)
    with running_desk(folder, "--services", str(folder / "services.toml")) as desk:
        told = city("test", "-c", config(folder, desk.endpoint), code=1)
    faults = {one["rule"]: one["faults"] for one in told["rules"]}
    assert "perhaps 'SL-DAYS'" in faults["day_burner"][0]["fix"]
    assert [fault["message"] for fault in faults["lamp_out"]] == [
        "the definition has no attribute 'observed_at'",
        "the required attribute 'seen_at' is missing",
    ]


def test_a_city_that_cannot_be_read_is_an_outside_fault(folder):
    """Nothing is known then, so nothing is called good."""
    told = city("test", "-c", config(folder, "http://127.0.0.1:9/v2"), code=3)
    assert told["ok"] is False
    assert all(one["unread"] for one in told["rules"] if one["form"])


def test_a_server_is_probed_and_a_profile_drafted_that_can_be_confirmed(folder):
    """The draft with three signs taken away files a lamp."""
    with running_desk(folder, "--dialect", "toronto") as desk:
        found = city("probe", desk.endpoint, "--out", folder / "ours.toml")
        text = (folder / "ours.toml").read_text()
        assert found["draft"] == text
        assert [p["code"] for p in found["proposals"]["POTHOLE"]] == ["POTHOLE 01"]
        confirmed = text.replace('# code = "POTHOLE 01"', 'code = "POTHOLE 01"').replace(
            "# [services.POTHOLE]", "[services.POTHOLE]"
        )
        (folder / "ours.toml").write_text(confirmed)
        path = config(folder, desk.endpoint, "ours.toml")
        words = path.read_text() + '[rules]\nlibrary = false\nfiles = ["only.yaml"]\n'
        path.write_text(words)
        (folder / "only.yaml").write_text(
            "apiVersion: sense311/v1\nsensor: road\nowner: o\nrules: [{use: pothole_cluster}]\n"
        )
        assert city("test", "-c", path)["ok"] is True


@pytest.mark.parametrize(
    ("words", "code"),
    [(("http://127.0.0.1:9/v2",), 3), (("http://example.org/v2",), 2), (("not an address",), 2)],
)
def test_what_cannot_be_probed_is_told(words, code):
    """Out of reach, not encrypted, no address."""
    assert city("probe", *words, code=code)["error"]


def test_the_profiles_are_listed():
    """With what they map."""
    rows = {row["profile"]: row for row in city("profiles")["profiles"]}
    assert "POTHOLE" in rows["chicago"]["services"]
    assert rows["boston"]["services"] == "name your own"
