"""What stands in the city: assets by id, and which device speaks for which asset.

Pure but for `read_assets`. An asset file is a GeoJSON FeatureCollection of Points or a CSV with the
same names; every fault in it is a finding with its place, and a file with faults is not used.
Calibration is dated: from `valid_from` on, the newest entry of an asset applies. A lamp of which no
power is known is taken for one like the others of its model, where enough of them are known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from statistics import fmean, median_low, multimode
from sys import intern
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.clock import ms_of
from gateway.inventory.asset_rows import Row, rows
from rules.fields import REPORTED_KINDS
from rules.finding import Finding
from rules.local_time import Schedule, zone_of
from rules.track import ZONE, Subject

BEYOND = 1.25  # times the distance to the bottom: further it is no echo of this bin
FINDINGS_MAX = 50  # a wrong column is wrong in every row; the first ones tell
MODEL_PEERS_MIN = 3  # one of two may be the mistake
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
    model: str | None = None
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
    shadow: bool | None = None

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
_RATING = frozenset({"nominal_power_w", "dim_curve"})
_ATTRIBUTES = (
    "nominal_power_w", "dim_curve", "model", "always_powered", *_CALIBRATION,
    "zone", "address", "owner", "circuit", "cabinet", "segment", "pickup", "time_zone",
    "shadow",
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
        above the brim, the bin is `height_mm` deep. None without a height; for 0, which sensors
        say when there was no echo; for what is nearer than the dead zone, where they cannot
        measure and something may stick to them; and for what lies well beyond the bottom.
        """
        at = self._at(ts_ms)
        height_mm = float(at.get("height_mm", 0.0))
        bottom_mm = height_mm + float(at.get("offset_mm", 0.0))
        is_blind = distance_mm <= 0 or distance_mm < float(at.get("dead_zone_mm", 0.0))
        if not height_mm or is_blind or distance_mm > BEYOND * bottom_mm:
            return None
        return min(100.0, max(0.0, 100.0 * (bottom_mm - distance_mm) / height_mm))

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

    def time_zone_of(self, asset: Asset) -> str:
        """The time zone of an asset."""
        return asset.attributes.get("time_zone") or self.time_zone

    def shadows(self) -> frozenset[str]:
        """The subjects of which nothing is filed yet: assets that say so, as those with a new
        device do, and circuits and zones that have no others.
        """
        new = {asset.id for asset in self.assets.values() if asset.attributes.get("shadow")}
        groups = self.subjects() if new else ()
        return frozenset(new | {g.id for g in groups if g.members and new.issuperset(g.members)})

    def subjects(self) -> Iterable[Subject]:
        """What the rules watch: every asset, every circuit with its lamps and its cabinet, and for
        every zone its assets of each kind.
        """
        yield from map(self._subject, self.assets.values())
        yield from self._circuits()
        yield from self._zones()

    def _subject(self, asset: Asset) -> Subject:
        zone = self.time_zone_of(asset)
        return Subject(asset.id, asset.kind, asset.attributes, asset.lat, asset.lon, time_zone=zone)

    def _circuits(self) -> Iterator[Subject]:
        lamps: dict[str, list[Asset]] = {}
        meters: dict[str, Asset] = {}
        for asset in self.assets.values():
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
                self.time_zone_of(stands),
            )

    def _zones(self) -> Iterator[Subject]:
        members: dict[tuple[str, str], list[Asset]] = {}
        for asset in self.assets.values():
            if asset.zone:
                members.setdefault((asset.zone, asset.kind), []).append(asset)
        for (zone, kind), assets in members.items():
            yield Subject(
                zone_id(zone, kind),
                f"{ZONE}{kind}",
                {"zone": zone},
                fmean(asset.lat for asset in assets),
                fmean(asset.lon for asset in assets),
                tuple(asset.id for asset in assets),
                time_zone=self.time_zone_of(assets[0]),
            )


def circuit_id(circuit: str) -> str:
    """The subject of a circuit; it shares the name space of the assets."""
    return f"circuit:{circuit}"


def zone_id(zone: str, kind: str) -> str:
    """The subject of the assets of one kind in a zone; it shares their name space too."""
    return f"{ZONE}{zone}:{kind}"


def read_assets(paths: Sequence[Path]) -> tuple[City, list[Finding]]:
    """The city of these files, or the findings that say why not."""
    findings: list[Finding] = []
    entries = (entry for path in paths for entry in rows(path, findings))
    city = _build(entries, findings)
    return city, findings[:FINDINGS_MAX]


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
    _rate_by_model(assets)
    return City(assets, _by_device(assets, stands_at, findings))


def _rate_by_model(assets: dict[str, Asset]) -> None:
    """What a lamp without nominal power and dim curve should draw, from others of its model: the
    median of their nominal powers, and the curve that most of them have.
    """
    models: dict[str, list[Asset]] = {}
    for asset in assets.values():
        if asset.kind == "streetlight" and "model" in asset.attributes:
            models.setdefault(asset.attributes["model"], []).append(asset)
    for lamps in models.values():
        known = [lamp for lamp in lamps if not _RATING.isdisjoint(lamp.attributes)]
        if len(known) < MODEL_PEERS_MIN:
            continue
        rating = _rating([lamp.attributes for lamp in known])
        for lamp in lamps:
            if _RATING.isdisjoint(lamp.attributes):
                attributes = {**lamp.attributes, **rating}
                assets[lamp.id] = replace(lamp, attributes=attributes)


def _rating(known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    watts = [one["nominal_power_w"] for one in known if "nominal_power_w" in one]
    curves = [one["dim_curve"] for one in known if "dim_curve" in one]
    rating: dict[str, Any] = {"nominal_power_w": median_low(watts)} if watts else {}
    if len(curves) * 2 > len(known):
        rating["dim_curve"] = multimode(curves)[0]
    return rating


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
