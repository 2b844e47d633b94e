"""The score: what was wrong in the city against what was asked of its 311.

Each label that must be filed is worth exactly one request. A request answers a label when its
service stands for the label's rule (or fault family), it names the same asset or lies within 25 m,
and its observed time falls between the label's start and end, with a grace for the rule's own
delay. A second request for a label is a duplicate; one that answers none is false. Pure.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from simulators.truth import Label
from simulators.wire import parse_rfc3339

RADIUS_M = 25.0  # the contract: a place answers a label within this
GRACE_S = 1800.0  # a rule's own delay: its duration, lateness and holds together
STAMP_SLACK_MS = 1000  # observed times may be cut to whole seconds
EARTH_M = 6_371_008.8


@dataclass(slots=True)
class RuleScore:
    """`precision`, `recall`: None where nothing was filed, or nothing was to be filed."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    duplicates: int = 0
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    """Of both; 2 tp / (2 tp + fp + fn), so it is known wherever one of them is."""
    delay_s_median: float | None = None


@dataclass(slots=True)
class Score:
    """`missed_labels`, `false_requests`, `duplicate_requests` name each failing, for people."""

    faults_injected: int = 0
    requests_filed: int = 0
    missed: int = 0
    false: int = 0
    duplicates: int = 0
    scores: dict[str, RuleScore] = field(default_factory=dict)
    time_to_detect_s: float | None = None
    false_per_1000_device_days: float | None = None
    missed_labels: list[dict[str, Any]] = field(default_factory=list)
    false_requests: list[str] = field(default_factory=list)
    duplicate_requests: list[str] = field(default_factory=list)

    @property
    def perfect(self) -> bool:
        return not (self.missed or self.false or self.duplicates)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the judge sees it. `observed_ms` None: it did not say when."""

    id: str
    rule: str
    asset_id: str
    lat: float | None
    lon: float | None
    observed_ms: int | None


def score(
    labels: Iterable[Label],
    ledger: Iterable[Mapping[str, Any]],
    services: Mapping[str, str],
    *,
    families: Mapping[str, str] | None = None,
    grace_s: float | Mapping[str, float] = GRACE_S,
    device_days: float | None = None,
) -> Score:
    """`ledger`: rows with service_request_id, service_code, lat, long, attributes {asset_id,
    observed_at}. `services`: service code -> rule. `families`: rule -> family, where another rule
    of the same family may answer. `grace_s`: for all rules, or by rule.
    """
    family = _family(families or {})
    must = sorted((x for x in labels if x.must_file), key=lambda label: label.start_ms)
    requests = sorted((_request(row, services) for row in ledger), key=_when)
    answered: dict[int, Request] = {}
    result = Score(len(must), len(requests))
    by_rule: dict[str, RuleScore] = defaultdict(RuleScore)
    for request in requests:
        fits = _fitting(request, must, family, grace_s)
        free = [index for index in fits if index not in answered]
        if free:
            answered[free[0]] = request
        elif fits:
            by_rule[must[fits[0]].rule].duplicates += 1
            result.duplicate_requests.append(request.id)
        else:
            by_rule[request.rule].fp += 1
            result.false_requests.append(request.id)
    _count(result, must, answered, by_rule)
    if device_days:
        result.false_per_1000_device_days = 1000 * result.false / device_days
    return result


def _fitting(
    request: Request,
    labels: Sequence[Label],
    family: Callable[[str], str],
    grace_s: float | Mapping[str, float],
) -> list[int]:
    """The labels that a request answers, best first: those whose time it lies in before those whose
    grace it uses, late ones before early ones.
    """
    inside: list[int] = []
    after: list[int] = []
    for index, label in enumerate(labels):
        if family(label.rule) != family(request.rule) or not _same_thing(request, label):
            continue
        grace = grace_s if isinstance(grace_s, int | float) else grace_s.get(label.rule, GRACE_S)
        if _in_time(request, label, 0.0):
            inside.append(index)
        elif _in_time(request, label, grace):
            after.append(index)
    return [*reversed(inside), *reversed(after)]


def _same_thing(request: Request, label: Label) -> bool:
    if label.asset_id and request.asset_id:
        return label.asset_id == request.asset_id
    places = (request.lat, request.lon, label.lat, label.lon)
    if None in places:
        return False
    return distance_m(*(at for at in places if at is not None)) <= RADIUS_M


def _in_time(request: Request, label: Label, grace_s: float) -> bool:
    """A request that does not say when it was observed is taken at its word for the thing."""
    if request.observed_ms is None:
        return True
    if request.observed_ms < label.start_ms - STAMP_SLACK_MS:
        return False
    return label.end_ms is None or request.observed_ms <= label.end_ms + grace_s * 1000


def distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great circle (haversine), metres."""
    lats = math.radians(lat_a), math.radians(lat_b)
    half_lat, half_lon = (lats[1] - lats[0]) / 2, math.radians(lon_b - lon_a) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lats[0]) * math.cos(lats[1]) * (
        math.sin(half_lon) ** 2
    )
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, chord)))


def _request(row: Mapping[str, Any], services: Mapping[str, str]) -> Request:
    """A request for a service nobody mapped keeps the code as its rule: it will be false."""
    attributes = row.get("attributes") or {}
    code = str(row.get("service_code", ""))
    return Request(
        str(row.get("service_request_id") or row.get("token") or row.get("seq", "")),
        services.get(code, code),
        str(attributes.get("asset_id") or ""),
        _number(row.get("lat")),
        _number(row.get("long")),
        _moment(attributes.get("observed_at")),
    )


def _number(value: Any) -> float | None:
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None


def _moment(value: Any) -> int | None:
    try:
        return parse_rfc3339(value) if value else None
    except (TypeError, ValueError):
        return None


def _when(request: Request) -> tuple[bool, int]:
    return request.observed_ms is None, request.observed_ms or 0


def _family(families: Mapping[str, str]) -> Callable[[str], str]:
    return lambda rule: families.get(rule, rule)


def _count(
    result: Score,
    must: Sequence[Label],
    answered: Mapping[int, Request],
    by_rule: dict[str, RuleScore],
) -> None:
    delays: dict[str, list[float]] = defaultdict(list)
    for index, label in enumerate(must):
        request = answered.get(index)
        if request is None:
            by_rule[label.rule].fn += 1
            result.missed_labels.append(asdict(label))
            continue
        by_rule[label.rule].tp += 1
        if request.observed_ms is not None:
            delays[label.rule].append((request.observed_ms - label.start_ms) / 1000)
    for rule, one in by_rule.items():
        one.precision = one.tp / (one.tp + one.fp) if one.tp + one.fp else None
        one.recall = one.tp / (one.tp + one.fn) if one.tp + one.fn else None
        wrong = one.fp + one.fn
        one.f1 = 2 * one.tp / (2 * one.tp + wrong) if one.tp + wrong else None
        one.delay_s_median = median(delays[rule]) if delays[rule] else None
    everything = [delay for some in delays.values() for delay in some]
    result.time_to_detect_s = median(everything) if everything else None
    result.missed = sum(one.fn for one in by_rule.values())
    result.false = sum(one.fp for one in by_rule.values())
    result.duplicates = sum(one.duplicates for one in by_rule.values())
    result.scores = dict(sorted(by_rule.items()))
