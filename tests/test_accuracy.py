"""`make accuracy`: the published benchmark, on one small scenario and on a recording of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "tests" / "bench" / "accuracy.py"

pytestmark = pytest.mark.slow


def run(*args, status=0):
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, args)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recording as `sim run --out` writes it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("recordings")
    code = "from gateway.cli import app; app()"
    args = ["sim", "run", "tutorial", "--out", str(folder / "one")]
    subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_every_detector_has_its_row_and_recordings_have_their_own(folder):
    """With one seed and one process; a recording of a run is judged like the run."""
    told = run("--only", "tutorial", "--seeds", 1, "--jobs", 1, "--recordings", folder, "--json")
    found = json.loads(told.stdout)
    rows = found["detectors"]
    assert list(rows)[-1] == "all"
    assert {"lamp_out", "bin_full", "day_burner", "feeder_outage"} <= rows.keys()
    assert rows["lamp_out"]["device_days"] == rows["day_burner"]["device_days"] > 0
    assert rows["feeder_outage"]["without_fault"] == rows["feeder_outage"]["scenarios"] == 1
    assert rows["all"]["faults"] == sum(
        row["faults"] for name, row in rows.items() if name != "all"
    )
    (recording,) = found["recordings"].values()
    filed = {name: row for name, row in rows.items() if row["faults"] and name != "all"}
    assert filed
    for name, row in filed.items():
        assert (row["tp"], row["fp"], row["fn"]) == tuple(
            recording[name][key] for key in ("tp", "fp", "fn")
        )


def test_the_same_seeds_give_the_same_figures_and_others_give_others():
    """Two seeds are two cities, in any number of processes."""
    one = json.loads(run("--only", "tutorial", "--seeds", 2, "--jobs", 1, "--json").stdout)
    two = json.loads(run("--only", "tutorial", "--seeds", 2, "--jobs", 2, "--json").stdout)
    assert one["detectors"] == two["detectors"]
    assert one["detectors"]["all"]["scenarios"] == 2


def test_a_table_for_a_document_has_a_row_for_each_detector():
    """What nothing was counted for is a dash."""
    told = run("--only", "tutorial", "--seeds", 1, "--jobs", 1, "--markdown").stdout
    head, bar, *rows = [line for line in told.splitlines() if line.startswith("|")]
    assert head.startswith("| detector |")
    assert set(bar) <= set("| -")
    assert all(row.count("|") == head.count("|") for row in rows)
    assert any(row.startswith("| feeder_outage |") and "| - |" in row for row in rows)


def test_what_is_no_scenario_and_no_recording_is_told(tmp_path):
    """With what to write instead."""
    assert "did you mean tutorial?" in run("--only", "tutorail", status=2).stderr
    args = ("--only", "tutorial", "--seeds", 1, "--jobs", 1, "--recordings", tmp_path)
    assert "NAME.labels.csv" in run(*args, status=1).stderr
