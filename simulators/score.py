"""The score: what was wrong in the city against what was asked of its 311.

Each label that must be filed is worth exactly one request. A request answers a label when its
service stands for the label's rule (or fault family), it names the same asset or lies within 25 m,
and its observed time falls between the label's start and end, with a grace for the rule's own
delay. A second request for a label is a duplicate; one that answers none is false. Evidence that
was never delivered is named beside what was missed, and excuses nothing. Pure.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from simulators.losses import Loss
from simulators.tally import Tally
from simulators.truth import Label
from simulators.wire import parse_rfc3339

RADIUS_M = 25.0  # the contract: a place answers a label within this
GRACE_S = 1800.0  # a rule's own delay: its duration, lateness and holds together
STAMP_SLACK_MS = 1000  # observed times may be cut to whole seconds
EARTH_M = 6_371_008.8
TOLD = ("started", "fired", "filed", "cleared")  # with _at: attributes that a row may carry
NO_KIND = "nothing"  # a false request where nothing was wrong, and nothing looked like it


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the judge sees it. `observed_ms` None: it did not say when. `spans`: further
    times that it told (started, fired, filed, cleared), for people.
    """

    id: str
    rule: str
    asset_id: str
    lat: float | None
    lon: float | None
    observed_ms: int | None
    spans: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A label that must be filed, and its requests: the first is right, the others duplicates.
    `undelivered`: readings about it that were lost on the way while it lasted.
    """

    label: Label
    kind: str
    requests: tuple[Request, ...]
    undelivered: int = 0


@dataclass(frozen=True, slots=True)
class Stray:
    """A false request, the kind of what seems to have brought it about, and the truth of that."""

    request: Request
    kind: str
    label: Label | None = None


@dataclass(slots=True)
class Score:
    """`missed_labels`, `false_requests`, `duplicate_requests` name each failing, for people;
    `outcomes` and `strays` are all of it, for a report.
    """

    faults_injected: int = 0
    requests_filed: int = 0
    missed: int = 0
    false: int = 0
    duplicates: int = 0
    undelivered: int = 0
    """Messages lost on the way, of all devices."""
    scores: dict[str, Tally] = field(default_factory=dict)
    kinds: dict[str, Tally] = field(default_factory=dict)
    time_to_detect_s: float | None = None
    time_to_detect_s_p90: float | None = None
    requests_per_fault: float | None = None
    false_per_1000_device_days: float | None = None
    missed_labels: list[dict[str, Any]] = field(default_factory=list)
    false_requests: list[str] = field(default_factory=list)
    duplicate_requests: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)

    @property
    def perfect(self) -> bool:
        return not (self.missed or self.false or self.duplicates)

    def as_dict(self) -> dict[str, Any]:
        """Without the requests and labels themselves."""
        whole = asdict(replace(self, outcomes=[], strays=[]))
        return {name: value for name, value in whole.items() if name not in ("outcomes", "strays")}


def score(
    labels: Iterable[Label],
    ledger: Iterable[Mapping[str, Any]],
    services: Mapping[str, str],
    *,
    families: Mapping[str, str] | None = None,
    grace_s: float | Mapping[str, float] = GRACE_S,
    device_days: float | None = None,
    kinds: Mapping[Label, str] | None = None,
    losses: Sequence[Loss] = (),
    things: Mapping[str, Sequence[str]] | None = None,
) -> Score:
    """`ledger`: rows with service_request_id, service_code, lat, long, attributes {asset_id,
    observed_at}. `services`: service code -> rule. `families`: rule -> family, where another rule
    of the same family may answer. `grace_s`: for all rules, or by rule. `kinds`: label -> kind of
    fault; without it there are no scores by kind. `losses`: what was never delivered; `things`:
    device -> the assets that it tells of.
    """
    family = _family(families or {})
    everything = list(labels)
    must = sorted((x for x in everything if x.must_file), key=lambda label: label.start_ms)
    requests = sorted((_request(row, services) for row in ledger), key=_when)
    answers: dict[int, list[Request]] = defaultdict(list)
    strays: list[Stray] = []
    for request in requests:
        fits = _fitting(request, must, family, grace_s)
        free = [index for index in fits if index not in answers]
        if fits:
            answers[(free or fits)[0]].append(request)
        else:
            strays.append(_stray(request, everything, kinds or {}, family))
    lost: dict[str, list[Loss]] = defaultdict(list)
    for loss in losses:
        for asset in (things or {}).get(loss.device, ()):
            lost[asset].append(loss)
    outcomes = [
        Outcome(
            label, (kinds or {}).get(label, ""), tuple(answers.get(index, ())),
            _undelivered(label, lost),
        )
        for index, label in enumerate(must)
    ]  # fmt: skip
    alikes = [label for label in everything if not label.must_file]
    result = Score(len(must), len(requests), outcomes=outcomes, strays=strays)
    result.undelivered = sum(loss.messages for loss in losses)
    _count(result, alikes, kinds)
    if device_days:
        result.false_per_1000_device_days = 1000 * result.false / device_days
    return result


def _undelivered(label: Label, lost: Mapping[str, Sequence[Loss]]) -> int:
    end_ms = math.inf if label.end_ms is None else label.end_ms
    return sum(
        loss.messages
        for loss in lost.get(label.asset_id, ())
        if loss.first_ms <= end_ms and loss.last_ms >= label.start_ms
    )


def _stray(
    request: Request,
    labels: Iterable[Label],
    kinds: Mapping[Label, str],
    family: Callable[[str], str],
) -> Stray:
    """With what was the matter with its thing when it was filed: first what looks just like what
    it is about, then anything.
    """
    at_it = [
        label
        for label in labels
        if _same_thing(request, label) and _in_time(request, label, GRACE_S)
    ]
    if not at_it:
        return Stray(request, NO_KIND)
    behind = min(at_it, key=lambda label: family(label.rule) != family(request.rule))
    return Stray(request, kinds.get(behind) or behind.rule, behind)


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
        {name: ms for name in TOLD if (ms := _moment(attributes.get(f"{name}_at"))) is not None},
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


def _count(result: Score, alikes: Iterable[Label], kind_of: Mapping[Label, str] | None) -> None:
    rules, kinds, all_of_it = _Book(), _Book(), _Book()
    for label in alikes:
        kinds.tallies[(kind_of or {}).get(label, "")].look_alikes += 1
    for outcome in result.outcomes:
        for book, name in ((rules, outcome.label.rule), (kinds, outcome.kind), (all_of_it, "")):
            book.note(name, outcome)
        result.duplicate_requests += [request.id for request in outcome.requests[1:]]
        if not outcome.requests:
            told = {"kind": outcome.kind, "undelivered": outcome.undelivered}
            result.missed_labels.append(asdict(outcome.label) | told)
    for stray in result.strays:
        for book, name in ((rules, stray.request.rule), (kinds, stray.kind), (all_of_it, "")):
            book.tallies[name].fp += 1
        result.false_requests.append(stray.request.id)
    result.scores = rules.settled()
    result.kinds = kinds.settled() if kind_of is not None else {}
    total = all_of_it.settled().get("", Tally())
    result.missed, result.false, result.duplicates = total.fn, total.fp, total.duplicates
    result.time_to_detect_s = total.delay_s_median
    result.time_to_detect_s_p90 = total.delay_s_p90
    result.requests_per_fault = total.requests_per_fault


class _Book:
    """Tallies by name."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self._delays_s: dict[str, list[float]] = defaultdict(list)

    def note(self, name: str, outcome: Outcome) -> None:
        tally, requests = self.tallies[name], outcome.requests
        tally.tp += bool(requests)
        tally.fn += not requests
        tally.duplicates += len(requests[1:])
        if requests and requests[0].observed_ms is not None:
            delay_ms = requests[0].observed_ms - outcome.label.start_ms
            self._delays_s[name].append(delay_ms / 1000)

    def settled(self) -> dict[str, Tally]:
        for name, tally in self.tallies.items():
            tally.settle(self._delays_s[name])
        return dict(sorted(self.tallies.items()))
