"""Backtest: what a set of rules would have filed, had it been in force over some messages.

Pure. Every message goes through the very core of the gateway, with its time of receipt for the
clock and a tick for every minute after what came with it, so that a backtest decides what the
gateway would have decided; only the sending is left out. Keeps what was filed, the spans in which
rules were pending and firing, and what nearly fired; never the messages, so that its memory does
not grow with them.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.cases.incident import Incident, State, wait_ms
from gateway.cityhall.delivery import Row
from gateway.cityhall.requests import duration, rfc3339
from gateway.clock import TICK_MS
from gateway.core import Core
from gateway.effects import Effects, Entry, Saved, Settings, StoredReading
from gateway.field.devices import Verdict
from gateway.inventory.assets import City
from gateway.workbench.inquiry import Received
from rules.instance import Phase
from rules.rule import Bundle, Rule

SPANS_MAX = 200  # kept for each rule and subject, the latest ones
NEAR_MAX = 500  # near misses kept, the nearest ones
NEAR_SHARE = 0.5  # of the time or the samples that a rule asks for
HOLE_MS_MAX = 8 * 86_400_000  # in a longer hole of the recording, minutes are not told one by one
_FILED = (State.QUEUED, State.SHADOW)
_LASTING = (Phase.PENDING, Phase.FIRING, Phase.CLEARING)


@dataclass(frozen=True, slots=True)
class Filing:
    """One request that would have been made. Times in ms; `cleared_ms` None: it went on."""

    number: int
    rule: str
    service: str
    subject: str
    asset_id: str | None
    lat: float
    long: float
    started_ms: int
    fired_ms: int
    filed_ms: int
    cleared_ms: int | None
    description: str
    values: Mapping[str, Any]
    shadow: bool = False
    """Of a rule in shadow mode: noted, not sent."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A rule on a subject stood in one phase. `end_ms` None: to the end of the data."""

    phase: str
    start_ms: int
    end_ms: int | None
    cause: str = ""
    """Why it ended."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule was pending for long and did not fire. `share`: of the time or samples asked for."""

    rule: str
    subject: str
    start_ms: int
    end_ms: int
    share: float
    margin_ms: int
    cause: str


Key = tuple[str, str]
"""(rule, subject)."""


@dataclass(frozen=True, slots=True)
class Result:
    """All that a backtest found. `undecided`: fired at the very end, still waiting."""

    messages: int
    readings: int
    duplicates: int
    late: int
    refusals: Mapping[str, int]
    first_ms: int
    last_ms: int
    settled_ms: int
    filings: tuple[Filing, ...]
    incidents: Mapping[str, int]
    """State -> how many."""
    stretches: Mapping[Key, tuple[Stretch, ...]]
    near: tuple[NearMiss, ...]
    unfiled: Mapping[Key, tuple[Incident, ...]] = field(default_factory=dict)
    """Incidents that became no request."""

    @property
    def undecided(self) -> int:
        return self.incidents.get(State.HELD, 0)

    def nearest(self, keys: Iterable[Key], start_ms: int, end_ms: int | None) -> str:
        """What came closest to a filing on one of these, while something lasted."""
        stretches: list[Stretch] = []
        for key in keys:
            for incident in self.unfiled.get(key, ()):
                if _overlap(incident.started_ms, incident.cleared_ms, start_ms, end_ms):
                    fired = f"fired at {rfc3339(incident.fired_ms)}"
                    return f"{fired}, but {incident.state}: {incident.why}"
            stretches += [
                one
                for one in self.stretches.get(key, ())
                if _overlap(one.start_ms, one.end_ms, start_ms, end_ms)
            ]
        if not stretches:
            return "the condition was never true while it lasted"
        return self._told(max(stretches, key=self._lasted_ms))

    def _told(self, stretch: Stretch) -> str:
        since = rfc3339(stretch.start_ms)
        if stretch.phase != Phase.PENDING:
            return f"{stretch.phase} since {since}, in an episode that was filed"
        cause = stretch.cause or "the data ended"
        return f"pending for {duration(self._lasted_ms(stretch))} from {since}, then {cause}"

    def _lasted_ms(self, stretch: Stretch) -> int:
        return (self.last_ms if stretch.end_ms is None else stretch.end_ms) - stretch.start_ms


