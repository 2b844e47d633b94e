"""What the simulated vehicles feel of the road, and what the fixed vibration sensors report.

A vehicle sends a window of vertical acceleration (gravity included, z alone) each time it passes a
spot that the city watches, and now and then in between. Over sound road it is tyre noise of a few
tenths of m/s2; a hole sets the wheel ringing at about 12 Hz. The position is the receiver's: a few
metres off.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from simulators.city import City, route_at, route_length_m
from simulators.dice import array_dice, dice
from simulators.faults import Fault, Kind
from simulators.things import Drive, RoadSensor, Spot, Vehicle
from simulators.wire import Said

GRAVITY_MS2 = 9.81
QUIET_MS2 = (0.25, 0.5)  # tyre noise of sound road: at 128 samples its peak stays below 2.5
HIT_MS2 = (6.5, 11.0)
RING_HZ, RING_S = (10.0, 14.0), 0.12  # wheel hop, and how fast it dies down
SAMPLE_EVERY_S = (80, 150)
APART_M = 45.0  # nothing is sampled at random this near a watched spot
GPS_M = 1.6  # standard deviation in each direction; never more than three of them
LATENCY_MS = (200, 2500)


def vehicle_says(
    city: City, vehicle: Vehicle, stories: Mapping[str, Sequence[Fault]]
) -> Iterator[Said]:
    """Every window that a vehicle sends, in order. `stories`: spot -> what happens there."""
    rng = dice(city.seed, "drives", vehicle.device)
    noise = array_dice(city.seed, "road noise", vehicle.device)
    spots = [spot for spot in city.spots if spot.route == vehicle.route]
    for drive in vehicle.drives:
        for along_m, spot in _stops(drive, spots, rng):
            ts_ms = drive.start_ms + int(along_m / drive.speed_mps * 1000)
            hit = spot is not None and _hits(stories.get(spot.id, ()), ts_ms)
            yield _window(city, vehicle, drive, along_m, ts_ms, hit, rng, noise)


def _stops(drive: Drive, spots: Sequence[Spot], rng: Random) -> list[tuple[float, Spot | None]]:
    """Where along the route windows are taken: at every watched spot, and in between."""
    stops: list[tuple[float, Spot | None]] = [(spot.along_m, spot) for spot in spots]
    along_m = drive.speed_mps * rng.uniform(*SAMPLE_EVERY_S)
    while along_m < route_length_m():
        if all(abs(along_m - spot.along_m) > APART_M for spot in spots):
            stops.append((along_m, None))
        along_m += drive.speed_mps * rng.uniform(*SAMPLE_EVERY_S)
    return sorted(stops, key=lambda stop: stop[0])


def _hits(story: Sequence[Fault], ts_ms: int) -> bool:
    return any(
        fault.kind in (Kind.POTHOLE, Kind.MANHOLE) and fault.active(ts_ms) for fault in story
    )


def _window(
    city: City, vehicle: Vehicle, drive: Drive, along_m: float, ts_ms: int,
    hit: bool, rng: Random, noise: np.random.Generator,
) -> Said:  # fmt: skip
    lat, lon, heading = route_at(city, vehicle.route, along_m)
    east, north = (max(-3.0, min(3.0, rng.gauss(0, 1))) * GPS_M for _ in range(2))
    x_lat, x_lon = city.at(east, north)
    loc = [round(lat + x_lat - city.lat, 6), round(lon + x_lon - city.lon, 6)]
    z_ms2 = _vibration(vehicle, drive.speed_mps, hit, rng, noise)
    values: dict[str, Any] = {
        "accel": {"rate_hz": vehicle.rate_hz, "z_ms2": z_ms2},
        "speed_mps": round(drive.speed_mps * rng.uniform(0.97, 1.03), 2),
        "heading_deg": heading,
    }
    half_ms = vehicle.samples * 500 // vehicle.rate_hz
    return Said(ts_ms + half_ms + rng.randint(*LATENCY_MS), ts_ms, values, loc)


def _vibration(
    vehicle: Vehicle, speed_mps: float, hit: bool, rng: Random, noise: np.random.Generator
) -> list[float]:
    """Samples of one window; a hit rings from the middle on."""
    loudness = rng.uniform(*QUIET_MS2) * (0.6 + 0.4 * speed_mps / 13)
    z = np.clip(noise.standard_normal(vehicle.samples), -4, 4) * loudness
    peak, ring_hz = rng.uniform(*HIT_MS2), rng.uniform(*RING_HZ)
    if hit:
        t = np.maximum(0, np.arange(vehicle.samples) - vehicle.samples // 2) / vehicle.rate_hz
        ring = np.exp(-t / RING_S) * np.sin(2 * np.pi * ring_hz * t)
        z += ring * (peak / np.abs(ring - ring.mean()).max())
    rounded: list[float] = np.round(z + GRAVITY_MS2, 2).tolist()
    return rounded


def sensor_says(city: City, sensor: RoadSensor) -> Iterator[Said]:
    """A fixed sensor: peak particle velocity every ten minutes, far from any limit."""
    rng = dice(city.seed, "road says", sensor.device)
    first_ms = city.start_ms + sensor.phase_s * 1000
    for ts_ms in range(
        first_ms, city.end_ms, round(city.scenario.fleets.road_sensors.every * 1000)
    ):
        ppv = min(3.0, sensor.quiet_mm_s * rng.lognormvariate(0, 0.4))
        yield Said(ts_ms + rng.randint(*LATENCY_MS), ts_ms, {"ppv_mm_s": round(ppv, 3)})
