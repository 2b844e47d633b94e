"""A survey: the things of a real city, from its asset file, as a simulated city needs them.

The asset file is GeoJSON of the contract. What it does not say of a thing (how fast a bin fills,
when a lamp reports) is drawn from the seed by the thing's own device, so that one asset more
changes nothing for the others. Never invents a thing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from simulators.dice import dice
from simulators.scenario import Scenario
from simulators.things import Bin, Circuit, Lamp, RoadSensor

Feature = Mapping[str, Any]
LAMPS_A_CONCENTRATOR, LORA_GATEWAYS = 100, 3


class SurveyError(ValueError):
    """An asset file that no city can be made of."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Survey:
    """`collection`: as it was read."""

    collection: Mapping[str, Any] = field(repr=False)
    circuits: Sequence[Circuit] = field(repr=False)
    bins: Sequence[Bin] = field(repr=False)
    road_sensors: Sequence[RoadSensor] = field(repr=False)


def read_survey(path: Path, scenario: Scenario) -> Survey:
    """Raises SurveyError, OSError."""
    try:
        collection = json.loads(path.read_text("utf-8"))
        features = collection["features"]
        by_kind: dict[str, list[Feature]] = {}
        for feature in features:
            by_kind.setdefault(str(feature["properties"]["kind"]), []).append(feature)
    except (ValueError, KeyError, TypeError) as error:
        hint = "a FeatureCollection of Points with asset_id and kind"
        raise SurveyError(f"{path.name}: not GeoJSON of assets: {error}", hint) from None
    try:
        return Survey(
            collection,
            _circuits(by_kind, scenario),
            [_bin(feature, scenario) for feature in by_kind.get("bin", ())],
            [_road_sensor(feature, scenario) for feature in by_kind.get("road", ())],
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        hint = "positions are [longitude, latitude]; each asset has asset_id and devices"
        raise SurveyError(f"{path.name}: an asset cannot be read: {error}", hint) from None


def _names(feature: Feature) -> tuple[str, str, str]:
    """Asset, device, zone."""
    about = feature["properties"]
    asset, devices = str(about["asset_id"]), about.get("devices") or ()
    if not devices:
        raise ValueError(f"{asset} has no devices")
    return asset, str(devices[0]), str(about.get("zone") or "city")


def _place(feature: Feature) -> tuple[float, float]:
    lon, lat = feature["geometry"]["coordinates"][:2]
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise ValueError(f"{feature['properties']['asset_id']} lies at {lon}, {lat}")
    return float(lat), float(lon)


def _dice(scenario: Scenario, device: str) -> Random:
    return dice(scenario.seed, "survey", device)


def _circuits(by_kind: Mapping[str, Sequence[Feature]], scenario: Scenario) -> list[Circuit]:
    """With their lamps, by the name of the circuit. A circuit without a cabinet has no device; so
    have the lamps of a zone that are on none.
    """
    groups: dict[str, list[Feature]] = {}
    for feature in by_kind.get("streetlight", ()):
        groups.setdefault(str(feature["properties"].get("circuit") or ""), []).append(feature)
    cabinets = {_circuit_name(feature): feature for feature in by_kind.get("cabinet", ())}
    circuits: list[Circuit] = []
    so_far = 0
    for name in sorted({*groups, *cabinets}):
        concentrator = f"segment-{so_far // LAMPS_A_CONCENTRATOR + 1}"
        lamps = [_lamp(feature, name, concentrator, scenario) for feature in groups.get(name, ())]
        so_far += len(lamps)
        circuits.append(_circuit(name, cabinets.get(name), concentrator, lamps, scenario))
    return circuits


def _circuit_name(feature: Feature) -> str:
    about = feature["properties"]
    return str(about.get("circuit") or about["asset_id"])


def _circuit(
    name: str, cabinet: Feature | None, concentrator: str, lamps: Sequence[Lamp], scenario: Scenario
) -> Circuit:
    below_deg = dice(scenario.seed, "survey", "circuit", name).uniform(-3.0, -1.0)
    if cabinet is None:
        zone, place = lamps[0].zone, (lamps[0].lat, lamps[0].lon)
        return Circuit(name, "", zone, concentrator, *place, tuple(lamps), below_deg)
    asset, device, zone = _names(cabinet)
    return Circuit(asset, device, zone, concentrator, *_place(cabinet), tuple(lamps), below_deg)


def _lamp(feature: Feature, circuit: str, concentrator: str, scenario: Scenario) -> Lamp:
    about, (asset, device, zone) = feature["properties"], _names(feature)
    rng, fleet = _dice(scenario, device), scenario.fleets.lamps
    curve = tuple((float(dim), float(watt)) for dim, watt in about.get("dim_curve") or ())
    dimmable = bool(curve) or rng.random() < fleet.led
    nominal = float(about.get("nominal_power_w") or rng.choice((48, 72) if dimmable else (100,)))
    gain, phase = rng.uniform(0.96, 1.04), rng.randrange(round(fleet.every))
    head = (asset, device, zone, concentrator, *_place(feature))
    return Lamp(*head, circuit, nominal, curve, dimmable, gain, phase)


def _bin(feature: Feature, scenario: Scenario) -> Bin:
    about, (asset, device, zone) = feature["properties"], _names(feature)
    rng, fleet = _dice(scenario, device), scenario.fleets.bins
    head = (asset, device, zone, f"lora-{rng.randrange(LORA_GATEWAYS) + 1}", *_place(feature))
    offset = int(about.get("offset_mm") or 0)
    return Bin(
        *head,
        height_mm=int(about.get("height_mm") or 1200),
        offset_mm=offset,
        dead_zone_mm=int(about.get("dead_zone_mm") or min(offset, 200)),
        threshold_pct=float(about.get("fill_threshold_pct") or 80),
        rate_pct_h=rng.uniform(*fleet.rate_pct_h),
        fill_pct=rng.uniform(4, 16),
        round_hour=rng.uniform(5, 8),
        # A distance means something only where the register says how high the bin is.
        sends_distance=rng.random() < fleet.distance and bool(about.get("height_mm")),
        phase_s=rng.randrange(round(fleet.every)),
    )


def _road_sensor(feature: Feature, scenario: Scenario) -> RoadSensor:
    asset, device, zone = _names(feature)
    rng = _dice(scenario, device)
    segment = str(feature["properties"].get("segment") or "")
    tail = (rng.uniform(0.1, 0.5), rng.randrange(round(scenario.fleets.road_sensors.every)))
    return RoadSensor(asset, device, zone, "roadside-1", *_place(feature), segment, *tail)
