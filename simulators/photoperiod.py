"""The photoperiod: when the lamps of a circuit are told to burn, and how brightly.

A photocell at the cabinet switches by light: on below its lux, off above half as much again, both
under the clouds of the day. A clock dims in the small hours. Faults of the photocell and of the
cabinet's clock are here. Says what is commanded, never what a lamp makes of it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators import sky
from simulators.catalogue import how_bad
from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind

Times = NDArray[np.int64]
Numbers = NDArray[np.float64]
Hours = Sequence[tuple[int, int]]

DAY_MS, MINUTE_MS = 86_400_000, 60_000
LOOK_BACK_MS = DAY_MS  # what burns when the run starts was lit before
LUX_RATIO = 1.5  # off to on, so that the photocell does not hunt


class Orders(NamedTuple):
    """A command by time: `pct[k]` from `since_ms[k]` on, lit since `lit_ms[k]` where not 0."""

    since_ms: Times
    pct: Numbers
    lit_ms: Times

    def at(self, ts_ms: Times) -> tuple[Numbers, Times]:
        """Level and the time of lighting at each of these times."""
        which = np.searchsorted(self.since_ms, ts_ms, side="right") - 1
        return self.pct[which], self.lit_ms[which]


def burning_hours(city: City, on_below_deg: float, story: Sequence[Fault] = ()) -> Hours:
    """From switching on to switching off, in order. `story`: the faults of the circuit."""
    hours = list(_by_light(city, on_below_deg))
    failed = [fault for fault in story if fault.kind is Kind.PHOTOCELL_FAILED]
    if failed:
        blind = [(fault.start_ms, fault.end_ms or city.end_ms + DAY_MS) for fault in failed]
        hours = list(_united(sorted([*hours, *blind])))
    for fault in story:
        if fault.kind is Kind.SCHEDULE_SHIFT:
            late_ms = round(how_bad(fault, "late_min") * MINUTE_MS)
            hours = [_shifted(fault, one, late_ms) for one in hours]
    return [(on_ms, off_ms) for on_ms, off_ms in hours if on_ms < off_ms]


def orders_of(city: City, hours: Hours, *, dims: bool) -> Orders:
    """What these hours ask of a lamp that can be dimmed, or of one that cannot."""
    since: list[int] = [city.start_ms - 2 * LOOK_BACK_MS]
    pct, lit = [0.0], [0]
    dim_pct = city.scenario.fleets.lamps.dim_pct
    small_hours = _small_hours(city) if dims else []
    ends = [ts_ms for span in small_hours for ts_ms in span]
    for on_ms, off_ms in hours:
        cuts = [on_ms, *ends[bisect_right(ends, on_ms) : bisect_right(ends, off_ms - 1)]]
        for cut_ms in cuts:
            dimmed = bisect_right(ends, cut_ms) % 2 == 1
            since.append(cut_ms)
            pct.append(dim_pct if dimmed else 100.0)
            lit.append(on_ms)
        since.append(off_ms)
        pct.append(0.0)
        lit.append(0)
    return Orders(np.array(since, np.int64), np.array(pct), np.array(lit, np.int64))


def _by_light(city: City, on_below_deg: float) -> Iterator[tuple[int, int]]:
    """A photocell with two thresholds, in the light of this city."""
    cloud = city.scenario.weather.cloud
    times, light = _light(city.seed, cloud, city.lat, city.lon, city.start_ms, city.end_ms)
    off_deg = sky.elevation_of_lux(LUX_RATIO * sky.clear_lux(on_below_deg))
    dusks = _crossings(times, -light, -on_below_deg)
    dawns = _crossings(times, light, off_deg)
    on_ms = int(times[0]) if light[0] < on_below_deg else None
    for ts_ms, is_dusk in sorted([*((t, True) for t in dusks), *((t, False) for t in dawns)]):
        if is_dusk and on_ms is None:
            on_ms = ts_ms
        elif not is_dusk and on_ms is not None:
            yield on_ms, ts_ms
            on_ms = None
    if on_ms is not None:
        yield on_ms, city.end_ms + DAY_MS


def _crossings(times: Times, heights: Numbers, above: float) -> list[int]:
    """When the heights rise above the mark, to the second."""
    found = np.nonzero((heights[:-1] <= above) & (heights[1:] > above))[0]
    share = (above - heights[found]) / (heights[found + 1] - heights[found])
    exact: list[int] = (times[found] + share * sky.STEP_MS).astype(np.int64).tolist()
    return [ts_ms // 1000 * 1000 for ts_ms in exact]


@lru_cache(maxsize=4)
def _light(
    seed: int, cloud: float, lat: float, lon: float, start_ms: int, end_ms: int
) -> tuple[Times, Numbers]:
    """Daylight every five minutes, as the elevation at which a clear sky gives as much."""
    steps = sky.elevations(lat, lon, start_ms - LOOK_BACK_MS, end_ms + DAY_MS)
    times = np.array([ts_ms for ts_ms, _ in steps], np.int64)
    days = range(int(times[0]) // DAY_MS, int(times[-1]) // DAY_MS + 2)
    covers = (_cover(seed, cloud, day) for day in days)
    lux = [sky.SUNSET_LX * sky.passing_light(cover) for cover in covers]
    shade = [sky.elevation_of_lux(one) - sky.SUNSET_DEG for one in lux]
    weather = np.interp(times / DAY_MS, np.array(days, float), np.array(shade))
    return times, np.array([elevation for _, elevation in steps]) + weather


def _cover(seed: int, mean: float, day: int) -> float:
    """Clouds of one day, spread evenly about the scenario's mean as far as 0 and 1 allow."""
    return mean + dice(seed, "clouds", day).uniform(-1, 1) * min(mean, 1 - mean)


def _small_hours(city: City) -> Hours:
    """When the clock dims, in local time; empty where it never does."""
    fleet = city.scenario.fleets.lamps
    if fleet.dim_from_h == fleet.dim_to_h:
        return []
    first = datetime.fromtimestamp((city.start_ms - 2 * DAY_MS) / 1000, city.zone_info).date()
    days = (city.end_ms - city.start_ms) // DAY_MS + 5

    def ms_at(day: int, hour: int) -> int:
        date = first + timedelta(days=day)
        moment = datetime(date.year, date.month, date.day, hour, tzinfo=city.zone_info)
        return round(moment.timestamp()) * 1000

    over_midnight = int(fleet.dim_from_h > fleet.dim_to_h)
    return [(ms_at(day, fleet.dim_from_h), ms_at(day + over_midnight, fleet.dim_to_h))
            for day in range(days)]  # fmt: skip


def _united(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order of start -> the same without overlaps."""
    begin, end = spans[0]
    for start, stop in spans[1:]:
        if start > end:
            yield begin, end
            begin = start
            end = stop
        end = max(end, stop)
    yield begin, end


def _shifted(fault: Fault, span: tuple[int, int], late_ms: int) -> tuple[int, int]:
    on_ms, off_ms = span
    on_late, off_early = fault.active(on_ms), fault.active(off_ms)
    return on_ms + late_ms * on_late, off_ms - late_ms * off_early
