"""What a lamp draws: LED drivers and sodium lamps with their gear, in full light, dimmed and off.

Gear regulates its power whatever the supply's voltage. Plain physics of arrays, one element a
moment; knows nothing of times of day, of faults or of who asks.
"""

import math

import numpy as np

from simulators.photoperiod import Numbers, Times
from simulators.things import Lamp

STANDBY_W = (0.4, 1.2)  # a controller and its idle driver
# LED drivers: the less they deliver, the more their input capacitor weighs.
LED_DIM_PCT = np.array([0.0, 5.0, 20.0, 50.0, 100.0])
LED_POWER_FACTOR = np.array([0.34, 0.45, 0.70, 0.86, 0.95])
LED_FULL_POWER_FACTOR, IDLE_POWER_FACTOR = 0.95, 0.34
SODIUM_POWER_FACTOR = (0.85, 0.90)
SODIUM_START = 0.3  # of its power, while the arc is cold
SODIUM_WARM_MS, SODIUM_COLD_FOR_MS = 150_000, 1_800_000


def driver_watts(lamp: Lamp, pct: Numbers) -> Numbers:
    """By the profile that is registered, or in proportion where there is none."""
    if lamp.dim_curve:
        dims, watts = zip(*lamp.dim_curve, strict=True)
        by_profile: Numbers = np.interp(pct, dims, watts)
        return by_profile
    in_proportion: Numbers = pct * (lamp.nominal_w / 100)
    return in_proportion


def warmth(burning_ms: Times) -> Numbers:
    """The share of its power that a sodium lamp draws so long after it was lit."""
    warm = np.ones(len(burning_ms))
    for n in np.nonzero(burning_ms < SODIUM_COLD_FOR_MS)[0].tolist():
        cold = math.exp(-max(0, int(burning_ms[n])) / SODIUM_WARM_MS)
        warm[n] = 1 - (1 - SODIUM_START) * cold
    return warm


def led_power_factor(pct: Numbers) -> Numbers:
    factor: Numbers = np.interp(pct, LED_DIM_PCT, LED_POWER_FACTOR)
    return factor


def sodium_power_factor(full: float, warm: Numbers) -> Numbers:
    """`full`: of this lamp when warm."""
    return full * (0.6 + 0.4 * warm)
