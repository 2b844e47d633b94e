"""A scenario: the city, the faults, the network and the requests expected, as its file says it.

Records only, checked one by one: each value in its range, no key that nobody reads. Durations are
texts with a unit (`15min`, `36h`), shares are `0.4%` or plain numbers. What fits together (does
the asset exist, do two faults overlap) is for the casting to say. The JSON Schema is made of these.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from simulators.faults import Kind

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
_UNITS_S = {"ms": 0.001, "s": 1, "min": MINUTE_S, "h": HOUR_S, "d": DAY_S}
_DURATION = re.compile(r"\+?(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


_DurationText = Annotated[str, Field(pattern=rf"^{_DURATION.pattern}$")]
_ShareText = Annotated[str, Field(pattern=rf"^{_SHARE.pattern}$")]


def seconds_of(value: Any) -> Any:
    """`15min` -> 900.0; what is no such text is left for the field to refuse."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a number with its unit: 90s, 15min, 36h or 7d")
    return float(match[1]) * _UNITS_S[match[2]]


def _share_of(value: Any) -> Any:
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) / 100 if match else value


def _time_zone_of(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("an IANA name is due: Europe/Oslo, America/Chicago, UTC") from None
    return name


Seconds = Annotated[
    float,
    BeforeValidator(seconds_of, json_schema_input_type=_DurationText),
    Field(ge=0, le=400 * DAY_S),
]
Share = Annotated[
    float, BeforeValidator(_share_of, json_schema_input_type=float | _ShareText), Field(ge=0, le=1)
]


def _in_order(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the smaller one first: [least, most]")
    return pair


Span = Annotated[tuple[Seconds, Seconds], AfterValidator(_in_order)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
Among = Literal["lamps", "cabinets", "bins", "road_sensors", "vehicles"]
Wire = Literal[
    "native", "tts", "chirpstack", "chirpstack3", "sparkplug", "ngsi", "ngsi2", "senml", "vendor"
]  # fmt: skip


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Place(Part):
    """Where the city lies."""

    lat: float = Field(41.88, ge=-89.0, le=89.0, description="Degrees north.")
    lon: float = Field(-87.63, ge=-180.0, le=180.0, description="Degrees east.")
    time_zone: Annotated[str, AfterValidator(_time_zone_of)] = Field(
        "America/Chicago", description="An IANA name."
    )


class Fleet(Part):
    """Devices of one type."""

    count: int = Field(0, ge=0, le=100_000, description="How many there are.")
    wire: Wire = Field("native", description="The format in which its devices speak.")


class Lamps(Fleet):
    every: Seconds = Field(900.0, ge=10, description="From one report to the next.")
    circuit_lamps: int = Field(30, ge=1, le=2000, description="Lamps on one feeder.")
    led: Share = Field(0.8, description="The share that are LEDs; the rest are sodium lamps.")
    metered: bool = Field(True, description="Cabinets report voltage and power.")
    voltage: Share = Field(
        1.0, description="The share of lamps that measure voltage, current and power factor."
    )
    dim_pct: float = Field(60.0, ge=0, le=100, description="In the small hours.")
    dim_from_h: int = Field(23, ge=0, le=23, description="Local hour at which dimming begins.")
    dim_to_h: int = Field(5, ge=0, le=23, description="Local hour at which it ends.")


class Bins(Fleet):
    every: Seconds = Field(3600.0, ge=60, description="From one report to the next.")
    distance: Share = Field(0.5, description="The share that send a distance, not a fill.")
    rate_pct_h: Annotated[tuple[float, float], AfterValidator(_in_order)] = Field(
        (0.3, 1.6), description="How fast they fill, percent an hour: least and most."
    )
    rounds_every: Seconds = Field(86_400.0, ge=3600, description="From one emptying to the next.")
    noise_mm: float = Field(4.0, ge=0, le=100, description="Of a distance, from echo to echo.")


class RoadSensors(Fleet):
    every: Seconds = Field(600.0, ge=10, description="From one report to the next.")


class Vehicles(Fleet):
    rate_hz: tuple[int, ...] = Field((50, 100), description="Sampling rates, 5 to 400 Hz.")
    samples: int | None = Field(None, ge=16, le=2048, description="In a window; drawn without.")
    tilted: Share = Field(0.0, description="The share mounted at an angle, with three axes.")
    gps_m: float = Field(1.6, ge=0, le=50, description="Error of a position in each direction.")
    shift: Seconds = Field(28_800.0, ge=600, description="How long one drives on a day.")


class Fleets(Part):
    lamps: Lamps = Lamps()
    bins: Bins = Bins()
    road_sensors: RoadSensors = RoadSensors()
    vehicles: Vehicles = Vehicles()


class Weather(Part):
    """Days are warmest at 15:00 local time."""

    mean_c: float = Field(15.0, ge=-50, le=50, description="Mean of the day, Celsius.")
    swing_c: float = Field(7.0, ge=0, le=25, description="Up and down from the mean.")
    cloud: Share = Field(0.0, description="Clouds make dusk earlier and dawn later.")


class Event(Part):
    """People and traffic: bins near by fill faster, streets are busier."""

    at: Seconds = Field(description="From the start of the run.")
    for_: Seconds = Field(alias="for", description="How long it lasts.")
    zone: Name | None = Field(None, description="All of the city without.")
    fill: float = Field(1.0, ge=0, le=100, description="Bins fill so many times as fast.")


class FaultLine(Part):
    """Faults of one kind: one on a named target, `count` of them, or by a `rate`."""

    kind: Kind = Field(description="See `sense311 sim faults`.")
    target: Name | None = Field(None, description="A device, asset, circuit, spot, concentrator.")
    among: Among | None = Field(None, description="Of which fleet: for faults of any device.")
    at: Seconds | None = Field(None, description="From the start of the run; drawn without.")
    for_: Seconds | None = Field(None, alias="for", description="Drawn without.")
    lasts: bool = Field(False, description="It does not end before the run does.")
    count: int | None = Field(None, ge=1, le=100_000, description="On so many that are drawn.")
    rate: float | None = Field(None, gt=0, le=1e6, description="Per 1,000 of them and day.")
    extent: dict[str, float] = Field({}, description="How bad; names by kind.")


class Network(Part):
    """What happens on the way, to any message."""

    loss: Share = Field(0.0, description="Never come.")
    duplicate: Share = Field(0.004, description="Come twice.")
    late: Share = Field(0.01, description="Come late and out of order.")
    late_by: Span = Field((5.0, 120.0), description="Least and most.")
    corrupt: Share = Field(0.0, description="Come with spoilt bytes.")
    disconnects_per_day: float = Field(0.0, ge=0, le=1000, description="Of each concentrator.")
    disconnected_for: Span = Field((30.0, 600.0), description="Least and most.")
    buffer: int = Field(500, ge=0, le=100_000, description="Messages kept meanwhile.")
    clock_steps_per_day: float = Field(0.0, ge=0, le=1000, description="Of each device's clock.")
    clock_off_by: Span = Field((1.0, 30.0), description="From step to step.")


class Expect(Part):
    """What must come out; without it, exactly what the truth demands."""

    requests: dict[str, int] | None = Field(None, description="By rule; no other is allowed.")
    precision: Share = Field(1.0, description="Of the requests, at least.")
    recall: Share = Field(1.0, description="Of the faults, at least.")
    duplicates: int = Field(0, ge=0, description="Second requests for one fault, at most.")
    time_to_detect: Seconds | None = Field(None, description="Of nine faults in ten, at most.")


class Scenario(Part):
    """A file of the folder `scenarios`, or one of your own."""

    scenario: Literal[1] = Field(description="The version of the format.")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] = Field(
        description="Lower case letters, digits and hyphens."
    )
    description: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="What happens in it, in a line."
    )
    seed: int = Field(1, ge=0, description="Another seed, another city of the same kind.")
    start: AwareDatetime = Field(
        datetime(2026, 9, 15, 17, 0, tzinfo=UTC), ge=datetime(2000, 1, 1, tzinfo=UTC),
        le=datetime(2100, 1, 1, tzinfo=UTC), description="RFC 3339, with its zone.",
    )  # fmt: skip
    duration: Seconds = Field(86_400.0, ge=3600, description="From 1h on.")
    place: Place = Place()
    assets: str | None = Field(None, description="An asset file, instead of a drawn city.")
    fleets: Fleets = Fleets()
    weather: Weather = Weather()
    events: tuple[Event, ...] = Field((), description="Crowds: markets, matches, festivals.")
    faults: tuple[FaultLine, ...] = Field((), description="What goes wrong, and look-alikes.")
    network: Network = Network()
    rules: tuple[str, ...] = Field((), description="Rule files; the shipped ones without.")
    expect: Expect = Expect()
    sim: bool = Field(True, description="Every message says that it is simulated.")
