"""The City page at 20,000 assets and 500 incidents: how fast its map answers, and what it costs the
gateway. Two measurements on real processes, on loopback, bounded in count:

- pans: the map is dragged in headless Chromium, at three zooms; from the input event to the frame
  after the one that shows it;
- ingest: a backlog at QoS 1 is drained by the gateway with the console running and its City page
  open, and without either, in turn; each pair of neighbours is one ratio, and their median counts.

Beside messages a second it gives the gateway's own processor seconds for them, which other work on
the machine hardly moves. Needs the parts of `make parts`. One JSON object with --json.
"""

import argparse
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import client
import httpx
import run

ROOT = Path(__file__).parent.parent.parent
sys.path += [str(ROOT), str(ROOT / "tests")]  # after what is installed: tests/gateway is no gateway

import map_city  # noqa: E402

from gateway.books.store import Store  # noqa: E402
from gateway.books.stored_rows import INCIDENT_HOLES, incident_row  # noqa: E402
from gateway.cases.incident import State  # noqa: E402
from gateway.effects import Effects  # noqa: E402
from gateway.staff.accounts import Accounts  # noqa: E402
from gateway.staff.people import Role  # noqa: E402
from gateway.web.sessions import COOKIE  # noqa: E402

PARTS = ROOT / ".venv" / "node"
PAN_SCRIPT = ROOT / "tests" / "node" / "map_pan.mjs"
PASSWORD = "only for this measurement"
LAST = "SELECT max(id) FROM readings"
CHANGE_S = 1.0
FIRST = 1_000_000  # of these incidents: the gateway's own come to no such numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=20_000)
    parser.add_argument("--incidents", type=int, default=500)
    parser.add_argument("--pans", type=int, default=20, help="at each zoom, of 20 moves each")
    parser.add_argument("--messages", type=int, default=40_000, help="backlog of each round")
    parser.add_argument("--pairs", type=int, default=6, help="in both orders by turns")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result: dict[str, Any] = {"assets": args.assets, "incidents": args.incidents}
    with run.world("2m") as folder:
        config = configure(folder, args.assets, args.incidents)
        if args.pans:
            with run.gateway(config), console(config) as (url, cookie):
                result["pans"] = browser(url, cookie, args.pans)
        if args.pairs:
            result["ingest"] = ingest(config, args.messages, args.pairs)
    sys.stdout.write(json.dumps(result) + "\n" if args.json else shown(result))


