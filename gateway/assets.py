"""What stands in the city: assets by id, and which device speaks for which asset (contract.md 3).

Pure but for `read_assets`. An asset file is a GeoJSON FeatureCollection of Points or a CSV with the
same names; every fault in it is a finding with its place, and a file with faults is not used.
Calibration is dated: from `valid_from` on, the newest entry of an asset applies.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.contract import ms_of
from rules.fields import REPORTED_KINDS
from rules.finding import Finding
from rules.track import Subject

FILE_BYTES_MAX = 512 * 1024 * 1024
FINDINGS_MAX = 50  # a wrong column is wrong in every row; the first ones tell

_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Device = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Properties(BaseModel):
    """The properties of one asset; those of other kinds are refused as unknown."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    asset_id: _Name
    kind: str
    zone: str = ""
    address: str | None = None
    owner: str | None = None
    devices: tuple[_Device, ...] = ()
    valid_from: str | None = None
    nominal_power_w: float | None = Field(None, ge=0, le=2000)
    dim_curve: tuple[tuple[float, float], ...] | None = None
    circuit: str | None = None
    cabinet: str | None = None
    always_powered: bool | None = None
    height_mm: float | None = Field(None, gt=0, le=10_000)
    offset_mm: float | None = Field(None, ge=0, le=10_000)
    dead_zone_mm: float | None = Field(None, ge=0, le=10_000)
    fill_threshold_pct: float | None = Field(None, ge=0, le=100)
    pickup: Any = None
    segment: str | None = None

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in REPORTED_KINDS:
            raise ValueError(f"kind is one of {', '.join(REPORTED_KINDS)}")
        return kind

    @field_validator("valid_from")
    @classmethod
    def _a_time(cls, text: str | None) -> str | None:
        if text is not None and ms_of(text) is None:
            raise ValueError("valid_from is RFC 3339 with zone")
        return text


