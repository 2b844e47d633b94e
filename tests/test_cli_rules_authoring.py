"""`sense311 rules new|templates|schema|fmt|docs`: what they write, what they refuse."""

import json

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from rules.files import load, read_library, shipped_templates

LOOSE = """\
apiVersion: sense311/v1
sensor: bin
rules:
    - title: "Bin {asset.id}"   # what people read
      id: bin_full
      when: fill >= 80%
"""
TIDY = """\
apiVersion: sense311/v1
sensor: bin

rules:
  - id: bin_full
    title: "Bin {asset.id}"  # what people read
    when: fill >= 80%
"""


def run(*args):
    return CliRunner().invoke(app, ["rules", *map(str, args)])


def test_from_a_template_to_a_green_test(tmp_path):
    """Two commands: one writes the file, the other runs its tests."""
    path = tmp_path / "own.yaml"
    made = run("new", "bin_full", "--with", "high=85%", "--with", "low = 70%", "-o", path)
    assert made.exit_code == 0
    assert "high: 85%" in path.read_text()
    assert run("check", path, "--strict").exit_code == 0
    tested = run("test", path, "--json")
    assert tested.exit_code == 0
    assert json.loads(tested.stdout)["passed"] >= 4


def test_without_a_file_the_rule_is_shown():
    """For a look, or a pipe; as an object with --json."""
    plain = run("new", "battery_low", "--id", "cells", "--sensor", "streetlight")
    assert plain.exit_code == 0
    assert load({"a.yaml": plain.stdout})[0].rules["cells"].sensor == "streetlight"
    answered = json.loads(run("new", "battery_low", "--json").stdout)
    assert (answered["ok"], answered["file"]) == (True, None)
    assert "use: battery_low" in answered["text"]


def test_whoever_writes_a_rule_that_is_shipped_is_told():
    """Two rules for one fault would file twice."""
    assert "the shipped rule bin_full" in run("new", "bin_full").stderr
    assert run("new", "bin_tilt").stderr == ""


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["bin_ful"], 2, "did you mean bin_full"),
        (["bin_full", "--with", "high"], 2, "write NAME=VALUE"),
        (["bin_full", "--with", "hihg=85%"], 1, "'hihg' is not a key"),
        (["bin_full", "--with", "high=85 W"], 1, "not in W"),
        (["bin_full", "--with", "high=120%"], 1, "out of its range"),
        (["bin_full", "--sensor", "road"], 1, "is for sensor bin"),
        (["bin_full", "--id", "Bin Full"], 1, "cannot be the id"),
    ],
)
def test_what_would_not_load_is_not_written(tmp_path, args, code, words):
    """It says why, and there is no file."""
    path = tmp_path / "own.yaml"
    result = run("new", *args, "-o", path)
    assert result.exit_code == code
    assert words in result.stderr
    assert not path.exists()


def test_a_file_that_exists_is_not_overwritten(tmp_path):
    """Somebody's work may be in it."""
    path = tmp_path / "own.yaml"
    path.write_text("mine")
    result = run("new", "bin_full", "-o", path)
    assert (result.exit_code, path.read_text()) == (2, "mine")
    assert "exists already" in result.stderr


def test_templates_are_listed_with_what_they_find():
    """One line each; --json has their inputs too."""
    lines = run("templates").stdout.splitlines()
    assert len(lines) == 1 + len(shipped_templates())
    found = json.loads(run("templates", "--json").stdout)["templates"]
    full = next(item for item in found if item["template"] == "bin_full")
    assert full["inputs"]["high"]["default"] == "80%"
    assert full["sensor"] == "bin"


def test_the_schema_is_one_json_object(tmp_path):
    """On standard output, or in a file."""
    shown = json.loads(run("schema").stdout)
    path = tmp_path / "rules.schema.json"
    assert run("schema", "-o", path).exit_code == 0
    assert json.loads(path.read_text()) == shown == json.loads(run("schema", "--json").stdout)


def test_fmt_writes_the_one_layout(tmp_path):
    """And the second time changes nothing."""
    path = tmp_path / "own.yaml"
    path.write_text(LOOSE)
    first = run("fmt", path)
    assert (first.exit_code, path.read_text()) == (0, TIDY)
    assert f"{path}: changed" in first.stderr
    assert run("fmt", path, "--check").exit_code == 0
    assert json.loads(run("fmt", path, "--json").stdout)["changed"] == []


@pytest.mark.parametrize(("flag", "code"), [("--check", 1), ("--diff", 0)])
def test_fmt_may_only_look(tmp_path, flag, code):
    """--check for a pipeline, --diff for the eye; neither writes."""
    path = tmp_path / "own.yaml"
    path.write_text(LOOSE)
    result = run("fmt", path, flag)
    assert (result.exit_code, path.read_text()) == (code, LOOSE)
    assert f"{path}: would change" in result.stderr
    assert ('-    - title: "Bin {asset.id}"' in result.stdout) == (flag == "--diff")


def test_fmt_leaves_what_it_cannot_read(tmp_path):
    """With the finding; other files are still formatted."""
    broken, loose = tmp_path / "a.yaml", tmp_path / "b.yaml"
    broken.write_text("rules: [\n")
    loose.write_text(LOOSE)
    result = run("fmt", tmp_path)
    assert result.exit_code == 1
    assert (broken.read_text(), loose.read_text()) == ("rules: [\n", TIDY)
    assert "E001" in result.stderr


@pytest.mark.parametrize("name", ["lamp_out", "bin_tilt", "E104", "slope", "fill"])
def test_docs_shows_the_page_of_anything(name):
    """A rule, a template, a code, a function, a field."""
    result = run("docs", name)
    assert result.exit_code == 0
    assert name in result.stdout.splitlines()[0]
    assert json.loads(run("docs", name, "--json").stdout)["name"] == name


def test_docs_offers_what_is_near():
    """For a name that has no page."""
    result = run("docs", "lamp_uot")
    assert result.exit_code == 2
    assert "did you mean lamp_out" in result.stderr


def test_docs_writes_a_page_for_each_rule(tmp_path):
    """And an index that links them."""
    folder = tmp_path / "docs"
    assert run("docs", "-o", folder).exit_code == 0
    rules = load(read_library())[0].rules
    assert {path.stem for path in folder.iterdir()} == {"index", *rules}
    assert "[lamp_out](lamp_out.md)" in (folder / "index.md").read_text()


def test_docs_of_own_rules(tmp_path):
    """Those of --rules instead of the shipped ones; broken ones are refused."""
    path = tmp_path / "own.yaml"
    path.write_text(TIDY)
    assert "bin_full" in run("docs", "--rules", path).stdout
    assert "lamp_out" not in run("docs", "--rules", path).stdout
    path.write_text(TIDY.replace("fill", "fil"))
    refused = run("docs", "--rules", path)
    assert refused.exit_code == 1
    assert "E101" in refused.stderr
