"""How the simulated street lamps behave, and what they report.

A lamp follows its circuit's orders a few seconds behind, draws power by its driver's profile,
counts its energy, and reports at its own moment every so often. A report at once says that its
supply failed or is back, that it went out or came back by itself, or that its pole was hit.
Regular reports are the same with and without these. Its faults are in `lamp_faults`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.feeder import Feeder, feeder_events
from simulators.lamp_faults import (
    Moments,
    cycles,
    disturb,
    hit_ms,
    is_silenced,
    order_otherwise,
    relit_ms,
)  # fmt: skip
from simulators.photoperiod import Numbers, Times
from simulators.power import (
    IDLE_POWER_FACTOR,
    LED_FULL_POWER_FACTOR,
    SODIUM_POWER_FACTOR,
    STANDBY_W,
    driver_watts,
    led_power_factor,
    sodium_power_factor,
    warmth,
)  # fmt: skip
from simulators.reports import Draws, reports
from simulators.things import Lamp
from simulators.wire import Said

SWITCHED_WITHIN_MS = 8000  # the lamps of a circuit, one after the other
POWER_NOISE, VOLTS_NOISE, FACTOR_NOISE = 0.006, 0.003, 0.004
WH_MS = 3_600_000.0
OF_THE_SUPPLY = ("current_a", "voltage_v", "power_factor")


@dataclass
class _Post:
    """One lamp through the run: what does not change from report to report."""

    feeder: Feeder
    lamp: Lamp
    story: tuple[Fault, ...]

    def __post_init__(self) -> None:
        rng = dice(self.feeder.city.seed, "lamp says", self.lamp.device)
        self.behind_ms = rng.randrange(SWITCHED_WITHIN_MS)
        sodium = rng.uniform(*SODIUM_POWER_FACTOR)
        self.full_factor = LED_FULL_POWER_FACTOR if self.lamp.dimmable else sodium
        self.counted_wh = float(rng.randrange(50_000, 4_000_000))
        self.last: tuple[int, float] | None = None  # time and watts of the last report
        self.orders = self.feeder.orders(dims=self.lamp.dimmable)
        self.place = self.feeder.place(self.lamp)
        self.cycles = cycles(self.feeder.city, self.lamp.device, self.story)
        self.relit_ms = relit_ms((*self.story, *self.feeder.outages), self.cycles)
        share = self.feeder.city.scenario.fleets.lamps.voltage
        self.sees_supply = (
            share == 1 or dice(self.feeder.city.seed, "meter", self.lamp.device).random() < share
        )


def lamp_says(feeder: Feeder, lamp: Lamp, story: Sequence[Fault]) -> Iterator[Said]:
    """The reports of one lamp through the run, in order. `story`: the faults it plays in."""
    post, city = _Post(feeder, lamp, tuple(story)), feeder.city
    first_ms = city.start_ms + lamp.phase_s * 1000
    every_ms = round(city.scenario.fleets.lamps.every * 1000)
    for ts_ms, draws in reports(city, lamp.device, first_ms, every_ms, _extra_ms(post)):
        yield from _said(post, _moments(post, ts_ms, draws), draws)


def _extra_ms(post: _Post) -> list[int]:
    """When it reports out of turn."""
    city = post.feeder.city
    times = set(feeder_events(post.feeder, post.lamp.device))
    if post.cycles:
        edges = np.array([edge for one in post.cycles for edge in one], np.int64)
        times.update((edges[post.orders.at(edges)[0] > 0] + 1000).tolist())
    times.update(hit_ms(fault) for fault in post.story if fault.kind is Kind.KNOCKED_DOWN)
    return sorted(ts_ms for ts_ms in times if city.start_ms <= ts_ms < city.end_ms)


def _moments(post: _Post, ts_ms: Times, draws: Draws) -> Moments:
    """Its state at these times."""
    lamp, feeder = post.lamp, post.feeder
    pct, lit_ms = post.orders.at(ts_ms - post.behind_ms)
    pct = order_otherwise(lamp, post.story, ts_ms, pct)
    steady = 1 + POWER_NOISE * draws.power
    steady_volts = 1 + VOLTS_NOISE * draws.volts
    volts = feeder.volts(ts_ms, post.place) * steady_volts
    watts, factor = _drawn(post, ts_ms, pct, lit_ms)
    burns, idle_w = pct > 0, STANDBY_W[0] + (STANDBY_W[1] - STANDBY_W[0]) * draws.share
    watts = np.where(burns, np.maximum(idle_w, watts * steady), idle_w)
    factor = np.where(burns, factor, IDLE_POWER_FACTOR)
    moments = Moments(
        lamp, post.full_factor, ts_ms, pct, steady, steady_volts, idle_w, watts, volts, factor
    )
    disturb(moments, post.story, post.cycles)
    moments.factor *= 1 + FACTOR_NOISE * draws.volts
    if feeder.outages:
        moments.cut_off(feeder.dead(ts_ms))
    return moments


def _drawn(post: _Post, ts_ms: Times, pct: Numbers, lit_ms: Times) -> tuple[Numbers, Numbers]:
    """Watts and power factor of a sound lamp, without noise."""
    watts = driver_watts(post.lamp, pct) * post.lamp.gain
    if post.lamp.dimmable:
        return watts, led_power_factor(pct)
    for again_ms in post.relit_ms:
        lit_ms = np.where(ts_ms >= again_ms, np.maximum(lit_ms, again_ms), lit_ms)
    warm = warmth(ts_ms - lit_ms)
    return watts * warm, sodium_power_factor(post.full_factor, warm)


def _counted(post: _Post, moments: Moments) -> list[int]:
    """Its energy counter at each report, from the power in between."""
    last_ms, last_w = post.last or (int(moments.ts_ms[0]), 0.0)
    times = np.concatenate(([last_ms], moments.ts_ms))
    watts = np.concatenate(([last_w], moments.watts))
    used = (watts[1:] + watts[:-1]) * np.diff(times) / (2 * WH_MS)
    total = post.counted_wh + np.cumsum(used)
    post.counted_wh = float(total[-1])
    post.last = (int(moments.ts_ms[-1]), float(moments.watts[-1]))
    counted: list[int] = total.astype(np.int64).tolist()
    return counted


def _said(post: _Post, moments: Moments, draws: Draws) -> Iterator[Said]:
    counted = _counted(post, moments)
    apparent = moments.volts * moments.factor
    current = np.divide(moments.watts, apparent, out=np.zeros(len(apparent)), where=apparent > 0)
    command: list[Any] = moments.pct.tolist() if post.lamp.dimmable else (moments.pct > 0).tolist()
    name = "dim_level_pct" if post.lamp.dimmable else "relay_on"
    rows = zip(
        moments.ts_ms.tolist(), (moments.ts_ms + draws.latency_ms).tolist(),
        np.round(moments.watts, 1).tolist(), np.round(current, 3).tolist(),
        np.round(moments.volts, 1).tolist(), np.round(moments.factor, 2).tolist(),
        counted, command, strict=True,
    )  # fmt: skip
    silenced = is_silenced(moments, post.story)
    for n, (ts_ms, t_ms, watts, amps, volts, factor, energy, told) in enumerate(rows):
        if silenced is not None and silenced[n]:
            continue
        values = {
            "active_power_w": watts, "current_a": amps, "voltage_v": volts,
            "power_factor": factor, "energy_wh": energy, name: told,
        }  # fmt: skip
        if not post.sees_supply:
            values = {key: value for key, value in values.items() if key not in OF_THE_SUPPLY}
        if ts_ms in moments.more:
            values |= moments.more[ts_ms]
        claims = moments.claims.get(ts_ms, ()) if moments.claims else ()
        yield Said(t_ms, ts_ms, values, None, claims)
