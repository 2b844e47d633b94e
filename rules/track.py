"""One subject's running state, and the rules that watch its kind.

Owns what a subject is and the layout of its rules' states. All quiet is always one and the same
tuple, so it is told by `is`. No decisions: those are in `rules.instance` and `rules.judging`.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from rules.codegen import remembering
from rules.instance import QUIET, Change, Instance, next_ms
from rules.local_time import LocalTime
from rules.rule import Bundle, Judge, Rule, Values
from rules.sky import Sky

ZONE = "zone:"
"""Begins the kind of a zone."""
NEVER_MS = 1 << 62
LATENESS_MS = 300_000  # where no rule of a kind says otherwise: samples may still swap places


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules are about: an asset, a circuit, or a place on the road."""

    id: str
    kind: str
    """The sensor kind whose rules apply; "circuit" for the circuit scope, "place" for places,
    "zone:" and a sensor kind for the assets of that kind in a zone.
    """
    attributes: Values = field(default_factory=dict)
    lat: float | None = None
    lon: float | None = None
    members: tuple[str, ...] = ()
    """Circuits: the ids of their lamps. Zones: of their assets."""
    meter: str | None = None
    """Circuits: the id of their cabinet."""
    time_zone: str = ""
    """By which clocks it is 6 o'clock there: an IANA name."""


Instances = tuple[Instance, ...]
Slots = tuple[tuple[Any, ...], ...]
Told = tuple[tuple[int, Change], ...]
"""Changes with the number of the watch that they are about."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A rule as the hot path sees it."""

    i: int
    """Its place in the states of a subject."""
    rule: Rule
    when: Judge
    unless: Judge | None
    clear: Judge | None
    fold: Judge | None
    """What `unless` and `clear` remember, where neither of them matters."""
    reads: frozenset[str]
    slotted: bool
    on_tick: bool
    """Judged as time passes, by silence, phases or peers: no late sample rewrites its story."""
    on_silence: bool
    """Only a tick can make it true: the samples themselves end a silence."""


@dataclass(slots=True)
class Plan:
    """The rules of one kind of subject."""

    watches: tuple[Watch, ...]
    by_samples: tuple[Watch, ...]
    """Those that a sample can move when all is quiet."""
    index: dict[str, int]
    lateness_ms: int
    quiet_ms: int
    """Before this much silence no tick changes a subject without running timers."""
    instances: Instances
    slots: Slots


class Track:
    """One subject's running state."""

    __slots__ = (
        "clock", "instances", "last_ms", "plan", "ring", "sky", "slots", "subject", "timed",
        "values", "wake_ms",
    )  # fmt: skip

    def __init__(
        self, subject: Subject, plan: Plan, sky: Sky | None, clock: LocalTime | None = None
    ) -> None:
        self.subject = subject
        self.plan = plan
        self.sky = sky
        self.clock = clock
        self.last_ms = -1
        """The last sample."""
        self.instances = plan.instances
        self.slots = plan.slots
        self.ring: list[tuple[int, msgspec.Raw]] = []
        """Recent samples, the last one at the end; `rules.ring` knows what is in them."""
        self.timed: Told = ()
        """What changed by the passing of time since the last sample."""
        self.values: dict[str, Any] = {}
        """Of the last sample."""
        self.wake_ms = NEVER_MS


def make_plan(kind: str, bundle: Bundle) -> Plan:
    rules = [rule for rule in bundle.rules.values() if _kind_of(rule) == kind]
    watches = tuple(_watch(i, rule) for i, rule in enumerate(rules))
    quiet = [r.blind_after_ms for r in rules if r.blind_after_ms is not None]
    quiet += [r.silence_ms_min for r in rules if r.on_tick and not is_group(kind)]
    return Plan(
        watches=watches,
        by_samples=tuple(watch for watch in watches if not watch.on_silence),
        index={rule.id: i for i, rule in enumerate(rules)},
        lateness_ms=max((rule.lateness_ms for rule in rules), default=0) or LATENESS_MS,
        quiet_ms=min(quiet, default=NEVER_MS),
        instances=(QUIET,) * len(rules),
        slots=tuple(tuple(rule.slots) for rule in rules),
    )


def _watch(i: int, rule: Rule) -> Watch:
    beside = [condition for condition in (rule.unless, rule.clear) if condition]
    return Watch(
        i,
        rule,
        rule.when.judge,
        rule.unless.judge if rule.unless else None,
        rule.clear.judge if rule.clear else None,
        remembering((c.tree, c.first_slot) for c in beside if c.tree is not None),
        rule.when.fields.union(*(c.fields for c in beside)),
        bool(rule.slots),
        rule.on_tick,
        rule.on_tick and rule.silence_ms_min > 0,
    )


def _kind_of(rule: Rule) -> str:
    if rule.scope == "zone":
        return f"{ZONE}{rule.sensor}"
    return rule.sensor if rule.scope == "asset" else rule.scope


def is_group(kind: str) -> bool:
    """Whether subjects of this kind have members, and are judged by them."""
    return kind == "circuit" or kind.startswith(ZONE)


def wake_ms(track: Track) -> int:
    """From when on a tick has something to do for this subject."""
    plan = track.plan
    wake_ms = NEVER_MS if track.last_ms < 0 else track.last_ms + plan.quiet_ms
    if track.instances is not plan.instances:
        for watch, state in zip(plan.watches, track.instances, strict=True):
            if state is QUIET:
                continue
            if watch.on_tick:
                return 0
            timer_ms = next_ms(watch.rule, state)
            if timer_ms is not None and timer_ms < wake_ms:
                wake_ms = timer_ms
    return wake_ms


def set_instance(track: Track, i: int, state: Instance) -> None:
    """Change one rule's state. All quiet is always the plan's own tuple, told by `is`."""
    items = track.instances
    changed = (*items[:i], state, *items[i + 1 :])
    quiet = state is QUIET and all(item is QUIET for item in changed)
    track.instances = track.plan.instances if quiet else changed


def set_slots(track: Track, i: int, memory: list[Any]) -> bool:
    """Keep what a rule's conditions remember. False if it is what they did before."""
    after = tuple(memory)
    if after == track.slots[i]:
        return False
    track.slots = (*track.slots[:i], after, *track.slots[i + 1 :])
    return True


NOWHERE = Track(Subject("", ""), make_plan("", Bundle({}, "")), None)
"""A subject that no rule is about."""
