"""A trial: the test of a rule, run through the very core of the gateway.

Pure. A case brings a small city and what its devices send; every reading goes through `Core` at the
instant of its arrival, with a tick for every minute, so that a test sees what the gateway would do:
late samples, the wait for a parent fault, the request. Rules that the case's rule has nothing to do
with are left out. What was expected and did not hold is told with what held instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import Row
from gateway.clock import TICK_MS, minute_from
from gateway.core import Core
from gateway.effects import Effects, Entry, Saved, Settings
from gateway.inventory.assets import Asset, City, circuit_id, zone_id
from gateway.telemetry import Address, Reading
from rules.case import Case, Expectation, Sample, Stand
from rules.rule import Bundle, Rule
from rules.story import shown
from rules.tree import Op, walk

TIMELINE_MAX = 40  # lines: enough to see what went wrong


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that was expected and did not hold."""

    line: int
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Outcome:
    case: Case
    failures: tuple[Failure, ...]
    timeline: tuple[str, ...]
    """What happened, line by line, with the minutes since the start."""
    causes: frozenset[str] = frozenset()
    """Why the case's rule and its incidents changed, as they stand in the journal."""

    @property
    def passed(self) -> bool:
        return not self.failures


def relatives(rule_id: str, bundle: Bundle) -> Bundle:
    """The rule with all that it depends on or that depends on it: parents, children, phases."""
    wanted: set[str] = set()
    open_ = [rule_id]
    while open_:
        rule = bundle.rules[open_.pop()]
        wanted.add(rule.id)
        linked = {*rule.absorbs, *rule.absorbed_by, *_phases_asked(rule)}
        open_ += sorted((linked & bundle.rules.keys()) - wanted)
    kept = {name: rule for name, rule in bundle.rules.items() if name in wanted}
    return replace(bundle, rules=MappingProxyType(kept))


def run(case: Case, bundle: Bundle) -> Outcome:
    """Run one case. `bundle`: holds the case's rule; others may stay in it (see `relatives`)."""
    trial = _Trial(case, bundle)
    failures = tuple(trial.run())
    causes = frozenset(entry.cause for entry in trial.journal if entry.rule == case.rule)
    return Outcome(case, failures, tuple(trial.timeline()), causes)


def _phases_asked(rule: Rule) -> set[str]:
    conditions = (rule.when, rule.unless, rule.clear)
    trees = [c.tree for c in conditions if c is not None and c.tree is not None]
    details = (part.detail for tree in trees for part in walk(tree) if part.op is Op.PHASE)
    return {str(detail[0]) for detail in details if isinstance(detail, tuple)}


