"""Signals: what a rule looks at on one subject over a while, and the limits that it holds it to.

Pure. Collects for charts only: readings become values as the core makes them, limits are computed
by the rule's own conditions, and nothing here is judged. Keeps the samples of the windows asked
for and passes over all others.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.cases.places import metres
from gateway.inventory.assets import Asset, City
from gateway.telemetry import Decoder, Reading
from gateway.values import heard
from gateway.workbench.inquiry import Received, spoken
from rules.codegen import compiled
from rules.fields import HEARD
from rules.rule import Judge, PlaceShape, Rule, Scene
from rules.scene import Scene as NoScene
from rules.tree import Node, Op, own, walk
from rules.wording import field_name, node_text

Points = list[tuple[int, float]]

TEXT_MAX = 60
_OF_THE_SAMPLE = frozenset(
    {
        Op.NUMBER, Op.FIELD, Op.ATTRIBUTE, Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.DIVIDE, Op.NEGATE,
        Op.CONVERT, Op.ABS, Op.MIN, Op.MAX, Op.COALESCE, Op.EXPECTED, Op.PREV,
    }
)  # fmt: skip
"""What a limit may be made of: it needs no sun, no peers and no other rule."""
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What to look at: a rule on a subject, from when to when; of a place also where it is."""

    rule: Rule
    subject: str
    since_ms: int
    until_ms: int
    lat: float = 0.0
    lon: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One field over time. `points` in the order of time."""

    key: str
    unit: str
    points: Points


@dataclass(frozen=True, slots=True)
class Limit:
    """What a field is compared with. `role`: fires, clears or counts as a hit."""

    key: str
    role: str
    text: str
    points: Points


@dataclass(slots=True)
class _Watched:
    view: View
    keys: frozenset[str]
    attributes: Mapping[str, Any]
    samples: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    members: int = 0
    """Of a zone."""
    told: list[tuple[int, str, Mapping[str, Any]]] = field(default_factory=list)
    """What they said: (time, asset, values)."""


class Signals:
    """Collects over a stream what some views need."""

    def __init__(self, city: City, views: Iterable[View]) -> None:
        self._city = city
        self._decoder = Decoder()
        self._by_asset: dict[str, list[_Watched]] = defaultdict(list)
        self._places: list[_Watched] = []
        self._all: dict[View, _Watched] = {}
        subjects = {subject.id: subject for subject in city.subjects()}
        for view in views:
            asset = city.assets.get(view.subject)
            subject = subjects.get(view.subject)
            attributes = asset.attributes if asset else subject.attributes if subject else {}
            watched = self._all[view] = _Watched(view, reads_of(view.rule), attributes)
            if view.rule.scope == "place":
                self._places.append(watched)
            elif view.rule.scope == "zone":
                members = subject.members if subject else ()
                watched.members = len(members)
                for member in members:
                    self._by_asset[member].append(watched)
            else:
                speaks = (subject.meter if subject else None) or view.subject
                self._by_asset[speaks].append(watched)

    def feed(self, received: Received) -> None:
        kind, device = spoken(received.message.topic)
        asset = self._city.by_device.get(device)
        wanted = self._by_asset.get(asset.id, ()) if asset else self._places
        if not wanted or (asset is None and kind != "road"):
            return
        for reading in self._decoder.decode(*received.message[:2]).readings:
            ts_ms = received.at_ms if reading.ts_ms is None else reading.ts_ms
            values = heard(reading, asset, ts_ms)
            for one in wanted:
                _keep(one, reading, ts_ms, values, asset)

    def lines(self, view: View) -> list[Line]:
        """Every field that the rule reads and that was reported; of a zone, its assets' mean."""
        watched = self._all[view]
        if view.rule.scope == "zone":
            return list(_means(watched))
        kind = "road" if view.rule.scope == "place" else view.rule.sensor
        found = []
        for key, known in HEARD[kind].items():
            points = [
                (ts_ms, float(values[key]))
                for ts_ms, values in sorted(watched.samples.items())
                if key in watched.keys and values.get(key) is not None
            ]
            if points:
                found.append(Line(key, known.unit, points))
        return found

    def limits(self, view: View) -> list[Limit]:
        """What those fields are compared with, where that is no more than a number at a time."""
        watched = self._all[view]
        samples = sorted(watched.samples.items())
        return [
            Limit(key, role, text, points)
            for key, role, text, judge, slots in _limits(view.rule)
            if (points := _drawn(judge, slots, samples, watched.attributes))
        ]