def configure(folder: Path, assets: int, incidents: int) -> Path:
    """A gateway that has run, with open incidents that it has nothing left to do about."""
    features = [map_city.feature(i, assets) for i in range(assets)]
    for i, one in enumerate(features):
        one["properties"] |= {"kind": "streetlight", "asset_id": f"SL-{i}", "devices": [f"d{i}"]}
    config = run.configure(folder, 1)
    collection = {"type": "FeatureCollection", "features": features}
    (folder / "assets.geojson").write_text(json.dumps(collection))
    with run.gateway(config):
        pass
    store = Store(folder / "data")
    step = max(1, assets // incidents)
    noted = {
        n: map_city.an_incident(n, f"SL-{(n * step) % assets}", "lamp_out", State.NOTED)
        for n in range(1, incidents + 1)
    }
    store.commit(Effects(incidents=noted, tick_ms=int(time.time() * 1000)))
    store.close()
    Accounts(folder / "data").add_user("bench", Role.VIEWER, int(time.time() * 1000), PASSWORD)
    return config


# -- the console and its visitor -------------------------------------------------------------------


@contextmanager
def console(config: Path) -> Iterator[tuple[str, str]]:
    """Its address, and the cookie of somebody who has signed in."""
    command = [*run.SENSE311, "console", "-c", str(config), "--port", "0", "--json", "--beside"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # as `run` starts it
    with run.process(command, stderr=subprocess.DEVNULL, **pipes) as child:
        assert child.stdout is not None
        url = json.loads(child.stdout.readline())["url"]
        form = {"name": "bench", "password": PASSWORD, "next": "/"}
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as visitor:
            visitor.post("/sign-in", data=form)
            assert visitor.get("/api/v1/city/states").status_code == 200
            cookie = visitor.cookies[COOKIE]
        yield url, f"{COOKIE}={cookie}"


def node(url: str, cookie: str, *words: object) -> list[str]:
    found, chromium = shutil.which("node"), shutil.which("chromium")
    if found is None or chromium is None or not (PARTS / "node_modules/playwright-core").is_dir():
        sys.exit("needs node, chromium and what node runs: `make parts`")
    return [found, str(PAN_SCRIPT), chromium, url, cookie, *map(str, words)]


def browser(url: str, cookie: str, pans: int) -> dict[str, Any]:
    done = subprocess.run(
        node(url, cookie, pans), cwd=PARTS, check=True, stdout=subprocess.PIPE, timeout=600
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


@contextmanager
def looked_at(config: Path) -> Iterator[None]:
    """The console runs, and its City page is open in a browser."""
    with console(config) as (url, cookie):
        # The browser is on somebody else's machine: here it gets what is left over.
        command = ["nice", "-n", "19", *node(url, cookie, 0, "watch")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        page = subprocess.Popen(command, cwd=PARTS, **pipes)
        assert page.stdin is not None
        assert page.stdout is not None
        try:
            assert json.loads(page.stdout.readline())["open"]
            yield
        finally:
            page.stdin.close()
            page.wait(30)


# -- what it costs the gateway ---------------------------------------------------------------------


def ingest(config: Path, count: int, pairs: int) -> dict[str, Any]:
    rounds: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    with run.gateway(config) as child:
        for pair in range(-1, pairs):  # the first pair warms up
            for watched in (True, False) if pair % 2 else (False, True):
                measured = one_round(config, child, count, watched=watched)
                if pair >= 0:
                    rounds[watched].append(measured)
    looked, alone = rounds[True], rounds[False]
    slower = [a["per_s"] / b["per_s"] for a, b in zip(looked, alone, strict=True)]
    dearer = [a["cpu_s"] / b["cpu_s"] for a, b in zip(looked, alone, strict=True)]
    return {
        "messages": count,
        "looked_at_per_s": spread([one["per_s"] for one in looked]),
        "alone_per_s": spread([one["per_s"] for one in alone]),
        "ratio_of_rates": spread(slower),
        "ratio_of_gateway_cpu": spread(dearer),
        "incidents_meanwhile": spread([one["opened"] for one in looked]),
    }


def one_round(
    config: Path, child: "subprocess.Popen[bytes]", count: int, *, watched: bool
) -> dict[str, float]:
    """The gateway is halted while its backlog is made, and goes on with it; meanwhile something
    happens every CHANGE_S, with or without anybody who looks.
    """
    database = config.parent / "data" / "sense311.db"
    before = run.query(database, LAST)[0][0] or 0
    with ExitStack() as stack:
        if watched:
            stack.enter_context(looked_at(config))
        child.send_signal(signal.SIGSTOP)
        try:
            publish(config.parent, count, before)
        finally:
            started_s = cpu_s(child.pid)
            child.send_signal(signal.SIGCONT)
        with happening(database) as opened:
            run.wait_for(lambda: (run.query(database, LAST)[0][0] or 0) >= before + count)
            used_s = cpu_s(child.pid) - started_s
    batches = run.query(
        database,
        f"SELECT received_ms, count(*) FROM readings WHERE id > {before} GROUP BY 1 ORDER BY 1",
    )
    # A batch's stamp is when it was taken: the last one's work is not within the span.
    span_s = (batches[-1][0] - batches[0][0]) / 1000
    per_s = (count - batches[-1][1]) / span_s
    return {"per_s": per_s, "cpu_s": used_s, "opened": float(len(opened))}


def spread(values: list[float]) -> list[float]:
    """Lowest, median, highest."""
    ordered = sorted(values)
    return [round(x, 3) for x in (ordered[0], statistics.median(ordered), ordered[-1])]


def publish(folder: Path, count: int, start: int) -> None:
    """A backlog of lamps that are well."""
    credentials = folder / "broker" / "credentials.json"
    line = client.connect(str(credentials), "fleet", client_id=f"bench-{start}")
    line.connect(*line._address)
    line.loop_start()
    room = threading.Semaphore(client.IN_FLIGHT)
    line.on_publish = lambda *_: room.release()
    at = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    for i in range(count):
        room.acquire()
        number = start + i
        values = {"active_power_w": 0.3, "dim_level_pct": 0}
        message = {"ts": at, "boot": 1, "seq": number // client.LAMPS, "values": values}
        topic = f"city/v1/z/streetlight/d{number % client.LAMPS}/telemetry"
        line.publish(topic, json.dumps(message), qos=1)
    for _ in range(client.IN_FLIGHT):
        room.acquire()
    line.disconnect()
    line.loop_stop()


@contextmanager
def happening(database: Path) -> Iterator[list[int]]:
    """An incident more every CHANGE_S, put into the books from beside: pages have to draw anew."""
    ended, opened = threading.Event(), list[int]()

    def go_on() -> None:
        while not ended.wait(CHANGE_S):
            with sqlite3.connect(database, timeout=30) as db:
                (last,) = db.execute("SELECT max(id) FROM incidents").fetchone()
                opened.append(max(last, FIRST) + 1)
                asset = f"SL-{opened[-1] % 1000}"
                noted = map_city.an_incident(opened[-1], asset, "lamp_out", State.NOTED)
                db.execute(f"INSERT INTO incidents VALUES ({INCIDENT_HOLES})", incident_row(noted))
                entry = map_city.an_entry(noted.id, asset, "lamp_out")
                db.execute("INSERT INTO journal VALUES (NULL,?,?,?,?,?,?,?,?,?)", entry)
            db.close()

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        yield opened
    finally:
        ended.set()
        worker.join()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shown(result: dict[str, Any]) -> str:
    city = f"{result['assets']} assets, {result['incidents']} open incidents"
    lines = [f"measured {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; {city}"]
    for zoom, pan in result.get("pans", {}).items():
        lines.append(
            f"pan at zoom {zoom}: p50 {pan['p50_ms']} ms, p95 {pan['p95_ms']} ms, "
            f"max {pan['max_ms']} ms of {pan['moves']} moves   (goal: 100 ms)"
        )
    if "ingest" in result:
        cost = result["ingest"]
        for name, text in (
            ("looked_at_per_s", "messages/s with the page open"),
            ("alone_per_s", "messages/s without a console"),
            ("ratio_of_rates", "ratio of rates, pair by pair   (goal: at least 0.95)"),
            ("ratio_of_gateway_cpu", "ratio of the gateway's processor time"),
        ):
            low, middle, high = cost[name]
            lines.append(f"{text}: {middle} ({low} to {high})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
