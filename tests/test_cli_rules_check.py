"""`sense311 rules check`: formats, exit codes, and what a terminal is spared."""

import json

import pytest
from typer.testing import CliRunner

from gateway.cli import app

HEAD = "apiVersion: sense311/v1\nsensor: streetlight\nowner: ops\nrules:\n"
RULE = '  - id: lamp\n    title: "Lamp {asset.id}"\n'
MIXED = HEAD + RULE + "    when: is_night(margin=20min) and active_power < current * 20%\n"
WARNED = HEAD + RULE + "    when: active_power < 12 W\n    clear: {when: active_power > 20 W}\n"


@pytest.fixture
def file(tmp_path):
    def write(text, name="lamp.yaml"):
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return str(path)

    return write


def run(*args):
    return CliRunner().invoke(app, ["rules", "check", *args])


def test_a_fault_is_shown_where_it_stands_with_its_operands_and_its_page(file):
    """The source line, carets under both operands with their units, help, docs."""
    path = file(MIXED)
    result = run(path)
    hint = "in W there is active_power; in A there is current"
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{path}:7:38: error[E104]: cannot compare `active_power` (W) with `current * 20%` (A)",
        "   7 |     when: is_night(margin=20min) and active_power < current * 20%",
        "     |                                      ^^^^^^^^^^^^ W ^^^^^^^^^^^^^ A",
        f"    = help: {hint}  docs: sense311 rules docs E104",
        "1 file: 1 error, 0 warnings",
    ]


def test_the_object_has_what_the_contract_says(file):
    """file, line, column, code, message, help; nothing else on standard output."""
    path = file(MIXED)
    for flag in (["--json"], ["--format", "json"]):
        result = run(path, *flag)
        (finding,) = json.loads(result.stdout)["findings"]
        assert set(finding) == {"file", "line", "column", "code", "message", "help"}
        assert (finding["file"], finding["line"], finding["column"]) == (path, 7, 38)
        assert json.loads(result.stdout)["ok"] is False


def test_warnings_pass_unless_strict(file):
    """`ok` and the exit code say the same."""
    path = file(WARNED)
    assert "W215" in run(path).stdout
    assert run(path).exit_code == 0
    assert run(path, "--strict").exit_code == 1
    assert json.loads(run(path, "--strict", "--json").stdout)["ok"] is False


def test_github_gets_a_command_a_line(file):
    """With place, code and message; what has a meaning in commands is escaped."""
    path = file(MIXED)
    (line,) = run(path, "--format", "github").stdout.splitlines()
    assert line.startswith(f"::error file={path},line=7,col=38,endColumn=50,title=E104::cannot")
    assert "20%25" in line


def test_sarif_is_what_code_scanning_reads(file):
    """Version, tool with its rules, results that refer to them, regions that count from 1."""
    path = file(MIXED + "    clear: {when: active_power > 5}\n")
    log = json.loads(run(path, "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run_,) = log["runs"]
    driver = run_["tool"]["driver"]
    assert driver["name"] == "sense311"
    known = {rule["id"] for rule in driver["rules"]}
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    levels = {"E": "error", "W": "warning"}
    for result in run_["results"]:
        assert result["ruleId"] in known
        assert result["level"] == levels[result["ruleId"][0]]
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"] == path
        region = place["region"]
        assert region["startLine"] >= 1
        assert 1 <= region["startColumn"] < region.get("endColumn", 10_000)
    assert {result["ruleId"] for result in run_["results"]} == {"E104", "W103"}


def test_without_files_the_shipped_rules_are_checked():
    """And are clean, strictly."""
    result = run("--strict", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"ok": True, "findings": []}


def test_a_folder_is_one_bundle(file, tmp_path):
    """The same id in two of its files is a fault."""
    file(WARNED, "a.yaml")
    second = file(WARNED, "b.yaml")
    result = run(str(tmp_path), "--json")
    findings = json.loads(result.stdout)["findings"]
    assert [(f["file"], f["code"]) for f in findings if f["code"] == "E004"] == [(second, "E004")]


@pytest.mark.parametrize("what", ["nowhere.yaml", "empty"])
def test_what_cannot_be_read_is_wrong_usage(tmp_path, what):
    """A path that is not there, a folder without rules."""
    (tmp_path / "empty").mkdir()
    result = run(str(tmp_path / what), "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["ok"] is False


@pytest.mark.parametrize("form", ["text", "github", "sarif", "json"])
def test_no_file_can_steer_a_terminal(file, form):
    """Escape sequences, bells, reversed text and broken UTF-8 come out as marks."""
    bad = "\x1b[31m\x07\x9b\u202e\udcff"
    path = file(HEAD + f'  - id: x{bad}\n    title: "a"\n    when: fil{bad} > 5%\n')
    other = file(HEAD + RULE + '    when: "active_power > \\e[31m5 W"\n', "other.yaml")
    for one in (path, other):
        result = run(one, "--format", form)
        assert result.exit_code == 1
        assert not set("\x1b\x07\x9b\u202e") & set(result.stdout)


def test_wide_letters_do_not_move_the_carets(file):
    """A column is a character; a caret stands under what it means all the same."""
    text = HEAD + RULE + "    when: active_power < 5 W and fil > 3  # 日本\n"
    line, carets = run(file(text)).stdout.splitlines()[1:3]
    assert carets.index("^") == line.index("fil")
    text = HEAD + '  - {id: lamp, title: "日本 {asset.id}", when: fil > 3}\n'
    line, carets = run(file(text)).stdout.splitlines()[1:3]
    assert carets.index("^") == line.index("fil") + 2
