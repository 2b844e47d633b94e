"""Ten thousand full bins through the whole gateway, killed with -9, to a desk that misbehaves.

    PYTHONPATH=.:tests:tests/gateway python tests/gateway_chaos.py --bins 10000 --kills 60

Messages over the bundled broker, `sense311 run` killed at random from the first message to the last
filing, a desk that loses answers, fails after storing, is slow, lists late and gives tokens, a
little while each. Every bin is to have one request at the desk, which the gateway knows the number
of. Prints one JSON object; exit 0 only when it is so.
"""

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from conftest import BundledBroker
from delivery import KEY, running_desk
from filing_chaos import MOODS, SETTLED_S, WAITING

from gateway.books.ledger import requests_of
from gateway.cityhall.requests import rfc3339
from gateway.watch.status import read_status

T0_MS = 1_768_500_000_000
ROUNDS = 6  # of reports, ten minutes apart: a bin is full after two, filed after its wait
BIN = re.compile(r"\bB-(\d+)\b")


def a_city(folder, count, broker, endpoint):
    """The gateway's folder: bins a kilometre apart, and a configuration."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [n % 100 / 100 - 120, n // 100 / 100]},
            "properties": {"asset_id": f"B-{n}", "kind": "bin", "zone": f"z{n % 10}",
                           "devices": [f"bin-{n}"]},
        }
        for n in range(count)
    ]  # fmt: skip
    city = {"type": "FeatureCollection", "features": features}
    (folder / "assets.geojson").write_text(json.dumps(city))
    key = folder / "api_key"
    key.write_text(KEY)
    key.chmod(0o600)
    (folder / "sense311.toml").write_text(
        f'[broker]\ncredentials = "{broker.credentials}"\n'
        f'[city]\nendpoint = "{endpoint}"\napi_key_file = "api_key"\n'
        '[assets]\nfiles = ["assets.geojson"]\n[store]\nfolder = "data"\n'
        '[ingest]\nclock = "follow"\nidle_s = 0.3\n'
    )


def feed(publisher, count):
    """Every bin reports that it is full, round by round; acknowledged by the broker."""
    for nth in range(ROUNDS):
        at = rfc3339(T0_MS + nth * 600_000)
        told = [
            publisher.publish(
                f"city/v1/z{n % 10}/bin/bin-{n}/telemetry",
                {"ts": at, "boot": 1, "seq": nth, "values": {"fill_pct": 92}},
            )
            for n in range(count)
        ]
        for one in told:
            one.wait_for_publish(120)


def _is_up(folder):
    with suppress(Exception):  # nothing is written yet
        return read_status(folder / "data", time.time_ns() // 1_000_000)["state"] == "green"
    return False


def states(folder):
    with suppress(Exception):  # it is just being made, or written to
        return Counter(row["state"] for row in requests_of(folder / "data" / "sense311.db"))
    return Counter()


def run(options, folder):
    dice = random.Random(options.seed)
    broker = BundledBroker(folder / "broker")
    with running_desk(folder, "--faults", json.dumps(MOODS[0])) as desk:
        a_city(folder, options.bins, broker, desk.endpoint)
        words = [sys.executable, "-m", "gateway.cli", "run", "-c", str(folder / "sense311.toml")]
        gateway = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        while not _is_up(folder):
            time.sleep(0.1)
        feeding = threading.Thread(target=feed, args=(broker.login(), options.bins))
        feeding.start()
        for kill in range(options.kills):
            time.sleep(dice.uniform(1.0, options.seconds))
            gateway.send_signal(signal.SIGKILL)
            gateway.wait()
            gateway = subprocess.Popen(words, stderr=subprocess.DEVNULL)
            with suppress(Exception):
                desk.misbehave(**MOODS[(kill + 1) % len(MOODS)], seed=kill)
        feeding.join()
        desk.misbehave()
        until_s = time.monotonic() + SETTLED_S
        while time.monotonic() < until_s:
            now = states(folder)
            if now.total() >= options.bins and not any(now[name] for name in WAITING):
                break
            time.sleep(1)
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(60)
        told = judged(folder, options.bins, desk.stored())
    broker.close()
    return told


def judged(folder, bins, stored):
    """By the desk's own ledger: each bin once, under the number that the gateway knows."""
    there = Counter(int(BIN.search(row["description"])[1]) for row in stored)
    ids = {row["attributes"]["reference"]: row["service_request_id"] for row in stored}
    rows = requests_of(folder / "data" / "sense311.db")
    return {
        "bins": bins,
        "at_the_desk": there.total(),
        "twice": sum(count - 1 for count in there.values()),
        "missing": sum(n not in there for n in range(bins)),
        "wrong_number": sum(ids.get(row["reference"]) != row["request_id"] for row in rows),
        "states": dict(Counter(row["state"] for row in rows)),
        "attempts_most": max(row["attempts"] for row in rows),
    }


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bins", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=6.0, help="between kills, at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    folder, began_s = Path(tempfile.mkdtemp(prefix="sense311-chaos-")), time.monotonic()
    told = run(options, folder)
    told["ok"] = told["states"] == {"filed": options.bins} and not any(
        told[name] for name in ("twice", "missing", "wrong_number")
    )
    told |= {"kills": options.kills, "seconds": round(time.monotonic() - began_s, 1)}
    print(json.dumps(told))
    if told["ok"]:
        shutil.rmtree(folder)
    return 0 if told["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
