"""Three drives over one road: its holes are filed, whatever the mount, gain, rate and windows.

The road and the drives are made here; each drive has one-off jolts of its own that no other feels.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from gateway.cases.places import EARTH_M_PER_DEG, metres
from gateway.cases.roadway import Roadway
from gateway.field.devices import Device
from gateway.telemetry import Address, Reading
from rules.files import load, read_library
from rules.scene import Scene

pytestmark = pytest.mark.slow

LAT, LON = 40.45, -79.95
ROAD_M = 4000.0
HOLES_M = tuple(120.0 + 190.0 * n for n in range(20))
T0_MS, DAY_MS = 1_790_000_000_000, 86_400_000
GPS_M, MATCH_M = 3.0, 25.0
GRAVITY_MS2 = 9.81


@dataclass(frozen=True)
class Car:
    """`samples` in a window, of which a `step` later the next begins; `axes`: 3, or 1 as mounted
    upright. `gain`: of body, mount and sensor together."""

    rate_hz: float
    samples: int
    step: int
    axes: int = 3
    gain: float = 1.0
    tells_speed: bool = True


def drive(car, seed):
    """(reading, where) of each window of one drive along the road."""
    dice = np.random.default_rng(seed)
    speed_mps = dice.uniform(8.0, 13.0)
    t = np.arange(0.0, ROAD_M / speed_mps, 1 / car.rate_hz)
    along = t * speed_mps
    up = dice.normal(0, 0.5, len(t))
    aside = dice.normal(0, 0.3, (2, len(t)))
    alone = dice.uniform(0, ROAD_M, 12)  # a lid, a twig, a kerb: felt on this drive only
    for at, strength in [
        *((m, dice.uniform(3.5, 7.0)) for m in HOLES_M),
        *((m, dice.uniform(2.0, 5.0)) for m in alone),
    ]:
        s = (along - at - dice.normal(0, 1.0)) / speed_mps
        blow = strength * np.exp(-(((s - 0.1) / 0.25) ** 2)) * np.cos(2 * math.pi * 1.8 * s)
        up += blow
        aside[0] += 0.6 * blow
    tilt, turn = dice.uniform(-1.2, 1.2), dice.uniform(-3, 3)
    down = np.array(
        [math.sin(tilt) * math.cos(turn), math.sin(tilt) * math.sin(turn), math.cos(tilt)]
    )
    right = np.cross(down, [0.3, 0.5, 0.81])
    right /= np.linalg.norm(right)
    ahead = np.cross(down, right)
    felt = car.gain * np.stack([up, *aside])
    axes = (
        np.outer(down, felt[0] + GRAVITY_MS2) + np.outer(right, felt[1]) + np.outer(ahead, felt[2])
    )
    for first in range(0, len(t) - car.samples, car.step):
        middle = first + car.samples // 2
        north, east = dice.normal(0, GPS_M / 2, 2)
        loc = (
            LAT + (along[middle] + north) / EARTH_M_PER_DEG,
            LON + east / EARTH_M_PER_DEG / math.cos(math.radians(LAT)),
        )
        window = slice(first, first + car.samples)
        accel = {"rate_hz": car.rate_hz, "z_ms2": (felt[0, window] + GRAVITY_MS2).tolist()}
        if car.axes == 3:
            accel |= {f"{name}_ms2": axes[n, window].tolist() for n, name in enumerate("xyz")}
        values = {"speed_mps": float(speed_mps)} if car.tells_speed else {}
        yield round(1000 * t[middle]), loc, accel, values


def filed(cars, seed, quorum="2"):
    """Where the shipped rule would file, after a drive a day."""
    bundle, _ = load(read_library(), {"pothole.quorum": quorum})
    rule = bundle.rules["pothole"]
    roadway, scene = Roadway([rule]), Scene(lambda _: iter(()))
    found = {}
    for day, car in enumerate(cars):
        device = Device(f"car-{day}", "z", "road")
        for at_ms, loc, accel, values in drive(car, 100 * seed + day):
            ts_ms = T0_MS + day * DAY_MS + at_ms
            address = Address("z", "road", device.name, "telemetry")
            reading = Reading(address, ts_ms, 1, 1, values, loc, (), False, accel, b"")
            for place, told in roadway.take(device, reading, ts_ms, scene)[1]:
                if rule.when.judge(told, {}, scene, []) and place.id not in found:
                    found[place.id] = (place.lat, place.lon)
                    roadway.places.mark_fired(place.id, fired=True)
    return list(found.values())


def scored(places):
    """(share of the filed that are holes, share of the holes that are filed)."""
    holes = [(LAT + m / EARTH_M_PER_DEG, LON) for m in HOLES_M]
    right = [any(metres(*place, *hole) <= MATCH_M for hole in holes) for place in places]
    found = [any(metres(*place, *hole) <= MATCH_M for place in places) for hole in holes]
    return sum(right) / max(1, len(right)), sum(found) / len(found)


CARS = {
    "a phone at 5 Hz": [Car(5.0, 10, 10)] * 3,
    "with overlapping windows": [Car(5.0, 16, 8)] * 3,
    "upright, with z alone": [Car(5.0, 10, 10, axes=1)] * 3,
    "that do not tell their speed": [Car(5.0, 10, 5, tells_speed=False)] * 3,
    "of different gain": [Car(5.0, 10, 5, gain=gain) for gain in (0.8, 1.0, 1.8)],
    "sampled at 10, 20 and 5 Hz": [Car(10.0, 20, 10), Car(20.0, 40, 20), Car(5.0, 10, 5)],
}


@pytest.mark.parametrize("cars", CARS.values(), ids=CARS)
def test_of_three_drives_the_holes_are_filed_and_little_else(cars):
    """Over six roads: at least three in four of what is filed are holes, and nine in ten holes are
    filed."""
    figures = np.mean([scored(filed(cars, seed)) for seed in range(6)], axis=0)
    precision, recall = figures
    assert precision >= 0.75, figures
    assert recall >= 0.90, figures


def test_two_holes_are_two_places_and_one_hole_is_one():
    """No hole is filed twice on ten drives."""
    places = filed([Car(5.0, 10, 10)] * 10, 7, quorum="3")
    for n, place in enumerate(places):
        assert all(metres(*place, *other) > MATCH_M for other in places[n + 1 :])
