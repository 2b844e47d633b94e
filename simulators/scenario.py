"""A scenario: the city, the faults, the network and the requests expected, as its file says it.

Records only, checked one by one: each value in its range, no key that nobody reads. Durations are
texts with a unit (`15min`, `36h`), shares are `0.4%` or plain numbers. What fits together (does
the asset exist, do two faults overlap) is for the casting to say. The JSON Schema is made of these.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from simulators.faults import Kind

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
_UNITS_S = {"ms": 0.001, "s": 1, "min": MINUTE_S, "h": HOUR_S, "d": DAY_S}
_DURATION = re.compile(r"\+?(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def seconds_of(value: Any) -> Any:
    """`15min` -> 900.0; what is no such text is left for the field to refuse."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a number with its unit: 90s, 15min, 36h or 7d")
    return float(match[1]) * _UNITS_S[match[2]]


def _share_of(value: Any) -> Any:
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) / 100 if match else value


Seconds = Annotated[
    float, BeforeValidator(seconds_of, json_schema_input_type=str), Field(ge=0, le=400 * DAY_S)
]
Share = Annotated[float, BeforeValidator(_share_of), Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Wire = Literal["native", "tts", "chirpstack", "sparkplug", "ngsi", "senml", "vendor"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Place(Part):
    """Where the city lies."""

    lat: float = Field(41.88, ge=-89.0, le=89.0)
    lon: float = Field(-87.63, ge=-180.0, le=180.0)
    time_zone: str = Field("America/Chicago", description="An IANA name.")


class Fleet(Part):
    """Devices of one type."""

    count: int = Field(0, ge=0, le=100_000)
    wire: Wire = Field("native", description="The format in which its devices speak.")


class Lamps(Fleet):
    every: Seconds = Field(900.0, ge=10, description="From one report to the next.")
    circuit_lamps: int = Field(30, ge=1, le=2000, description="Lamps on one feeder.")
    led: Share = Field(0.8, description="The share that are LEDs; the rest are sodium lamps.")
    metered: bool = Field(True, description="Cabinets report voltage and power.")
    dim_pct: float = Field(60.0, ge=0, le=100, description="In the small hours.")
    dim_from_h: int = Field(23, ge=0, le=23)
    dim_to_h: int = Field(5, ge=0, le=23)


class Bins(Fleet):
    every: Seconds = Field(3600.0, ge=60)
    distance: Share = Field(0.5, description="The share that send a distance, not a fill.")
    rate_pct_h: tuple[float, float] = Field((0.3, 1.6), description="How fast they fill.")
    rounds_every: Seconds = Field(86_400.0, ge=3600, description="From one emptying to the next.")
    noise_mm: float = Field(4.0, ge=0, le=100)


class RoadSensors(Fleet):
    every: Seconds = Field(600.0, ge=10)


class Vehicles(Fleet):
    rate_hz: tuple[int, ...] = Field((50, 100), description="Sampling rates, 5 to 400 Hz.")
    samples: int | None = Field(None, ge=16, le=2048, description="In a window; drawn without.")
    tilted: Share = Field(0.0, description="The share mounted at an angle, with three axes.")
    gps_m: float = Field(1.6, ge=0, le=50)
    shift: Seconds = Field(28_800.0, ge=600)


class Fleets(Part):
    lamps: Lamps = Lamps()
    bins: Bins = Bins()
    road_sensors: RoadSensors = RoadSensors()
    vehicles: Vehicles = Vehicles()


class Weather(Part):
    """Days are warmest at 15:00 local time."""

    mean_c: float = Field(15.0, ge=-50, le=50)
    swing_c: float = Field(7.0, ge=0, le=25, description="Up and down from the mean.")
    cloud: Share = Field(0.0, description="Clouds make dusk earlier and dawn later.")


class Event(Part):
    """People and traffic: bins near by fill faster, streets are busier."""

    at: Seconds = Field(description="From the start of the run.")
    for_: Seconds = Field(alias="for")
    zone: Name | None = Field(None, description="All of the city without.")
    fill: float = Field(1.0, ge=0, le=100, description="Bins fill so many times as fast.")


class FaultLine(Part):
    """Faults of one kind: one on a named target, `count` of them, or by a `rate`."""

    kind: Kind
    target: Name | None = Field(None, description="A device, asset, circuit, spot, concentrator.")
    at: Seconds | None = Field(None, description="From the start of the run; drawn without.")
    for_: Seconds | None = Field(None, alias="for", description="Drawn without.")
    lasts: bool = Field(False, description="It does not end before the run does.")
    count: int | None = Field(None, ge=1, le=100_000)
    rate: float | None = Field(None, gt=0, le=1e6, description="Per 1,000 of them and day.")
    extent: dict[str, float] = Field({}, description="How bad; names by kind.")


class Network(Part):
    """What happens on the way, to any message."""

    loss: Share = 0.0
    duplicate: Share = 0.004
    late: Share = 0.01
    late_by: tuple[Seconds, Seconds] = (5.0, 120.0)
    corrupt: Share = 0.0
    disconnects_per_day: float = Field(0.0, ge=0, le=1000, description="Of each concentrator.")
    disconnected_for: tuple[Seconds, Seconds] = (30.0, 600.0)
    buffer: int = Field(500, ge=0, le=100_000, description="Messages kept meanwhile.")


class Expect(Part):
    """What must come out; without it, exactly what the truth demands."""

    requests: dict[str, int] | None = Field(None, description="By rule; no other is allowed.")
    precision: Share = 1.0
    recall: Share = 1.0
    duplicates: int = Field(0, ge=0)
    time_to_detect: Seconds | None = None


class Scenario(Part):
    """A file of the folder `scenarios`, or one of your own."""

    scenario: Literal[1] = Field(description="The version of the format.")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    description: Annotated[str, Field(min_length=1, max_length=300)]
    seed: int = Field(1, ge=0)
    start: AwareDatetime = datetime(2026, 9, 15, 17, 0, tzinfo=UTC)
    duration: Seconds = Field(86_400.0, ge=3600)
    place: Place = Place()
    assets: str | None = Field(None, description="An asset file, instead of a drawn city.")
    fleets: Fleets = Fleets()
    weather: Weather = Weather()
    events: tuple[Event, ...] = ()
    faults: tuple[FaultLine, ...] = ()
    network: Network = Network()
    rules: tuple[str, ...] = Field((), description="Rule files; the shipped ones without.")
    expect: Expect = Expect()
    sim: bool = Field(True, description="Every message says that it is simulated.")
