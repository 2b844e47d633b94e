"""How well the time to full is forecast: `trend` and `slope` against what came.

    RECORDINGS=folder PYTHONPATH=. python tests/fit/forecast.py

The folder holds `bins_daily/readings.csv`: a level in tenths once a day. Beside it the simulated
bins, hour by hour, with three points of noise. A forecast is made wherever `bin_forecast` would
judge; it counts if the bin was full before it was emptied, and its error is the hours between. With
`weekdays` each hour of the way is weighted by how much such bins fill on that day of the week.
"""

import csv
import os
import random
import sys
from collections import defaultdict
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from rules import runtime
from simulators.city import City
from simulators.contents import Contents

HOUR_MS = 3_600_000
FALL_PCT = 20.0
KINDS = {"trend": runtime.trend, "slope": runtime.slope}


def speed_of_days(series):
    """Day of the week -> how much faster bins fill on it than on the average day."""
    rises = defaultdict(list)
    for levels in series:
        for (hour, level), (after, now) in pairwise(levels):
            if now > level - FALL_PCT:
                rises[hour // 24 % 7].append((now - level) / (after - hour))
    means = {day: float(np.mean(rises[day])) for day in range(7)}
    whole = float(np.mean(list(means.values())))
    return {day: mean / whole for day, mean in means.items()}


def time_to_full(hour, missing_pct, speed, weights, ahead_h):
    """Hours, walked one by one; None: not within so many."""
    if weights is None:
        return missing_pct / speed if missing_pct / speed <= ahead_h else None
    for step in range(ahead_h):
        missing_pct -= speed * weights[(hour + step) // 24 % 7]
        if missing_pct <= 0:
            return step + 1
    return None


def full_after(levels, n, high):
    """Hours until it was full; None: it was emptied before, or the record ends."""
    for (_, before), (hour, level) in pairwise(levels[n:]):
        if level < before - FALL_PCT:
            return None
        if level >= high:
            return hour - levels[n][0]
    return None


def errors(series, kind, high, window_h, readings, speed_min, ahead_h, weights=None):
    """(forecast - actual) of every forecast that can be checked, in hours; how many were made."""
    found, made = [], 0
    for levels in series:
        window = ()
        for n, (hour, level) in enumerate(levels):
            window = runtime.folded(window, hour * HOUR_MS, level, window_h * HOUR_MS)
            if len(window) // 2 < readings or level >= high:
                continue
            speed = (KINDS[kind](window) or 0.0) * HOUR_MS
            if speed < speed_min:
                continue
            told = time_to_full(hour, high - level, speed, weights, ahead_h)
            if told is None:
                continue
            made += 1
            came = full_after(levels, n, high)
            if came is not None:
                found.append(told - came)
    return found, made


def recorded(path):
    bins = defaultdict(dict)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            day, month, year = map(int, row["timestamp"].split("-"))
            hour = 24 * (date(year, month, day).toordinal() - 1)
            level = 10 * float(row["Fullness"])
            bins[row["Bin ID"]][hour] = max(bins[row["Bin ID"]].get(hour, 0.0), level)
    return [sorted(levels.items()) for levels in bins.values()]


def simulated(bins=200, days=60):
    fleet = {"bins": {"count": bins, "rate_pct_h": [0.5, 2.4], "rounds_every": "7d"}}
    start, size = "2026-05-04T00:00:00Z", {"lamps": 0, "bins": bins, "road": 0}
    city = City.sized(1, **size, start=start, duration=f"{days}d", fleets=fleet)
    dice, series = random.Random(1), []
    for item in city.all_bins:
        contents = Contents(city, item, ())
        times = range(city.start_ms, city.end_ms, HOUR_MS)
        levels = [(ts // HOUR_MS, contents.level_pct(ts) + dice.gauss(0, 3)) for ts in times]
        series.append(levels)
    return series


def main():
    folder = os.environ.get("RECORDINGS")
    if not folder:
        print("RECORDINGS=folder is missing: where the recordings are", file=sys.stderr)
        return 2
    hourly, daily = simulated(), recorded(Path(folder, "bins_daily", "readings.csv"))
    cases = {
        "simulated, hourly, to half full": (hourly, 50, 24, 6, 0.5, 24),
        "recorded, daily": (daily, 80, 8 * 24, 4, 0.1, 72),
    }
    for name, (series, *settings) in cases.items():
        weights = speed_of_days(series)
        for kind in KINDS:
            for way, by_day in (("", None), (", weekdays", weights)):
                found, made = errors(series, kind, *settings, weights=by_day)
                middle, most = np.percentile(np.abs(found), [50, 90])
                bias = np.median(found)
                print(
                    f"{name}, {kind}{way}: {made} forecasts, {len(found)} came; hours off:", end=""
                )
                print(f" median {middle:.1f}, 90 % {most:.1f}, bias {bias:+.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
