"""What stands in the city: assets by id, and which device speaks for which asset.

Pure but for `read_assets`. An asset file is a GeoJSON FeatureCollection of Points or a CSV with the
same names; every fault in it is a finding with its place, and a file with faults is not used.
Calibration is dated: from `valid_from` on, the newest entry of an asset applies.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import Annotated, Any, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.clock import ms_of
from rules.fields import REPORTED_KINDS
from rules.finding import Finding
from rules.local_time import Schedule, zone_of
from rules.track import Subject

FILE_BYTES_MAX = 512 * 1024 * 1024
FINDINGS_MAX = 50  # a wrong column is wrong in every row; the first ones tell
ALWAYS_MS = -(1 << 62)  # before all times

_Name = Annotated[str, Field(min_length=1, max_length=128)]
_Percent = Annotated[float, Field(ge=0, le=100)]
_Watt = Annotated[float, Field(ge=0, le=2000)]
_Device = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Properties(BaseModel):
    """The properties of one asset. Numbers may be text: tables know nothing else."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    asset_id: _Name
    kind: str
    zone: str = ""
    address: str | None = None
    owner: str | None = None
    devices: tuple[_Device, ...] = ()
    valid_from: str | None = None
    nominal_power_w: float | None = Field(None, ge=0, le=2000)
    dim_curve: tuple[tuple[_Percent, _Watt], ...] | None = None
    circuit: str | None = None
    cabinet: str | None = None
    always_powered: bool | None = None
    height_mm: float | None = Field(None, gt=0, le=10_000)
    offset_mm: float | None = Field(None, ge=0, le=10_000)
    dead_zone_mm: float | None = Field(None, ge=0, le=10_000)
    fill_threshold_pct: float | None = Field(None, ge=0, le=100)
    pickup: str | None = None
    segment: str | None = None
    time_zone: str | None = None

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str) -> str:
        if kind not in REPORTED_KINDS:
            raise ValueError(f"kind is one of {', '.join(REPORTED_KINDS)}")
        return kind

    @field_validator("pickup", mode="before")
    @classmethod
    def _a_schedule(cls, said: Any) -> str | None:
        """One text, or a list of its parts."""
        if said is None:
            return None
        parts = said if isinstance(said, list) else [said]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise ValueError("a schedule is a text such as mon,thu 06:00-10:00")
        text = "; ".join(parts)
        Schedule.parse(text)
        return text

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, name: str | None) -> str | None:
        if name is not None and zone_of(name) is None:
            raise ValueError("time_zone is a name such as America/Chicago")
        return name

    @field_validator("valid_from")
    @classmethod
    def _a_time(cls, text: str | None) -> str | None:
        if text is not None and ms_of(text) is None:
            raise ValueError("valid_from is RFC 3339 with zone")
        return text


_CALIBRATION = ("height_mm", "offset_mm", "dead_zone_mm", "fill_threshold_pct")
_ATTRIBUTES = (
    "nominal_power_w", "dim_curve", "always_powered", *_CALIBRATION,
    "zone", "address", "owner", "circuit", "cabinet", "segment", "pickup", "time_zone",
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
    calibrations: tuple[tuple[int, Mapping[str, Any]], ...]
    """(from ms, attributes), ascending, at least one; `attributes` are the newest."""

    def fill_pct(self, distance_mm: float, ts_ms: int) -> float | None:
        """Fill of a bin from the distance that its sensor measures: the sensor sits `offset_mm`
        above the brim, the bin is `height_mm` deep. Nearer than the dead zone nothing can be
        measured, so a nearer distance counts as the dead zone. None without a height.
        """
        at = self._at(ts_ms)
        height_mm = float(at.get("height_mm", 0.0))
        if not height_mm:
            return None
        seen_mm = max(distance_mm, float(at.get("dead_zone_mm", 0.0)))
        fill = 100.0 * (height_mm + float(at.get("offset_mm", 0.0)) - seen_mm) / height_mm
        return min(100.0, max(0.0, fill))

    def _at(self, ts_ms: int) -> Mapping[str, Any]:
        """The calibration in force; before the first one, the first."""
        known = [values for since_ms, values in self.calibrations if since_ms <= ts_ms]
        return known[-1] if known else self.calibrations[0][1]


@dataclass(frozen=True, slots=True)
class City:
    """All assets, and the index from devices to them."""

    assets: Mapping[str, Asset] = field(default_factory=dict)
    by_device: Mapping[str, Asset] = field(default_factory=dict)
    time_zone: str = ""
    """Of the assets that name none; an IANA name, "" where nobody said."""

    def zone_at(self, asset: Asset) -> str:
        """The time zone of an asset."""
        return asset.attributes.get("time_zone") or self.time_zone

    def subjects(self) -> Iterable[Subject]:
        """What the rules watch: every asset, and every circuit with its lamps and its cabinet."""
        lamps: dict[str, list[Asset]] = {}
        meters: dict[str, Asset] = {}
        for asset in self.assets.values():
            yield Subject(
                asset.id,
                asset.kind,
                asset.attributes,
                asset.lat,
                asset.lon,
                time_zone=self.zone_at(asset),
            )
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
                self.zone_at(stands),
            )


