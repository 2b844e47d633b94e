"""How well `bin_emptied` finds the emptyings of a city.

    RECORDINGS=folder PYTHONPATH=. python tests/fit/emptyings.py

The folder holds `bin_emptyings/collections.csv`: what sensors saw at each emptying of many bins.
Between two of them a bin is taken to fill evenly up to what was seen, and its sensor to report
every few hours, two points off now and then. The first report after an emptying is to be found, and
no other: accuracy is over all reports.
"""

import csv
import os
import random
import sys
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.workbench.trial import relatives
from rules.engine import Engine
from rules.files import load, shipped_templates
from rules.instance import Phase
from rules.starter import starter
from rules.track import Subject

HOUR_MS = 3_600_000
WAYS = {1: ("13h", 2), 2: ("13h", 2), 4: ("13h", 2), 6: ("13h", 1), 12: ("26h", 1), 24: ("50h", 1)}
"""Hours between reports -> the window that suits them, and how many must agree."""
GAP_DAYS_MAX = 14  # longer, the sensor was away
EDINBURGH = ZoneInfo("Europe/London")


def emptyings(path):
    sites = defaultdict(set)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["collected_at_local"]).replace(tzinfo=EDINBURGH)
            sites[row["site_id"]].add((int(at.timestamp() * 1000), float(row["fill_before_pct"])))
    return [sorted(visits) for visits in sites.values()]


def reports(visits, every_h, dice):
    """(time, fill, whether an emptying lies between it and the one before), stretch by stretch."""
    stretch = []
    for (since_ms, _), (until_ms, before) in pairwise(visits):
        if until_ms - since_ms > GAP_DAYS_MAX * 24 * HOUR_MS:
            yield stretch
            stretch = []
            continue
        step_ms = every_h * HOUR_MS
        first = True
        for ts_ms in range(-(-since_ms // step_ms) * step_ms, until_ms, step_ms):
            share = (ts_ms - since_ms) / (until_ms - since_ms)
            fill = min(100.0, max(0.0, before * share + dice.gauss(0, 1)))
            stretch.append((ts_ms, fill, first and bool(stretch)))
            first = False
    yield stretch


def found_in(stretch, bundle):
    """The reports at which an emptying began, as the rule sees it."""
    engine = Engine(bundle, [Subject("B", "bin", {})])
    found = set()
    for ts_ms, fill, _ in stretch:
        for change in engine.feed("B", ts_ms, {"fill_pct": fill})[1]:
            if (change.before, change.after) == (Phase.PENDING, Phase.FIRING):
                found.add(change.started_ms)
    return found


def main():
    folder = os.environ.get("RECORDINGS")
    if not folder:
        print("RECORDINGS=folder is missing: where the recordings are", file=sys.stderr)
        return 2
    sites = emptyings(Path(folder, "bin_emptyings", "collections.csv"))
    templates = shipped_templates()
    for every_h, (window, count) in WAYS.items():
        text = starter(
            templates["bin_emptied"], templates, {"window": window, "reports": str(count)}
        )
        bundle, findings = load({"own.yaml": text})
        assert bundle is not None, findings
        bundle, dice = relatives("bin_emptied", bundle), random.Random(1)
        right = right_found = told = true = total = 0
        for stretch in (part for visits in sites for part in reports(visits, every_h, dice)):
            found = found_in(stretch, bundle)
            for ts_ms, _, emptied in stretch:
                total += 1
                right += (ts_ms in found) == emptied
                right_found += emptied and ts_ms in found
                told += ts_ms in found
                true += emptied
        print(f"every {every_h} h, window {window}, {count} must agree: {total} reports,"
              f" accuracy {right / total:.4f}; of {true} emptyings {right_found / true:.3f} found,"
              f" {right_found / told:.3f} of those told were some")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
