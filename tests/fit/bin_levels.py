"""How the simulated bins compare with real ones: fill rates, emptying intervals, levels.

    RECORDINGS=folder PYTHONPATH=. python tests/fit/bin_levels.py

The folder holds `bin_emptyings/collections.csv` (what sensors saw at each emptying) and
`bins_daily/readings.csv` (a level in tenths once a day). The model is looked at in the same two
ways: by its emptyings, and once a day in tenths. Bins without a story alone: a simulated bin is
full only where a scenario says so, a real one whenever the crew is late.
"""

import csv
import os
import sys
from collections import defaultdict
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulators.city import City
from simulators.contents import Contents

QUANTILES = (5, 25, 50, 75, 95)
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
GAP_DAYS_MAX = 60  # longer, the sensor was away
BINS, DAYS = 300, 60
EDINBURGH = {"lat": 55.95, "lon": -3.19, "time_zone": "Europe/London"}
WYNDHAM = {"lat": -37.88, "lon": 144.66, "time_zone": "Australia/Melbourne"}


class Figures(NamedTuple):
    """Of many bins. `interval_d`: between two emptyings; `before_pct`: the level at an emptying."""

    rate_pct_d: list[float]
    interval_d: list[float]
    before_pct: list[float]


def model_city(place: dict[str, Any], start: str, **fleet: Any) -> City:
    more: dict[str, Any] = {"place": place, "start": start, "duration": f"{DAYS}d"}
    fleets = {"bins": {"count": BINS, **fleet}}
    sizes = {"lamps": 0, "bins": BINS, "road": 0}
    return City.sized(1, **sizes, **more, fleets=fleets)


def levels(city: City, step_ms: int) -> list[list[float]]:
    """Of every bin, through the run."""
    times = range(city.start_ms, city.end_ms, step_ms)
    bins = [Contents(city, item, ()) for item in city.all_bins]
    return [[contents.level_pct(ts_ms) for ts_ms in times] for contents in bins]


def by_emptyings(series: list[list[float]]) -> Figures:
    """Of hourly levels: a fall is an emptying."""
    found = Figures([], [], [])
    for values in series:
        drops = [(n + 1, a) for n, (a, b) in enumerate(pairwise(values)) if b < a - 3]
        found.before_pct.extend(before for _, before in drops)
        spans = [(last - first, before) for (first, _), (last, before) in pairwise(drops)]
        found.interval_d.extend(hours / 24 for hours, _ in spans)
        if spans:
            hours = sum(span for span, _ in spans)
            found.rate_pct_d.append(24 * sum(before for _, before in spans) / hours)
    return found


def by_days(series: list[list[tuple[int, float]]]) -> Figures:
    """Of (day, level in tenths): a fall by two tenths is an emptying, a rise is a day's rate."""
    found = Figures([], [], [])
    for days in series:
        rises, last = [], None
        for (day, level), (after, now) in pairwise(days):
            if after - day != 1:
                last = None
                continue
            if now >= level:
                rises.append(10 * (now - level))
            if now < level - 1:
                found.before_pct.append(10 * level)
                if last is not None and after - last <= GAP_DAYS_MAX:
                    found.interval_d.append(float(after - last))
                last = after
        if rises:
            found.rate_pct_d.append(sum(rises) / len(rises))
    return found


def recorded_emptyings(path: Path) -> Figures:
    """A bin that was emptied less than four times tells no rate."""
    sites: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["collected_at_local"])
            sites[row["site_id"]].append((at, float(row["fill_before_pct"])))
    found = Figures([], [], [])
    for visits in map(sorted, sites.values()):
        found.before_pct.extend(before for _, before in visits)
        spans = [((b[0] - a[0]).total_seconds() / 86_400, b[1]) for a, b in pairwise(visits)]
        found.interval_d.extend(days for days, _ in spans)
        if len(spans) >= 4:
            found.rate_pct_d.append(sum(p for _, p in spans) / sum(days for days, _ in spans))
    return found


def recorded_days(path: Path) -> Figures:
    bins: dict[str, dict[int, float]] = defaultdict(dict)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            day, month, year = map(int, row["timestamp"].split("-"))
            levels_of, n = bins[row["Bin ID"]], date(year, month, day).toordinal()
            levels_of[n] = max(levels_of.get(n, 0.0), float(row["Fullness"]))
    return by_days([sorted(levels_of.items()) for levels_of in bins.values()])


def model_emptyings(city: City) -> Figures:
    return by_emptyings(levels(city, HOUR_MS))


def model_days(city: City) -> Figures:
    return by_days([[(n, x // 10) for n, x in enumerate(one)] for one in levels(city, DAY_MS)])


def table(columns: dict[str, Figures]) -> None:
    for name in Figures._fields:
        print(f"\n{name:38}" + "".join(f"{f'{q} %':>8}" for q in QUANTILES) + f"{'n':>8}")
        for title, figures in columns.items():
            values = getattr(figures, name)
            found = np.percentile(values, QUANTILES)
            print(f"  {title:36}" + "".join(f"{x:8.1f}" for x in found) + f"{len(values):8d}")


def main() -> int:
    folder = os.environ.get("RECORDINGS")
    if not folder:
        print("RECORDINGS=folder is missing: where the recordings are", file=sys.stderr)
        return 2
    june, winter = "2016-06-01T00:00:00Z", "2018-07-01T22:00:00Z"
    emptyings = Path(folder, "bin_emptyings", "collections.csv")
    days = Path(folder, "bins_daily", "readings.csv")
    busy = {"rate_pct_h": [0.8, 2.4]}
    quiet = {"rate_pct_h": [0.3, 1.0], "rounds_every": "4d"}
    print("By emptyings (Edinburgh)")
    table({
        "recorded": recorded_emptyings(emptyings),
        "model, as it comes": model_emptyings(model_city(EDINBURGH, june)),
        "model, 0.8 to 2.4 %/h": model_emptyings(model_city(EDINBURGH, june, **busy)),
    })  # fmt: skip
    print("\nOnce a day, in tenths (Wyndham)")
    table({
        "recorded": recorded_days(days),
        "model, as it comes": model_days(model_city(WYNDHAM, winter)),
        "model, 0.3 to 1 %/h, rounds of 4 d": model_days(model_city(WYNDHAM, winter, **quiet)),
    })  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