def circuit_id(circuit: str) -> str:
    """The subject of a circuit; it shares the name space of the assets."""
    return f"circuit:{circuit}"


class Row(NamedTuple):
    """One asset as a file has it; `line` is the feature's number, or the line of a table."""

    file: str
    line: int
    properties: Any
    lat: float
    lon: float


def read_assets(paths: Sequence[Path]) -> tuple[City, list[Finding]]:
    """The city of these files, or the findings that say why not."""
    findings: list[Finding] = []
    city = _build((row for path in paths for row in _rows(path, findings)), findings)
    return city, findings[:FINDINGS_MAX]


def _rows(path: Path, findings: list[Finding]) -> Iterator[Row]:
    """The entries of a file, one at a time: a large city is never in memory as text and as tree."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            help_ = f"at most {FILE_BYTES_MAX >> 20} MiB; split it into several files"
            findings.append(Finding(str(path), 1, 1, "E301", "too large", help_))
            return
        text = path.read_bytes().decode("utf-8-sig")  # tables come out of spreadsheets
    except (OSError, UnicodeDecodeError) as error:
        findings.append(Finding(str(path), 1, 1, "E301", f"cannot read: {error}"))
        return
    parse = _csv_rows if path.suffix.lower() == ".csv" else _geojson_rows
    yield from parse(str(path), text, findings)


class _Collection(msgspec.Struct):
    features: list[msgspec.Raw]


_read_collection = msgspec.json.Decoder(_Collection).decode
_read_feature = msgspec.json.Decoder().decode


def _features(text: str) -> Iterable[Any] | None:
    """The features, made one by one; all at once where the text is bent (a NaN, say), so that the
    finding can name the feature.
    """
    try:
        return map(_read_feature, _read_collection(text).features)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        features = json.loads(text)["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return features if isinstance(features, list) else None


def _geojson_rows(file: str, text: str, findings: list[Finding]) -> Iterator[Row]:
    features = _features(text)
    if features is None:
        help_ = "a FeatureCollection of Points, one feature an asset"
        findings.append(Finding(file, 1, 1, "E302", "not GeoJSON", help_))
        return
    for number, feature in enumerate(features, 1):
        try:
            lon, lat = feature["geometry"]["coordinates"][:2]
            if isinstance(lat, bool | str) or isinstance(lon, bool | str):
                raise TypeError  # noqa: TRY301
            yield Row(file, number, feature["properties"], float(lat), float(lon))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            help_ = '"geometry": {"type": "Point", "coordinates": [longitude, latitude]}'
            findings.append(Finding(file, number, 1, "E303", "feature without a point", help_))


_LISTS = ("devices", "dim_curve", "pickup")


def _csv_rows(file: str, text: str, findings: list[Finding]) -> Iterator[Row]:
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            row = next(table, None)
            if row is None:
                return
            yield _csv_row(file, table.line_num, row)
        except csv.Error as error:
            findings.append(Finding(file, table.line_num + 1, 1, "E302", f"not CSV: {error}"))
            return
        except (KeyError, ValueError, RecursionError) as error:
            help_ = "columns lat and long hold degrees; devices are separated by ;"
            message = f"bad row: {error}"
            findings.append(Finding(file, table.line_num, 1, "E303", message, help_))


def _csv_row(file: str, line: int, row: Mapping[Any, Any]) -> Row:
    if None in row:
        raise ValueError("more cells than columns")
    cells: dict[str, Any] = {key: cell for key, cell in row.items() if cell not in (None, "")}
    lat = float(cells.pop("lat"))
    lon = float(cells.pop("long") if "long" in cells else cells.pop("lon"))
    for key in _LISTS:
        text = cells.get(key)
        if text is not None:
            cells[key] = json.loads(text) if text[0] in "[{" else text.split(";")
    return Row(file, line, cells, lat, lon)


def _build(rows: Iterable[Row], findings: list[Finding]) -> City:
    assets: dict[str, Asset] = {}
    stands_at: dict[str, tuple[str, int]] = {}
    for row in rows:
        properties = _properties(row, findings)
        if properties is None:
            continue
        known = assets.get(properties.asset_id)
        clash = _clash(properties, known)
        if clash is not None:
            findings.append(Finding(row.file, row.line, 1, "E306", *clash))
            continue
        assets[properties.asset_id] = _asset(properties, row, known)
        stands_at[properties.asset_id] = row.file, row.line
    return City(assets, _by_device(assets, stands_at, findings))


def _by_device(
    assets: Mapping[str, Asset], stands_at: Mapping[str, tuple[str, int]], findings: list[Finding]
) -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    for asset in assets.values():
        for device in asset.devices or (asset.id,):
            other = found.setdefault(device, asset)
            if other is not asset:
                message = f"device {device!r} speaks for {other.id!r} and {asset.id!r}"
                findings.append(Finding(*stands_at[asset.id], 1, "E307", message))
    return found


def _properties(row: Row, findings: list[Finding]) -> Properties | None:
    try:
        properties = Properties.model_validate(row.properties)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            where = ".".join(map(str, fault["loc"])) or "properties"
            message = f"{where}: {fault['msg']}"
            findings.append(Finding(row.file, row.line, 1, "E304", message))
        return None
    if not (-90 <= row.lat <= 90 and -180 <= row.lon <= 180):
        help_ = "GeoJSON coordinates are [longitude, latitude]"
        findings.append(Finding(row.file, row.line, 1, "E305", "not a position", help_))
        return None
    return properties


def _clash(properties: Properties, known: Asset | None) -> tuple[str, str] | None:
    """Why this entry cannot stand beside those of the same asset: message and help."""
    if known is None:
        return None
    if known.kind != properties.kind:
        message = f"asset {known.id!r} is a {known.kind} and a {properties.kind}"
        return message, "an asset keeps its kind; give the other thing an id of its own"
    if any(since_ms == _since_ms(properties) for since_ms, _ in known.calibrations):
        message = f"asset {known.id!r} stands here twice"
        return message, "give the second entry a later valid_from, if it is a new calibration"
    return None


def _since_ms(properties: Properties) -> int:
    """From when on an entry applies; one without `valid_from` always did."""
    since_ms = None if properties.valid_from is None else ms_of(properties.valid_from)
    return ALWAYS_MS if since_ms is None else since_ms


def _asset(properties: Properties, row: Row, known: Asset | None) -> Asset:
    """The asset with this entry added; where it stands and who speaks for it is the newest."""
    said = properties.model_dump(exclude_none=True)
    attributes = {
        key: intern(said[key]) if isinstance(said[key], str) else said[key]  # shared by many
        for key in _ATTRIBUTES
        if said.get(key) not in (None, "")
    }
    entry = (_since_ms(properties), attributes)
    if known is not None and entry[0] < known.calibrations[-1][0]:
        entries = sorted((*known.calibrations, entry), key=itemgetter(0))
        return replace(known, calibrations=tuple(entries))
    return Asset(
        properties.asset_id,
        intern(properties.kind),
        intern(properties.zone),
        row.lat,
        row.lon,
        properties.address,
        properties.devices or (known.devices if known else ()),
        attributes,
        (*(known.calibrations if known else ()), entry),
    )
