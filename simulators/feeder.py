"""A feeder in a run: what its lamps are told and draw, when it is dead, the voltage it delivers.

Worked out once for each circuit and asked by its cabinet and by each of its lamps. The voltage
swings with the load of the whole city and sags along the feeder with the load of its own lamps.
Single lamps that are out are lost in it: no lamp's fault changes what another device says.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.photoperiod import Numbers, Orders, Times, burning_hours, orders_of
from simulators.power import STANDBY_W, driver_watts, warmth
from simulators.things import Circuit, Lamp

Mask = NDArray[np.bool_]

MAINS_V = 240.0
# The city's load moves the voltage: highest in the small hours, lowest in the evening.
SWING_H = np.array([0.0, 3.0, 8.0, 13.0, 18.0, 20.0, 24.0])
SWING = np.array([0.008, 0.012, 0.003, 0.0, -0.009, -0.012, 0.008])
SAG, FULL_PCT = 0.02, 100.0  # at the far end, all lamps in full light
FAILED_DELAY_S, BACK_DELAY_S = (3, 60), (20, 120)
HOUR_MS, DAY_H = 3_600_000, 24


def struck(fault: Fault, ts_ms: Times) -> Mask:
    """`Fault.active` for many times."""
    since = ts_ms >= fault.start_ms
    return since if fault.end_ms is None else since & (ts_ms < fault.end_ms)


@dataclass(frozen=True)
class Feeder:
    """`story`: the faults of the circuit."""

    city: City
    circuit: Circuit
    story: tuple[Fault, ...] = ()

    @cached_property
    def outages(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.story if fault.kind is Kind.FEEDER_OUTAGE)

    @cached_property
    def _orders(self) -> tuple[Orders, Orders]:
        hours = burning_hours(self.city, self.circuit.on_below_deg, self.story)
        switched, dimmed = (orders_of(self.city, hours, dims=dims) for dims in (False, True))
        return switched, dimmed

    def orders(self, *, dims: bool) -> Orders:
        """What lamps are told that can be dimmed, or those that cannot."""
        return self._orders[dims]

    def dead(self, ts_ms: Times) -> Mask:
        dead = np.zeros(len(ts_ms), bool)
        for fault in self.outages:
            dead |= struck(fault, ts_ms)
        return dead

    def watts(self, ts_ms: Times) -> Numbers:
        """What its lamps draw together, the feeder being alive."""
        switched, dimmed = self._orders
        led_w, sodium_w = self._full_watts
        which = np.searchsorted(dimmed.since_ms, ts_ms, side="right") - 1
        pct, lit_ms = switched.at(ts_ms)
        for fault in self.outages:  # what was cut off starts cold
            back_ms = fault.end_ms or self.city.end_ms
            lit_ms = np.where(ts_ms >= back_ms, np.maximum(lit_ms, back_ms), lit_ms)
        sodium = sodium_w * warmth(ts_ms - lit_ms) * (pct > 0)
        idle = np.where(pct > 0, 0.0, sum(STANDBY_W) / 2 * len(self.circuit.lamps))
        total: Numbers = led_w[which] + sodium + idle
        return total

    def volts(self, ts_ms: Times, along: float) -> Numbers:
        """At a place `along` the feeder: 0 at the cabinet, 1 at its far end."""
        hour = (ts_ms + self._local_ms) % (DAY_H * HOUR_MS) / HOUR_MS
        sag = SAG * along * self._orders[1].at(ts_ms)[0] / FULL_PCT if along else 0.0
        volts: Numbers = MAINS_V * (1 + np.interp(hour, SWING_H, SWING) - sag)
        return volts

    def place(self, lamp: Lamp) -> float:
        """How far along the feeder a lamp hangs, whatever hangs behind it."""
        return self._places[lamp.device]

    @cached_property
    def _places(self) -> dict[str, float]:
        lamps = self.circuit.lamps
        room = self.city.scenario.fleets.lamps.circuit_lamps
        return {lamp.device: min(1.0, number / room) for number, lamp in enumerate(lamps, start=1)}

    @cached_property
    def _full_watts(self) -> tuple[Numbers, float]:
        """Of its LEDs by each step of their orders, and of its sodium lamps when they burn."""
        led_w = np.zeros(len(self._orders[1].pct))
        sodium_w = 0.0
        for lamp in self.circuit.lamps:
            if lamp.dimmable:
                led_w += driver_watts(lamp, self._orders[1].pct) * lamp.gain
            else:
                sodium_w += lamp.nominal_w * lamp.gain
        return np.where(self._orders[1].pct > 0, led_w, 0.0), sodium_w

    @cached_property
    def _local_ms(self) -> int:
        start = datetime.fromtimestamp(self.city.start_ms / 1000, UTC)
        offset = start.astimezone(self.city.zone_info).utcoffset()
        return round(offset.total_seconds() * 1000) if offset else 0


def feeder_events(feeder: Feeder, device: str) -> list[int]:
    """When a device on this feeder says out of turn that its supply failed, and that it is back."""
    rng = dice(feeder.city.seed, "feeder events", device)
    times: list[int] = []
    for fault in feeder.outages:
        times.append(fault.start_ms + rng.randint(*FAILED_DELAY_S) * 1000)
        times.append((fault.end_ms or feeder.city.end_ms) + rng.randint(*BACK_DELAY_S) * 1000)
    return sorted(ts_ms for ts_ms in times if ts_ms < feeder.city.end_ms)
