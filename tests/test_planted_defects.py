"""Defects planted in the gateway, one line each: the scenarios that testers run find every one.

Each is planted in a copy of the source. The scenario beside it comes out as it must on the sound
gateway, and does not on the broken one. What only a crash can show is tried
with the test that kills the gateway.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SOURCE = ("gateway", "rules", "simulators")
CRASH = "tests/test_durability.py::test_kill_9_in_the_middle_of_a_commit_loses_nothing"


class Defect(NamedTuple):
    """`scenario`: one that finds it."""

    name: str
    scenario: str
    file: str
    sound: str
    broken: str


DEFECTS = (
    Defect("hits near each other are never one place", "potholes", "gateway/cases/places.py",
           "        place = self._nearest(rule, shape, seen)", "        place = None"),
    Defect("`for` is ignored", "lamp-ageing", "rules/instance.py",
           "    at_ms = _due_ms(rule, state, rule.for_ms)", "    at_ms = _due_ms(rule, state, 0)"),
    Defect("every pass is a hit", "potholes", "gateway/cases/roadway.py",
           "hit=hit, peak", "hit=True, peak"),
    Defect("a wrong dim curve", "look-alikes-lamps", "rules/runtime.py",
           "        return _interpolated(curve, level_pct)", "        return curve[-1][1]"),
    Defect("the sun is on the other side", "tutorial", "rules/sun.py",
           "* 360.0 + lon", "* 360.0 - lon"),
    Defect("circuits absorb nothing", "feeder-outages", "gateway/cases/incidents.py",
           "        if isinstance(parent, Incident):", "        if False:"),
    Defect("what is over never clears", "bins-full", "rules/instance.py",
           "    if when is True or clear is False:", "    if when is True or True:"),
    Defect("clocks that are ahead are believed", "clocks", "gateway/field/devices.py",
           "    if ts_ms > times.latest_ms:", "    if False:"),
    Defect("a bin is measured from its brim", "bins-full", "gateway/inventory/assets.py",
           'height_mm + float(at.get("offset_mm", 0.0))', "height_mm + 0.0"),
    Defect("lamps do not wait for their circuit", "feeder-outages", "gateway/cases/incidents.py",
           "wait_ms(rule) == 0:\n            step = self._at_once(incident, now_ms, why)",
           "True:\n            step = self._ask(incident, now_ms, why)"),
)  # fmt: skip
ACK_FIRST = Defect(
    "what is not on disk is acknowledged", "", "gateway/app.py",
    "        self._store.commit(effects)\n        stored_s = time.monotonic()\n"
    "        self._session.ack(deliveries)\n",
    "        self._session.ack(deliveries)\n        self._store.commit(effects)\n"
    "        stored_s = time.monotonic()\n",
)  # fmt: skip


def copied(folder: Path, *more: str) -> Path:
    """The source, as it is, elsewhere."""
    for name in (*SOURCE, *more):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def plant(folder: Path, defect: Defect) -> None:
    path = folder / defect.file
    text = path.read_text("utf-8")
    assert text.count(defect.sound) == 1, f"{defect.file} does not say {defect.sound!r} once"
    path.write_text(text.replace(defect.sound, defect.broken), "utf-8")


def run_there(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, env=env, text=True,
                          capture_output=True, check=False, timeout=300)  # fmt: skip
    assert "ModuleNotFoundError" not in done.stderr, done.stderr[-2000:]
    return done


def failing(folder: Path, suite: Sequence[str]) -> list[str]:
    """The scenarios that do not come out as they must."""
    done = run_there(folder, "gateway.cli", "sim", "score", *suite, "--json")
    told = json.loads(done.stdout)["scenarios"]
    assert len(told) == len(suite)
    return [one["name"] for one in told if not one["ok"]]


def test_the_sound_gateway_passes_the_suite(tmp_path):
    """Nothing missed, nothing invented, nothing twice: what finds a defect finds none in it."""
    assert failing(copied(tmp_path), sorted({defect.scenario for defect in DEFECTS})) == []


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_found(tmp_path, defect):
    """By a scenario that testers run."""
    folder = copied(tmp_path)
    plant(folder, defect)
    assert failing(folder, [defect.scenario]) == [defect.scenario]


def test_an_acknowledgement_before_the_commit_is_found(tmp_path, mosquitto):
    """By the test that kills the gateway between the two, which passes on the sound one."""
    folder = copied(tmp_path, "tests", "deploy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    plant(folder, ACK_FIRST)
    done = run_there(folder, "pytest", "-q", "-p", "no:cacheprovider", CRASH)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"FAILED {CRASH}" in done.stdout
