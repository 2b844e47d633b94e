"""Incidents: a fault episode from its firing to one request, and to its end (rules.md section 3).

Pure. One incident per rule, subject and episode, for ever: the episode counts up only when the one
before has ended. An incident waits (held) until late samples and a parent fault can no longer
change the picture; then it is queued for the city exactly once, absorbed by its parent, or
withdrawn because it is over. Every step returns why.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from rules.engine import Transition
from rules.instance import Phase
from rules.rule import Rule


class State(StrEnum):
    HELD = "held"
    QUEUED = "queued"
    ABSORBED = "absorbed"
    NOTED = "noted"
    WITHDRAWN = "withdrawn"


class Why(StrEnum):
    """Reasons, as they stand in the journal."""

    FIRED = "the rule fired"
    URGENT = "urgent: filed at once"
    STOOD = "it stood through the wait for late samples and parent faults"
    NO_FILING = "the rule asks nothing of the city"
    EXPLAINED = "explained by the parent fault"
    PARENT_PENDING = "a parent fault is being judged"
    PARENT_GONE = "the parent fault ended and this one still stands"
    CLEARING = "it may be clearing"
    OVER_BEFORE_DUE = "it cleared before it was due"
    LATE_SAMPLE = "a late sample showed that it never fired"
    CLEARED = "the sensor shows it clear"


class Incident(msgspec.Struct, array_like=True):
    """One fault episode. Times in ms of event time; `id` is given by the book."""

    id: int
    rule: str
    subject: str
    episode: int
    state: State
    started_ms: int
    fired_ms: int
    due_ms: int
    values: dict[str, Any]
    parent: int | None = None
    cleared_ms: int | None = None
    why: str = Why.FIRED

    @property
    def is_open(self) -> bool:
        return self.cleared_ms is None and self.state is not State.WITHDRAWN


class Step(NamedTuple):
    """What happened to an incident. `queue`: its request is to be put into the outbox now."""

    incident: Incident
    at_ms: int
    why: Why
    queue: bool = False


class Neighbourhood(NamedTuple):
    """What the book asks of the world around it."""

    rule: Callable[[str], Rule]
    phase: Callable[[str, str], Phase]
    """(subject, rule) -> phase."""
    parent_of: Callable[[str], str | None]
    """subject -> the subject that a parent rule would be about (a lamp's circuit)."""


class Book:
    """All open incidents, and the number of the last episode of each fault."""

    def __init__(self, world: Neighbourhood) -> None:
        self._world = world
        self._open: dict[tuple[str, str], Incident] = {}
        self._held: dict[int, Incident] = {}
        self._children: dict[int, set[tuple[str, str]]] = {}
        self._episodes: dict[tuple[str, str], int] = {}
        self._last_id = 0

    def restore(
        self, rows: Iterable[Incident], episodes: Mapping[tuple[str, str], int], last_id: int
    ) -> None:
        """Take up the open incidents after a start."""
        self._episodes.update(episodes)
        self._last_id = last_id
        for incident in rows:
            self._keep(incident)

    def open_incidents(self) -> Iterable[Incident]:
        return self._open.values()

    def apply(self, transition: Transition, now_ms: int) -> list[Step]:
        """A rule changed its phase: open, end or withdraw. `now_ms` is the engine's time."""
        key = (transition.rule, transition.subject)
        known = self._open.get(key)
        if transition.withdrawn:
            return self._withdraw(known, now_ms) if known else []
        if transition.before is Phase.PENDING and transition.after is Phase.FIRING and not known:
            return [self._open_new(transition, now_ms)]
        if transition.before is Phase.CLEARING and transition.after is Phase.OK and known:
            return self._clear(known, transition.at_ms)
        return []

    def due(self, now_ms: int) -> list[Step]:
        """The held incidents whose wait is over, decided."""
        steps = []
        for incident in sorted(self._held.values(), key=lambda i: (i.due_ms, i.id)):
            if incident.due_ms <= now_ms:
                step = self._decide(incident, now_ms)
                if step is not None:
                    steps.append(step)
        return steps

    # -- the parts ----------------------------------------------------------------------------

    def _open_new(self, transition: Transition, now_ms: int) -> Step:
        key = (transition.rule, transition.subject)
        rule = self._world.rule(transition.rule)
        episode = self._episodes.get(key, 0) + 1
        self._episodes[key] = episode
        self._last_id += 1
        wait_ms = 0 if rule.monotone else rule.lateness_ms
        incident = Incident(
            id=self._last_id,
            rule=transition.rule,
            subject=transition.subject,
            episode=episode,
            state=State.HELD,
            started_ms=transition.started_ms,
            fired_ms=transition.at_ms,
            due_ms=transition.at_ms + max(wait_ms, rule.hold_ms),
            values={k: v for k, v in transition.values.items() if isinstance(v, bool | float)},
        )
        if rule.file is None:
            incident.state, incident.why = State.NOTED, Why.NO_FILING
        elif rule.file.urgent or (wait_ms == 0 and rule.hold_ms == 0):
            incident.state = State.QUEUED
            incident.why = Why.URGENT if rule.file.urgent else Why.FIRED
        self._keep(incident)
        return Step(incident, now_ms, Why(incident.why), incident.state is State.QUEUED)

    def _decide(self, incident: Incident, now_ms: int) -> Step | None:
        phase = self._world.phase(incident.subject, incident.rule)
        if phase is Phase.CLEARING:
            return None  # it is either over soon, or true again
        parent = self._parent(incident)
        if parent is Phase.PENDING:
            return None
        del self._held[incident.id]
        if isinstance(parent, Incident):
            incident.state, incident.parent, incident.why = (
                State.ABSORBED,
                parent.id,
                Why.EXPLAINED,
            )
            self._children.setdefault(parent.id, set()).add((incident.rule, incident.subject))
            return Step(incident, now_ms, Why.EXPLAINED)
        incident.state, incident.why = State.QUEUED, Why.STOOD
        return Step(incident, now_ms, Why.STOOD, queue=True)

    def _parent(self, incident: Incident) -> Incident | Phase | None:
        """The open parent fault that explains this one; PENDING while that is being judged."""
        rule = self._world.rule(incident.rule)
        subject = self._world.parent_of(incident.subject) if rule.absorbed_by else None
        if subject is None:
            return None
        pending = False
        for parent_rule in rule.absorbed_by:
            parent = self._open.get((parent_rule, subject))
            if parent is not None:
                return parent
            pending = pending or self._world.phase(subject, parent_rule) is Phase.PENDING
        return Phase.PENDING if pending else None

    def _clear(self, incident: Incident, at_ms: int) -> list[Step]:
        incident.cleared_ms = at_ms
        why = Why.CLEARED
        if incident.state is State.HELD:
            incident.state, why = State.WITHDRAWN, Why.OVER_BEFORE_DUE
        incident.why = why
        self._forget(incident)
        return [Step(incident, at_ms, why), *self._release(incident, at_ms)]

    def _withdraw(self, incident: Incident, now_ms: int) -> list[Step]:
        incident.state, incident.why = State.WITHDRAWN, Why.LATE_SAMPLE
        incident.cleared_ms = now_ms
        self._forget(incident)
        return [Step(incident, now_ms, Why.LATE_SAMPLE), *self._release(incident, now_ms)]

    def _release(self, parent: Incident, at_ms: int) -> list[Step]:
        """A parent ended: each of its children is judged from its own state again."""
        steps = []
        for key in sorted(self._children.pop(parent.id, ())):
            child = self._open.get(key)
            if child is None or child.state is not State.ABSORBED:
                continue
            rule = self._world.rule(child.rule)
            child.state, child.why = State.HELD, Why.PARENT_GONE
            child.due_ms = at_ms + max(rule.lateness_ms, rule.hold_ms)
            self._held[child.id] = child
            steps.append(Step(child, at_ms, Why.PARENT_GONE))
        return steps

    def _keep(self, incident: Incident) -> None:
        key = (incident.rule, incident.subject)
        self._open[key] = incident
        if incident.state is State.HELD:
            self._held[incident.id] = incident
        elif incident.state is State.ABSORBED and incident.parent is not None:
            self._children.setdefault(incident.parent, set()).add(key)

    def _forget(self, incident: Incident) -> None:
        del self._open[incident.rule, incident.subject]
        self._held.pop(incident.id, None)
        if incident.parent is not None:
            self._children.get(incident.parent, set()).discard((incident.rule, incident.subject))


def key_of(installation: str, incident: Incident) -> str:
    """What a request's reference is made from: this fault episode and no other, anywhere."""
    return f"v1:{installation}:{incident.rule}:{incident.subject}:{incident.episode}"