def reads_of(rule: Rule) -> frozenset[str]:
    """The wire keys that a rule looks at; of a place, those of the vehicles that pass, of a zone,
    those of its assets.
    """
    if rule.scope == "place":
        return rule.hit.fields if rule.hit else frozenset()
    conditions = [one for one in (rule.when, rule.clear, rule.unless) if one]
    if rule.scope == "zone":
        parts = (part for one in conditions if one.tree for part in walk(one.tree))
        return frozenset(str(part.detail) for part in parts if part.op is Op.FIELD)
    return frozenset().union(*(one.fields for one in conditions))


def _keep(
    watched: _Watched,
    reading: Reading,
    ts_ms: int,
    values: Mapping[str, Any],
    asset: Asset | None,
) -> None:
    view = watched.view
    if not view.since_ms <= ts_ms <= view.until_ms:
        return
    if watched.members and asset is not None:
        watched.told.append((ts_ms, asset.id, values))
        return
    if view.rule.scope == "place":
        shape = view.rule.place or PlaceShape()
        if reading.loc is None or metres(*reading.loc, view.lat, view.lon) > 2 * shape.radius_m:
            return
    watched.samples[ts_ms] = values


def _means(watched: _Watched) -> Iterator[Line]:
    """Of what each asset of a zone said last, from its first word in the window on."""
    told = sorted(watched.told, key=lambda one: one[:2])
    for key, known in HEARD[watched.view.rule.sensor].items():
        last: dict[str, float] = {}
        points: dict[int, float] = {}
        for ts_ms, asset_id, values in told:
            if key in watched.keys and values.get(key) is not None:
                last[asset_id] = float(values[key])
                points[ts_ms] = sum(last.values()) / len(last)
        if points:
            unit = "1" if known.is_bool else known.unit
            name = f"{key}, mean of {watched.members}"
            yield Line(name, unit, list(points.items()))


def _limits(rule: Rule) -> Iterator[tuple[str, str, str, Judge, int]]:
    """(field, role, text, what computes it, its slots) of each comparison of a field."""
    if rule.scope == "place":
        conditions = [("hit", rule.hit)]
    else:
        conditions = [("fires", rule.when), ("clears", rule.clear)]
    for role, condition in conditions:
        tree = condition.tree if condition else None
        for node in own(tree) if tree else ():
            if condition and node.op is Op.COMPARE:
                yield from _sides(node, role, condition.text)


def _sides(node: Node, role: str, source: str) -> Iterator[tuple[str, str, str, Judge, int]]:
    left, right = node.args
    sign = str(node.detail)
    for side, other, said in ((left, right, sign), (right, left, _FLIPPED.get(sign, sign))):
        simple = all(part.op in _OF_THE_SAMPLE for part in own(other))
        if side.op is Op.FIELD and other.op is not Op.FIELD and simple:
            judge, slots = compiled(other)
            text = f"{role} {said} {_written(node, other, str(side.detail), source)}"
            yield str(side.detail), role, text, judge, slots


def _written(node: Node, other: Node, key: str, source: str) -> str:
    """In the author's words, unless it stands in a `let`, whose text is not at hand."""
    whole = source[node.span.start : node.span.end]
    own_words = source[other.span.start : other.span.end].strip()
    found = own_words if field_name(key) in whole and own_words else node_text(other)
    return found if len(found) <= TEXT_MAX else found[: TEXT_MAX - 1] + "…"


def _drawn(
    judge: Judge,
    slots: int,
    samples: list[tuple[int, Mapping[str, Any]]],
    attributes: Mapping[str, Any],
) -> Points:
    memory: list[Any] = [None] * slots
    scene = cast("Scene", NoScene(lambda _: iter(())))
    points = []
    for ts_ms, values in samples:
        limit = judge(values, attributes, scene, memory)
        if limit is not None:
            points.append((ts_ms, float(limit)))
    return points