@dataclass(slots=True)
class _Trial:
    """A case in progress."""

    case: Case
    bundle: Bundle
    core: Core = field(init=False)
    journal: list[Entry] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    """Filed, or of a rule in shadow: what would be."""
    taken: int = 0

    def __post_init__(self) -> None:
        settings = Settings(start_ms=self.case.start_ms - TICK_MS, passing=True)
        self.core = Core(_city(self.case.stands), self.bundle, settings, Saved("trial"))

    def run(self) -> Iterator[Failure]:
        """What fails, in the order of time; what must never be, at the end."""
        asked = sorted(
            (e for e in self.case.expectations if e.at_ms is not None), key=lambda e: e.at_ms or 0
        )
        for now_ms, batch in self._instants():
            # What time did in between, it did at its minutes, before anything else came.
            self._pass_idle(now_ms)
            if batch:
                self._note(self.core.take(list(map(self._reading, batch)), now_ms))
            self._note(self.core.pass_time(now_ms))
            while asked and asked[0].at_ms == now_ms:
                yield from self._check(asked.pop(0))
        for expectation in self.case.expectations:
            if expectation.at_ms is None:
                yield from self._check_never(expectation)

    def _instants(self) -> Iterator[tuple[int, list[Sample]]]:
        """When something arrives, and what; when something is expected."""
        wanted = (e.at_ms for e in self.case.expectations if e.at_ms is not None)
        instants: dict[int, list[Sample]] = {at_ms: [] for at_ms in (*wanted, self.case.until_ms)}
        for sample in self.case.samples():
            instants.setdefault(sample.arrives_ms, []).append(sample)
        until_ms = self.case.until_ms
        yield from sorted((ms, batch) for ms, batch in instants.items() if ms <= until_ms)

    def _pass_idle(self, now_ms: int) -> None:
        """Every minute before `now_ms`; those at which nothing can change are left out."""
        core = self.core
        while (minute_ms := minute_from(max(core.next_ms, core.tick_ms + 1))) < now_ms:
            self._note(core.pass_time(minute_ms))
        self._note(core.pass_time(now_ms - 1))

    def _reading(self, sample: Sample) -> Reading:
        self.taken += 1
        address = Address("trial", sample.kind, sample.device, "telemetry")
        return Reading(
            address, sample.ts_ms, 1, self.taken, dict(sample.values), sample.place, sample.faults,
            sim=False, accel=None, body=b"",
        )  # fmt: skip

    def _note(self, effects: Effects | None) -> None:
        if effects is not None:
            self.journal += effects.journal
            self.incidents |= effects.incidents
            self.rows += [*effects.outbox, *effects.unfiled]

    # -- what holds ---------------------------------------------------------------------------

    def _check(self, expected: Expectation) -> Iterator[Failure]:
        for name, wanted, got in self._asked(expected):
            if got != wanted:
                yield Failure(expected.line, f"{name}: {wanted}", str(got))
        if expected.says is not None:
            said = [row.request.description for row in self._filed(expected)]
            if not said or expected.says not in said[-1]:
                yield Failure(
                    expected.line, f"says: {expected.says}", said[-1] if said else "no request"
                )

    def _asked(self, expected: Expectation) -> Iterator[tuple[str, object, object]]:
        """(what, what is wanted, what holds) of each thing that is asked."""
        if expected.state is not None:
            states = {self._state(subject, expected) for subject in self._subjects(expected)}
            yield "state", expected.state, " and ".join(sorted(states)) or "ok"
        filed = self._filed(expected)
        if expected.filed is not None:
            yield "filed", expected.filed, len(filed)
        if expected.service is not None:
            yield "service", expected.service, filed[-1].service if filed else "no request"
        if expected.absorbed is not None:
            yield "absorbed", expected.absorbed, self._absorbed(expected)
        if expected.incident is not None:
            yield "incident", expected.incident, self._incident(expected)

    def _check_never(self, expected: Expectation) -> Iterator[Failure]:
        subjects = set(self._subjects(expected))
        for word in expected.never:
            if word == "filed":
                found = [f"{row.service} was" for row in self._filed(expected)]
            else:
                found = [
                    f"{entry.subject} was, {self._since_start(entry.at_ms)}"
                    for entry in self.journal
                    if entry.incident is None
                    and (entry.rule, entry.after) == (self._rule(expected), word)
                    and entry.subject in subjects
                ]
            if found:
                yield Failure(expected.line, f"never: {word}", found[0])

    def _rule(self, expected: Expectation) -> str:
        return expected.rule or self.case.rule

    def _subjects(self, expected: Expectation) -> Sequence[str]:
        """What the rule watches in this city, or the part of it that is asked about."""
        rule = self.bundle.rules[self._rule(expected)]
        stands = [s for s in self.case.stands if expected.on in (None, s.id)]
        if rule.scope == "place":
            return sorted({e.subject for e in self.journal if e.rule == rule.id})
        if rule.scope == "circuit":
            circuits = dict.fromkeys(s.attributes.get("circuit") for s in stands)
            return [circuit_id(str(circuit)) for circuit in circuits if circuit]
        alike = [stand for stand in stands if stand.kind == rule.sensor]
        if rule.scope == "zone":
            zones = dict.fromkeys(_asset(stand).zone for stand in alike)
            return [zone_id(zone, rule.sensor) for zone in zones]
        return [stand.id for stand in alike]

    def _state(self, subject: str, expected: Expectation) -> str:
        return str(shown(self.core.running.instance(subject, self._rule(expected))))

    def _of(self, expected: Expectation) -> list[Incident]:
        subjects = set(self._subjects(expected))
        found = [
            incident
            for incident in self.incidents.values()
            if incident.rule == self._rule(expected) and incident.subject in subjects
        ]
        return sorted(found, key=lambda incident: incident.id)

    def _filed(self, expected: Expectation) -> list[Row]:
        mine = {incident.id for incident in self._of(expected)}
        return [row for row in self.rows if row.incident_id in mine]

    def _absorbed(self, expected: Expectation) -> int:
        """Faults that this one explains, or explained until it ended."""
        mine = {incident.id for incident in self._of(expected)}
        children = (i for i in self.incidents.values() if i.state is State.ABSORBED)
        return sum(child.parent in mine for child in children)

    def _incident(self, expected: Expectation) -> str:
        found = self._of(expected)
        if not found:
            return "none"
        last = found[-1]
        wanted = expected.incident
        if wanted == "open":
            return "open" if last.is_open else self._ended(last)
        return self._ended(last) if wanted == "sensor_clear" else str(last.state)

    @staticmethod
    def _ended(incident: Incident) -> str:
        cleared = incident.cleared_ms is not None and incident.state is not State.WITHDRAWN
        return "sensor_clear" if cleared else str(incident.state)

    # -- what happened ------------------------------------------------------------------------

    def timeline(self) -> Iterator[str]:
        """For people, when something did not hold."""
        for entry in self.journal[:TIMELINE_MAX]:
            step = f"{entry.before} -> {entry.after}" if entry.before else entry.after
            when = self._since_start(entry.at_ms)
            yield f"{when:>10}  {entry.rule}  {entry.subject}  {step}: {entry.cause}"
        if len(self.journal) > TIMELINE_MAX:
            yield f"... and {len(self.journal) - TIMELINE_MAX} more"

    def _since_start(self, at_ms: int) -> str:
        seconds = (at_ms - self.case.start_ms) / 1000
        return f"{seconds / 60:+g}min"


def _city(stands: Sequence[Stand]) -> City:
    assets: Mapping[str, Asset] = {stand.id: _asset(stand) for stand in stands}
    return City(assets, assets)


def _asset(stand: Stand) -> Asset:
    attributes = stand.attributes
    return Asset(
        stand.id, stand.kind, str(attributes.get("zone", "trial")), stand.lat, stand.lon, None,
        (stand.id,), attributes, ((0, attributes),),
    )  # fmt: skip