class Backtest:
    """One set of rules over one stream of messages: `feed` them all, then `finish`."""

    def __init__(
        self,
        city: City,
        bundle: Bundle,
        settings: Settings,
        on_readings: Callable[[Sequence[StoredReading]], None] | None = None,
    ) -> None:
        """`on_readings` is given what was admitted, as it comes."""
        self._rules = bundle.rules
        self._on_readings = on_readings
        self._world = city, bundle, settings
        self._core: Core | None = None
        self._minute_ms = 0
        self._first_ms = self._last_ms = 0
        self._counts: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._incidents: dict[int, Incident] = {}
        self._rows: dict[int, tuple[Row, int, bool]] = {}
        self._chronicle = Chronicle(bundle.rules)

    def feed(self, received: Received) -> None:
        """The next message, in the order of receipt."""
        at_ms = received.at_ms
        core = self._core or self._begin(at_ms)
        self._counts["messages"] += 1
        self._last_ms = at_ms
        if at_ms - self._minute_ms > TICK_MS:
            self._pass_minutes(core, at_ms - 1)
        self._note(core.process([received.message], at_ms))

    def finish(self) -> Result:
        """The data has ended: what is held waits for as long as its rule asks for, and no longer.
        What would fire only then, by silence, is not counted: nobody knows what would have come.
        """
        end_ms = self._last_ms
        settled_ms = 0
        if self._core is not None:
            self._pass_minutes(self._core, end_ms)
            settled_ms = self._settle(self._core, end_ms)
        filings = tuple(
            _filing(number, self._incidents[incident_id], *told)
            for number, (incident_id, told) in enumerate(self._rows.items(), start=1)
            if self._incidents[incident_id].fired_ms <= end_ms
        )
        return Result(
            messages=self._counts["messages"],
            readings=self._counts["readings"],
            duplicates=self._counts["duplicates"],
            late=self._counts["late"],
            refusals=dict(self._refusals.most_common()),
            first_ms=self._first_ms,
            last_ms=self._last_ms,
            settled_ms=settled_ms,
            filings=filings,
            incidents=Counter(str(one.state) for one in self._incidents.values()),
            stretches=self._chronicle.stretches(),
            near=self._chronicle.near(),
            unfiled=self._unfiled(),
        )

    def _begin(self, now_ms: int) -> Core:
        """Nothing is remembered from before the first message."""
        self._first_ms = now_ms
        self._minute_ms = (now_ms - 1) // TICK_MS * TICK_MS
        city, bundle, settings = self._world
        settings = replace(settings, follow=False, start_ms=self._minute_ms, passing=True)
        self._core = Core(city, bundle, settings, Saved("backtest"))
        return self._core

    def _pass_minutes(self, core: Core, now_ms: int) -> None:
        """As the clock of a running gateway does, which ticks though nothing comes."""
        to_ms = now_ms - now_ms % TICK_MS
        first_ms = max(self._minute_ms, to_ms - HOLE_MS_MAX)
        for minute_ms in range(first_ms + TICK_MS, to_ms + 1, TICK_MS):
            self._pass_time(core, minute_ms)
        self._minute_ms = to_ms

    def _pass_time(self, core: Core, now_ms: int) -> None:
        effects = core.pass_time(now_ms)
        if effects is not None:
            self._note(effects)

    def _settle(self, core: Core, end_ms: int) -> int:
        longest_ms = max((wait_ms(r) for r in self._rules.values() if r.file), default=0)
        past_ms = 0
        while past_ms <= longest_ms and self._is_waiting(end_ms):
            past_ms += TICK_MS
            self._pass_time(core, end_ms + past_ms)
        return past_ms

    def _is_waiting(self, end_ms: int) -> bool:
        held = (one for one in self._incidents.values() if one.state is State.HELD)
        return any(one.is_open and one.fired_ms <= end_ms for one in held)

    def _note(self, effects: Effects) -> None:
        if self._on_readings is not None and effects.readings:
            self._on_readings(effects.readings)
        for reading in effects.readings:
            self._counts["readings"] += 1
            if reading.verdict is Verdict.LATE:
                self._counts["late"] += 1
        for refusal in effects.refusals:
            self._refusals[refusal.reason] += 1
        self._counts["duplicates"] += effects.duplicates
        if not effects.journal:
            return
        self._incidents |= effects.incidents
        filed = {e.incident: e.at_ms for e in effects.journal if e.after in _FILED}
        for rows, shadow in ((effects.outbox, False), (effects.unfiled, True)):
            for row in rows:
                self._rows[row.incident_id] = (row, filed[row.incident_id], shadow)
        for entry in effects.journal:
            if entry.incident is None:
                self._chronicle.note(entry)

    def _unfiled(self) -> dict[Key, tuple[Incident, ...]]:
        found: dict[Key, list[Incident]] = defaultdict(list)
        for incident_id, incident in self._incidents.items():
            if incident_id not in self._rows:
                found[incident.rule, incident.subject].append(incident)
        return {key: tuple(some) for key, some in found.items()}


