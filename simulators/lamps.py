"""How the simulated lamps and their cabinets behave, and what they report.

A lamp burns from dusk to dawn by its circuit's photocell, dims by the night's curve, draws power
by its driver's profile, and reports every quarter of an hour at its own moment; cabinets every
ten minutes. When a feeder fails, the controllers live on their backup supply: a report at once,
then zeros, then a report when the power is back.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any

from simulators import sky
from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.things import Circuit, Lamp
from simulators.wire import Said

CABINET_EVERY_S = 600
DIM_FROM_H, DIM_TO_H, DIM_PCT = 23, 5, 60  # the small hours, as cities that dim do
LOOK_ALIKE_DIM_PCT = 40
MAINS_V = 240.0
WARM_UP_MS = 480_000  # sodium lamps take minutes to full power; LEDs none
LATENCY_MS = (120, 1800)
EVENT_DELAY_S, RETURN_DELAY_S = (3, 60), (20, 120)


def lamp_says(city: City, lamp: Lamp, story: Sequence[Fault], below_deg: float) -> Iterator[
    Said
]:  # fmt: skip
    """The reports of one lamp through the run, in order. `story`: the faults it plays in."""
    rng = dice(city.seed, "lamp says", lamp.device)
    for ts_ms in _report_times(
        city, lamp.phase_s, round(city.scenario.fleets.lamps.every), story, rng
    ):
        values = _lamp_values(city, lamp, story, below_deg, ts_ms, rng)
        yield Said(ts_ms + rng.randint(*LATENCY_MS), ts_ms, values)


def cabinet_says(city: City, circuit: Circuit, story: Sequence[Fault]) -> Iterator[Said]:
    """The reports of the meter at the head of a feeder."""
    rng = dice(city.seed, "cabinet says", circuit.device)
    phase_s = rng.randrange(CABINET_EVERY_S)
    for ts_ms in _report_times(city, phase_s, CABINET_EVERY_S, story, rng):
        values = _cabinet_values(city, circuit, story, ts_ms, rng)
        yield Said(ts_ms + rng.randint(*LATENCY_MS), ts_ms, values)


def _report_times(
    city: City, phase_s: int, every_s: int, story: Iterable[Fault], rng: Random
) -> list[int]:
    """The regular reports, and the extra ones when the feeder fails and returns."""
    times = set(range(city.start_ms + phase_s * 1000, city.end_ms, every_s * 1000))
    for fault in story:
        if fault.kind is Kind.FEEDER_OUTAGE:
            times.add(fault.start_ms + rng.randint(*EVENT_DELAY_S) * 1000)
            times.add((fault.end_ms or city.end_ms) + rng.randint(*RETURN_DELAY_S) * 1000)
    return sorted(t_ms for t_ms in times if t_ms < city.end_ms)


def _active(story: Iterable[Fault], ts_ms: int) -> set[Kind]:
    return {fault.kind for fault in story if fault.active(ts_ms)}


def commanded_pct(city: City, below_deg: float, ts_ms: int, *, dimmable: bool) -> float:
    """What the photocell and the dim curve ask of a lamp: 0 by day."""
    if sky.elevation_deg(city.lat, city.lon, ts_ms) >= below_deg:
        return 0.0
    hour = datetime.fromtimestamp(ts_ms / 1000, city.zone_info).hour
    return float(DIM_PCT if dimmable and (hour >= DIM_FROM_H or hour < DIM_TO_H) else 100)


def _lamp_values(
    city: City, lamp: Lamp, story: Sequence[Fault], below_deg: float, ts_ms: int, rng: Random
) -> dict[str, Any]:
    now = _active(story, ts_ms)
    dim = commanded_pct(city, below_deg, ts_ms, dimmable=lamp.dimmable)
    if dim and Kind.LAMP_DIMMED in now:
        dim = LOOK_ALIKE_DIM_PCT
    volts = 0.0 if Kind.FEEDER_OUTAGE in now else MAINS_V * rng.gauss(1, 0.008)
    watts = _lamp_watts(lamp, now, dim, rng)
    if not lamp.dimmable and watts > 6 and not _is_warm(city, below_deg, ts_ms):
        watts *= 0.7
    values = {
        "active_power_w": round(watts, 1),
        "current_a": round(watts / volts / 0.95, 3) if volts else 0.0,
        "voltage_v": round(volts, 1),
    }
    command = {"dim_level_pct": dim} if lamp.dimmable else {"relay_on": dim > 0}
    return values | command


def _lamp_watts(lamp: Lamp, now: set[Kind], dim: float, rng: Random) -> float:
    noise = lamp.gain * rng.gauss(1, 0.012)
    standby = rng.uniform(0.4, 1.2)
    if Kind.FEEDER_OUTAGE in now:
        return 0.0
    if dim and not now.isdisjoint({Kind.LAMP_OUT, Kind.LAMP_DIP}):
        return standby
    if Kind.DAY_BURNER in now:
        return lamp.nominal_w * noise
    return max(standby, _profile_watts(lamp, dim) * noise) if dim else standby


def _profile_watts(lamp: Lamp, dim: float) -> float:
    points = lamp.dim_curve or ((0.0, 0.0), (100.0, lamp.nominal_w))
    for (dim_a, watt_a), (dim_b, watt_b) in pairwise(points):
        if dim <= dim_b:
            return watt_a + (watt_b - watt_a) * (dim - dim_a) / (dim_b - dim_a)
    return points[-1][1]


def _is_warm(city: City, below_deg: float, ts_ms: int) -> bool:
    return commanded_pct(city, below_deg, ts_ms - WARM_UP_MS, dimmable=False) > 0


def _cabinet_values(
    city: City, circuit: Circuit, story: Sequence[Fault], ts_ms: int, rng: Random
) -> dict[str, Any]:
    dead = Kind.FEEDER_OUTAGE in _active(story, ts_ms)
    volts = rng.uniform(0, 2) if dead else MAINS_V * rng.gauss(1, 0.008)
    watts = 0.0 if dead else _circuit_watts(city, circuit, ts_ms) * rng.gauss(1, 0.01) + 15
    return {
        "active_power_w": round(watts, 1),
        "current_a": round(watts / volts / 0.95, 2) if watts else 0.0,
        "voltage_v": round(volts, 1),
    }


def _circuit_watts(city: City, circuit: Circuit, ts_ms: int) -> float:
    """Single lamps that are out are lost in the noise of a feeder."""
    below = circuit.on_below_deg
    dims = {
        dimmable: commanded_pct(city, below, ts_ms, dimmable=dimmable) for dimmable in (True, False)
    }
    return sum(_profile_watts(lamp, dims[lamp.dimmable]) for lamp in circuit.lamps)
