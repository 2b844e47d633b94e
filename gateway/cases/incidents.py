"""Incidents: a fault episode from its firing to one request, and to its end.

Pure. One incident per rule, subject and episode, for ever: the episode counts up only when the one
before has ended. An incident waits (held) until late samples and a parent fault can no longer
change the picture; then it is queued for the city exactly once, absorbed by its parent, or
withdrawn because it is over. That of a rule or an asset in shadow goes the same way, is recorded
instead of queued, and stands in no live one's way. Every step returns why.
"""

from collections.abc import Iterable, Mapping

from gateway.cases.explanation import Explanations
from gateway.cases.incident import Incident, State, Step, Why, describe, unsay, wait_ms
from gateway.cases.neighbourhood import Neighbourhood
from gateway.cases.shelf import Key, Shelf
from gateway.cases.silences import GRACE_MS
from rules.engine import Transition
from rules.instance import Phase

FLAPS = 3
"""So many episodes of one fault that were filed within FLAP_MS are enough for the city to know that
it comes and goes."""
FLAP_MS = 86_400_000
AGAIN_MS = 7 * 86_400_000
"""What the city closes again and again unrepaired is filed once a week."""


_TOLD = (Why.STILL_SEEN, Why.NOT_REPAIRED, Why.REOPENED, Why.SPLIT)
"""Reasons to file that say more than that it stood through its wait."""


class RefusedError(Exception):
    """What was asked of the book by hand does not fit; the message says why."""


