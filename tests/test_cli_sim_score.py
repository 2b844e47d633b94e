"""`sense311 sim score`: scenarios run and judged, and runs that were, as a pipeline uses them."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from gateway.cli import app

pytestmark = pytest.mark.slow

SCENARIO = """\
scenario: 1
name: three-lamps
description: Three lamps out of sixty are dark.
duration: 24h
fleets:
  lamps: {count: 60}
faults:
  - {kind: lamp_out, count: 3}
  - {kind: lamp_dip, count: 2}
network: {loss: 1%}
"""
SILENT = "rules:\n  - use: bin_full\n"
LIMITS = ("--min-recall=0.5", "--max-duplicates=0", "--max-false-per-1000=1", "--min-precision=1")


def sim(*words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the object on standard output, the words on standard error."""
    done = CliRunner().invoke(app, ["sim", *map(str, words), "--json"])
    body = json.loads(done.stdout) if done.stdout else {}
    return done.exit_code, body, done.stderr


def lines(*words: str | Path) -> str:
    return CliRunner().invoke(app, ["sim", *map(str, words)]).stdout


def a_scenario(folder: Path, more: str = "") -> Path:
    path = folder / "mine.yaml"
    path.write_text(SCENARIO + more)
    return path


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """A scenario whose rules look for bins only."""
    (tmp_path / "bins.yaml").write_text(f"apiVersion: sense311/v1\nsensor: bin\n{SILENT}")
    return a_scenario(tmp_path, "rules: [bins.yaml]\n")


def test_a_scenario_is_run_through_the_gateways_core_and_judged(tmp_path: Path) -> None:
    """By rule, by kind, with the time to detect and what was lost on the way."""
    code, told, _ = sim("score", a_scenario(tmp_path))

    one = told["scenarios"][0]
    assert (code, told["passed"], told["failed"]) == (0, 1, 0)
    assert (one["faults_injected"], one["requests_filed"], one["ok"]) == (3, 3, True)
    assert one["kinds"]["lamp_out"]["tp"] == one["scores"]["lamp_out"]["tp"] == 3
    assert one["kinds"]["lamp_dip"]["look_alikes"] == 2
    assert 0 < one["time_to_detect_s"] <= one["time_to_detect_s_p90"]
    assert one["undelivered"] > 0


def test_a_scenario_is_told_in_a_line_and_its_failings_by_name(blind: Path) -> None:
    """What was missed, where, and why."""
    told = lines("score", "tutorial", blind)

    assert told.startswith("ok      tutorial")
    assert "FAILED  three-lamps" in told
    assert "lamp_out: recall 0.000 is below 1" in told
    assert told.count("no rule here looks for it") == 3


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ("expect: {requests: {lamp_out: 3}}", 0, ""),
        ("expect: {requests: {lamp_out: 2}}", 1, "lamp_out: 3 requests, 2 expected"),
        ("expect: {time_to_detect: 1min}", 1, "time to detect"),
    ],
)
def test_it_is_judged_by_what_the_scenario_expects(
    tmp_path: Path, more: str, code: int, words: str
) -> None:
    """Exit 1 where it comes out otherwise."""
    found, told, _ = sim("score", a_scenario(tmp_path, more))

    assert found == code
    assert words in " ".join(told["scenarios"][0]["shortfalls"])


@pytest.mark.parametrize(
    ("limit", "code"),
    [("--min-recall=0.1", 1), ("--min-precision=1", 0), ("--max-duplicates=0", 0)],
)
def test_limits_that_are_given_are_asked_for_instead(blind: Path, limit: str, code: int) -> None:
    """And only these."""
    assert sim("score", blind, limit)[0] == code


def test_a_report_and_a_junit_file_are_written(blind: Path, tmp_path: Path) -> None:
    """A case for each scenario; a failure tells what a person would read."""
    files = ("--junit", tmp_path / "out.xml", "--html", tmp_path / "out.html")
    assert sim("score", "tutorial", blind, *files)[0] == 1

    suite = ET.parse(tmp_path / "out.xml").getroot()
    page = (tmp_path / "out.html").read_text("utf-8")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase[@name='three-lamps']/failure")
    assert failure is not None
    assert "missed: lamp_out" in (failure.text or "")
    assert page.count('class="map"') == 2
    assert "no rule here looks for it" in page


@pytest.mark.slow
def test_every_ready_scenario_comes_out_as_it_expects() -> None:
    """The whole library, through the shipped rules or its own."""
    code, told, _ = sim("score", "--all")

    short = {one["name"]: one["shortfalls"] for one in told["scenarios"] if not one["ok"]}
    assert (code, short) == (0, {})
    assert len(told["scenarios"]) >= 20


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "--all"),
        (["tutorial", "--labels", "x", "--requests", "y"], "--labels"),
        (["--labels", "x"], "go together"),
        (["no-such"], "no-such"),
        (["--labels", "nowhere.csv", "--requests", "y"], "nowhere.csv"),
    ],
)
def test_wrong_usage_ends_with_a_hint(words: list[str], hint: str) -> None:
    """No traceback."""
    done = CliRunner().invoke(app, ["sim", "score", *words])

    assert done.exit_code in (2, 3)
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


# -- a run that was -------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    assert sim("run", a_scenario(tmp_path), "--out", tmp_path / "out")[0] == 0
    return tmp_path / "out"


def asked_for(run: Path, *, but: int = 0) -> Path:
    """Requests for all faults but some."""
    faults = json.loads((run / "truth.json").read_text())["faults"]
    labels = [label for fault in faults for label in fault["labels"] if label["must_file"]]
    rows = [
        {"service_request_id": str(n), "service_code": "SL-OUT",
         "attributes": {"asset_id": label["asset_id"], "observed_at": label["start"]}}
        for n, label in enumerate(labels[but:])
    ]  # fmt: skip
    (run / "requests.json").write_text(json.dumps(rows))
    return run / "requests.json"


@pytest.mark.parametrize("name", ["truth.json", "labels.csv"])
def test_the_truth_of_a_run_judges_requests(run: Path, name: str) -> None:
    """With kinds where it tells them."""
    given = ("--labels", run / name, "--requests", asked_for(run))
    code, told, _ = sim("score", *given, "--assets", run / "assets.geojson")

    assert (code, told["scores"]["lamp_out"]["tp"]) == (0, 3)
    assert set(told["kinds"]) == ({"lamp_out", "lamp_dip"} if name == "truth.json" else set())
    assert (told["undelivered"] > 0) is (name == "truth.json")


def test_limits_decide_about_a_run_that_was(run: Path) -> None:
    """Two of three found: as asked with half, not as asked with all."""
    given = ("--labels", run / "truth.json", "--requests", asked_for(run, but=1))

    assert sim("score", *given, *LIMITS, "--device-days", "60")[0] == 0
    code, told, _ = sim("score", *given)
    assert (code, told["missed"]) == (1, 1)
    assert told["shortfalls"] == ["lamp_out: recall 0.667 is below 1"]
    assert "lamp_dip" in lines("score", *given)


def test_a_truth_that_cannot_be_read_is_refused(run: Path) -> None:
    """With its place."""
    (run / "truth.json").write_text('{"faults": [{"id": "a"}]}')
    code, _, told = sim("score", "--labels", run / "truth.json", "--requests", asked_for_none(run))

    assert (code, "fault 1" in told) == (2, True)


def asked_for_none(run: Path) -> Path:
    (run / "requests.json").write_text("[]")
    return run / "requests.json"
