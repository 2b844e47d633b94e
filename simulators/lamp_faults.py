"""What goes wrong with a lamp, and how it shows in what it draws and is told.

Each kind is one change of the lamp's state while its fault lasts, by how bad it is. A lamp that
fails in the dark still draws less than its rules' limits ask, so that the truth can be seen in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulators.catalogue import how_bad
from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.feeder import Mask, struck
from simulators.photoperiod import Numbers, Times
from simulators.power import IDLE_POWER_FACTOR, driver_watts, led_power_factor, warmth
from simulators.things import Lamp

DARK_SHARE = 0.12  # of what it should draw, at most, when it is out
CYCLE_DARK, CYCLE_JITTER = 0.3, 0.1  # of a period
HIT_DELAY_MS = 2000
FLICKERS = ((0.2, 0.4), (0.6, 0.8))  # when a photocell that cannot decide says day
GEAR_CLAIM = ("control_gear_failure",)
MINUTE_MS = 60_000
Cycles = Sequence[tuple[int, int]]


@dataclass
class Moments:
    """The state of one lamp at some times, one element a time. `steady`: about 1, what power and
    voltage waver. `full_factor`: its power factor in full light. `more`, `claims`: by time.
    """

    lamp: Lamp
    full_factor: float
    ts_ms: Times
    pct: Numbers
    steady: Numbers
    steady_volts: Numbers
    idle_w: Numbers
    watts: Numbers
    volts: Numbers
    factor: Numbers
    more: dict[int, dict[str, float]] = field(default_factory=dict)
    claims: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def cut_off(self, dead: Mask) -> None:
        """Without supply its controller lives on a backup and measures nothing."""
        for values in (self.watts, self.volts, self.factor):
            values[dead] = 0.0
        for ts_ms in self.ts_ms[dead].tolist():
            self.claims.pop(ts_ms, None)


def order_otherwise(lamp: Lamp, story: Sequence[Fault], ts_ms: Times, pct: Numbers) -> Numbers:
    """What this lamp is told where that is not what its circuit is told."""
    for fault in story:
        if fault.kind is Kind.LAMP_DIMMED and lamp.dimmable:
            level = how_bad(fault, "dim_pct")
            pct = np.where(struck(fault, ts_ms) & (pct > 0), level, pct)
        elif fault.kind is Kind.DUSK_FLICKER:
            for off_ms, on_ms in _flickers(fault):
                pct = np.where((off_ms <= ts_ms) & (ts_ms < on_ms), 0.0, pct)
    return pct


def cycles(city: City, device: str, story: Sequence[Fault]) -> Cycles:
    """From going out to coming back by itself, in order; a little uneven, as heat makes it."""
    found: list[tuple[int, int]] = []
    for fault in story:
        if fault.kind is not Kind.CYCLING:
            continue
        rng = dice(city.seed, "cycles", device, fault.start_ms)
        period_ms = how_bad(fault, "period_min") * MINUTE_MS
        off_ms, end_ms = fault.start_ms, fault.end_ms or city.end_ms
        while off_ms < end_ms:
            found.append((off_ms, min(end_ms, off_ms + _seconds_ms(CYCLE_DARK * period_ms))))
            uneven = 1 + rng.uniform(-CYCLE_JITTER, CYCLE_JITTER)
            off_ms += _seconds_ms(period_ms * uneven)
    return found


def relit_ms(story: Sequence[Fault], every_cycle: Cycles) -> Sequence[int]:
    """When its lamp strikes again out of the order of its circuit: it starts cold."""
    ends = [on_ms for _, on_ms in every_cycle]
    for fault in story:
        if fault.kind in _DARK_UNTIL_END and fault.end_ms is not None:
            ends.append(fault.end_ms)
        elif fault.kind is Kind.DUSK_FLICKER:
            ends.extend(on_ms for _, on_ms in _flickers(fault))
    return ends


def hit_ms(fault: Fault) -> int:
    """When a lamp whose pole is hit says so."""
    return fault.start_ms + HIT_DELAY_MS


def is_silenced(moments: Moments, story: Sequence[Fault]) -> list[bool] | None:
    """Which of its reports never leave it; None where all do."""
    hits = [fault for fault in story if fault.kind is Kind.KNOCKED_DOWN]
    if not hits:
        return None
    silenced = np.zeros(len(moments.ts_ms), bool)
    for fault in hits:
        silenced |= struck(fault, moments.ts_ms) & (moments.ts_ms != hit_ms(fault))
    return silenced.tolist()


def disturb(moments: Moments, story: Sequence[Fault], every_cycle: Cycles) -> None:
    """What the faults of a lamp make of its state."""
    for fault in story:
        effect = _EFFECTS.get(fault.kind)
        if effect is None:
            continue
        struck_now = struck(fault, moments.ts_ms)
        if struck_now.any():
            effect(moments, struck_now, fault)
    for off_ms, on_ms in every_cycle:
        _go_dark(moments, (off_ms <= moments.ts_ms) & (moments.ts_ms < on_ms), moments.idle_w)


def _flickers(fault: Fault) -> Iterator[tuple[int, int]]:
    """At most two: a photocell that cannot decide is no lamp that cycles."""
    if fault.end_ms is not None:
        lasts = fault.end_ms - fault.start_ms
        for begin, end in FLICKERS:
            yield fault.start_ms + round(begin * lasts), fault.start_ms + round(end * lasts)


def _seconds_ms(ms: float) -> int:
    return round(ms / 1000) * 1000


# --- effects: (state, when struck, the fault) ---------------------------------------------------


def _go_dark(moments: Moments, now: Mask, draws_w: Numbers | float) -> None:
    dark = now & (moments.pct > 0)
    least = DARK_SHARE * driver_watts(moments.lamp, moments.pct)
    moments.watts[dark] = np.minimum(draws_w, least)[dark]
    moments.factor[dark] = IDLE_POWER_FACTOR


def _out(moments: Moments, now: Mask, _: Fault) -> None:
    _go_dark(moments, now, moments.idle_w)


def _gear_fails(moments: Moments, now: Mask, fault: Fault) -> None:
    _go_dark(moments, now, how_bad(fault, "watts") * moments.steady)
    moments.claims.update(dict.fromkeys(moments.ts_ms[now].tolist(), GEAR_CLAIM))


def _burns(moments: Moments, now: Mask, fault: Fault) -> None:
    """In full light, whatever it is told."""
    lamp = moments.lamp
    full_w = lamp.nominal_w * lamp.gain * moments.steady
    if not lamp.dimmable:
        full_w = full_w * warmth(moments.ts_ms - fault.start_ms)
    moments.watts[now] = full_w[now]
    moments.factor[now] = moments.full_factor


def _draws_a_share(moments: Moments, now: Mask, fault: Fault) -> None:
    lit = now & (moments.pct > 0)
    moments.watts[lit] *= how_bad(fault, "share")


def _low_factor(moments: Moments, now: Mask, fault: Fault) -> None:
    """So many times as low, in full light and dimmed."""
    lit = now & (moments.pct > 0)
    moments.factor[lit] *= how_bad(fault, "power_factor") / moments.full_factor


def _stays_dimmed(moments: Moments, now: Mask, fault: Fault) -> None:
    lit = now & (moments.pct > 0)
    level = np.full(len(moments.pct), how_bad(fault, "dim_pct"))
    stuck_w = driver_watts(moments.lamp, level) * moments.lamp.gain * moments.steady
    moments.watts[lit] = stuck_w[lit]
    if moments.lamp.dimmable:
        moments.factor[lit] = led_power_factor(level)[lit]


def _supplied(moments: Moments, now: Mask, fault: Fault) -> None:
    moments.volts[now] = how_bad(fault, "volts") * moments.steady_volts[now]


def _answers_zero(moments: Moments, now: Mask, _: Fault) -> None:
    for values in (moments.watts, moments.volts, moments.factor):
        values[now] = 0.0


def _is_hit(moments: Moments, _: Mask, fault: Fault) -> None:
    moments.more[hit_ms(fault)] = {"tilt_deg": how_bad(fault, "tilt_deg")}


_DARK_UNTIL_END = (Kind.LAMP_OUT, Kind.LAMP_DIP, Kind.GEAR_FAILURE, Kind.FEEDER_OUTAGE)
_EFFECTS: Mapping[Kind, Callable[[Moments, Mask, Fault], None]] = {
    Kind.LAMP_OUT: _out,
    Kind.LAMP_DIP: _out,
    Kind.GEAR_FAILURE: _gear_fails,
    Kind.DAY_BURNER: _burns,
    Kind.RELAY_STUCK: _burns,
    Kind.LOW_POWER: _draws_a_share,
    Kind.LAMP_AGED: _draws_a_share,
    Kind.LOW_POWER_FACTOR: _low_factor,
    Kind.DIM_STUCK: _stays_dimmed,
    Kind.OVERVOLTAGE: _supplied,
    Kind.UNDERVOLTAGE: _supplied,
    Kind.METER_ZERO: _answers_zero,
    Kind.KNOCKED_DOWN: _is_hit,
}
