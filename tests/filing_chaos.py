"""Ten thousand requests at a desk that misbehaves in turns, while the filer is killed with -9.

    PYTHONPATH=.:tests/gateway python tests/filing_chaos.py --requests 10000 --kills 60

The rows lie in a real store; a process of its own files them at a real desk, which loses answers,
fails after storing, throttles, answers late, lists late and gives tokens, a little while each. At
the end the desk's own ledger is the judge: every reference once. Prints one JSON object; exit 0
only when none is missing, none is there twice and none is without a number or a reason.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from delivery import KEY, a_row, running_desk

from gateway.books.ledger import requests_of
from gateway.books.store import Store
from gateway.cases.incident import Incident, State
from gateway.cityhall.filing import Filer
from gateway.cityhall.georeport_http import Timeouts
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.profile import read_profile
from gateway.effects import Effects

MOODS = (
    {"drop_after_rate": 0.2},
    {"error_after_rate": 0.2, "error_before_rate": 0.1},
    {"drop_before_rate": 0.2, "reads_fail": True},
    {"throttle_rate": 0.1, "retry_after_s": 1},
    {"delay_s": 0.7},
    {"listing_delay_s": 2.0, "drop_after_rate": 0.2},
    {"token": True, "token_delay_s": 3.0},
    {},
)
LIMITS = Timeouts(connect_s=2, read_s=0.5, write_s=2, total_s=2)
WAITING = ("ready", "sending", "uncertain", "tokened")
SETTLED_S = 1800
CHUNK = 500


def now_ms():
    return time.time_ns() // 1_000_000


def work(folder, endpoint):
    """The filer, until it is killed."""
    profile = read_profile("desk")
    store = Store(Path(folder))
    with Open311Client(endpoint, KEY, profile, LIMITS) as client:
        Filer(store, client, profile, now_ms).run()


def fill(folder, count):
    """So many rows in the store, far enough from each other that none is another's."""
    services = list(read_profile("desk").services)
    store = Store(folder)
    references = []
    for first in range(0, count, CHUNK):
        effects = Effects()
        for n in range(first, min(first + CHUNK, count)):
            where = {"lat": 40 + n / 1000, "asset_id": f"L-{n:05d}"}
            row = a_row(f"chaos-{n}", services[n % len(services)], now_ms(), **where)
            effects.outbox.append(replace(row, incident_id=n + 1))
            effects.incidents[n + 1] = Incident(
                n + 1, "lamp_out", where["asset_id"], 1, State.QUEUED, 0, 0, 0, {}
            )
        store.commit(effects)
        references += [row.reference for row in effects.outbox]
    store.close()
    return references


def states(folder):
    return Counter(row["state"] for row in requests_of(folder / "sense311.db"))


def run(options, folder):
    dice = random.Random(options.seed)
    references = fill(folder, options.requests)
    with running_desk(folder, "--faults", json.dumps(MOODS[0])) as desk:
        words = [sys.executable, __file__, "--worker", str(folder), desk.endpoint]
        for kill in range(options.kills):
            worker = subprocess.Popen(words)
            time.sleep(dice.uniform(1.0, options.seconds))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            # The client reads for half a second: a change of mood must not wait for a slow desk.
            with suppress(Exception):
                desk.misbehave(**MOODS[(kill + 1) % len(MOODS)], seed=kill)
        desk.misbehave()
        worker = subprocess.Popen(words)
        until_s = time.monotonic() + SETTLED_S
        while time.monotonic() < until_s and any(states(folder)[name] for name in WAITING):
            time.sleep(1)
        worker.kill()
        worker.wait()
        return judged(folder, references, desk.stored())


def judged(folder, references, stored):
    there = Counter(row["attributes"]["reference"] for row in stored)
    rows = requests_of(folder / "sense311.db")
    ids = {row["attributes"]["reference"]: row["service_request_id"] for row in stored}
    return {
        "requests": len(references),
        "at_the_desk": sum(there.values()),
        "twice": sum(count - 1 for count in there.values()),
        "missing": sum(reference not in there for reference in references),
        "wrong_number": sum(
            row["state"] == "filed" and ids.get(row["reference"]) != row["request_id"]
            for row in rows
        ),
        "states": dict(Counter(row["state"] for row in rows)),
        "without_a_reason": sum(row["state"] != "filed" and not row["reason"] for row in rows),
        "attempts_most": max(row["attempts"] for row in rows),
    }


def main(argv):
    if argv[:1] == ["--worker"]:
        work(*argv[1:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=5.0, help="between kills, at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    folder, began_s = Path(tempfile.mkdtemp(prefix="sense311-filing-")), time.monotonic()
    told = run(options, folder)
    bad = ("twice", "missing", "wrong_number", "without_a_reason")
    told["ok"] = not any(told[name] for name in bad) and not any(
        told["states"].get(name) for name in WAITING
    )
    told |= {"kills": options.kills, "seconds": round(time.monotonic() - began_s, 1)}
    print(json.dumps(told))
    if told["ok"]:
        shutil.rmtree(folder)
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
