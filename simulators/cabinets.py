"""How a feeder's cabinet behaves, and what it reports.

Where it is metered: voltage, current and power at the head of the feeder, which are those of its
lamps together and its own; else only its contactor. It reports every ten minutes. Single lamps
that are out are lost in it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from simulators.dice import dice
from simulators.feeder import Feeder, feeder_events
from simulators.photoperiod import Times
from simulators.reports import Draws, reports
from simulators.wire import Said

EVERY_S = 600
OWN_W, POWER_FACTOR = 15.0, 0.93
STRAY_V = 2.0  # what a meter sees of a dead feeder, at most
POWER_NOISE, VOLTS_NOISE = 0.01, 0.002


def cabinet_says(feeder: Feeder) -> Iterator[Said]:
    """The reports of the cabinet at the head of a feeder, in order."""
    city, device = feeder.city, feeder.circuit.device
    rng = dice(city.seed, "cabinet says", device)
    first_ms = city.start_ms + rng.randrange(EVERY_S) * 1000
    extra_ms = feeder_events(feeder, device)
    metered = city.scenario.fleets.lamps.metered
    for ts_ms, draws in reports(city, device, first_ms, EVERY_S * 1000, extra_ms):
        closed = (feeder.orders(dims=False).at(ts_ms)[0] > 0).tolist()
        columns = {"relay_on": closed, "door_open": [False] * len(closed)}
        if metered:
            columns = _metered(feeder, ts_ms, draws) | {"relay_on": closed}
        sent_ms = (ts_ms + draws.latency_ms).tolist()
        rows = zip(ts_ms.tolist(), sent_ms, *columns.values(), strict=True)
        for at_ms, t_ms, *values in rows:
            yield Said(t_ms, at_ms, dict(zip(columns, values, strict=True)))


def _metered(feeder: Feeder, ts_ms: Times, draws: Draws) -> dict[str, list[Any]]:
    dead = feeder.dead(ts_ms)
    volts = feeder.volts(ts_ms, 0.0) * (1 + VOLTS_NOISE * draws.volts)
    watts = feeder.watts(ts_ms) * (1 + POWER_NOISE * draws.power) + OWN_W
    current = np.where(dead, 0.0, watts / (volts * POWER_FACTOR))
    return {
        "active_power_w": np.round(np.where(dead, 0.0, watts), 1).tolist(),
        "current_a": np.round(current, 2).tolist(),
        "voltage_v": np.round(np.where(dead, STRAY_V * draws.share, volts), 1).tolist(),
    }
