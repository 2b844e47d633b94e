"""What a message of the simulated city costs in virtual time, on one core, and which part costs it.

A day of 10,000 devices (7,000 lamps, 2,500 bins, 334 road sensors, 166 vehicles) is made again and
again, each time with one part more: what the sensors say, what the devices pack, what the air does
to it, all of it in order of time, the uplinks. Up to the air one device is played out after the
other; in order of time they take turns, and the processor finds none of them in its caches: that is
most of what the order costs. The best of each is taken, since machines are noisy. Prints a table,
or one JSON object with --json.
"""

import argparse
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from simulators import plan as plans
from simulators.city import City
from simulators.device import speak
from simulators.plan import Plan, plan_of
from simulators.timeline import in_order, uncollected

FLOOR = 20_000  # messages a second
LAMPS, BINS, ROAD = 7000, 2500, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--duration", default="24h")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    share = args.devices / 10_000
    counts = {"lamps": LAMPS, "bins": BINS, "road": ROAD}
    sizes = {name: round(count * share) for name, count in counts.items()}
    result = measured(City.sized(1, **sizes, duration=args.duration), args.rounds)
    sys.stdout.write(json.dumps(result) + "\n" if args.json else shown(result))
    sys.exit(0 if result["messages_a_second"] >= FLOOR else 1)


def measured(city: City, rounds: int) -> dict[str, Any]:
    stages: dict[str, Callable[[Plan], int]] = {
        "model": lambda plan: _count_all(says for _, _, says, _ in plans.devices(plan)),
        "encode": lambda plan: _count_all(
            speak(plan.city, kind, speaker, says, story)
            for kind, speaker, says, story in plans.devices(plan)
        ),
        "air": lambda plan: _count_all(plans.heard(plan)),
        "order": lambda plan: _count(in_order(plans.heard(plan))),
        "uplinks": lambda plan: _count(plans.messages(plan)),
    }
    seconds, count = {}, 0
    for name, stage in stages.items():
        times = []
        for _ in range(rounds):
            plan = plan_of(city)
            with uncollected():  # as `sense311 sim run` does
                start = time.process_time()
                count = stage(plan)
                times.append(time.process_time() - start)
        seconds[name] = min(times)
    whole = seconds["uplinks"]
    parts, before = {}, 0.0
    for name, upto in seconds.items():
        parts[name] = round(max(0.0, upto - before) * 1e6 / count, 2)
        before = upto
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "messages": count, "seconds": round(whole, 2), "messages_a_second": round(count / whole),
        "us_a_message": parts, "peak_mb": round(peak_mb),
    }  # fmt: skip


def _count_all(streams: Iterable[Iterable[Any]]) -> int:
    return sum(_count(stream) for stream in streams)


def _count(stream: Iterable[Any]) -> int:
    """Asked for one by one and thrown away."""
    last = deque(enumerate(stream, 1), maxlen=1)
    return last[0][0] if last else 0


def shown(result: dict[str, Any]) -> str:
    rate, floor = f"{result['messages_a_second']:,}", f"{FLOOR:,}"
    head = f"{result['messages']:,} messages in {result['seconds']} s of one core"
    parts = (f"  {name:8} {us:6.2f} us a message" for name, us in result["us_a_message"].items())
    lines = [f"{head}: {rate} a second (at least {floor}); peak {result['peak_mb']} MB", *parts]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
