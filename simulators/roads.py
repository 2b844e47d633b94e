"""What the simulated vehicles feel of the road, and what the fixed vibration sensors report.

A vehicle sends a window of acceleration (gravity included; z alone, or three axes as it is mounted)
each time it passes a spot that the city watches, and now and then in between. The surface belongs
to the place: whoever comes by feels the same, each in his own body, at his own speed. The position
is the receiver's: a few metres off. How a hole becomes a jolt is written with the vibration.

Sound streets are of ISO 8608 classes B and half C, worn ones of D: with these the windows of worn
road are as strong as recorded ones, those of sound road calmer. Drivers take a hump at 20 to
25 km/h, for which round humps are built. They drive through a hole unless its `hit` is less than 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from math import cos, pi, radians, sin, sqrt
from typing import Any, NamedTuple

import numpy as np

from simulators.catalogue import how_bad
from simulators.city import METRES_A_DEGREE, City, route_at, route_length_m
from simulators.dice import array_dice, dice
from simulators.drives import Drive, Passing
from simulators.faults import Fault, Kind
from simulators.things import RoadSensor, Spot, Vehicle
from simulators.vibration import (
    PHASES,
    POOL,
    SPAN_S,
    Form,
    Ride,
    Samples,
    passed,
    rattle,
    response,
    ride,
    roughness,
)
from simulators.wire import Said

GRAVITY_MS2 = 9.81
SOUND_GD = (32e-6, 256e-6)  # ISO 8608 at 0.1 waves a metre, in m3: from B to the middle of C
SLAB_M = 100.0  # one surface for so long
SAMPLE_EVERY_S = (80, 150)
APART_M = 45.0  # nothing is sampled at random this near a watched spot
LATENCY_MS = (200, 2500)
TRIGGER_S = 0.08  # how far from the middle of its window a blow lies
HUMP_MPS = (20 / 3.6, 25 / 3.6)
WHEEL_PATH = (0.85, 1.05)  # of a hole's depth that a wheel meets
CRACK = 0.25  # of its depth when a growing hole begins
HOLES = (Form.SHORT_HOLE, Form.HOLE, Form.LONG_HOLE)
SENSOR_MS2, SENSOR_A_MPS = 0.05, 0.006  # noise of sensor and cabin, standing and a metre a second
ENGINE_HZ, ENGINE_MS2 = (20.0, 30.0), (0.06, 0.25)
LOOSE_GAIN, KNOCK_A_MPS = 1.4, 0.17
STANDS_MPS = 0.5
# Share of the day's heaviest traffic, hour by hour.
TRAFFIC = (
    0.10, 0.06, 0.05, 0.05, 0.10, 0.25, 0.55, 0.95, 1.00, 0.75, 0.65, 0.70,
    0.75, 0.70, 0.75, 0.85, 0.95, 1.00, 0.80, 0.55, 0.40, 0.32, 0.25, 0.16,
)  # fmt: skip
HEAVY_SHARE, HEAVY_TIMES, PPV_MAX_MM_S = 0.01, (2.0, 5.0), 5.0  # of windows with a heavy lorry


class Blow(NamedTuple):
    """What the wheels meet in a window."""

    form: Form
    metres: float


@dataclass(frozen=True)
class Route:
    """The road of one vehicle: watched spots with their stories, and how rough it is."""

    spots: Sequence[Spot]
    stories: Mapping[str, Sequence[Fault]]
    slabs: Sequence[float]

    def gd(self, along_m: float, ts_ms: int) -> float:
        """Roughness there and then."""
        for spot in self.spots:
            for fault in self.stories.get(spot.id, ()):
                if (
                    fault.kind is Kind.WORN_SURFACE
                    and fault.active(ts_ms)
                    and abs(along_m - spot.along_m) <= how_bad(fault, "metres") / 2
                ):
                    return how_bad(fault, "gd") * 1e-6
        return self.slabs[int(along_m / SLAB_M) % len(self.slabs)]


@lru_cache(maxsize=4096)
def _slabs(seed: int, route: int) -> Sequence[float]:
    """Rough slabs are as rare as very smooth ones."""
    draws = array_dice(seed, "surface", route).random(int(route_length_m() / SLAB_M) + 1)
    smooth, rough = SOUND_GD
    gd: list[float] = (smooth * (rough / smooth) ** draws).tolist()
    return gd


def vehicle_says(
    city: City, vehicle: Vehicle, stories: Mapping[str, Sequence[Fault]], own: Sequence[Fault]
) -> Iterator[Said]:
    """Every window that a vehicle sends, in order. `stories`: spot -> what happens there; `own`:
    what happens to the vehicle.
    """
    spots = tuple(spot for spot in city.spots if spot.route == vehicle.route)
    route = Route(spots, stories, _slabs(city.seed, vehicle.route))
    cab = _Cab(city, vehicle, route, own, dice(city.seed, "engine", vehicle.device).random())
    idle = [fault for fault in own if fault.kind is Kind.VEHICLE_IDLE]
    back_ms = city.start_ms
    for drive in vehicle.drives:
        if any(fault.active(drive.start_ms) for fault in idle):
            continue
        yield from _standing(cab, idle, back_ms, drive.start_ms)
        yield from _driving(cab, drive)
        back_ms = drive.end_ms
    yield from _standing(cab, idle, back_ms, city.end_ms)


def _standing(cab: "_Cab", idle: Sequence[Fault], from_ms: int, until_ms: int) -> Iterator[Said]:
    """At the start of its route with the engine running: it takes no round that begins then."""
    for fault in idle:
        begin, end = max(from_ms, fault.start_ms), min(until_ms, fault.end_ms or until_ms)
        noise = array_dice(cab.city.seed, "standing", cab.vehicle.device, begin)
        ts_ms = begin + 1000 * int(noise.integers(*SAMPLE_EVERY_S))
        while ts_ms < end:
            yield cab.window(0.0, ts_ms, Passing(0.0, 0.0, 0.0), (), noise)
            ts_ms += 1000 * int(noise.integers(*SAMPLE_EVERY_S))


def _driving(cab: "_Cab", drive: Drive) -> Iterator[Said]:
    """One round: a window at every watched spot, and some in between."""
    noise = array_dice(cab.city.seed, "drive", cab.vehicle.device, drive.start_ms)
    route, stories = cab.route, cab.route.stories
    stops = [
        (passing.after_s, spot.along_m, passing, stories.get(spot.id, ()))
        for spot in route.spots
        for passing in [drive.round.at(spot.along_m)]
    ]
    after_s = noise.uniform(0, SAMPLE_EVERY_S[1])
    while after_s < drive.round.lasts_s:
        along_m = drive.round.along_m(after_s)
        if all(abs(along_m - spot.along_m) > APART_M for spot in route.spots):
            stops.append((after_s, along_m, drive.round.when(after_s), ()))
        after_s += noise.uniform(*SAMPLE_EVERY_S)
    for after_s, along_m, passing, story in sorted(stops, key=lambda stop: stop[0]):
        ts_ms = drive.start_ms + int(after_s * 1000)
        yield cab.window(along_m, ts_ms, passing, story, noise)


@dataclass(frozen=True)
class _Cab:
    """A vehicle on its road. Every window draws the same from `noise`, whatever happens in it, so
    that a fault changes nothing else.
    """

    city: City
    vehicle: Vehicle
    route: Route
    own: Sequence[Fault]
    engine: float

    def window(
        self, along_m: float, ts_ms: int, passing: Passing, story: Sequence[Fault],
        noise: np.random.Generator,
    ) -> Said:  # fmt: skip
        vehicle = self.vehicle
        luck = noise.random(12).tolist()
        white = noise.standard_normal(vehicle.samples + 3)
        own = {fault.kind: fault for fault in self.own if fault.active(ts_ms)}
        blow, speed_mps = _met(story, ts_ms, passing.speed_mps, luck)
        z = self._vertical(along_m, ts_ms, speed_mps, blow, luck, white)
        if Kind.SENSOR_LOOSE in own:
            first = int(luck[5] * (POOL - vehicle.samples))
            knocks = rattle(vehicle.rate_hz)[first : first + vehicle.samples]
            z = z * LOOSE_GAIN + knocks * (KNOCK_A_MPS * speed_mps * (0.7 + 0.6 * luck[6]))
        lat, lon, heading = route_at(self.city, vehicle.route, along_m)
        values: dict[str, Any] = {
            "accel": self._accel(z, passing.accel_ms2, speed_mps, luck),
            "speed_mps": round(speed_mps * (0.97 + 0.06 * luck[7]), 2),
            "heading_deg": round((heading + 1.5 * float(white[-1])) % 360.0, 1) % 360.0,
        }
        loc = self._position(lat, lon, own, white[-3:-1].tolist(), luck[8])
        delay_ms = LATENCY_MS[0] + int(luck[9] * (LATENCY_MS[1] - LATENCY_MS[0]))
        half_ms = vehicle.samples * 500 // vehicle.rate_hz
        return Said(ts_ms + half_ms + delay_ms, ts_ms, values, loc)

    def _vertical(
        self, along_m: float, ts_ms: int, speed_mps: float, blow: Blow | None,
        luck: Sequence[float], white: Samples,
    ) -> Samples:  # fmt: skip
        """Around gravity; a blow lies about the middle."""
        vehicle = self.vehicle
        z = white[: vehicle.samples] * (SENSOR_MS2 + SENSOR_A_MPS * speed_mps)
        if speed_mps < STANDS_MPS:
            return z + self._engine(luck)
        how = ride(vehicle.body, speed_mps, vehicle.rate_hz)
        first = int(luck[0] * (POOL - vehicle.samples))
        road = roughness(how)[first : first + vehicle.samples]
        z += road * sqrt(self.route.gd(along_m, ts_ms) * 1e6)
        if blow is not None:
            _strike(z, blow, how, luck[1])
        return z

    def _engine(self, luck: Sequence[float]) -> Samples:
        """The second order of four cylinders at 600 to 900 turns a minute."""
        hertz = ENGINE_HZ[0] + self.engine * (ENGINE_HZ[1] - ENGINE_HZ[0])
        strength = ENGINE_MS2[0] + self.engine * (ENGINE_MS2[1] - ENGINE_MS2[0])
        turns = np.arange(self.vehicle.samples) * (hertz / self.vehicle.rate_hz) + luck[0]
        hum: Samples = np.sin(2 * pi * turns) * (strength * passed(hertz, self.vehicle.rate_hz))
        return hum

    def _accel(
        self, z: Samples, along_ms2: float, speed_mps: float, luck: Sequence[float]
    ) -> dict[str, Any]:
        """As mounted: upright with z alone, or three axes at an angle."""
        vehicle = self.vehicle
        up = z + GRAVITY_MS2
        if vehicle.mount is None:
            return {"rate_hz": vehicle.rate_hz, "z_ms2": _digits(up)}
        pool = roughness(ride(vehicle.body, speed_mps, vehicle.rate_hz))
        first, second = (int(one * (POOL - vehicle.samples)) for one in luck[10:12])
        shaken = min(1.0, speed_mps / 5) * 2.0  # along and across: a part of what shakes it upwards
        ahead = pool[first : first + vehicle.samples] * shaken + 0.2 * z + along_ms2
        aside = pool[second : second + vehicle.samples] * shaken + 0.3 * z
        axes = (_digits(a * ahead + b * aside + c * up) for a, b, c in vehicle.mount)
        return {"rate_hz": vehicle.rate_hz} | dict(
            zip(("x_ms2", "y_ms2", "z_ms2"), axes, strict=True)
        )

    def _position(
        self, lat: float, lon: float, own: Mapping[Kind, Fault], error: Sequence[float],
        turn: float,
    ) -> list[float]:  # fmt: skip
        """Where the receiver believes to be; never more than three deviations off."""
        if Kind.NULL_ISLAND in own:
            return [0.0, 0.0]
        east, north = (max(-3.0, min(3.0, one)) * self.vehicle.gps_m for one in error)
        if (jump := own.get(Kind.GPS_JUMP)) is not None:
            metres = how_bad(jump, "metres")
            east, north = east + metres * cos(2 * pi * turn), north + metres * sin(2 * pi * turn)
        lon_m = METRES_A_DEGREE * cos(radians(self.city.lat))
        return [round(lat + north / METRES_A_DEGREE, 6), round(lon + east / lon_m, 6)]


def _digits(samples: Samples) -> list[float]:
    """To a hundredth: what a 12-bit sensor of 4 g resolves."""
    rounded: list[float] = np.round(samples, 2).tolist()
    return rounded


def _strike(z: Samples, blow: Blow, how: Ride, luck: float) -> None:
    """Adds the response to a blow, `luck` off the middle."""
    step = int((2 * luck - 1) * TRIGGER_S * how.rate_hz * PHASES)
    row = response(blow.form, how)[step % PHASES]
    middle = round(SPAN_S * how.rate_hz)
    start = len(z) // 2 - middle - step // PHASES
    low, high = max(0, start), min(len(z), start + len(row))
    z[low:high] += row[low - start : high - start] * blow.metres


def _met(
    story: Sequence[Fault], ts_ms: int, speed_mps: float, luck: Sequence[float]
) -> tuple[Blow | None, float]:
    """What the wheels meet at a spot, and how fast the vehicle is then."""
    for fault in story:
        if not fault.active(ts_ms):
            continue
        if fault.kind in (Kind.POTHOLE, Kind.POTHOLE_GROWS):
            return _hole(fault, ts_ms, luck), speed_mps
        if fault.kind is Kind.MANHOLE:
            return Blow(Form.LID, how_bad(fault, "depth_mm") / 1000), speed_mps
        if fault.kind is Kind.EXPANSION_JOINT:
            return Blow(Form.JOINT, how_bad(fault, "depth_mm") / 1000), speed_mps
        if fault.kind is Kind.SPEED_BUMP:
            slow, fast = HUMP_MPS
            hump = Blow(Form.HUMP, how_bad(fault, "height_mm") / 1000)
            return hump, min(speed_mps, slow + luck[2] * (fast - slow))
    return None, speed_mps


def _hole(fault: Fault, ts_ms: int, luck: Sequence[float]) -> Blow | None:
    if luck[3] >= how_bad(fault, "hit"):
        return None
    depth_m = how_bad(fault, "depth_mm") / 1000 * grown(fault, ts_ms)
    low, high = WHEEL_PATH
    form = HOLES[dice(fault.start_ms, "hole", fault.target).randrange(len(HOLES))]
    return Blow(form, depth_m * (low + luck[4] * (high - low)))


def grown(fault: Fault, ts_ms: int) -> float:
    """The share of its full depth that a hole has then."""
    if fault.kind is not Kind.POTHOLE_GROWS:
        return 1.0
    age = (ts_ms - fault.start_ms) / (how_bad(fault, "days") * 86_400_000)
    return min(1.0, CRACK + (1 - CRACK) * max(0.0, age))


def sensor_says(city: City, sensor: RoadSensor) -> Iterator[Said]:
    """A fixed sensor: peak particle velocity, louder with traffic by the hour, now and then a heavy
    lorry; far from any limit.
    """
    rng = dice(city.seed, "road says", sensor.device)
    first_ms = city.start_ms + sensor.phase_s * 1000
    every_ms = round(city.scenario.fleets.road_sensors.every * 1000)
    for ts_ms in range(first_ms, city.end_ms, every_ms):
        traffic = TRAFFIC[datetime.fromtimestamp(ts_ms / 1000, city.zone_info).hour]
        ppv = sensor.quiet_mm_s * (0.25 + 0.9 * traffic) * rng.lognormvariate(0, 0.35)
        times = rng.uniform(*HEAVY_TIMES)
        if rng.random() < HEAVY_SHARE * traffic:
            ppv *= times
        values = {"ppv_mm_s": round(min(PPV_MAX_MM_S, ppv), 3)}
        yield Said(ts_ms + rng.randint(*LATENCY_MS), ts_ms, values)
