"""The simulated city as built: streets, circuits of lamps, bins, road sensors, vehicles' routes.

Drawn from the seed, the same for the same numbers on every machine. Devices are grouped behind
concentrators (lamp segment controllers, LoRa gateways, a fleet's modem pool), each one MQTT
connection. Knows nothing of faults and sends nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any, Self
from zoneinfo import ZoneInfo

from simulators.dice import dice
from simulators.drives import Drive, Round, rounds_of
from simulators.scenario import Scenario
from simulators.scenario_file import read_scenario
from simulators.sites import People
from simulators.survey import Survey
from simulators.things import Bin, Circuit, Lamp, Mount, Post, RoadSensor, Spot, Vehicle
from simulators.weather import Climate
from simulators.wire import Voice, ms_of

METRES_A_DEGREE = 111_320.0
STREET_GAP_M = 220.0
LAMP_GAP_M = 35.0
HALF_STREET_M = 1450.0  # room for a circuit; two to a street
ZONES = ("north", "river", "market", "harbour")
SEGMENT_CONTROLLERS, LORA_GATEWAYS, FLEET_MODEMS = 6, 3, 2
VEHICLES_A_ROUTE = 4
SPOTS_A_ROUTE = 6
PAUSE_S = (60, 300)
LIVED_IN_MS = 8 * 86_400_000  # bins have been in use for so long when the run starts
WINDOWS_S = (0.96, 1.28)
BODIES = ("car", "car", "car", "van", "van", "bus")


def sizes(lamps: int, bins: int, road: int) -> dict[str, Any]:
    """Of the fleets, as a scenario says them."""
    counts = {"lamps": lamps, "bins": bins, "road_sensors": road - road // 3, "vehicles": road // 3}
    return {"fleets": {name: {"count": count} for name, count in counts.items()}}


@dataclass(frozen=True)
class City:
    """As its scenario has it; with a survey, what stands in it is as surveyed."""

    scenario: Scenario
    survey: Survey | None = None

    @classmethod
    def sized(
        cls, seed: int, lamps: int = 500, bins: int = 150, road: int = 60, **more: Any
    ) -> Self:
        """The ready city with so many lamps, bins and road sensors, a third of which drive.
        `more`: other keys of a scenario.
        """
        file = read_scenario("city").changed({"seed": seed, **sizes(lamps, bins, road), **more})
        return cls(file.scenario)

    @property
    def seed(self) -> int:
        return self.scenario.seed

    @property
    def sim(self) -> bool:
        return self.scenario.sim

    @property
    def lat(self) -> float:
        return self.scenario.place.lat

    @property
    def lon(self) -> float:
        return self.scenario.place.lon

    @cached_property
    def start_ms(self) -> int:
        return ms_of(self.scenario.start)

    @cached_property
    def end_ms(self) -> int:
        return self.start_ms + round(self.scenario.duration * 1000)

    @cached_property
    def zone_info(self) -> ZoneInfo:
        return ZoneInfo(self.scenario.place.time_zone)

    @cached_property
    def climate(self) -> Climate:
        run = (self.start_ms, self.end_ms)
        return Climate(self.seed, self.scenario.weather, self.lat, self.lon, self.zone_info, *run)

    @cached_property
    def people(self) -> People:
        run = (self.start_ms - LIVED_IN_MS, self.start_ms, self.end_ms)
        return People(self.zone_info, *run, self.scenario.events)

    def at(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Metres east and north of the centre -> latitude, longitude (to about a centimetre)."""
        lon_scale = METRES_A_DEGREE * math.cos(math.radians(self.lat))
        return round(self.lat + y_m / METRES_A_DEGREE, 7), round(self.lon + x_m / lon_scale, 7)

    @cached_property
    def circuits(self) -> tuple[Circuit, ...]:
        if self.survey:
            return tuple(self.survey.circuits)
        fleet = self.scenario.fleets.lamps
        count = max(1, round(fleet.count / fleet.circuit_lamps)) if fleet.count else 0
        return tuple(_circuit(self, n, count) for n in range(count))

    @cached_property
    def all_lamps(self) -> tuple[Lamp, ...]:
        return tuple(lamp for circuit in self.circuits for lamp in circuit.lamps)

    @cached_property
    def all_bins(self) -> tuple[Bin, ...]:
        if self.survey:
            return tuple(self.survey.bins)
        return tuple(_bin(self, n) for n in range(self.scenario.fleets.bins.count))

    @cached_property
    def road_sensors(self) -> tuple[RoadSensor, ...]:
        if self.survey:
            return tuple(self.survey.road_sensors)
        return tuple(_road_sensor(self, n) for n in range(self.scenario.fleets.road_sensors.count))

    @cached_property
    def vehicles(self) -> tuple[Vehicle, ...]:
        return tuple(_vehicle(self, n) for n in range(self.scenario.fleets.vehicles.count))

    @cached_property
    def spots(self) -> tuple[Spot, ...]:
        routes = sorted({vehicle.route for vehicle in self.vehicles})
        return tuple(_spot(self, route, n) for route in routes for n in range(SPOTS_A_ROUTE))

    def posts(self) -> Iterator[tuple[str, Post]]:
        """Everything that stands in the city, with its kind."""
        yield from (("cabinet", circuit) for circuit in self.circuits if circuit.device)
        yield from (("streetlight", lamp) for lamp in self.all_lamps)
        yield from (("bin", item) for item in self.all_bins)
        yield from (("road", sensor) for sensor in self.road_sensors)

    def speakers(self) -> Iterator[tuple[str, Post | Vehicle]]:
        """Every device, with its kind."""
        yield from self.posts()
        yield from (("road", vehicle) for vehicle in self.vehicles)

    def concentrators(self) -> dict[str, list[str]]:
        """Concentrator -> the devices that speak through it."""
        groups: dict[str, list[str]] = {}
        for _, speaker in self.speakers():
            groups.setdefault(speaker.concentrator, []).append(speaker.device)
        return groups

    def voice(self, kind: str, speaker: Post | Vehicle) -> Voice:
        rng = dice(self.seed, "voice", speaker.device)
        boot, seq = rng.randint(2, 9), rng.randint(0, 5000)
        names = (speaker.zone, kind, speaker.device, speaker.concentrator)
        return Voice(*names, boot, seq, self.sim)


