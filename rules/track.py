"""One subject's running state, and the rules that watch its kind.

Owns what a subject is, the layout of its rules' states, and the ring of recent samples with the
state before each, from which a late sample is put in its place. No decisions: those are in
`rules.instance` and `rules.engine`.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rules.instance import QUIET, Change, Instance, Phase
from rules.rule import Bundle, Condition, Rule, Values

NEVER_MS = 1 << 62
LATENESS_MS = 300_000  # where no rule of a kind says otherwise: samples may still swap places


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules are about: an asset, a circuit, or a place on the road."""

    id: str
    kind: str
    """The sensor kind whose rules apply; "circuit" for the circuit scope, "place" for places."""
    attributes: Values = field(default_factory=dict)
    lat: float | None = None
    lon: float | None = None
    members: tuple[str, ...] = ()
    """Circuits: the ids of their lamps."""
    meter: str | None = None
    """Circuits: the id of their cabinet."""


class Entry(NamedTuple):
    """A sample in the ring, with the state before it and what came of it."""

    ts_ms: int
    values: dict[str, Any]
    instances: tuple[Instance, ...]
    slots: tuple[tuple[Any, ...], ...]
    changes: tuple[tuple[int, Change], ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """A rule as the hot path sees it."""

    rule: Rule
    when: Condition
    unless: Condition | None
    clear: Condition | None
    reads: frozenset[str]
    slotted: bool
    on_silence: bool
    """Only a tick can make it true: the samples themselves end a silence."""


@dataclass(slots=True)
class Plan:
    """The rules of one kind of subject."""

    watches: tuple[Watch, ...]
    index: dict[str, int]
    lateness_ms: int
    quiet_ms: int
    """Before this much silence no tick changes a subject without running timers."""
    instances: tuple[Instance, ...]
    slots: tuple[tuple[Any, ...], ...]


class Track:
    """One subject's running state."""

    __slots__ = (
        "cell", "instances", "last_ms", "plan", "ring", "slots", "subject", "values", "wake_ms",
    )  # fmt: skip

    def __init__(self, subject: Subject, plan: Plan) -> None:
        self.subject = subject
        self.plan = plan
        self.cell = _cell(subject)
        self.last_ms = -1
        self.instances = plan.instances
        self.slots = plan.slots
        self.ring: list[Entry] = []
        self.values: dict[str, Any] = {}
        self.wake_ms = NEVER_MS


def make_plan(kind: str, bundle: Bundle) -> Plan:
    watches = tuple(
        Watch(
            rule,
            rule.when,
            rule.unless,
            rule.clear,
            rule.when.fields.union(*(c.fields for c in (rule.unless, rule.clear) if c)),
            bool(rule.slots),
            rule.on_tick and rule.silence_ms_min > 0,
        )
        for rule in bundle.rules.values()
        if _kind_of(rule) == kind
    )
    rules = [watch.rule for watch in watches]
    quiet = [r.blind_after_ms for r in rules if r.blind_after_ms is not None]
    quiet += [r.silence_ms_min for r in rules if r.on_tick and kind != "circuit"]
    return Plan(
        watches=watches,
        index={rule.id: i for i, rule in enumerate(rules)},
        lateness_ms=max((rule.lateness_ms for rule in rules), default=0) or LATENESS_MS,
        quiet_ms=min(quiet, default=NEVER_MS),
        instances=(QUIET,) * len(rules),
        slots=tuple(tuple(rule.slots) for rule in rules),
    )


def _kind_of(rule: Rule) -> str:
    return rule.sensor if rule.scope == "asset" else rule.scope


def wake_ms(track: Track) -> int:
    """From when on a tick has something to do for this subject."""
    for state in track.instances:
        if state is not QUIET and (state.phase is not Phase.OK or state.blind):
            return 0
    return NEVER_MS if track.last_ms < 0 else track.last_ms + track.plan.quiet_ms


def _cell(subject: Subject) -> tuple[float, float] | None:
    if subject.lat is None or subject.lon is None:
        return None
    return round(subject.lat, 1), round(subject.lon, 1)


def replaced(items: tuple[Any, ...], i: int, item: Any) -> tuple[Any, ...]:
    """The tuple with one item changed."""
    return (*items[:i], item, *items[i + 1 :])


def carry_over(
    track: Track,
    layout: list[list[str]],
    instances: tuple[Instance, ...],
    slots: tuple[tuple[Any, ...], ...],
) -> None:
    """Keep the state of each rule that is the same as when it was saved."""
    old = {tuple(rule): i for i, rule in enumerate(layout)}
    for i, watch in enumerate(track.plan.watches):
        at = old.get((watch.rule.id, watch.rule.state_hash))
        if at is not None and at < len(instances):
            kept = QUIET if instances[at] == QUIET else instances[at]
            track.instances = replaced(track.instances, i, kept)
            track.slots = replaced(track.slots, i, slots[at])


NOWHERE = Track(Subject("", ""), make_plan("", Bundle({}, "")))
"""A subject that no rule is about."""
