"""The `tests:` of a rule: YAML -> cases.

Guarantees that a case which comes out can be run: every time has a zone, every sample a value that
its field can have, every expectation a word that is known and an asset that is there. Faults are
findings at their place, as in the rule itself. A test takes from the first test of its rule what it
leaves out, and that one from the first test of its file: of feeds, the first value, held.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from rules import settings
from rules.case import Case, Feed, Mark, Series, Stand
from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence, near, quoted
from rules.expectations import About, expectation
from rules.feeds import PSEUDO, series
from rules.fields import Field, by_name
from rules.finding import Finding
from rules.names import Names
from rules.stands import DEFAULT_PLACE, fleet, position, some
from rules.syntax import Refused

KEYS = (
    "name", "doc", "start", "every", "asset", "assets", "cabinet", "place", "vehicles", "feed",
    "expect",
)  # fmt: skip
START_MS = 1_767_225_600_000
"""2026-01-01T00:00Z: where no test of the rule says when."""
EVERY_MS = 300_000
SAMPLES_MAX = 20_000
"""Of one case, over all of its devices."""
SPAN_MS_MAX = 60 * settings.DAY_MS
MINUTES_MAX = 1_000_000
"""Of one case, over all of its assets: what a second or two can play."""
VEHICLES_MAX = 100

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Head:
    """The rule whose tests are read."""

    rule: str
    scope: str
    kind: str
    """Of the devices that its feeds are about."""
    rules: frozenset[str]
    """All that an expectation may name."""
    names: Callable[[], Names]
    """Its params, anew."""
    example: YamlMapping | None = None
    """The first test of the file."""


@dataclass(slots=True)
class _Test:
    """One test being read."""

    head: Head
    own: YamlMapping
    first: YamlMapping
    findings: list[Finding]
    names: Names

    def attempt(self, step: Callable[[], _T]) -> _T | None:
        """Run a step; a fault is noted, and the next step is tried all the same."""
        try:
            return step()
        except Refused as refused:
            self.findings.append(refused.finding)
            return None

    def said(self, key: str) -> YamlNode | None:
        """The value of a key here, else in the first test, else in the first one of the file."""
        for test in self.layers:
            if (value := test.get(key)) is not None:
                return value
        return None

    @property
    def layers(self) -> tuple[YamlMapping, ...]:
        example = self.head.example
        return (self.own, self.first, *((example,) if example else ()))


def cases(
    tests: Iterable[YamlMapping], first: YamlMapping, head: Head, findings: list[Finding]
) -> Iterator[Case]:
    """Tests of one rule, as far as they are sound; what is wrong with others. `first`: from which
    they take what they leave out.
    """
    names: set[str] = set()
    for own in tests:
        test = _Test(head, own, first, findings, head.names())
        case = test.attempt(partial(_case, test))
        if case is None:
            continue
        if case.name in names:
            findings.append(twice(own, case.name))
        names.add(case.name)
        yield case


def twice(own: YamlMapping, name: str) -> Finding:
    return own.finding("E004", f"there is a test {name!r} already", "give it a name of its own")


def _case(test: _Test) -> Case:
    own = test.own
    name = settings.text(settings.required(own, "name", "a test"), "the name of a test")
    start = test.said("start")
    start_ms = None if start is None else test.attempt(lambda: _moment(start))
    every = test.said("every")
    every_ms = None if every is None else test.attempt(lambda: _step(every, test.names))
    stands = test.attempt(lambda: _stands(test)) or ()
    feeds = test.attempt(lambda: _feeds(test, stands)) or ()
    case = Case(
        test.head.rule,
        name.text,
        name.file,
        name.line,
        START_MS if start_ms is None else start_ms,
        every_ms or EVERY_MS,
        max((feed.length for feed in feeds), default=1),
        stands,
        feeds,
        (),
    )
    _check_size(own, case)
    return _with_expectations(test, case)


def _with_expectations(test: _Test, case: Case) -> Case:
    node = settings.required(test.own, "expect", "a test")
    if not isinstance(node, Sequence) or not node.items:
        message = "expect must be a list such as [{at: end, state: ok}]"
        raise Refused(test.own.entries["expect"][0].finding(0, "E005", message))
    about = About(case, test.head.rules, SPAN_MS_MAX, test.names)
    found = [test.attempt(partial(expectation, item, about)) for item in node.items]
    case = replace(case, expectations=tuple(one for one in found if one))
    _check_length(test.own, case)
    return case


def _moment(node: YamlNode) -> int:
    scalar = settings.text(node, "start")
    moment = None
    with suppress(ValueError):
        moment = datetime.fromisoformat(scalar.text)
    if moment is None or moment.tzinfo is None or not 2015 <= moment.year < 2100:
        message = f"start must be a time with its zone, not `{scalar.text[:64]}`"
        raise Refused(scalar.finding(0, "E005", message, "such as 2026-01-15T20:00-06:00"))
    return int(moment.timestamp() * 1000)


def _step(node: YamlNode, names: Names) -> int:
    return settings.duration(node, names, "every", 1000)


def _check_size(own: YamlMapping, case: Case) -> None:
    """Before anything of it is laid out."""
    devices = sum(len(feed.devices) if feed.place is None else 1 for feed in case.feeds)
    if case.count * devices > SAMPLES_MAX:
        message = f"{case.count * devices} samples in one test"
        raise Refused(own.finding("E005", message, f"at most {SAMPLES_MAX}: fewer assets"))
    if case.end_ms - case.start_ms > SPAN_MS_MAX:
        message = "a test may run for 60 d of its own time"
        raise Refused(own.finding("E005", message, "fewer samples, or a shorter `every`"))


def _check_length(own: YamlMapping, case: Case) -> None:
    """Rules about silence or peers are judged on every asset in every minute of a test."""
    minutes = len(case.stands) * (case.until_ms - case.start_ms) // 60_000
    if minutes > MINUTES_MAX:
        message = f"{len(case.stands)} assets for {minutes / len(case.stands) / 60:.0f} h"
        hint = f"at most {MINUTES_MAX // 60} h over all assets: fewer of them, or a shorter test"
        raise Refused(own.finding("E005", message, hint))


# -- the city of a case ---------------------------------------------------------------------------


def _stands(test: _Test) -> tuple[Stand, ...]:
    head = test.head
    if head.scope == "place":
        for key in ("asset", "assets", "cabinet"):
            if key in test.own.entries:
                message = f"{key!r} does not belong to the test of a rule of scope place"
                scalar = test.own.entries[key][0]
                raise Refused(scalar.finding(0, "E002", message, "place: {lat: ..., lon: ...}"))
        return ()
    asset = [node for layer in reversed(test.layers) if (node := layer.get("asset"))]
    return fleet(head.kind, asset, test.said("assets"), test.said("cabinet"), test.names)


# -- what its devices send ------------------------------------------------------------------------


def _feeds(test: _Test, stands: tuple[Stand, ...]) -> tuple[Feed, ...]:
    head = test.head
    fields = by_name(head.kind)
    if head.scope == "place":
        columns = _columns(test, "feed", _mapping(test.own, "feed"), fields)
        vehicles = tuple(f"vehicle-{i + 1}" for i in range(_vehicles(test)))
        place = test.said("place")
        where = DEFAULT_PLACE if place is None else position(place, test.names)
        return _agreed(test, [columns.feed(vehicles, head.kind, where)])
    assets = tuple(stand.id for stand in stands if stand.kind == head.kind)
    meters = tuple(stand.id for stand in stands if stand.kind != head.kind)
    feeds = list(_fleet_feeds(test, assets, fields))
    if meters:
        columns = _columns(test, "cabinet", _mapping(test.own, "cabinet"), by_name("cabinet"))
        feeds.append(columns.feed(meters, "cabinet"))
    return _agreed(test, feeds)


def _fleet_feeds(
    test: _Test, assets: tuple[str, ...], fields: Mapping[str, Field]
) -> Iterator[Feed]:
    """One feed for all, or some for parts of the fleet; the others go on as in the first test."""
    node = test.own.get("feed")
    rest = list(assets)
    for item in node.items if isinstance(node, Sequence) else ():
        entry = settings.mapping(item, ("assets", *fields, *PSEUDO, *test.names.lets), "a feed")
        first, last = some(settings.required(entry, "assets", "a feed of some assets"), assets)
        chosen = assets[first:last]
        if any(asset not in rest for asset in chosen):
            message = "two feeds for the same asset"
            raise Refused(entry.entries["assets"][0].finding(0, "E005", message))
        rest = [asset for asset in rest if asset not in chosen]
        yield _columns(test, "feed", entry, fields).feed(chosen, test.head.kind)
    if rest:
        own = _mapping(test.own, "feed") if not isinstance(node, Sequence) else None
        yield _columns(test, "feed", own, fields).feed(tuple(rest), test.head.kind)


def _mapping(test: YamlMapping, key: str) -> YamlMapping | None:
    """A feed of one test; of a list, its first entry."""
    node = test.get(key)
    if isinstance(node, Sequence) and node.items:
        node = node.items[0]
    if node is None or isinstance(node, YamlMapping):
        return node
    message = f'{key} must be a mapping such as {{active_power: "58W x3, 0W x8"}}'
    raise Refused(test.entries[key][0].finding(0, "E005", message))


@dataclass(slots=True)
class _Columns:
    """The series of one feed by field, those that it only inherits marked as held."""

    series: dict[str, Series] = field(default_factory=dict)
    pseudo: dict[str, Series] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    def put(self, item: Field, values: Series, *, held: bool) -> None:
        if item.name in ("late", "offset"):
            self.pseudo[item.name] = values
            return
        self.series[item.key] = values
        if held:
            self.held.add(item.key)

    def feed(
        self, devices: tuple[str, ...], kind: str, place: tuple[float, float] | None = None
    ) -> Feed:
        late, north = (self.pseudo.get(name, (0.0,)) for name in ("late", "offset"))
        longest = max(map(len, self.series.values()), default=1)
        held = self.held | {k for k, s in self.series.items() if len(s) == 1 < longest}
        return Feed(devices, kind, self.series, frozenset(held), late, place, north)


def _columns(
    test: _Test, key: str, own: YamlMapping | None, fields: Mapping[str, Field]
) -> _Columns:
    columns = _Columns()
    seen: set[str] = set()
    layers = [own, *(_mapping(layer, key) for layer in test.layers[1:])]
    for depth, layer in enumerate(layers):
        for scalar, node in layer.entries.values() if layer else ():
            item = _field(scalar, fields, test, own=depth == 0)
            if item is None or item.name in seen:
                continue
            seen.add(item.name)
            if isinstance(node, Scalar) and node.text == "never":
                continue
            values = series(node, item, test.names)
            if depth:
                first = next((v for v in values if not isinstance(v, Mark)), None)
                values = () if first is None else (first,)
            if values:
                columns.put(item, values, held=depth > 0)
    return columns


def _field(scalar: Scalar, fields: Mapping[str, Field], test: _Test, *, own: bool) -> Field | None:
    """The field of a name; a template may have a name of its own for it."""
    named = test.names.lets.get(scalar.text)
    name = named.text if named is not None else scalar.text
    found = fields.get(name) or PSEUDO.get(name)
    if found is None and own and name != "assets":
        message = f"{quoted(name)} is not a field of kind {test.head.kind}"
        raise Refused(scalar.finding(0, "E101", message, near(name, [*fields, *PSEUDO])))
    return found


def _agreed(test: _Test, feeds: list[Feed]) -> tuple[Feed, ...]:
    """In step: series of several samples are all of one length."""
    columns = [s for f in feeds for s in (*f.series.values(), f.late_ms, f.north_m)]
    lengths = sorted({len(s) for s in columns if len(s) > 1})
    if len(lengths) > 1:
        scalar = test.own.entries["feed" if "feed" in test.own.entries else "name"][0]
        message = f"the feeds are of {' and '.join(map(str, lengths))} samples"
        hint = "make them equally long; a single value is held"
        raise Refused(scalar.finding(0, "E005", message, hint))
    return tuple(feeds)


def _vehicles(test: _Test) -> int:
    """Passes are by these in turn; where nothing is said, each is another one's."""
    node = test.said("vehicles")
    if node is None:
        return VEHICLES_MAX
    return settings.whole(node, test.names, "vehicles", 1, VEHICLES_MAX)
