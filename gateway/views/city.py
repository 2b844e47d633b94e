"""The city on a map: what stands where, and how each thing is, in as few bytes as may be.

Two parts: what changes with the asset files (positions, by columns), and what changes with every
incident (one digit for each asset, and the open incidents). Decides nothing: what an asset is said
to be follows from the books. `city_board` keeps both ready for all who ask.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from pydantic import BaseModel

from gateway.books.open_cases import OpenCase, open_cases
from gateway.books.survey import fleet_of
from gateway.cases import incident
from gateway.cases.places import Place, subject_name
from gateway.cityhall import delivery
from gateway.cityhall.requests import rfc3339
from gateway.field.device_status import DeviceState
from gateway.plans import Plans
from gateway.views.books import Books
from gateway.views.devices import now_of
from rules.rule import Bundle
from rules.track import ZONE

DEGREE = 100_000
"""Positions are whole numbers of a hundred thousandth of a degree: a metre."""
INCIDENTS_MAX = 2_000
"""On one map; of more those that a person is to see to, then the latest."""


class AssetState(StrEnum):
    """How an asset is, the gravest last; its place in this list is its digit on the map."""

    OK = "ok"
    SHADOW = "shadow"
    """What is found of it is recorded and not filed."""
    SILENT = "silent"
    """None of its devices is heard."""
    VERIFYING = "verifying"
    """The city says that it is repaired; the sensor is to show it."""
    FILED = "filed"
    """The city has the request."""
    FAULT = "fault"
    """Found, and not yet at the city."""
    WAITING = "waiting"
    """The request waits for a person."""


STATES = tuple(AssetState)
GAP = "…"
_NAME = re.compile(r"\{(?:asset|circuit|zone|place)\.id\}")
_HOLE = re.compile(r"\{[^{}]*\}")
_RANK = {state: rank for rank, state in enumerate(STATES)}
_FOR_A_PERSON = frozenset(
    {delivery.State.REVIEW, delivery.State.REFUSED, delivery.State.HELD}
)  # fmt: skip
_AT_THE_CITY = frozenset({delivery.State.FILED, delivery.State.TOKENED})


def case_state(state: str, request_state: str, *, closed: bool) -> AssetState:
    """What one open incident means. `request_state`: "" where nothing was asked of the city;
    `closed`: the city has closed its request.
    """
    if state == incident.State.SHADOW:
        return AssetState.SHADOW
    if state != incident.State.QUEUED:
        return AssetState.FAULT
    if closed:
        return AssetState.VERIFYING
    if request_state in _FOR_A_PERSON:
        return AssetState.WAITING
    return AssetState.FILED if request_state in _AT_THE_CITY else AssetState.FAULT


def state_of(cases: Iterable[AssetState], *, silent: bool, shadow: bool) -> AssetState:
    """The gravest of what is known of an asset. `cases`: its open incidents; `shadow`: the asset
    itself is in shadow.
    """
    told = [*cases]
    if silent:
        told.append(AssetState.SILENT)
    if shadow:
        told.append(AssetState.SHADOW)
    return max(told, key=_RANK.__getitem__, default=AssetState.OK)


class AssetsView(BaseModel):
    """What stands in the city. Columns of one length; `kind` and `zone` are places in the lists."""

    version: str
    kinds: list[str]
    zones: list[str]
    ids: list[str]
    lat_e5: list[int]
    long_e5: list[int]
    kind: list[int]
    zone: list[int]


class OpenIncident(BaseModel):
    """One that no other explains, where it can be drawn. `name`: its subject as people read it;
    `asset`: its place in the columns; null for what is none (a pothole, a circuit). `title`: what
    its rule found. `request`: its reference, "" where there is none.
    """

    id: int
    rule: str
    title: str
    subject: str
    name: str
    kind: str
    zone: str
    asset: int | None
    lat_e5: int | None
    long_e5: int | None
    address: str
    state: AssetState
    fired_at: str
    explains: int
    request: str
    city_id: str


class StatesView(BaseModel):
    """How all of it is. `states`: a digit for each asset, its place in `names`. `more`: so many
    incidents are open beside those listed.
    """

    assets_version: str
    names: list[AssetState]
    states: str
    rules: dict[str, str]
    incidents: list[OpenIncident]
    more: int


class CityView(BaseModel):
    assets: AssetsView
    now: StatesView


# -- the part that stands -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ground:
    """The assets as columns, and where everything is that an incident can be about."""

    plans: Plans
    view: AssetsView
    places: Mapping[str, int]
    """Asset -> its place in the columns."""
    spots: Mapping[str, "Spot"]
    """Circuits and zones."""
    shadows: frozenset[str]
    speaking: frozenset[str]
    """Assets that have devices of their own to be heard from."""


class Spot(NamedTuple):
    kind: str
    zone: str
    lat: float | None
    long: float | None
    address: str = ""
    asset: int | None = None


def ground_of(plans: Plans) -> Ground:
    city = plans.city
    assets = list(city.assets.values())
    kinds, zones = (sorted({getattr(a, key) for a in assets}) for key in ("kind", "zone"))
    kind_at, zone_at = ({name: i for i, name in enumerate(names)} for names in (kinds, zones))
    view = AssetsView(
        version="",
        kinds=kinds,
        zones=zones,
        ids=[asset.id for asset in assets],
        lat_e5=[round(asset.lat * DEGREE) for asset in assets],
        long_e5=[round(asset.lon * DEGREE) for asset in assets],
        kind=[kind_at[asset.kind] for asset in assets],
        zone=[zone_at[asset.zone] for asset in assets],
    )
    view.version = tag_of(view.model_dump_json().encode())
    spots = {
        subject.id: Spot(
            ZONE.rstrip(":") if subject.kind.startswith(ZONE) else subject.kind,
            str(subject.attributes.get("zone", "")), subject.lat, subject.lon,
            subject.attributes.get("address") or "",
        )
        for subject in city.subjects()
        if subject.id not in city.assets
    }  # fmt: skip
    places = {asset.id: i for i, asset in enumerate(assets)}
    speaking = frozenset(a.id for a in assets if a.devices or a.kind != "road")
    return Ground(plans, view, places, spots, city.shadows(), speaking)


# -- the part that changes ------------------------------------------------------------------------


class Quiet(NamedTuple):
    """How the assets are as far as no incident says more. `silent`: no device of it is heard."""

    silent: frozenset[str]
    digits: bytes


def quiet(ground: Ground, silent: frozenset[str]) -> Quiet:
    places = ground.places
    digits = bytearray(_digit(AssetState.OK) * len(places), "ascii")
    for asset_id in (silent | ground.shadows) & places.keys():
        state = state_of((), silent=asset_id in silent, shadow=asset_id in ground.shadows)
        digits[places[asset_id]] = ord(_digit(state))
    return Quiet(silent, bytes(digits))


def states_of(ground: Ground, cases: Sequence[OpenCase], known: Quiet) -> StatesView:
    """With what is open. What has no incident is as it is `known` to be."""
    stands = _stands(cases)
    digits = bytearray(known.digits)
    of_subject: dict[str, list[AssetState]] = {}
    for case in cases:
        of_subject.setdefault(case.subject, []).append(stands[case.id])
    for subject, states in of_subject.items():
        if subject in ground.places:
            is_silent, in_shadow = subject in known.silent, subject in ground.shadows
            state = state_of(states, silent=is_silent, shadow=in_shadow)
            digits[ground.places[subject]] = ord(_digit(state))
    shown = [case for case in cases if case.state != incident.State.ABSORBED]
    listed = sorted(shown, key=lambda c: (stands[c.id] is AssetState.WAITING, c.id), reverse=True)
    explains = _explains(cases)
    return StatesView(
        assets_version=ground.view.version,
        names=list(STATES),
        states=digits.decode("ascii"),
        rules=_titles(ground.plans.bundle, cases),
        incidents=[
            _shown(case, ground, stands[case.id], explains.get(case.id, 0))
            for case in listed[:INCIDENTS_MAX]
        ],
        more=max(0, len(listed) - INCIDENTS_MAX),
    )


def _digit(state: AssetState) -> str:
    return str(_RANK[state])


def _stands(cases: Sequence[OpenCase]) -> dict[int, AssetState]:
    """Of each incident; what another explains stands as that one does."""
    own = {
        case.id: case_state(case.state, case.request_state, closed=case.closed_ms is not None)
        for case in cases
    }
    parents = {
        case.id: case.parent
        for case in cases
        if case.state == incident.State.ABSORBED and case.parent in own
    }
    return {number: own[parents.get(number) or number] for number in own}


def _explains(cases: Iterable[OpenCase]) -> dict[int, int]:
    """Incident -> how many others it explains."""
    counts: dict[int, int] = {}
    for case in cases:
        if case.state == incident.State.ABSORBED and case.parent is not None:
            counts[case.parent] = counts.get(case.parent, 0) + 1
    return counts


def _titles(bundle: Bundle, cases: Iterable[OpenCase]) -> dict[str, str]:
    """Of the rules in force, and of others whose incidents are still open."""
    gone = {case.rule: case.rule for case in cases}
    return gone | {rule.id: titled(rule.title) or rule.id for rule in bundle.rules.values()}


def titled(title: str, subject: str = GAP) -> str:
    """A rule's title about one thing, or about any; what else it has holes for is left out."""
    name = subject_name(subject).removeprefix("circuit:").removeprefix(ZONE)
    return _HOLE.sub(GAP, _NAME.sub(lambda _: name, title))