def _circuit(city: City, n: int, count: int) -> Circuit:
    rng = dice(city.seed, "circuit", n)
    name, zone = f"circuit-{n + 1:02d}", ZONES[n * len(ZONES) // count]
    concentrator = f"segment-{n * min(count, SEGMENT_CONTROLLERS) // count + 1}"
    x_m, y_m = (n % 2) * HALF_STREET_M, (n // 2) * STREET_GAP_M
    curve_share = rng.random() < 0.6
    total = city.scenario.fleets.lamps.count
    first, last = n * total // count, (n + 1) * total // count
    lamps = tuple(
        _lamp(city, number, name, zone, concentrator, x_m + LAMP_GAP_M * k, y_m, curve_share)
        for k, number in enumerate(range(first, last), start=1)
    )
    place = city.at(x_m, y_m)
    return Circuit(
        name, f"cab-{n + 1:02d}", zone, concentrator, *place, lamps, rng.uniform(-3.0, -1.0)
    )


def _lamp(
    city: City, n: int, circuit: str, zone: str, concentrator: str, x_m: float, y_m: float,
    has_curve: bool,
) -> Lamp:  # fmt: skip
    rng = dice(city.seed, "lamp", n)
    dimmable = rng.random() < city.scenario.fleets.lamps.led  # the rest are sodium lamps: on or off
    nominal = float(rng.choice((35, 48, 57, 72, 96) if dimmable else (100, 150)))
    curve = _dim_curve(nominal) if has_curve and dimmable else ()
    place = city.at(x_m, y_m + rng.choice((-6.0, 6.0)))
    names = (f"lamp-{n + 1:04d}", f"lc-{n + 1:04d}", zone, concentrator)
    gain, phase = rng.uniform(0.96, 1.04), rng.randrange(round(city.scenario.fleets.lamps.every))
    return Lamp(*names, *place, circuit, nominal, curve, dimmable, gain, phase)


def _dim_curve(nominal_w: float) -> tuple[tuple[float, float], ...]:
    """A driver's measured profile: a little better than proportional in the middle."""
    shape = ((0, 0.01), (25, 0.27), (50, 0.52), (75, 0.77), (100, 1.0))
    return tuple((float(dim), round(share * nominal_w, 1)) for dim, share in shape)


def _extent(city: City) -> tuple[float, float]:
    rows = max(2, math.ceil(len(city.circuits) / 2))
    return 2 * HALF_STREET_M, rows * STREET_GAP_M


def _scatter(city: City, rng: Random) -> tuple[float, float]:
    """A place beside a street."""
    width, height = _extent(city)
    street = rng.randrange(int(height / STREET_GAP_M))
    return city.at(rng.uniform(0, width), street * STREET_GAP_M + rng.choice((-9.0, 9.0)))


def _bin(city: City, n: int) -> Bin:
    rng, fleet = dice(city.seed, "bin", n), city.scenario.fleets.bins
    place = _scatter(city, rng)
    zone, gateway = rng.choice(ZONES), f"lora-{n % LORA_GATEWAYS + 1}"
    height, offset = rng.choice((1000, 1200, 1500)), rng.choice((100, 150, 250))
    names = (f"bin-{n + 1:04d}", f"bs-{n + 1:04d}", zone, gateway)
    threshold = float(rng.choice((75, 80, 80, 80, 85)))
    start = (rng.uniform(*fleet.rate_pct_h), rng.uniform(4, 16), rng.uniform(5, 8))
    tail = (rng.random() < fleet.distance, rng.randrange(round(fleet.every)))
    return Bin(*names, *place, height, offset, min(offset, 200), threshold, *start, *tail)


def _road_sensor(city: City, n: int) -> RoadSensor:
    rng = dice(city.seed, "road", n)
    width, height = _extent(city)
    street = n % int(height / STREET_GAP_M)
    place = city.at(rng.uniform(0, width), street * STREET_GAP_M)
    names = (f"road-{n + 1:03d}", f"rs-{n + 1:03d}", rng.choice(ZONES), "roadside-1")
    return RoadSensor(*names, *place, f"street-{street + 1}", rng.uniform(0.1, 0.5),
                      rng.randrange(round(city.scenario.fleets.road_sensors.every)))  # fmt: skip


def route_length_m() -> float:
    return 2 * (2 * HALF_STREET_M + STREET_GAP_M)


def route_at(city: City, route: int, along_m: float) -> tuple[float, float, float]:
    """East along one street, north, back west along the next, south: lat, lon, heading in degrees.

    Each route has its own two streets, so that no vehicle passes a spot of another route.
    """
    width, south = 2 * HALF_STREET_M, 2 * route * STREET_GAP_M
    along = along_m % route_length_m()
    if along < width:
        return (*city.at(along, south), 90.0)
    if along < width + STREET_GAP_M:
        return (*city.at(width, south + along - width), 0.0)
    if along < 2 * width + STREET_GAP_M:
        return (*city.at(2 * width + STREET_GAP_M - along, south + STREET_GAP_M), 270.0)
    return (*city.at(0.0, south + route_length_m() - along), 180.0)


def _spot(city: City, route: int, n: int) -> Spot:
    """Spots lie on the long sides, hundreds of metres apart."""
    rng = dice(city.seed, "spot", route, n)
    side = 2 * HALF_STREET_M / (SPOTS_A_ROUTE // 2)
    along = side * (n % (SPOTS_A_ROUTE // 2)) + rng.uniform(0.2, 0.8) * side
    along += (2 * HALF_STREET_M + STREET_GAP_M) * (n // (SPOTS_A_ROUTE // 2))
    lat, lon, _ = route_at(city, route, along)
    return Spot(f"spot-{route + 1}-{n + 1}", route, along, lat, lon)


def _vehicle(city: City, n: int) -> Vehicle:
    rng, fleet = dice(city.seed, "vehicle", n), city.scenario.fleets.vehicles
    names = (f"veh-{n + 1:02d}", rng.choice(ZONES), f"fleet-{n % FLEET_MODEMS + 1}")
    rate_hz, window_s = rng.choice(fleet.rate_hz), rng.choice(WINDOWS_S)
    samples = fleet.samples or min(2048, max(16, round(rate_hz * window_s)))
    body, mount = rng.choice(BODIES), _mount(rng)
    tilted = rng.random() < fleet.tilted
    return Vehicle(
        *names, n // VEHICLES_A_ROUTE, rate_hz, samples, body, fleet.gps_m,
        mount if tilted else None, tuple(_drives(city, rng)),
    )  # fmt: skip


def _mount(rng: Random) -> Mount:
    """A sensor turned in any direction and leaning up to 45 degrees two ways."""
    pitch, roll, yaw = (rng.uniform(-1, 1) * angle for angle in (math.pi / 4, math.pi / 4, math.pi))
    (a, b, c), (d, e, f) = (map(trig, (pitch, roll, yaw)) for trig in (math.cos, math.sin))
    return (
        (c * a, c * d * e - f * b, c * d * b + f * e),
        (f * a, f * d * e + c * b, f * d * b - c * e),
        (-d, a * e, a * b),
    )


def _rounds(city: City) -> tuple[Round, ...]:
    """Lights at the corners and twice along each of the two streets."""
    width, length = 2 * HALF_STREET_M, route_length_m()
    corners = (0.0, width, width + STREET_GAP_M, length - STREET_GAP_M)
    lights = (width / 3, width * 2 / 3)
    beyond = tuple(corners[2] + light for light in lights)
    return rounds_of(city.seed, length, corners, lights + beyond)


def _drives(city: City, rng: Random) -> Iterator[Drive]:
    """One shift a day, anywhere in it, round after round with a pause between."""
    rounds, shift_ms = _rounds(city), round(city.scenario.fleets.vehicles.shift * 1000)
    for day_ms in range(city.start_ms, city.end_ms, 86_400_000):
        slack_ms = max(0, min(86_400_000, city.end_ms - day_ms) - shift_ms)
        now_ms = day_ms + rng.randint(0, slack_ms)
        stop_ms = min(now_ms + shift_ms, city.end_ms)
        while (drive := Drive(now_ms, rng.choice(rounds))).end_ms < stop_ms:
            yield drive
            now_ms = drive.end_ms + rng.randint(*PAUSE_S) * 1000
