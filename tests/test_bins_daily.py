"""Real input, end to end: a city's table of bin readings becomes one request for each full bin.

Table -> recording -> real broker -> gateway -> simulated 311 desk, each a process of its own, with
the configuration in deploy/examples. The tables: one made here in the form that a real city
exports, always; and that city's own export, where the shared data is beside the checkout.
"""

import csv
import gzip
import json
import os
import select
import shutil
import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from conftest import SENSE311, START_S, running, wait_until

from gateway.books.ledger import requests_of

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "deploy/examples"
SHARED = Path(os.environ.get("SENSE311_SHARED", ROOT.parent / "shared"))
REAL = SHARED / "data/bins_daily"
ZONE = ZoneInfo("Australia/Melbourne")
COLUMNS = ("Bin ID", "Fullness", "fullnessThreshold", "timestamp", "reason")
DONE_S = 150

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Episode:
    """A bin at or above its threshold, day after day of its reports. Days are the city's."""

    bin_id: str
    first: date
    last: date


# -- a table that we make ourselves ---------------------------------------------------------------

BEGIN = date(2018, 6, 25)
DAYS = 300
# Bin -> its threshold in tenths, the stretches of days (from, to) without a report, and those full.
BINS = {
    "2001": (6, [], [(1, 1), (4, 5), (11, 11), (60, 80), (299, 299)]),
    "2002": (8, [(40, 130)], [(0, 0), (20, 39), (150, 150), (152, 152)]),
    "2003": (8, [(90, 180)], [(85, 188), (200, 200)]),  # full before the gap and still full after
    "2004": (10, [], [(day, day) for day in range(2, 290, 3)]),
    "2005": (8, [], []),
}


def _made_rows(bin_id):
    """The rows of one bin, in order of time, each day once."""
    threshold, gaps, full = BINS[bin_id]
    for day in range(DAYS):
        if any(first <= day <= last for first, last in gaps):
            continue
        is_full = any(first <= day <= last for first, last in full)
        fullness = threshold + day % (11 - threshold) if is_full else day * 7 % threshold
        reason = "FULLNESS" if is_full else "NOT_READY"
        if not is_full and day % 17 == 0:
            fullness, reason = 0, "ALERT"
        stamp = (BEGIN + timedelta(days=day)).strftime("%d-%m-%Y")
        yield bin_id, str(fullness), str(threshold), stamp, reason


def _spoilt(rows):
    """As exports are: every ninth row twice, and weeks in the wrong order."""
    twice = [row for number, row in enumerate(rows) for row in [row] * (1 + (number % 9 == 0))]
    weeks = [twice[at : at + 7] for at in range(0, len(twice), 7)]
    return [row for week in reversed(weeks) for row in week]


def made(folder):
    """A table and its episodes."""
    rows = [row for bin_id in BINS for row in _spoilt(list(_made_rows(bin_id)))]
    with (folder / "readings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    episodes = [
        Episode(bin_id, BEGIN + timedelta(days=first), BEGIN + timedelta(days=last))
        for bin_id, (_, _, full) in BINS.items()
        for first, last in full
        if first < DAYS - 1  # the very last row may still be contradicted: time stands still there
    ]
    return folder / "readings.csv", episodes


def real(_folder):
    """The city's own export, with the episodes that others worked out from it."""
    with (REAL / "full_episodes.csv").open(newline="") as file:
        episodes = [
            Episode(
                row["bin_id"],
                date.fromisoformat(row["first_full_day"]),
                date.fromisoformat(row["last_full_day"]),
            )
            for row in csv.DictReader(file)
        ]
    return REAL / "readings.csv", episodes


# -- the processes --------------------------------------------------------------------------------


def command(folder, *arguments):
    """Run one command to its end; its answer."""
    words = [*SENSE311, *map(str, arguments), "--json"]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=DONE_S, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def told(process):
    """The first line of a process, a JSON object."""
    assert select.select([process.stdout], [], [], START_S)[0], f"{process.args}: says nothing"
    return json.loads(process.stdout.readline())


