"""What stands in the simulated city and what drives through it, each with its fixed properties.

Plain records, made by the city from its seed. Lengths are in metres or millimetres, powers in
watts, as the names say; positions are WGS 84 degrees.
"""

from dataclasses import dataclass

from simulators.drives import Drive

# For each axis of the sensor, how much it feels of ahead, aside and up.
Mount = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Post:
    """What every fixed device has: who it is, where it stands, through whom it speaks."""

    asset_id: str
    device: str
    zone: str
    concentrator: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Lamp(Post):
    circuit: str
    nominal_w: float
    dim_curve: tuple[tuple[float, float], ...]
    dimmable: bool
    gain: float
    phase_s: int


@dataclass(frozen=True, slots=True)
class Circuit(Post):
    """A feeder with its cabinet; the cabinet's asset bears the circuit's name. Of a circuit without
    a cabinet `device` is empty.
    """

    lamps: tuple[Lamp, ...]
    on_below_deg: float


@dataclass(frozen=True, slots=True)
class Bin(Post):
    height_mm: int
    offset_mm: int
    dead_zone_mm: int
    threshold_pct: float
    rate_pct_h: float
    fill_pct: float
    round_hour: float
    sends_distance: bool
    phase_s: int


@dataclass(frozen=True, slots=True)
class RoadSensor(Post):
    segment: str
    quiet_mm_s: float
    phase_s: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on a route where the road may go bad, `along_m` metres from the route's start."""

    id: str
    route: int
    along_m: float
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Vehicle:
    """`body`: of which suspension; `gps_m`: standard deviation of its position in each direction;
    `mount`: None if its sensor is mounted upright.
    """

    device: str
    zone: str
    concentrator: str
    route: int
    rate_hz: int
    samples: int
    body: str
    gps_m: float
    mount: Mount | None
    drives: tuple[Drive, ...]
