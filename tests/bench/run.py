"""`make bench`: what the gateway costs, as ratios within one run, since machines are noisy.

Four measurements, each on real processes and the bundled broker, on loopback, bounded in count:
throughput (a backlog at QoS 1 through the whole durable path, against a bare paho subscriber that
acknowledges and does nothing), latency (publish to commit, at a steady rate), memory with many
assets, and the time to start. Prints a table, or one JSON object with --json.
"""

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SENSE311 = [sys.executable, "-c", "from gateway.cli import main; main()"]
LAMPS = 1000
WAIT_S = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="backlog of each round")
    parser.add_argument("--rounds", type=int, default=2, help="each in both orders")
    parser.add_argument("--assets", type=int, default=100_000)
    parser.add_argument("--latency-s", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result: dict[str, Any] = {}
    # A backlog takes long to make with a sync for each message, and draining it is the same.
    with world("2m") as at:
        result["throughput"] = throughput(at, args.messages, args.rounds)
    with world("2m") as at:
        result["latency"] = latency(at, args.latency_s)
    with world("always") as at:
        result["latency_always"] = latency(at, args.latency_s)
    with world("2m") as at:
        result["memory"] = memory(at, args.assets)
    result["help_s"] = help_time()
    sys.stdout.write(json.dumps(result) + "\n" if args.json else shown(result))


@contextmanager
def world(sync: str) -> Iterator[Path]:
    """A folder with the bundled broker running in it."""
    with tempfile.TemporaryDirectory(prefix="sense311-bench-") as name:
        yield from broker_in(Path(name), sync)


def broker_in(folder: Path, sync: str) -> Iterator[Path]:
    (folder / "devices.json").write_text(json.dumps({"fleet": ["*"], "bare": ["*"]}))
    command = [*SENSE311, "broker", "--dir", str(folder / "broker"), "--json"]
    command += ["--sync", sync]
    command += ["--devices", str(folder / "devices.json")]
    with process(command, stdout=subprocess.PIPE) as broker:
        assert broker.stdout is not None
        assert json.loads(broker.stdout.readline())["url"]
        yield folder


@contextmanager
def process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(command, **options)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


def configure(folder: Path, assets: int) -> Path:
    """A gateway configuration with so many street lights, thirty on a circuit."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [-87.6 + (i % 1000) * 1e-4, 41.8]},
            "properties": {
                "asset_id": f"SL-{i}", "kind": "streetlight", "zone": "z",
                "nominal_power_w": 60, "circuit": f"C-{i // 30}", "devices": [f"d{i}"],
            },
        }
        for i in range(assets)
    ]  # fmt: skip
    collection = {"type": "FeatureCollection", "features": features}
    (folder / "assets.geojson").write_text(json.dumps(collection))
    key = folder / "api_key"
    key.write_text("none")
    key.chmod(0o600)
    config = folder / "sense311.toml"
    config.write_text(
        '[broker]\ncredentials = "broker/credentials.json"\n'
        '[city]\nendpoint = "http://127.0.0.1:9/open311/v2"\napi_key_file = "api_key"\n'
        '[assets]\nfiles = ["assets.geojson"]\n[store]\nfolder = "data"\n'
    )
    return config


@contextmanager
def gateway(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    status = config.parent / "data" / "status.json"
    status.unlink(missing_ok=True)
    with process([*SENSE311, "run", "-c", str(config)], stderr=subprocess.DEVNULL) as child:
        wait_for(lambda: status.exists() and json.loads(status.read_text())["state"] == "green")
        yield child


def throughput(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    """Both subscribers have a session; a backlog is published; each drains it, in turn first. Who
    comes second finds the server busy clearing away, so first is compared with first, second with
    second, and the worse of the two ratios counts.
    """
    config = configure(folder, LAMPS)
    with gateway(config):
        pass
    run(folder, "bare", "subscribe", 0)
    rates: dict[str, list[float]] = {"bare 1": [], "bare 2": [], "whole 1": [], "whole 2": []}
    for round_ in range(2 * rounds):
        run(folder, "fleet", "publish", count, round_ * count)
        order = ["bare", "whole"] if round_ % 2 else ["whole", "bare"]
        for position, who in enumerate(order, 1):
            if who == "bare":
                rate = run(folder, "bare", "drain", count)["per_s"]
            else:
                rate = drain_gateway(config, count)
            rates[f"{who} {position}"].append(rate)
    middle = {name: round(statistics.median(values)) for name, values in rates.items()}
    ratios = [middle[f"whole {i}"] / middle[f"bare {i}"] for i in (1, 2)]
    return {
        "per_s": middle,
        "ratio": round(min(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def drain_gateway(config: Path, count: int) -> float:
    """Messages a second between the gateway's first batch and its last, all committed."""
    database = config.parent / "data" / "sense311.db"
    before = query(database, "SELECT coalesce(max(id), 0) FROM readings")[0][0]
    with gateway(config):
        wait_for(lambda: query(database, "SELECT max(id) FROM readings")[0][0] >= before + count)
    batches = query(
        database,
        f"SELECT received_ms, count(*) FROM readings WHERE id > {before} GROUP BY 1 ORDER BY 1",
    )
    # A batch's stamp is when it was taken: the last one's work is not within the span.
    span_s = (batches[-1][0] - batches[0][0]) / 1000
    return (count - batches[-1][1]) / span_s


def latency(folder: Path, seconds: float) -> dict[str, Any]:
    """Publish to commit at a steady rate: a reader of the database sees each reading as soon as it
    is committed, and the reading says when it was published.
    """
    config = configure(folder, LAMPS)
    database = folder / "data" / "sense311.db"
    count = int(seconds * 1000)
    with gateway(config), ThreadPoolExecutor() as pool:
        client = pool.submit(run, folder, "fleet", "pace", count)
        waits: list[float] = []
        last = 0
        end = time.monotonic() + seconds + WAIT_S
        while len(waits) < count and time.monotonic() < end:
            seen = query(database, f"SELECT id, ts_ms FROM readings WHERE id > {last}")
            now_ms = time.time() * 1000
            waits.extend(now_ms - ts_ms for _, ts_ms in seen)
            last = max((reading for reading, _ in seen), default=last)
            time.sleep(0.005)
        rate = client.result()["rate_per_s"]
    waits.sort()
    return {
        "measured": len(waits),
        "rate_per_s": rate,
        "p50_ms": round(waits[len(waits) // 2], 1),
        "p99_ms": round(waits[int(len(waits) * 0.99)], 1),
    }


def memory(folder: Path, assets: int) -> dict[str, Any]:
    """Resident memory and start-up with every asset having reported, before and after a restart."""
    config = configure(folder, assets)
    with gateway(config):
        run(folder, "fleet", "publish", assets, 0, assets)
        database = folder / "data" / "sense311.db"
        wait_for(lambda: query(database, "SELECT count(*) FROM readings")[0][0] >= assets)
    began = time.monotonic()
    with gateway(config) as child:
        started_s = time.monotonic() - began
        run(folder, "fleet", "publish", 20_000, assets, assets)
        wait_for(lambda: query(database, "SELECT count(*) FROM readings")[0][0] >= assets + 20_000)
        resident_mb = rss_mb(child.pid)
    return {"assets": assets, "resident_mb": resident_mb, "start_s": round(started_s, 2)}


def help_time() -> float:
    times = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([*SENSE311, "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return round(statistics.median(times), 3)


def run(folder: Path, user: str, *args: object) -> dict[str, Any]:
    """A client in a process of its own."""
    credentials = folder / "broker" / "credentials.json"
    command = [sys.executable, str(HERE / "client.py"), str(credentials), user, *map(str, args)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def query(database: Path, text: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        return db.execute(text).fetchall()


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the gateway did not get there")
        time.sleep(0.05)


def shown(result: Mapping[str, Any]) -> str:
    through, mem = result["throughput"], result["memory"]
    per_s = through["per_s"]
    lines = [
        f"measured {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores",
        f"whole durable path, QoS 1   {per_s['whole 1']} / {per_s['whole 2']} messages/s",
        f"bare paho subscriber        {per_s['bare 1']} / {per_s['bare 2']} messages/s",
        f"ratio, the worse one        {through['ratio']}   (goal: at least 0.65)",
    ]
    for name, sync in (("latency", "2m"), ("latency_always", "always")):
        late = result[name]
        lines.append(
            f"publish to commit, {late['rate_per_s']}/s, broker sync {sync}   "
            f"p50 {late['p50_ms']} ms, p99 {late['p99_ms']} ms   (goal: p99 at most 250 ms)"
        )
    lines += [
        f"memory, {mem['assets']} assets       {mem['resident_mb']} MB   (goal: at most 400 MB)",
        f"start with them             {mem['start_s']} s",
        f"sense311 --help             {result['help_s']} s   (goal: under 0.5 s)",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
