"""Why a fault need not be filed: another one explains it, or it has not been seen since that ended.

Pure. A lamp is explained by its circuit, a second fault of an asset by the first that the same crew
comes for. Looks at the incidents and moves none.
"""

from gateway.cases.incident import Incident, State, Why, wait_ms
from gateway.cases.neighbourhood import Neighbourhood
from gateway.cases.shelf import Shelf
from rules.instance import Phase


class Explanations:
    def __init__(self, world: Neighbourhood, shelf: Shelf) -> None:
        self._world = world
        self._shelf = shelf

    def was_seen_since(self, incident: Incident, now_ms: int) -> bool:
        """After its parent has ended, a child is judged by what it says itself since then; after a
        silence, by being seen again. One that stays silent for so long that it is blind is taken at
        its last word.
        """
        rule = self._world.rule(incident.rule)
        blind_ms = rule.blind_after_ms or rule.gap_ms_max
        if incident.why == Why.SILENCE_OVER:
            silent = self._world.seen_ms(incident.subject) < incident.due_ms
            return silent and now_ms - incident.due_ms >= blind_ms
        if incident.why != Why.PARENT_GONE:
            return True
        ended_ms = incident.due_ms - wait_ms(rule)
        return self._world.seen_ms(incident.subject) >= ended_ms or now_ms - ended_ms >= blind_ms

    def parent(self, incident: Incident) -> Incident | Phase | None:
        """The open parent fault that explains this one; PENDING while that is being judged. One
        in shadow, of which the city will not hear, explains nothing that is live. What was split
        off by hand has none.
        """
        if incident.why == Why.SPLIT:
            return None
        rule = self._world.rule(incident.rule)
        subject = self._world.parent_of(incident.subject) if rule.absorbed_by else None
        if subject is None:
            return self._twin(incident)
        pending = False
        for parent_rule in rule.absorbed_by:
            parent = self._shelf.open_of(parent_rule, subject)
            if parent is not None and self.explains(parent, incident):
                return parent
            is_pending = self._world.phase(subject, parent_rule) is Phase.PENDING
            pending = pending or (is_pending and self._may_explain(parent_rule, incident))
        return Phase.PENDING if pending else self._twin(incident)

    def _twin(self, incident: Incident) -> Incident | None:
        """Another rule's fault of the same asset, filed already, that the same crew comes for."""
        asked = self._world.rule(incident.rule).file
        for other in self._shelf.beside(incident):
            file = self._world.rule(other.rule).file
            same = asked is not None and file is not None and file.service == asked.service
            if same and other.state is State.QUEUED:
                return other
        return None

    def explains(self, parent: Incident, child: Incident) -> bool:
        return parent.state is State.QUEUED or self._may_explain(parent.rule, child)

    def _may_explain(self, parent_rule: str, child: Incident) -> bool:
        rule = self._world.rule
        return not rule(parent_rule).in_shadow or rule(child.rule).in_shadow