class Book:
    """All open incidents, and the number of the last episode of each fault."""

    def __init__(self, world: Neighbourhood) -> None:
        self._world = world
        self._shelf = Shelf()
        self._explained = Explanations(world, self._shelf)

    def restore(self, rows: Iterable[Incident], episodes: Mapping[Key, int], last_id: int) -> None:
        """Take up the incidents that are open, and those that ended last, after a start or with
        other rules. A child whose parent is not there any more (its rule was taken out, or went
        into shadow) is judged again; so is what still stands of a rule that left the shadow.
        """
        self._shelf.number_from(episodes, last_id)
        incidents = list(rows)
        open_ = {incident.id: incident for incident in incidents if incident.cleared_ms is None}
        for incident in incidents:
            if incident.cleared_ms is not None:
                self._shelf.end(incident)
                continue
            parent = open_.get(incident.parent or 0)
            if incident.state is State.ABSORBED and not (
                parent and self._explained.explains(parent, incident)
            ):
                incident.state, incident.why = State.HELD, Why.PARENT_GONE
                incident.parent = None
            elif incident.state is State.SHADOW and not self._world.is_shadow(incident):
                incident.state, incident.why = State.HELD, Why.PROMOTED
            self._shelf.keep(incident)

    def open_incidents(self) -> Iterable[Incident]:
        return self._shelf.all_open()

    def apply(self, transition: Transition, now_ms: int) -> list[Step]:
        """A rule changed its phase: open, correct, end or withdraw. `now_ms` is the engine's time;
        what is held waits from then on, since after an outage others may still have to report.
        """
        known = self._shelf.open_of(transition.rule, transition.subject)
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
        elif turn == (Phase.FIRING, Phase.FIRING):
            steps = self._still_there(known, now_ms)
        return steps

    @property
    def due_ms(self) -> int:
        """When the first of the held incidents is due."""
        return self._shelf.due_ms

    def due(self, now_ms: int) -> list[Step]:
        """The held incidents whose wait is over, decided."""
        steps = []
        for incident in self._shelf.held():
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
        ended = self._shelf.ended_of(transition.rule, transition.subject)
        if ended is None or ended.cleared_ms is None or ended.cleared_ms < transition.at_ms:
            return None
        return ended

    def _open_new(self, transition: Transition, now_ms: int) -> Step:
        incident = self._shelf.new(transition.rule, transition.subject)
        last = self._shelf.ended_of(transition.rule, transition.subject)
        if last is not None:
            filed = (last.fired_ms,) if last.state in (State.QUEUED, State.SHADOW) else ()
            recent = (*last.recent_ms, *filed)
            incident.recent_ms = tuple(
                fired_ms for fired_ms in recent if fired_ms > transition.at_ms - FLAP_MS
            )
        return self._begin(incident, transition, now_ms, Why.FIRED)

    def _take_up(self, ended: Incident, transition: Transition, now_ms: int) -> Step:
        """Open an incident again. Nothing is asked of the city a second time."""
        ended.cleared_ms = ended.parent = None
        if ended.state in (State.QUEUED, State.NOTED) or (
            ended.state is State.SHADOW and self._world.is_shadow(ended)
        ):
            ended.why = Why.GOES_ON
            self._shelf.keep(ended)
            return Step(ended, now_ms, Why.GOES_ON)
        return self._begin(ended, transition, now_ms, Why.GOES_ON)

    def _begin(self, incident: Incident, transition: Transition, now_ms: int, why: Why) -> Step:
        rule = self._world.rule(incident.rule)
        incident.state, incident.why = State.HELD, why
        describe(incident, transition)
        incident.due_ms = max(incident.fired_ms, now_ms) + wait_ms(rule)
        if len(incident.recent_ms) >= FLAPS and rule.file is not None and not rule.file.urgent:
            incident.due_ms, incident.why = incident.fired_ms + FLAP_MS, Why.FLAPPING
        step = Step(incident, now_ms, Why(incident.why))
        if rule.file is None or rule.file.urgent or wait_ms(rule) == 0:
            step = self._at_once(incident, now_ms, why)
        self._shelf.keep(incident)
        return step

    def _at_once(self, incident: Incident, now_ms: int, why: Why) -> Step:
        rule = self._world.rule(incident.rule)
        if rule.file is None:
            return self._ask(incident, now_ms, why)
        if rule.file.urgent:
            return self._ask(incident, now_ms, Why.URGENT)
        if incident.why == Why.FLAPPING:
            return Step(incident, now_ms, Why.FLAPPING)
        return self._settle(incident, now_ms) or Step(incident, now_ms, why)

    def _correct(self, known: Incident, transition: Transition, now_ms: int) -> list[Step]:
        """It is open, and fired at another time than was told."""
        if known.state is not State.HELD:
            return []
        describe(known, transition)
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
        parent = self._explained.parent(incident)
        if parent is Phase.PENDING or not self._explained.was_seen_since(incident, now_ms):
            return None
        if isinstance(parent, Incident):
            incident.state, incident.parent = State.ABSORBED, parent.id
            same = parent.subject == incident.subject
            incident.why = Why.SAME_FAULT if same else Why.EXPLAINED
            step = Step(incident, now_ms, Why(incident.why))
        elif (hushed := self._hushed(incident, now_ms)) is not None:
            step = hushed
        else:
            waited = wait_ms(self._world.rule(incident.rule)) > 0 and incident.why not in _TOLD
            step = self._ask(incident, now_ms, Why.STOOD if waited else Why(incident.why))
        self._shelf.keep(incident)
        return step

    def _hushed(self, incident: Incident, now_ms: int) -> Step | None:
        """In a maintenance window it waits; after one that it fired in, it is to be seen again."""
        until_ms = self._world.silenced(incident, now_ms)
        if until_ms is not None and now_ms < until_ms + GRACE_MS:
            incident.due_ms, incident.why = until_ms + GRACE_MS, Why.SILENCED
            return Step(incident, now_ms, Why.SILENCED)
        fired_in_one = until_ms is not None or incident.why == Why.SILENCED
        if not fired_in_one or incident.why in (Why.SILENCE_OVER, Why.STILL_SEEN):
            return None
        if not self._world.ask(incident.subject, incident.rule, now_ms):
            return None
        incident.due_ms, incident.why = now_ms, Why.SILENCE_OVER
        return Step(incident, now_ms, Why.SILENCE_OVER)

    def _ask(self, incident: Incident, now_ms: int, why: Why) -> Step:
        """The one place where a request comes from: asked of the city, or only recorded."""
        rule = self._world.rule(incident.rule)
        incident.state, incident.why = State.QUEUED, why
        if rule.file is None:
            incident.state, incident.why = State.NOTED, Why.NO_FILING
        elif self._world.is_shadow(incident):
            incident.state, incident.why = State.SHADOW, Why.SHADOW
        return Step(incident, now_ms, Why(incident.why), queue=rule.file is not None)

    # -- ends ---------------------------------------------------------------------------------

    def _clear(self, incident: Incident, at_ms: int, now_ms: int) -> list[Step]:
        why = Why.CLEARED
        if incident.state is State.HELD and incident.why == Why.PROMOTED:
            incident.state = State.SHADOW  # it was over before it was live
        elif incident.state is State.HELD:
            incident.state, why = State.WITHDRAWN, Why.OVER_BEFORE_DUE
        return self._end(incident, max(at_ms, incident.fired_ms), now_ms, why)

    def _withdraw(self, incident: Incident, now_ms: int) -> list[Step]:
        unsay(incident)
        return self._end(incident, now_ms, now_ms, Why.LATE_SAMPLE)

    def _disown(self, transition: Transition, now_ms: int) -> list[Step]:
        """The last episode is over, and should not have been."""
        ended = self._shelf.ended_of(transition.rule, transition.subject)
        if ended is None or ended.why == Why.LATE_SAMPLE:
            return []
        unsay(ended)
        ended.why = Why.LATE_SAMPLE
        return [Step(ended, now_ms, Why.LATE_SAMPLE)]

    def _end(self, incident: Incident, at_ms: int, now_ms: int, why: Why) -> list[Step]:
        incident.cleared_ms, incident.why = at_ms, why
        self._shelf.end(incident)
        return [Step(incident, at_ms, why), *self._release(incident, max(at_ms, now_ms))]

    def _release(self, parent: Incident, at_ms: int) -> list[Step]:
        """A parent ended: each of its children is judged from its own state again."""
        return [
            self._hold(child, at_ms + wait_ms(self._world.rule(child.rule)), Why.PARENT_GONE, at_ms)
            for child in self._shelf.let_go(parent)
        ]

    def _hold(self, incident: Incident, due_ms: int, why: Why, now_ms: int) -> Step:
        incident.state, incident.why, incident.parent = State.HELD, why, None
        incident.due_ms = due_ms
        self._shelf.keep(incident)
        return Step(incident, now_ms, why)

    # -- what the city says, and whether it is so ---------------------------------------------

    def closed(self, number: int, request_id: str, from_ms: int, now_ms: int) -> list[Step]:
        """The city closed its request: the sensor is to show from then on whether it is repaired;
        of a circuit, its lamps are.
        """
        incident = self._known(number)
        incident.closed_ms, incident.city_id = now_ms, request_id
        if incident.is_open:
            for asked in (incident, *self._shelf.children(incident)):
                self._world.ask(asked.subject, asked.rule, from_ms)
        return [Step(incident, now_ms, Why.CITY_CLOSED)]

    def opened(self, number: int, now_ms: int) -> list[Step]:
        """The city opened it again: it is being seen to."""
        incident = self._known(number)
        incident.closed_ms, incident.city_id = None, ""
        return [Step(incident, now_ms, Why.CITY_REOPENED)]

    def _still_there(self, incident: Incident, now_ms: int) -> list[Step]:
        """Samples after the city's word, or after a silence, show it anew."""
        if incident.state is State.QUEUED and incident.closed_ms is not None:
            return self._again(incident, now_ms, Why.NOT_REPAIRED)
        if incident.state is State.HELD and incident.why == Why.SILENCE_OVER:
            incident.why = Why.STILL_SEEN
            step = self._settle(incident, now_ms)
            return [step] if step is not None else []
        if incident.state is not State.ABSORBED:
            return []
        incident.why = Why.STILL_SEEN
        return [Step(incident, now_ms, Why.STILL_SEEN), *self._still_explains(incident, now_ms)]

    def _still_explains(self, child: Incident, now_ms: int) -> list[Step]:
        """The parent that the city closed is not repaired once half of what it explains is not, and
        it is not clearing itself.
        """
        parent = self._shelf.get(child.parent or 0)
        if parent is None or parent.closed_ms is None or not parent.is_open:
            return []
        if self._world.phase(parent.subject, parent.rule) is not Phase.FIRING:
            return []
        children = self._shelf.children(parent)
        seen = sum(other.why == Why.STILL_SEEN for other in children)
        return self._again(parent, now_ms, Why.NOT_REPAIRED) if 2 * seen >= len(children) else []

    def _again(self, incident: Incident, now_ms: int, why: Why) -> list[Step]:
        """What it was asked for is over, the fault is not: the next episode, which names the
        request before, and explains what this one did. Once in AGAIN_MS.
        """
        children = self._shelf.let_go(incident)
        new = self._shelf.new(incident.rule, incident.subject)
        new.started_ms, new.fired_ms, new.values = incident.started_ms, now_ms, incident.values
        new.earlier, new.why = incident.city_id, why
        new.due_ms = max(now_ms, incident.fired_ms + AGAIN_MS if incident.earlier else now_ms)
        ended = self._end(incident, now_ms, now_ms, why) if incident.is_open else []
        self._shelf.keep(new)
        for child in children:
            child.parent, child.why = new.id, Why.EXPLAINED
            self._shelf.keep(child)
        step = self._settle(new, now_ms) if new.due_ms <= now_ms else None
        moved = [Step(child, now_ms, Why.EXPLAINED) for child in children]
        return [*ended, step or Step(new, now_ms, why), *moved]

    def unhush(self, now_ms: int) -> list[Step]:
        """A silence ended early: what it held waits no longer than others do after one."""
        hushed = [i for i in self._shelf.held() if i.why == Why.SILENCED]
        for incident in hushed:
            incident.due_ms = min(incident.due_ms, now_ms + GRACE_MS)
        return [Step(incident, now_ms, Why.SILENCED) for incident in hushed]

    # -- what a person says -------------------------------------------------------------------

    def merge(self, number: int, into: int, now_ms: int) -> list[Step]:
        """Both are one fault: the first is explained by the second, and so is what it explains."""
        incident, parent = self._known(number), self._known(into)
        if incident is parent or not (incident.is_open and parent.is_open):
            raise RefusedError("two incidents that are open can be merged, one into the other")
        if parent.state is State.ABSORBED:
            raise RefusedError(
                f"incident {into} is itself explained by {parent.parent}: merge into that"
            )
        steps = []
        for child in (*self._shelf.let_go(incident), incident):
            child.state, child.why, child.parent = State.ABSORBED, Why.MERGED, parent.id
            self._shelf.keep(child)
            steps.append(Step(child, now_ms, Why.MERGED))
        return steps

    def split(self, number: int, now_ms: int) -> list[Step]:
        """It is a fault of its own, and is filed as soon as it is judged again."""
        incident = self._known(number)
        if incident.state is not State.ABSORBED or not incident.is_open:
            raise RefusedError(f"incident {number} is {incident.state}: nothing explains it")
        parent = self._shelf.get(incident.parent or 0)
        self._shelf.part(incident, parent)
        return [self._hold(incident, now_ms, Why.SPLIT, now_ms)]

    def reopen(self, number: int, now_ms: int) -> list[Step]:
        """It is not repaired, whatever was said: asked again, with the number of before."""
        incident = self._known(number)
        other = self._shelf.open_of(incident.rule, incident.subject)
        if other is not None and other is not incident:
            raise RefusedError(f"incident {other.id} is about the same fault and is open")
        if incident.is_open and incident.closed_ms is None:
            raise RefusedError(
                f"incident {number} is open, and the city has not closed its request"
            )
        if not incident.is_open:
            self._world.resume(incident.subject, incident.rule, incident.started_ms, now_ms)
        return self._again(incident, now_ms, Why.REOPENED)

    def _known(self, number: int) -> Incident:
        incident = self._shelf.get(number)
        if incident is None:
            raise RefusedError(f"there is no incident {number}, or it ended long ago")
        return incident
