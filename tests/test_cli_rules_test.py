"""`sense311 rules test`: what it prints, what it writes, how it ends."""

import json
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from gateway.cli import app

RULES = """\
apiVersion: sense311/v1
sensor: bin
rules:
  - id: bin_full
    title: "Bin {asset.id} is full"
    when: fill >= 80%
    clear: {when: fill < 70%}
    identity: [asset.id]
    file: {service: BIN_FULL, description: "{fill:.0f %}"}
    tests:
      - name: full at eighty
        every: 1h
        feed: {fill: "79%, 80%"}
        expect: [{at: end, state: firing, filed: 1}, {at: +1min, state: ok}]
"""
WRONG = RULES.replace("state: firing, filed: 1", "state: firing, filed: 2")


@pytest.fixture
def rule_file(tmp_path):
    def write(text):
        path = tmp_path / "bins.yaml"
        path.write_text(text, "utf-8")
        return path

    return write


def told(*arguments):
    result = CliRunner().invoke(app, ["rules", "test", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_tests_that_pass_end_with_zero(rule_file):
    """One line for each, and how long all took."""
    code, out, _ = told(rule_file(RULES))
    assert code == 0
    assert "bin_full: full at eighty" in out
    assert "1 passed, 0 failed" in out


def test_a_failure_names_the_line_of_the_expectation_and_what_happened(rule_file):
    """What was expected, what was the case, and the way there."""
    path = rule_file(WRONG)
    code, out, _ = told(path)
    assert code == 1
    assert f"{path}:14: expected filed: 2, got 1" in out
    assert "+60min  bin_full" in out
    assert "0 passed, 1 failed" in out


def test_the_object_is_that_of_the_contract(rule_file):
    """passed, failed, cases; nothing else on standard output."""
    code, out, _ = told(rule_file(WRONG), "--json")
    result = json.loads(out)
    assert code == 1
    assert (result["passed"], result["failed"]) == (0, 1)
    (case,) = result["cases"]
    assert (case["rule"], case["name"], case["line"]) == ("bin_full", "full at eighty", 11)
    assert case["failures"] == [{"line": 14, "expected": "filed: 2", "got": "1"}]


def test_some_tests_are_chosen_by_name(rule_file):
    """A pattern that fits none is a mistake, not a success."""
    path = rule_file(RULES)
    assert told(path, "-k", "eighty")[0] == 0
    code, out, _ = told(path, "-k", "ninety")
    assert code == 1
    assert "there is no test that matches 'ninety'" in out


def test_rules_without_tests_are_named(rule_file):
    """Somebody should know."""
    code, out, _ = told(rule_file(RULES.partition("    tests:")[0]))
    assert code == 1
    assert "without tests: bin_full" in out


def test_a_broken_file_is_told_as_by_check(rule_file):
    """The finding with its line, on standard error."""
    code, out, err = told(rule_file(RULES.replace("fill >= 80%", "fil >= 80%")))
    assert code == 1
    assert out == ""
    assert "fill" in err
    assert ":6:" in err


def test_junit_names_every_case(rule_file, tmp_path):
    """As a build server reads it."""
    told(rule_file(WRONG), "--junit", tmp_path / "out.xml")
    suite = ET.parse(tmp_path / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    (case,) = suite
    assert case.get("name") == "full at eighty"
    (failure,) = case
    assert failure.get("message") == "line 14: expected filed: 2, got 1"


def test_coverage_and_mutants_are_told(rule_file):
    """What the test leaves open: nothing about emptying is asked."""
    code, out, _ = told(rule_file(RULES), "--coverage", "--mutate", "--json")
    result = json.loads(out)
    assert code == 0
    assert any(gap["clause"].startswith("clear") for gap in result["coverage"])
    assert result["mutants"]["killed"] > 0
    assert any("70%" in one["what"] for one in result["mutants"]["survived"])


def test_what_no_test_notices_is_shown_at_its_place(rule_file):
    """As by check: the line, carets, what was changed, a test that would notice."""
    path = rule_file(RULES)
    _, out, err = told(path, "--coverage", "--mutate")
    assert (
        f"""\
{path}:7:26: warning[mutant]: bin_full survives clear: 70% as 46.67%
   7 |     clear: {{when: fill < 70%}}
     |                          ^^^
    = help: add a test with a value between 46.67% and 70%
"""
        in out
    )
    assert (
        f"""\
{path}:7:19: warning[coverage]: bin_full clear: never judged
   7 |     clear: {{when: fill < 70%}}
     |                   ^^^^^^^^^^
    = help: add a test in which it fires
"""
        in out
    )
    assert err == ""


def test_the_object_has_the_places_too(rule_file):
    """For an editor."""
    path = rule_file(RULES)
    result = json.loads(told(path, "--coverage", "--mutate", "--json")[1])
    place = {"file": str(path), "line": 7, "template": "", "template_line": 0}
    (gap,) = result["coverage"]
    assert gap == place | {
        "rule": "bin_full",
        "clause": "clear",
        "missing": "never judged",
        "help": "add a test in which it fires",
        "column": 19,
        "end_column": 29,
        "text": "fill < 70%",
    }
    told_of = {one["what"]: one for one in result["mutants"]["survived"]}
    assert told_of["clear: 70% as 105%"] == place | {
        "rule": "bin_full",
        "what": "clear: 70% as 105%",
        "help": "add a test with a value between 70% and 105%",
        "column": 26,
        "end_column": 29,
        "text": "70%",
    }


def test_junit_has_what_no_test_notices_among_its_properties(rule_file, tmp_path):
    """Before the cases, where the format has them; none where nothing was asked."""
    path = rule_file(RULES)
    told(path, "--coverage", "--mutate", "--junit", tmp_path / "out.xml")
    properties, case = ET.parse(tmp_path / "out.xml").getroot()
    assert (properties.tag, case.tag) == ("properties", "testcase")
    values = {(one.get("name"), one.get("value")) for one in properties}
    gap = "bin_full clear: never judged; add a test in which it fires"
    assert ("coverage", f"{path}:7:19: {gap}") in values
    assert ("total", "clauses that no test decides: 1") in values
    assert any(name == "mutant" and f"{path}:7:26: " in value for name, value in values)
    told(path, "--junit", tmp_path / "out.xml")
    assert [one.tag for one in ET.parse(tmp_path / "out.xml").getroot()] == ["testcase"]


def test_on_a_terminal_the_mutants_are_counted_while_they_run(rule_file, monkeypatch):
    """Elsewhere nothing stands on standard error."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    code, out, err = told(rule_file(RULES), "--mutate", "--json")
    assert code == 0
    assert "bin_full" in err
    assert json.loads(out)["mutants"]["killed"] > 0


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path):
    """Two, not one."""
    assert told(tmp_path / "none.yaml")[0] == 2


@pytest.mark.slow
def test_watch_runs_again_when_a_file_changes(rule_file):
    """The engineer saves, and sees."""
    path = rule_file(RULES)
    command = [sys.executable, "-u", "-m", "gateway.cli", "rules", "test", str(path), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            lines = iter(watching.stdout.readline, "")
            assert any("1 passed, 0 failed" in line for line in lines)
            path.write_text(WRONG, "utf-8")
            assert any("0 passed, 1 failed" in line for line in lines)
        finally:
            watching.terminate()
