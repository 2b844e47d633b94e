"""What a wheel does to a body: the vertical acceleration that a road makes in a vehicle.

A quarter car (a body on a spring, a wheel on its tyre; two degrees of freedom) for each axle,
driven by the profile of the road; the sensor sits between the axles and feels the nearer one
more. It is linear, so each response is worked out once, for one metre of height, one speed and
one sampling rate, and windows scale and add them: no equation is solved for a message. Contact
patch and anti-alias filter are in it. Tables only grow with what a run asks for. What a linear
model leaves out: wheels that lose contact, bump stops, holes deeper than the tyre is high.

Figures: body 1.1 to 1.5 Hz and wheel hop 10 to 13 Hz, damping 0.25 to 0.35 of critical, a wheel of
a tenth to a seventh of its share of the body, as textbooks of vehicle dynamics have them. Classes
of roughness: ISO 8608, displacement spectrum falling with the square of spatial frequency. Round
humps: Watts's profile, 3.7 m long (Transport and Road Research Laboratory, LR 597, 1973).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from math import ceil, pi, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.dice import array_dice

Samples = npt.NDArray[np.float64]

FINE_HZ = 1600  # the rate at which responses are worked out, at least
SPAN_S = 2.5  # a response lasts from so long before its middle to so long after it
FRONT_S = 0.25  # the front axle passes no earlier than so long before the middle
PHASES = 4  # a blow falls between two samples as often as on one
BUSH_HZ = 12.0  # rubber between the suspension and the cabin passes less from here on
PATCH_M = 0.14  # the length of a tyre's contact with the road
ONE_SIDE = 0.6  # what the middle of a body feels of a blow to the wheels of one side
POOL = 1 << 14
SLOWEST_MPS, FASTEST_MPS = 3, 40
LEAST_HZ = 0.3  # nothing is slower on a road that drivers feel
ISO_WAVES_A_M = 0.1  # the spatial frequency at which ISO 8608 tells the classes
RATTLES_A_S, RATTLE_HZ, RATTLE_S = 7.0, 38.0, 0.02


class Suspension(NamedTuple):
    """`wheel_share`: mass of the wheels to mass of the body; `front`: how much the sensor feels of
    the front axle; the rest is the rear one's.
    """

    body_hz: float
    wheel_hz: float
    damping: float
    wheel_share: float
    wheelbase_m: float
    front: float


SUSPENSIONS: Mapping[str, Suspension] = {
    "car": Suspension(1.4, 11.5, 0.32, 0.12, 2.7, 0.7),
    "van": Suspension(1.5, 12.5, 0.28, 0.11, 3.4, 0.75),
    "bus": Suspension(1.2, 10.2, 0.33, 0.14, 5.9, 0.8),
}


class Form(StrEnum):
    """What lies on or in the road."""

    SHORT_HOLE = "short hole"
    HOLE = "hole"
    LONG_HOLE = "long hole"
    LID = "lid"
    HUMP = "hump"
    JOINT = "joint"


def _hole(length_m: float, edge_m: float) -> Callable[[Samples], Samples]:
    def profile(x: Samples) -> Samples:
        return -np.clip((length_m / 2 - np.abs(x)) / edge_m, 0.0, 1.0)

    return profile


def _hump(x: Samples) -> Samples:
    return np.where(np.abs(x) < 1.85, np.cos(pi * x / 3.7), 0.0)


class Shape(NamedTuple):
    profile: Callable[[Samples], Samples]  # metres along -> share of its height
    felt: float


_SHAPES: Mapping[Form, Shape] = {
    Form.SHORT_HOLE: Shape(_hole(0.5, 0.08), ONE_SIDE),
    Form.HOLE: Shape(_hole(0.8, 0.12), ONE_SIDE),
    Form.LONG_HOLE: Shape(_hole(1.3, 0.2), ONE_SIDE),
    Form.LID: Shape(_hole(0.6, 0.02), ONE_SIDE),
    Form.HUMP: Shape(_hump, 1.0),
    Form.JOINT: Shape(_hole(0.1, 0.01), 1.0),
}


class Ride(NamedTuple):
    """What a table is made for: whole metres a second are near enough."""

    body: str
    speed_mps: int
    rate_hz: int


def ride(body: str, speed_mps: float, rate_hz: int) -> Ride:
    return Ride(body, min(FASTEST_MPS, max(SLOWEST_MPS, round(speed_mps))), rate_hz)


@lru_cache(maxsize=4096)
def response(form: Form, how: Ride) -> Samples:
    """PHASES rows, for one metre of height or depth. In the middle of a row the front axle has
    passed, the rear one is to come: a window about it has both, or of a long vehicle the first.
    """
    suspension, shape = SUSPENSIONS[how.body], _SHAPES[form]
    fine = ceil(FINE_HZ / how.rate_hz)
    half = round(SPAN_S * how.rate_hz)
    count = 1 << (2 * half * fine - 1).bit_length()
    steps = np.arange(count, dtype=np.float64) - count // 2
    x = steps * (how.speed_mps / (fine * how.rate_hz))
    ahead_m = min(suspension.wheelbase_m / 2, FRONT_S * how.speed_mps)
    front = shape.profile(x + ahead_m)
    rear = shape.profile(x + ahead_m - suspension.wheelbase_m)
    road = suspension.front * front + (1 - suspension.front) * rear
    spectrum = np.fft.rfft(road) * _transfer(how, count, fine)
    felt = np.fft.irfft(spectrum, count) * shape.felt
    first = count // 2 - half * fine
    rows = [felt[first + phase * fine // PHASES :: fine][: 2 * half - 1] for phase in range(PHASES)]
    return np.asarray(rows)


@lru_cache(maxsize=1024)
def roughness(how: Ride) -> Samples:
    """A long piece of what a road of Gd(0.1/m) = 1e-6 m3 feels like; its end meets its start."""
    suspension = SUSPENSIONS[how.body]
    white = array_dice(0, "roughness", *how).standard_normal(POOL)
    hertz = np.fft.rfftfreq(POOL, 1 / how.rate_hz)
    seen = np.maximum(hertz, LEAST_HZ)
    road = np.sqrt(1e-6 * ISO_WAVES_A_M**2 * how.speed_mps * how.rate_hz / 2) / seen
    late = np.exp(-2j * pi * hertz * suspension.wheelbase_m / how.speed_mps)
    axles = suspension.front + (1 - suspension.front) * late
    spectrum = np.fft.rfft(white) * road * axles * _transfer(how, POOL, 1)
    spectrum[hertz < LEAST_HZ] = 0.0
    return np.fft.irfft(spectrum, POOL)


@lru_cache(maxsize=64)
def rattle(rate_hz: int) -> Samples:
    """A long piece of a sensor that knocks in its mount: short rings, most small, some of several
    times the mean of 1 m/s2.
    """
    noise = array_dice(0, "rattle", rate_hz)
    knocks = (noise.random(POOL) < RATTLES_A_S / rate_hz) * noise.standard_exponential(POOL)
    knocks *= np.where(noise.random(POOL) < 0.5, -1.0, 1.0)
    t = np.arange(ceil(6 * RATTLE_S * rate_hz) + 1) / rate_hz
    ring = np.exp(-t / RATTLE_S) * np.cos(2 * pi * min(RATTLE_HZ, 0.35 * rate_hz) * t)
    return np.convolve(knocks, ring)[:POOL]


def passed(hertz: float, rate_hz: int) -> float:
    """The share of a vibration that the sensor's filter lets through."""
    return float(1 / sqrt(1 + (hertz / (0.4 * rate_hz)) ** 8))


def _transfer(how: Ride, count: int, fine: int) -> npt.NDArray[np.complex128]:
    """From the height of the road under the tyre to the acceleration that is sampled."""
    suspension = SUSPENSIONS[how.body]
    hertz = np.fft.rfftfreq(count, 1 / (how.rate_hz * fine))
    s = 2j * pi * hertz
    spring = (2 * pi * suspension.body_hz) ** 2  # for a body of 1 kg
    damper, wheel = 2 * suspension.damping * sqrt(spring), suspension.wheel_share
    tyre = wheel * (2 * pi * suspension.wheel_hz) ** 2 - spring
    link = damper * s + spring
    below = (s * s + link) * (wheel * s * s + link + tyre) - link * link
    below[0] = 1.0  # nothing moves at 0 Hz
    patch = np.sinc(hertz * PATCH_M / how.speed_mps)
    sensor = 1 / np.sqrt(1 + (hertz / (0.4 * how.rate_hz)) ** 8)
    bushes = 1 / (1 + 1j * hertz / BUSH_HZ)
    felt: npt.NDArray[np.complex128] = s * s * tyre * link / below * patch * bushes * sensor
    return felt
