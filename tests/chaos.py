"""The demo while its parts are killed with -9, or while the desk drops answers it has stored.

    python tests/chaos.py gateway --kills 20
    python tests/chaos.py broker --kills 10
    python tests/chaos.py desk-drops

Prints one JSON object. Exit 0 only when every kill was made and nothing was missed, filed twice or
made up.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

VICTIMS = {"gateway": "gateway", "broker": "nats-server"}
DROPS = '{"drop_after_rate": 0.3}'
POLL_S = 0.05
UP_S = 120.0  # a part that is not up again by then is not coming back
SPEEDS = {"gateway": 600.0, "broker": 600.0, "desk-drops": 1500.0}


def main(argv: Sequence[str]) -> int:
    options = _arguments(argv)
    folder = Path(tempfile.mkdtemp(prefix="sense311-chaos-"))
    began_s = time.monotonic()
    with _demo(options, folder) as demo:
        kills = _kill(options, folder, demo) if options.what in VICTIMS else 0
        out, _ = demo.communicate()
    result = json.loads(out)
    told = ("faults_injected", "requests_filed", "missed", "false", "duplicates", "readings",
            "restarts", "missed_labels", "false_requests", "duplicate_requests", "requests",
            "error")  # fmt: skip
    good = demo.returncode == 0 and kills == (options.kills if options.what in VICTIMS else 0)
    report: dict[str, Any] = {"ok": good, "what": options.what, "seed": options.seed}
    report |= {"kills": kills, "seconds": round(time.monotonic() - began_s, 1)}
    report |= {name: result[name] for name in told if name in result}
    if good:
        shutil.rmtree(folder)
    else:
        report["dir"] = str(folder)
    print(json.dumps(report))
    return 0 if good else 1


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=(*VICTIMS, "desk-drops"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, help="simulated seconds a second")
    for name, size in (("lamps", 500), ("bins", 150), ("road", 60), ("hours", 24)):
        parser.add_argument(f"--{name}", type=int, default=size)
    options = parser.parse_args(argv)
    options.speed = options.speed or SPEEDS[options.what]
    return options


@contextmanager
def _demo(options: argparse.Namespace, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    sizes = [f"--{name}={getattr(options, name)}" for name in ("lamps", "bins", "road", "hours")]
    drops = ["--desk-faults", DROPS] if options.what == "desk-drops" else []
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "demo", "--json", "--dir", folder,
         f"--seed={options.seed}", f"--speed={options.speed}", *sizes, *drops],
        cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield demo
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait()


def _kill(options: argparse.Namespace, folder: Path, demo: "subprocess.Popen[bytes]") -> int:
    """Kills at moments drawn from the seed, one in each of equal parts of the run; the victim is
    up again before it is killed again. How many kills were made.
    """
    dice = random.Random(options.seed)
    victim = VICTIMS[options.what]
    _wait(lambda: "city-run" in _pids(folder), demo)
    began_s, slot_s = time.monotonic(), options.hours * 3600 / options.speed / options.kills
    last = 0
    for nth in range(options.kills):
        due_s = began_s + slot_s * (nth + dice.uniform(0.05, 0.9))
        _wait(lambda due_s=due_s: time.monotonic() >= due_s, demo)
        if not _wait(lambda last=last: _is_up(folder, victim, last), demo):
            return nth
        last = _pids(folder)[victim]
        with suppress(ProcessLookupError):
            os.kill(last, signal.SIGKILL)
        print(f"{time.monotonic() - began_s:.1f} s: killed {victim} {last}", file=sys.stderr)
    return options.kills


def _wait(ready: Any, demo: "subprocess.Popen[bytes]") -> bool:
    deadline_s = time.monotonic() + UP_S
    while not ready():
        if demo.poll() is not None or time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def _is_up(folder: Path, victim: str, last: int) -> bool:
    """Another process than the last one, and the gateway says that it takes messages."""
    pid = _pids(folder).get(victim)
    if pid is None or pid == last:
        return False
    status = folder / "data" / "status.json"
    try:
        fresh = status.stat().st_mtime > Path(f"/proc/{pid}").stat().st_ctime
        return fresh and json.loads(status.read_text())["state"] == "green"
    except (OSError, ValueError):
        return False


def _pids(folder: Path) -> dict[str, int]:
    try:
        return json.loads((folder / "pids.json").read_text())
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