def _shown(case: OpenCase, ground: Ground, state: AssetState, explains: int) -> OpenIncident:
    spot = _spot(case, ground)
    rule = ground.plans.bundle.rules.get(case.rule)
    return OpenIncident(
        id=case.id,
        rule=case.rule,
        title=titled(rule.title, case.subject) if rule is not None else case.rule,
        subject=case.subject,
        name=subject_name(case.subject),
        kind=spot.kind,
        zone=spot.zone,
        asset=spot.asset,
        lat_e5=None if spot.lat is None else round(spot.lat * DEGREE),
        long_e5=None if spot.long is None else round(spot.long * DEGREE),
        address=spot.address,
        state=state,
        fired_at=rfc3339(case.fired_ms),
        explains=explains,
        request=case.reference,
        city_id=case.city_id,
    )


def _spot(case: OpenCase, ground: Ground) -> Spot:
    """Where it is: the asset, the circuit or zone, the place, else where its request says."""
    asset = ground.plans.city.assets.get(case.subject)
    if asset is not None:
        here = ground.places[asset.id]
        return Spot(asset.kind, asset.zone, asset.lat, asset.lon, asset.address or "", here)
    if case.subject in ground.spots:
        return ground.spots[case.subject]
    rule = ground.plans.bundle.rules.get(case.rule)
    kind = rule.scope if rule is not None and rule.scope == "place" else ""
    if case.place is not None:
        place = msgspec.msgpack.decode(case.place, type=Place)
        return Spot("place", case.zone, place.lat, place.lon, case.address)
    return Spot(kind, case.zone, case.lat, case.long, case.address)


def silent_assets(ground: Ground, books: Books) -> frozenset[str]:
    """Those of which no device is heard, or ever was. None where the gateway has never run."""
    if not books.database.exists():
        return frozenset()
    fleet = fleet_of(books.database, ground.plans.city, now_of(books))
    heard = set()
    for name, asset in ground.plans.city.by_device.items():
        known = name in fleet.records or name in fleet.refused
        if not known or asset.id in heard:
            continue
        if fleet.member(name).state is not DeviceState.SILENT:
            heard.add(asset.id)
    return ground.speaking - heard


def city_of(books: Books) -> CityView:
    """All of it, worked out now. ConfigError, StoreError."""
    ground = ground_of(books.plans())
    known = quiet(ground, silent_assets(ground, books))
    now = states_of(ground, open_cases(books.database), known)
    return CityView(assets=ground.view, now=now)


def tag_of(body: bytes) -> str:
    """Another one for another text."""
    return blake2b(body, digest_size=12).hexdigest()
