"""The demo, small: real processes, one simulated night and day, judged by the truth.

A perfect score in calm, the same set of requests with the same seed, also while parts are killed
with -9 and while the desk drops answers; and nothing that it started outlives it.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import SENSE311, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
CITY = ["--seed=5", "--lamps=90", "--bins=20", "--road=12", "--hours=24"]
DONE_S = 150
COUNTS = ("faults_injected", "requests_filed", "missed", "false", "duplicates", "readings")


@contextmanager
def a_demo(folder: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [*SENSE311, "demo", "--json", "--dir", str(folder), *CITY, *options]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield demo
    finally:
        demo.terminate()
        demo.communicate(timeout=60)


def pids_of(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / "pids.json").read_text())
    return found


def living(folder: Path) -> list[str]:
    """The command lines of processes that work in the folder, the demo itself aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line and " demo " not in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of an undisturbed demo that was kept, looked at, and then ended with Ctrl-C."""
    folder = tmp_path_factory.mktemp("calm") / "demo"
    with a_demo(folder, "--speed=8000", "--keep") as demo:
        assert demo.stdout is not None
        result = json.loads(demo.stdout.readline())
        ledger = httpx.get(result["desk"] + "/desk/ledger", trust_env=False).json()
        parts = pids_of(folder)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
        left = living(folder)
    return result | {"code": demo.returncode, "ledger": ledger, "parts": parts, "left": left}


def test_every_fault_becomes_one_request_and_nothing_else_does(calm: dict[str, Any]) -> None:
    """Nothing missed, nothing false, nothing twice, and the numbers are there."""
    assert {name: calm[name] for name in ("missed", "false", "duplicates", "unsettled")} == {
        "missed": 0, "false": 0, "duplicates": 0, "unsettled": "",
    }  # fmt: skip
    assert calm["faults_injected"] == calm["requests_filed"] == len(calm["requests"]) >= 8
    assert calm["readings"] > 10_000
    assert {code for code, _ in calm["requests"]} == {
        "SL-OUT", "SL-DAY", "SL-CIRCUIT", "WASTE:Bin & Litter", "FIRE-BIN", "POTHOLE 01",
    }  # fmt: skip


def test_kept_it_stays_until_ctrl_c_and_leaves_no_process_behind(calm: dict[str, Any]) -> None:
    """After the score the desk still answers; Ctrl-C ends every part and counts as success."""
    assert len(calm["ledger"]) == calm["requests_filed"]
    assert {"broker", "nats-server", "desk", "gateway"} <= set(calm["parts"])
    assert (calm["code"], calm["left"]) == (0, [])


@pytest.mark.parametrize(
    ("chaos", "restarts"),
    [
        (["gateway", "--kills=3", "--speed=4000"], {"gateway": 3}),
        (["broker", "--kills=2", "--speed=4000"], {}),
        (["desk-drops", "--speed=8000"], {}),
    ],
    ids=["gateway", "broker", "desk"],
)
def test_whatever_dies_the_same_faults_become_the_same_requests(
    chaos: Sequence[str], restarts: dict[str, int], calm: dict[str, Any]
) -> None:
    """kill -9 of the gateway, of the broker's server, answers dropped after storing: no matter."""
    script = [sys.executable, str(ROOT / "tests/chaos.py"), *chaos, *CITY]

    done = subprocess.run(script, capture_output=True, timeout=DONE_S, check=False)

    result = json.loads(done.stdout)
    assert done.returncode == 0, (result, done.stderr[-2000:])
    assert {name: result[name] for name in COUNTS} == {name: calm[name] for name in COUNTS}
    assert (result["requests"], result["restarts"]) == (calm["requests"], restarts)


def test_a_demo_that_is_stopped_takes_its_processes_along(tmp_path: Path) -> None:
    """SIGTERM in the middle of the run."""
    folder = tmp_path / "demo"
    with a_demo(folder, "--speed=1000") as demo:
        ready = folder / "pids.json"
        wait_until(lambda: ready.exists() and "city-run" in pids_of(folder), "the city plays", 60)
        assert living(folder)
        demo.terminate()
        demo.communicate(timeout=60)
        assert (demo.returncode, living(folder)) == (130, [])


def test_a_part_that_dies_is_started_again_at_once(tmp_path: Path) -> None:
    """The desk is killed: it is back at the same address, with its ledger."""
    folder = tmp_path / "demo"
    with a_demo(folder, "--speed=1000"):
        ready = folder / "pids.json"
        wait_until(lambda: ready.exists() and "city-run" in pids_of(folder), "the city plays", 60)
        first = pids_of(folder)["desk"]
        told = (folder / "logs/desk.out").read_text().splitlines()
        os.kill(first, signal.SIGKILL)

        def back() -> bool:
            return len((folder / "logs/desk.out").read_text().splitlines()) == 2

        wait_until(back, "the desk is back")
        assert (folder / "logs/desk.out").read_text().splitlines()[1:] == told
        assert pids_of(folder)["desk"] != first


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--desk-faults", '{"drop_after_rte": 0.3}'], "drop_after_rte"),
        (["--desk-faults", "{"], "--desk-faults"),
        (["--speed", "0"], "--speed"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    tmp_path: Path, options: list[str], words: str
) -> None:
    """Exit 2, one message, no process."""
    command = [*SENSE311, "demo", "--dir", str(tmp_path / "demo"), *options]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False)

    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert living(tmp_path) == []


def test_a_folder_with_an_old_demo_in_it_is_refused(tmp_path: Path) -> None:
    """Its ledger would be judged with the new one."""
    (tmp_path / "desk.db").touch()

    command = [*SENSE311, "demo", "--dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False)

    assert (done.returncode, b"not empty" in done.stderr) == (2, True)
