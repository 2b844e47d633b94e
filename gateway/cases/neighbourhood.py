"""What the incidents ask of the world around them: rules, phases, circuits, samples, silences.

Questions only, answered by whoever holds the engine and the city. Knows nothing itself.
"""

from collections.abc import Callable
from typing import NamedTuple

from gateway.cases.incident import Incident
from rules.instance import Phase
from rules.rule import Rule


class Neighbourhood(NamedTuple):
    """What the book asks of the world around it."""

    rule: Callable[[str], Rule]
    phase: Callable[[str, str], Phase]
    """(subject, rule) -> phase."""
    parent_of: Callable[[str], str | None]
    """subject -> the subject that a parent rule would be about (a lamp's circuit)."""
    seen_ms: Callable[[str], int]
    """subject -> its last sample."""
    ask: Callable[[str, str, int], bool] = lambda _subject, _rule, _from_ms: False
    """(subject, rule, from) -> whether samples from then on will show that it is still there."""
    resume: Callable[[str, str, int, int], None] = lambda _subject, _rule, _started, _fired: None
    """(subject, rule, started, fired): it fires, whatever the samples say so far."""
    silenced: Callable[[Incident, int], int | None] = lambda _incident, _now_ms: None
    """Until when the city is to hear nothing of it."""
    in_shadow: Callable[[str], bool] = lambda _subject: False
    """subject -> whether what is found of it is only recorded."""

    def is_shadow(self, incident: Incident) -> bool:
        """Whether the city hears nothing of it, because of its rule or of what it is about."""
        return self.rule(incident.rule).in_shadow or self.in_shadow(incident.subject)
