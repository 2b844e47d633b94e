"""The chaos run of the filing side, small: what it says of ten thousand it says of a hundred."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_filer_that_is_killed_at_a_desk_of_many_moods_files_each_request_once():
    """A hundred requests, three kills with -9; the desk's own ledger is the judge."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests/gateway")])
    done = subprocess.run(
        [sys.executable, "tests/filing_chaos.py", "--requests", "100", "--kills", "3",
         "--seconds", "2"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["requests"], told["at_the_desk"], told["kills"]) == (100, 100, 3)


@pytest.mark.slow
def test_a_gateway_that_is_killed_from_the_first_message_on_files_each_fault_once():
    """Sixty full bins over a real broker, three kills with -9 of the whole gateway."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests/gateway")))
    done = subprocess.run(
        [sys.executable, "tests/gateway_chaos.py", "--bins", "60", "--kills", "3",
         "--seconds", "2"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["at_the_desk"], told["states"], told["kills"]) == (60, {"filed": 60}, 3)
