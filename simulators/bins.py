"""How the simulated bins fill, warm and burn, and what their sensors report.

A bin fills at its site's rate and is emptied on its round; a crowd fills it at a stroke. Half of
the sensors send the fill, half the distance to the rubbish, measured from the lid: `offset_mm` to
a full bin, `offset_mm + height_mm` to the bottom, nothing nearer than the dead zone. Hourly, and
every minute while hot.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.things import Bin
from simulators.wire import Said

MARGIN_PCT = 18.0  # an ordinary bin stays this far below its threshold
FULL_ABOVE_PCT = 10.0  # a full one goes at least this far above it
CROWD_MS = 300_000  # how long a crowd takes to fill it
EMPTIED_PCT = 4.0
HOT_LOOK_ALIKE_C = 48.0
FIRE_RISE_C_MIN = 9.0
FIRE_COOLS_MIN = 6.0  # time constant after the fire is out
FIRE_AFTER_MS = 40 * 60_000
LATENCY_MS = (400, 4000)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def bin_says(city: City, item: Bin, story: Sequence[Fault]) -> Iterator[Said]:
    """The reports of one bin through the run, in order."""
    rng = dice(city.seed, "bin says", item.device)
    peak_c = rng.uniform(90, 130)
    for ts_ms in _report_times(city, item, story):
        temperature = _temperature_c(city, story, ts_ms, peak_c) + rng.gauss(0, 0.2)
        fill = _fill_pct(city, item, story, ts_ms) + rng.uniform(-1, 1)
        values: dict[str, Any] = _fill_values(item, min(100.0, max(0.0, fill)))
        values["temperature_c"] = round(temperature, 1)
        values["battery_v"] = round(3.6 - rng.uniform(0, 0.05), 2)
        yield Said(ts_ms + rng.randint(*LATENCY_MS), ts_ms, values)


def _report_times(city: City, item: Bin, story: Sequence[Fault]) -> list[int]:
    """Hourly; while hot the alarm mode, every minute."""
    times = set(
        range(
            city.start_ms + item.phase_s * 1000,
            city.end_ms,
            round(city.scenario.fleets.bins.every * 1000),
        )
    )
    for fault in story:
        if fault.kind is Kind.BIN_FIRE:
            stop_ms = (fault.end_ms or city.end_ms) + FIRE_AFTER_MS
            times.update(range(fault.start_ms + 2 * MINUTE_MS, stop_ms, MINUTE_MS))
    return sorted(t_ms for t_ms in times if t_ms < city.end_ms)


def _fill_values(item: Bin, fill: float) -> dict[str, Any]:
    if not item.sends_distance:
        return {"fill_pct": round(fill, 1)}
    distance = item.offset_mm + item.height_mm * (1 - fill / 100)
    return {"distance_mm": round(max(distance, item.dead_zone_mm))}


def _fill_pct(city: City, item: Bin, story: Sequence[Fault], ts_ms: int) -> float:
    ceiling = item.threshold_pct - MARGIN_PCT
    since_ms, level = _last_emptied(city, item, story, ts_ms)
    ordinary = min(ceiling, level + item.rate_pct_h * (ts_ms - since_ms) / HOUR_MS)
    for fault in story:
        if fault.kind is Kind.BIN_FULL and fault.active(ts_ms):
            share = min(1.0, (ts_ms - fault.start_ms) / CROWD_MS)
            full = min(99.0, item.threshold_pct + FULL_ABOVE_PCT)
            return ordinary + share * (full - ordinary)
    return ordinary


def _last_emptied(city: City, item: Bin, story: Sequence[Fault], ts_ms: int) -> tuple[int, float]:
    """When the fill last started to grow, and from where. A bin in a crowd's story is emptied for
    that story alone; the others on their daily round.
    """
    full = [fault for fault in story if fault.kind is Kind.BIN_FULL]
    if full:
        ends = [fault.end_ms for fault in full if fault.end_ms and fault.end_ms <= ts_ms]
        return (max(ends), EMPTIED_PCT) if ends else (city.start_ms, item.fill_pct)
    round_ms = _last_round(city, item, ts_ms)
    if round_ms < city.start_ms:
        return city.start_ms, item.fill_pct
    return round_ms, EMPTIED_PCT


def _last_round(city: City, item: Bin, ts_ms: int) -> int:
    ago_h = (_local_hour(city, ts_ms) - item.round_hour) % 24
    return ts_ms - int(ago_h * HOUR_MS)


def _local_hour(city: City, ts_ms: int) -> float:
    local = datetime.fromtimestamp(ts_ms / 1000, city.zone_info)
    return local.hour + local.minute / 60 + local.second / 3600


def _temperature_c(city: City, story: Sequence[Fault], ts_ms: int, peak_c: float) -> float:
    """Ambient, warmest at 15:00; in a look-alike the sun adds to it, in a fire the fire."""
    wave = math.cos((_local_hour(city, ts_ms) - 15) / 12 * math.pi)
    ambient = 15 + 7 * wave
    for fault in story:
        if fault.kind is Kind.SUN_WARMED and fault.active(ts_ms):
            return ambient + max(0.0, wave) * (HOT_LOOK_ALIKE_C - 22.5)
        if fault.kind is Kind.BIN_FIRE:
            return ambient + _fire_c(fault, ts_ms, peak_c)
    return ambient


def _fire_c(fault: Fault, ts_ms: int, peak_c: float) -> float:
    end_ms = fault.end_ms if fault.end_ms is not None else ts_ms
    burning_min = (min(ts_ms, end_ms) - fault.start_ms) / MINUTE_MS
    if burning_min <= 0:
        return 0.0
    heat = min(peak_c, FIRE_RISE_C_MIN * burning_min)
    return heat * math.exp(-max(0.0, (ts_ms - end_ms) / MINUTE_MS) / FIRE_COOLS_MIN)
