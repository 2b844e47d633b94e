"""Incidents: a fault episode from its firing to one request, and to its end.

Pure. One incident per rule, subject and episode, for ever: the episode counts up only when the one
before has ended. An incident waits (held) until late samples and a parent fault can no longer
change the picture; then it is queued for the city exactly once, absorbed by its parent, or
withdrawn because it is over. That of a rule in shadow goes the same way, is recorded instead of
queued, and stands in no live one's way. Every step returns why.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from rules.engine import Transition
from rules.instance import Phase
from rules.rule import Rule
from rules.track import NEVER_MS


class State(StrEnum):
    HELD = "held"
    QUEUED = "queued"
    ABSORBED = "absorbed"
    NOTED = "noted"
    SHADOW = "shadow"
    WITHDRAWN = "withdrawn"


class Why(StrEnum):
    """Reasons, as they stand in the journal."""

    FIRED = "the rule fired"
    URGENT = "urgent: filed at once"
    STOOD = "it stood through the wait for late samples and parent faults"
    NO_FILING = "the rule asks nothing of the city"
    SHADOW = "shadow: not filed"
    PROMOTED = "it still stands, and its rule is live now"
    EXPLAINED = "explained by the parent fault"
    PARENT_GONE = "the parent fault ended and this one still stands"
    OVER_BEFORE_DUE = "it cleared before it was due"
    LATE_SAMPLE = "a late sample showed that it never fired"
    CORRECTED = "a late sample moved its beginning"
    GOES_ON = "a late sample showed that it goes on"
    CLEARED = "the sensor shows it clear"


ENDED_MAX = 1000  # ended incidents remembered: a late sample may show that one goes on


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
    """What happened to an incident. `queue`: its request is to be put into the outbox now; of one
    in shadow, on record.
    """

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
    seen_ms: Callable[[str], int]
    """subject -> its last sample."""


_Key = tuple[str, str]


class Book:
    """All open incidents, and the number of the last episode of each fault."""

    def __init__(self, world: Neighbourhood) -> None:
        self._world = world
        self._open: dict[_Key, Incident] = {}
        self._held: dict[int, Incident] = {}
        self._children: dict[int, set[_Key]] = {}
        self._ended: dict[_Key, Incident] = {}
        self._episodes: dict[_Key, int] = {}
        self._last_id = 0

    def restore(self, rows: Iterable[Incident], episodes: Mapping[_Key, int], last_id: int) -> None:
        """Take up the incidents that are open, and those that ended last, after a start or with
        other rules. A child whose parent is not there any more (its rule was taken out, or went
        into shadow) is judged again; so is what still stands of a rule that left the shadow.
        """
        self._episodes.update(episodes)
        self._last_id = last_id
        incidents = list(rows)
        open_ = {incident.id: incident for incident in incidents if incident.cleared_ms is None}
        for incident in incidents:
            if incident.cleared_ms is not None:
                self._remember(incident)
                continue
            parent = open_.get(incident.parent or 0)
            if incident.state is State.ABSORBED and not (
                parent and self._explains(parent, incident)
            ):
                incident.state, incident.why = State.HELD, Why.PARENT_GONE
                incident.parent = None
            elif incident.state is State.SHADOW and not self._world.rule(incident.rule).in_shadow:
                incident.state, incident.why = State.HELD, Why.PROMOTED
            self._keep(incident)

    def open_incidents(self) -> Iterable[Incident]:
        return self._open.values()

    def apply(self, transition: Transition, now_ms: int) -> list[Step]:
        """A rule changed its phase: open, correct, end or withdraw. `now_ms` is the engine's time;
        what is held waits from then on, since after an outage others may still have to report.
        """
        known = self._open.get((transition.rule, transition.subject))
        if transition.withdrawn:
            return self._withdraw(known, now_ms) if known else self._disown(transition, now_ms)
        if known is None:
            return self._open_by(transition, now_ms)
        turn = transition.before, transition.after
        steps: list[Step] = []
        if turn == (Phase.PENDING, Phase.FIRING):
            steps = self._correct(known, transition, now_ms)
        elif turn == (Phase.FIRING, Phase.CLEARING):
            steps = self._stood(known, transition.at_ms)
        elif turn == (Phase.CLEARING, Phase.OK):
            steps = self._clear(known, transition.at_ms, now_ms)
        return steps

    @property
    def due_ms(self) -> int:
        """When the first of the held incidents is due."""
        return min((incident.due_ms for incident in self._held.values()), default=NEVER_MS)

    def due(self, now_ms: int) -> list[Step]:
        """The held incidents whose wait is over, decided."""
        steps = []
        for incident in sorted(self._held.values(), key=lambda i: (i.due_ms, i.id)):
            if incident.due_ms <= now_ms:
                step = self._decide(incident, now_ms)
                if step is not None:
                    steps.append(step)
        return steps

    # -- beginnings ---------------------------------------------------------------------------

    def _open_by(self, transition: Transition, now_ms: int) -> list[Step]:
        """A new episode; or the last one after all, if it goes on, or if only a late sample had
        withdrawn it.
        """
        before, after = transition.before, transition.after
        goes_on = before is Phase.OK and after in (Phase.FIRING, Phase.CLEARING)
        if not goes_on and (before, after) != (Phase.PENDING, Phase.FIRING):
            return []
        ended = self._same_episode(transition)
        if ended is not None and (goes_on or ended.why == Why.LATE_SAMPLE):
            return [self._take_up(ended, transition, now_ms)]
        return [self._open_new(transition, now_ms)]

    def _same_episode(self, transition: Transition) -> Incident | None:
        ended = self._ended.get((transition.rule, transition.subject))
        if ended is None or ended.cleared_ms is None or ended.cleared_ms < transition.at_ms:
            return None
        return ended

    def _open_new(self, transition: Transition, now_ms: int) -> Step:
        key = (transition.rule, transition.subject)
        episode = self._episodes.get(key, 0) + 1
        self._episodes[key] = episode
        self._last_id += 1
        incident = Incident(
            id=self._last_id,
            rule=transition.rule,
            subject=transition.subject,
            episode=episode,
            state=State.HELD,
            started_ms=0,
            fired_ms=0,
            due_ms=0,
            values={},
        )
        return self._begin(incident, transition, now_ms, Why.FIRED)

    def _take_up(self, ended: Incident, transition: Transition, now_ms: int) -> Step:
        """Open an incident again. Nothing is asked of the city a second time."""
        del self._ended[ended.rule, ended.subject]
        ended.cleared_ms = ended.parent = None
        in_shadow = self._world.rule(ended.rule).in_shadow
        if ended.state in (State.QUEUED, State.NOTED) or (
            ended.state is State.SHADOW and in_shadow
        ):
            ended.why = Why.GOES_ON
            self._keep(ended)
            return Step(ended, now_ms, Why.GOES_ON)
        return self._begin(ended, transition, now_ms, Why.GOES_ON)

    def _begin(self, incident: Incident, transition: Transition, now_ms: int, why: Why) -> Step:
        rule = self._world.rule(incident.rule)
        incident.state, incident.why = State.HELD, why
        _describe(incident, transition)
        incident.due_ms = max(incident.fired_ms, now_ms) + wait_ms(rule)
        step = Step(incident, now_ms, why)
        if rule.file is None or rule.file.urgent or wait_ms(rule) == 0:
            urgent = rule.file is not None and rule.file.urgent
            step = self._ask(incident, now_ms, Why.URGENT if urgent else why)
        self._keep(incident)
        return step

    def _correct(self, known: Incident, transition: Transition, now_ms: int) -> list[Step]:
        """It is open, and fired at another time than was told."""
        if known.state is not State.HELD:
            return []
        _describe(known, transition)
        return [Step(known, now_ms, Why.CORRECTED)]

    # -- decisions ----------------------------------------------------------------------------

    def _stood(self, incident: Incident, at_ms: int) -> list[Step]:
        """It begins to clear. If its wait was over by then, it stood through it, whether or not
        anything made time pass in between. A child whose parent ended, and one just out of the
        shadow, is told by this very sample that it ended too.
        """
        waited = incident.state is State.HELD and at_ms >= incident.due_ms
        if not waited or incident.why in (Why.PARENT_GONE, Why.PROMOTED):
            return []
        step = self._settle(incident, at_ms)
        return [step] if step is not None else []

    def _decide(self, incident: Incident, now_ms: int) -> Step | None:
        if self._world.phase(incident.subject, incident.rule) is Phase.CLEARING:
            return None  # it is either over soon, or true again
        return self._settle(incident, now_ms)

    def _settle(self, incident: Incident, now_ms: int) -> Step | None:
        parent = self._parent(incident)
        if parent is Phase.PENDING or not self._was_seen_since(incident, now_ms):
            return None
        del self._held[incident.id]
        if isinstance(parent, Incident):
            incident.state, incident.why = State.ABSORBED, Why.EXPLAINED
            incident.parent = parent.id
            self._children.setdefault(parent.id, set()).add((incident.rule, incident.subject))
            return Step(incident, now_ms, Why.EXPLAINED)
        return self._ask(incident, now_ms, Why.STOOD)

    def _ask(self, incident: Incident, now_ms: int, why: Why) -> Step:
        """The one place where a request comes from: asked of the city, or only recorded."""
        rule = self._world.rule(incident.rule)
        incident.state, incident.why = State.QUEUED, why
        if rule.file is None:
            incident.state, incident.why = State.NOTED, Why.NO_FILING
        elif rule.in_shadow:
            incident.state, incident.why = State.SHADOW, Why.SHADOW
        return Step(incident, now_ms, Why(incident.why), queue=rule.file is not None)

    def _was_seen_since(self, incident: Incident, now_ms: int) -> bool:
        """After its parent has ended, a child is judged by what it says itself since then; one that
        stays silent for so long that it is blind is taken at its last word.
        """
        if incident.why != Why.PARENT_GONE:
            return True
        rule = self._world.rule(incident.rule)
        ended_ms = incident.due_ms - wait_ms(rule)
        seen = self._world.seen_ms(incident.subject) >= ended_ms
        return seen or now_ms - ended_ms >= (rule.blind_after_ms or rule.gap_ms_max)

    def _parent(self, incident: Incident) -> Incident | Phase | None:
        """The open parent fault that explains this one; PENDING while that is being judged. One
        in shadow, of which the city will not hear, explains nothing that is live.
        """
        rule = self._world.rule(incident.rule)
        subject = self._world.parent_of(incident.subject) if rule.absorbed_by else None
        if subject is None:
            return None
        pending = False
        for parent_rule in rule.absorbed_by:
            parent = self._open.get((parent_rule, subject))
            if parent is not None and self._explains(parent, incident):
                return parent
            is_pending = self._world.phase(subject, parent_rule) is Phase.PENDING
            pending = pending or (is_pending and self._may_explain(parent_rule, incident))
        return Phase.PENDING if pending else None

    def _explains(self, parent: Incident, child: Incident) -> bool:
        return parent.state is State.QUEUED or self._may_explain(parent.rule, child)

    def _may_explain(self, parent_rule: str, child: Incident) -> bool:
        rule = self._world.rule
        return not rule(parent_rule).in_shadow or rule(child.rule).in_shadow

    # -- ends ---------------------------------------------------------------------------------

    def _clear(self, incident: Incident, at_ms: int, now_ms: int) -> list[Step]:
        why = Why.CLEARED
        if incident.state is State.HELD and incident.why == Why.PROMOTED:
            incident.state = State.SHADOW  # it was over before it was live
        elif incident.state is State.HELD:
            incident.state, why = State.WITHDRAWN, Why.OVER_BEFORE_DUE
        return self._end(incident, max(at_ms, incident.fired_ms), now_ms, why)

    def _withdraw(self, incident: Incident, now_ms: int) -> list[Step]:
        _unsay(incident)
        return self._end(incident, now_ms, now_ms, Why.LATE_SAMPLE)

    def _disown(self, transition: Transition, now_ms: int) -> list[Step]:
        """The last episode is over, and should not have been."""
        ended = self._ended.get((transition.rule, transition.subject))
        if ended is None or ended.why == Why.LATE_SAMPLE:
            return []
        _unsay(ended)
        ended.why = Why.LATE_SAMPLE
        return [Step(ended, now_ms, Why.LATE_SAMPLE)]

    def _end(self, incident: Incident, at_ms: int, now_ms: int, why: Why) -> list[Step]:
        incident.cleared_ms, incident.why = at_ms, why
        key = (incident.rule, incident.subject)
        del self._open[key]
        self._held.pop(incident.id, None)
        if incident.parent is not None:
            self._children.get(incident.parent, set()).discard(key)
        self._remember(incident)
        return [Step(incident, at_ms, why), *self._release(incident, max(at_ms, now_ms))]

    def _release(self, parent: Incident, at_ms: int) -> list[Step]:
        """A parent ended: each of its children is judged from its own state again."""
        steps = []
        for key in sorted(self._children.pop(parent.id, ())):
            child = self._open[key]
            child.state, child.why, child.parent = State.HELD, Why.PARENT_GONE, None
            child.due_ms = at_ms + wait_ms(self._world.rule(child.rule))
            self._held[child.id] = child
            steps.append(Step(child, at_ms, Why.PARENT_GONE))
        return steps

    # -- the shelves --------------------------------------------------------------------------

    def _keep(self, incident: Incident) -> None:
        key = (incident.rule, incident.subject)
        self._open[key] = incident
        if incident.state is State.HELD:
            self._held[incident.id] = incident
        elif incident.state is State.ABSORBED and incident.parent is not None:
            self._children.setdefault(incident.parent, set()).add(key)

    def _remember(self, incident: Incident) -> None:
        key = (incident.rule, incident.subject)
        self._ended.pop(key, None)
        self._ended[key] = incident
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]


def _unsay(incident: Incident) -> None:
    """What was asked of the city cannot be unsaid, nor what would have been."""
    if incident.state not in (State.QUEUED, State.SHADOW):
        incident.state = State.WITHDRAWN


def _describe(incident: Incident, transition: Transition) -> None:
    incident.started_ms, incident.fired_ms = transition.started_ms, transition.at_ms
    incident.values = {k: v for k, v in transition.values.items() if isinstance(v, bool | float)}


def wait_ms(rule: Rule) -> int:
    """Until late samples, and a parent fault, can no longer change the picture."""
    return max(0 if rule.monotone else rule.lateness_ms, rule.hold_ms)


def key_of(installation: str, incident: Incident) -> str:
    """What a request's reference is made from: this fault episode and no other, anywhere."""
    return f"v1:{installation}:{incident.rule}:{incident.subject}:{incident.episode}"