class Chronicle:
    """In which phase each rule stood on each subject, from when to when."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._since: dict[Key, tuple[str, int]] = {}
        self._past: dict[Key, deque[Stretch]] = defaultdict(lambda: deque(maxlen=SPANS_MAX))
        self._near: list[tuple[float, int, NearMiss]] = []
        self._count = 0

    def note(self, entry: Entry) -> None:
        if Phase.BLIND in (entry.before, entry.after):
            return  # not seen, but in the same phase
        key = (entry.rule, entry.subject)
        before = self._since.pop(key, None)
        if before is not None and before[1] < entry.at_ms:
            stretch = Stretch(*before, entry.at_ms, entry.cause)
            self._past[key].append(stretch)
            if before[0] == Phase.PENDING and entry.after == Phase.OK:
                self._note_near(key, stretch, entry.at_ms)
        if entry.after in _LASTING:
            self._since[key] = (entry.after, entry.at_ms)

    def stretches(self) -> dict[Key, tuple[Stretch, ...]]:
        found = {key: tuple(past) for key, past in self._past.items()}
        for key, (phase, start_ms) in self._since.items():
            found[key] = (*found.get(key, ()), Stretch(phase, start_ms, None))
        return found

    def near(self) -> tuple[NearMiss, ...]:
        return tuple(miss for _, _, miss in sorted(self._near, key=lambda one: (-one[0], one[1])))

    def _note_near(self, key: Key, stretch: Stretch, end_ms: int) -> None:
        rule = self._rules[key[0]]
        lasted_ms = end_ms - stretch.start_ms
        # Without a time, at least one of the samples asked for had spoken for it.
        share = min(1.0, lasted_ms / rule.for_ms) if rule.for_ms else 1 / rule.samples_min
        if share < NEAR_SHARE:
            return
        margin_ms = max(0, rule.for_ms - lasted_ms)
        miss = NearMiss(*key, stretch.start_ms, end_ms, share, margin_ms, stretch.cause)
        self._count += 1
        push = heapq.heappush if len(self._near) < NEAR_MAX else heapq.heappushpop
        push(self._near, (share, -self._count, miss))


def backtest(
    city: City, bundle: Bundle, settings: Settings, messages: Iterable[Received]
) -> Result:
    """Run a whole stream."""
    run = Backtest(city, bundle, settings)
    for received in messages:
        run.feed(received)
    return run.finish()


def _overlap(start_ms: int, end_ms: int | None, since_ms: int, until_ms: int | None) -> bool:
    begun = until_ms is None or start_ms <= until_ms
    return begun and (end_ms is None or end_ms >= since_ms)


def own_delay_ms(rule: Rule) -> int:
    """The longest that a rule may take from its first true sample to its filing."""
    samples_ms = (rule.samples_min - 1) * rule.gap_ms_max
    return max(rule.for_ms, samples_ms) + wait_ms(rule) + TICK_MS


def _filing(number: int, incident: Incident, row: Row, filed_ms: int, shadow: bool) -> Filing:
    request = row.request
    return Filing(
        number=number,
        rule=incident.rule,
        service=row.service,
        subject=incident.subject,
        asset_id=request.asset_id,
        lat=request.lat,
        long=request.long,
        started_ms=incident.started_ms,
        fired_ms=incident.fired_ms,
        filed_ms=filed_ms,
        cleared_ms=incident.cleared_ms,
        description=request.description,
        values=incident.values,
        shadow=shadow,
    )