def status(folder):
    """What the gateway last said of itself; nothing before its first word."""
    path = folder / "sense311-data/status.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def prepare(folder, table):
    """The example's folder, as its first lines say; how many messages, how many different ones."""
    for name in ("bins_daily.toml", "bins_daily.sense311.toml"):
        shutil.copy(EXAMPLES / name, folder)
    key = folder / "desk.key"
    key.touch(mode=0o600)
    key.write_text("a-key-for-this-test")
    (folder / "devices.json").write_text('{"replay": ["*"]}')
    done = command(
        folder, "sim", "from-csv", "bins_daily.toml", table,
        "--out", "recording.jsonl.gz", "--assets", "assets.geojson",
    )  # fmt: skip
    assert done["bad_rows"] == 0
    with gzip.open(folder / "recording.jsonl.gz") as file:
        return done["messages"], len(set(file))


def point_at(folder, desk_url):
    """The example names a port; the desk of a test takes a free one."""
    path = folder / "bins_daily.sense311.toml"
    text = path.read_text("utf-8")
    assert "http://127.0.0.1:8315" in text
    path.write_text(text.replace("http://127.0.0.1:8315", desk_url), "utf-8")


def filed(folder, table):
    """Everything that the desk has in its ledger after the replay, and the gateway's last word."""
    config = ("-c", "bins_daily.sense311.toml")
    count, different = prepare(folder, table)
    with ExitStack() as stack:

        def start(name, *arguments):
            log = folder / f"{name}.log"
            words = [*SENSE311, name, *arguments]
            process = running(words, log, cwd=folder, stdout=subprocess.PIPE)
            return stack.enter_context(process)

        told(start("broker", "--dir", "broker", "--devices", "devices.json", "--json"))
        desk = start("desk", "--db", "desk.db", "--api-key-file", "desk.key", "--json")
        url = told(desk)["url"]
        point_at(folder, url)
        start("run", *config)
        wait_until(lambda: status(folder).get("state") == "green", "a green gateway")
        replayed = command(folder, "replay", "recording.jsonl.gz", *config, "--speed", "max")
        assert replayed["messages"] == count
        wait_until(lambda: status(folder)["readings"] >= different, "all readings", DONE_S)
        wait_until(lambda: _all_filed(folder), "all requests filed", DONE_S)
        ledger = httpx.get(f"{url}/desk/ledger", trust_env=False, timeout=START_S).json()
        return ledger, status(folder)


def _all_filed(folder):
    rows = requests_of(folder / "sense311-data/sense311.db")
    return all(row["state"] == "filed" for row in rows)


# -- the judgement --------------------------------------------------------------------------------


def asked(request):
    """Which bin a request is about, and on which day of the city it was full."""
    attributes = request["attributes"]
    at = datetime.fromisoformat(attributes["observed_at"])
    return attributes["asset_id"].removeprefix("bin-"), at.astimezone(ZONE).date()


def episode_of(bin_id, day, episodes):
    """The episode that a request is about; None if there was none."""
    found = [e for e in episodes if e.bin_id == bin_id and e.first <= day <= e.last]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("source", "share_off_max"), [(made, 0), (real, 0.02)], ids=["made", "real"]
)
def test_a_table_of_a_city_becomes_one_request_for_each_full_bin(source, share_off_max, tmp_path):
    """As many requests as episodes (of real ones within 2 %), and no second one within any."""
    if source is real and not REAL.is_dir():
        pytest.skip(f"no recordings in {SHARED} (SENSE311_SHARED names another place)")
    table, episodes = source(tmp_path)

    ledger, said = filed(tmp_path, table)

    per_episode = Counter(episode_of(*asked(request), episodes) for request in ledger)
    invented = per_episode.pop(None, 0)
    missed = len(episodes) - len(per_episode)
    off_max = share_off_max * len(episodes)
    assert said["refusals"] == 0
    assert said["duplicates"] > 0
    assert {episode for episode, count in per_episode.items() if count > 1} == set()
    assert abs(len(ledger) - len(episodes)) <= off_max
    assert missed + invented <= off_max


def test_the_made_table_has_what_makes_real_ones_hard(tmp_path):
    """Rows out of order, exact duplicates, gaps of months, weeks full, alerts of empty bins."""
    table, episodes = made(tmp_path)
    with table.open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    days = [datetime.strptime(row[3], "%d-%m-%Y").replace(tzinfo=UTC) for row in rows]

    assert any(later < earlier for earlier, later in pairwise(days))
    assert max(Counter(rows).values()) == 2
    assert ("0", "ALERT") in {(row[1], row[4]) for row in rows}
    assert max(episode.last - episode.first for episode in episodes) >= timedelta(weeks=3)
    of_one = sorted(day for day, row in zip(days, rows, strict=True) if row[0] == "2002")
    assert max(b - a for a, b in pairwise(of_one)) > timedelta(days=60)
