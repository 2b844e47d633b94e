"""The `tests:` of a rule: YAML -> cases.

Guarantees that a case which comes out can be run: every time has a zone, every sample a value that
its field can have, every expectation a word that is known and an asset that is there. Faults are
findings at their place, as in the rule itself. A test takes from the first test of its rule what it
leaves out, and that one from the first test of its file: of feeds, the first value, held.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from rules import head as rule_head
from rules import settings
from rules.builder import Built
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
TESTS_MAX = 100
SAMPLES_MAX = 20_000
"""Of one case, over all of its devices."""
SPAN_MS_MAX = 60 * settings.DAY_MS
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


def cases(node: YamlNode, head: Head) -> tuple[tuple[Case, ...], list[Finding]]:
    """The tests of one rule; none of them if there is a finding."""
    findings: list[Finding] = []
    try:
        tests = _tests(node)
    except Refused as refused:
        return (), [refused.finding]
    found = []
    names: set[str] = set()
    for own in tests:
        test = _Test(head, own, tests[0], findings, head.names())
        case = test.attempt(partial(_case, test))
        if case is None:
            continue
        if case.name in names:
            message = f"there is a test {case.name!r} already"
            findings.append(own.finding("E004", message, "give it a name of its own"))
        names.add(case.name)
        found.append(case)
    return (() if findings else tuple(found)), findings


def add_tests(heads: Mapping[str, rule_head.Head], built: Mapping[str, Built]) -> list[Finding]:
    """Give the rules that were built their tests; what is wrong with these."""
    findings: list[Finding] = []
    examples: dict[str, YamlMapping] = {}
    for rule_id, head in heads.items():
        node = head.body.get("tests")
        if node is None:
            continue
        # The tests of a template speak of its own inputs: they neither lend nor borrow.
        file = "" if head.use else head.body.page.file
        found, faults = cases(node, _head(head, frozenset(heads), examples.get(file)))
        findings += faults
        if file and isinstance(node, Sequence) and node.items and not faults:
            assert isinstance(node.items[0], YamlMapping)
            examples.setdefault(file, node.items[0])
        one = built[rule_id]
        if one.rule is not None:
            one.rule = replace(one.rule, cases=found)
    return findings


def _head(head: rule_head.Head, rules: frozenset[str], example: YamlMapping | None) -> Head:
    kind = {"circuit": "streetlight", "place": "road"}.get(head.scope, head.sensor)

    def names() -> Names:
        own = head.names()
        own.lets = head.use.lets if head.use else {}
        return own

    return Head(head.id, head.scope, kind, rules, names, example)


def _tests(node: YamlNode) -> list[YamlMapping]:
    if not isinstance(node, Sequence):
        message = "tests must be a list: each starts with - name:"
        if isinstance(node, Scalar):
            raise Refused(node.finding(0, "E005", message))
        raise Refused(node.finding("E005", message))
    if len(node.items) > TESTS_MAX:
        raise Refused(node.finding("E005", f"more than {TESTS_MAX} tests for one rule"))
    return [settings.mapping(item, KEYS, "a test") for item in node.items]


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
    return replace(case, expectations=tuple(one for one in found if one))


def _moment(node: YamlNode) -> int:
    scalar = settings.text(node, "start")
    message = f"start must be a time with its zone, not `{scalar.text[:64]}`"
    refused = Refused(scalar.finding(0, "E005", message, "such as 2026-01-15T20:00-06:00"))
    try:
        moment = datetime.fromisoformat(scalar.text)
    except ValueError:
        raise refused from None
    if moment.tzinfo is None or not 2015 <= moment.year < 2100:
        raise refused
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