_CALIBRATION = ("height_mm", "offset_mm", "dead_zone_mm", "fill_threshold_pct")
_ATTRIBUTES = (
    "nominal_power_w", "dim_curve", "always_powered", *_CALIBRATION,
    "zone", "address", "owner", "circuit", "cabinet", "segment",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asset:
    """One thing that stands in the city. `attributes` by wire key, as rules see them."""

    id: str
    kind: str
    zone: str
    lat: float
    lon: float
    address: str | None
    devices: tuple[str, ...]
    attributes: Mapping[str, Any]
    calibrations: tuple[tuple[int, Mapping[str, float]], ...] = ()
    """(from ms, values), ascending: what `attributes` does not say for all times."""

    def fill_pct(self, distance_mm: float, ts_ms: int) -> float | None:
        """Fill of a bin from the distance that its sensor measures: the sensor sits `offset_mm`
        above the brim, the bin is `height_mm` deep. Nearer than the dead zone nothing can be
        measured, so a nearer distance counts as the dead zone. None without a height."""
        at = self._at(ts_ms)
        height: float | None = at.get("height_mm")
        if not height:
            return None
        seen_mm = max(distance_mm, at.get("dead_zone_mm") or 0.0)
        fill = 100.0 * (height + (at.get("offset_mm") or 0.0) - seen_mm) / height
        return min(100.0, max(0.0, fill))

    def _at(self, ts_ms: int) -> Mapping[str, Any]:
        known = [values for since_ms, values in self.calibrations if since_ms <= ts_ms]
        return known[-1] if known else self.attributes


@dataclass(frozen=True, slots=True)
class City:
    """All assets, and the index from devices to them."""

    assets: Mapping[str, Asset] = field(default_factory=dict)
    by_device: Mapping[str, Asset] = field(default_factory=dict)

    def subjects(self) -> Iterable[Subject]:
        """What the rules watch: every asset, and every circuit with its lamps and its cabinet."""
        lamps: dict[str, list[Asset]] = {}
        meters: dict[str, Asset] = {}
        for asset in self.assets.values():
            yield Subject(asset.id, asset.kind, asset.attributes, asset.lat, asset.lon)
            circuit = asset.attributes.get("circuit")
            if circuit and asset.kind == "streetlight":
                lamps.setdefault(circuit, []).append(asset)
            elif circuit and asset.kind == "cabinet":
                meters[circuit] = asset
        for circuit, members in lamps.items():
            meter = meters.get(circuit)
            stands = meter or members[0]
            yield Subject(
                circuit_id(circuit),
                "circuit",
                {"circuit": circuit, "zone": stands.zone, "address": stands.address},
                stands.lat,
                stands.lon,
                tuple(asset.id for asset in members),
                meter.id if meter else None,
            )


def circuit_id(circuit: str) -> str:
    """The subject of a circuit; it shares the name space of the assets."""
    return f"circuit:{circuit}"


def read_assets(paths: Sequence[Path]) -> tuple[City, list[Finding]]:
    """The city of these files, or the findings that say why not."""
    findings: list[Finding] = []
    rows: list[tuple[str, int, Mapping[str, Any], float, float]] = []
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            findings.append(Finding(str(path), 1, 1, "E301", f"cannot read: {error}"))
            continue
        parse = _csv_rows if path.suffix == ".csv" else _geojson_rows
        rows.extend(parse(str(path), text, findings))
    return _build(rows, findings), findings[:FINDINGS_MAX]


def _geojson_rows(
    file: str, text: str, findings: list[Finding]
) -> Iterable[tuple[str, int, Mapping[str, Any], float, float]]:
    try:
        tree = json.loads(text)
        features = tree["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        help_ = "a FeatureCollection of Points, one feature an asset"
        findings.append(Finding(file, 1, 1, "E302", "not GeoJSON", help_))
        return
    for number, feature in enumerate(features, 1):
        try:
            lon, lat = map(float, feature["geometry"]["coordinates"][:2])
            yield file, number, feature["properties"], lat, lon
        except (KeyError, TypeError, ValueError):
            help_ = '"geometry": {"type": "Point", "coordinates": [longitude, latitude]}'
            findings.append(Finding(file, number, 1, "E303", "feature without a point", help_))


_LISTS = {"devices", "dim_curve", "pickup"}


def _csv_rows(
    file: str, text: str, findings: list[Finding]
) -> Iterable[tuple[str, int, Mapping[str, Any], float, float]]:
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        cells: dict[str, Any] = {k: v for k, v in row.items() if k and v not in (None, "")}
        try:
            lat, lon = float(cells.pop("lat")), float(cells.pop("long", None) or cells.pop("lon"))
            for key in _LISTS & cells.keys():
                cells[key] = json.loads(cells[key]) if cells[key][0] in "[{" else (
                    cells[key].split(";")
                )  # fmt: skip
        except (KeyError, ValueError) as error:
            help_ = "columns lat and long hold degrees; devices are separated by ;"
            findings.append(Finding(file, number, 1, "E303", f"bad row: {error}", help_))
            continue
        yield file, number, cells, lat, lon


def _build(
    rows: Iterable[tuple[str, int, Mapping[str, Any], float, float]], findings: list[Finding]
) -> City:
    assets: dict[str, Asset] = {}
    by_device: dict[str, Asset] = {}
    for file, number, raw, lat, lon in rows:
        try:
            properties = Properties.model_validate(raw)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                where = ".".join(map(str, fault["loc"]))
                findings.append(Finding(file, number, 1, "E304", f"{where}: {fault['msg']}"))
            continue
        if not (-90 <= lat <= 90 and -180 <= lon <= 180):
            help_ = "GeoJSON coordinates are [longitude, latitude]"
            findings.append(Finding(file, number, 1, "E305", "not a position", help_))
            continue
        asset = _asset(properties, lat, lon, assets.get(properties.asset_id))
        if asset is None:
            message = f"asset {properties.asset_id!r} stands here twice"
            help_ = "give the second entry a later valid_from, if it is a new calibration"
            findings.append(Finding(file, number, 1, "E306", message, help_))
            continue
        assets[asset.id] = asset
        for device in asset.devices or (asset.id,):
            other = by_device.get(device)
            if other is not None and other.id != asset.id:
                message = f"device {device!r} speaks for {other.id!r} and {asset.id!r}"
                findings.append(Finding(file, number, 1, "E307", message))
            by_device[device] = asset
    return City(assets, by_device)


def _asset(properties: Properties, lat: float, lon: float, known: Asset | None) -> Asset | None:
    said = properties.model_dump(exclude_none=True)
    attributes = {key: said[key] for key in _ATTRIBUTES if said.get(key) not in (None, "")}
    since_ms = ms_of(properties.valid_from) if properties.valid_from else None
    dated = ((since_ms, attributes),) if since_ms is not None else ()
    if known is not None:
        if since_ms is None or any(since_ms == at for at, _ in known.calibrations):
            return None
        dated = tuple(sorted((*known.calibrations, *dated), key=lambda entry: entry[0]))
        attributes = dict(dated[-1][1])
    return Asset(
        properties.asset_id,
        properties.kind,
        properties.zone,
        lat,
        lon,
        properties.address,
        properties.devices or (known.devices if known else ()),
        attributes,
        dated,
    )
