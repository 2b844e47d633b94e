"""The incidents that are known: the open ones, those that ended last, and the number of the next.

Owns where an incident is found: by rule and subject, by number, by what explains it, by when it is
due. Decides nothing about any of them.
"""

from collections.abc import Iterable, Iterator, Mapping

from gateway.cases.incident import Incident, State
from rules.track import NEVER_MS

ENDED_MAX = 1000  # ended incidents remembered: a late sample may show that one goes on

Key = tuple[str, str]
"""Rule and subject: one of them is open at a time."""


class Shelf:
    def __init__(self) -> None:
        self._open: dict[Key, Incident] = {}
        self._by_id: dict[int, Incident] = {}
        self._by_subject: dict[str, set[str]] = {}
        self._held: dict[int, Incident] = {}
        self._children: dict[int, set[Key]] = {}
        self._ended: dict[Key, Incident] = {}
        self._episodes: dict[Key, int] = {}
        self._last_id = 0

    def number_from(self, episodes: Mapping[Key, int], last_id: int) -> None:
        """Which episodes, and which numbers, there have been."""
        self._episodes.update(episodes)
        self._last_id = last_id

    def new(self, rule: str, subject: str) -> Incident:
        """The next episode of a fault, not yet on the shelf."""
        key = (rule, subject)
        episode = self._episodes[key] = self._episodes.get(key, 0) + 1
        self._last_id += 1
        return Incident(
            id=self._last_id,
            rule=rule,
            subject=subject,
            episode=episode,
            state=State.HELD,
            started_ms=0,
            fired_ms=0,
            due_ms=0,
            values={},
        )

    def keep(self, incident: Incident) -> None:
        """It is open, in whatever state it is in now."""
        key = _key(incident)
        if self._ended.get(key) is incident:
            del self._ended[key]
        self._open[key] = self._by_id[incident.id] = incident
        self._by_subject.setdefault(incident.subject, set()).add(incident.rule)
        self._held.pop(incident.id, None)
        if incident.state is State.HELD:
            self._held[incident.id] = incident
        elif incident.state is State.ABSORBED and incident.parent is not None:
            self._children.setdefault(incident.parent, set()).add(key)

    def end(self, incident: Incident) -> None:
        """It is open no more; the last that ended of its fault is remembered."""
        key = _key(incident)
        if self._open.get(key) is incident:
            del self._open[key]
            rules = self._by_subject[incident.subject]
            rules.discard(incident.rule)
            if not rules:
                del self._by_subject[incident.subject]
        self._held.pop(incident.id, None)
        if incident.parent is not None:
            self._children.get(incident.parent, set()).discard(key)
        forgotten = self._ended.pop(key, None)
        if forgotten is not None and forgotten is not incident:
            self._by_id.pop(forgotten.id, None)
        self._ended[key] = self._by_id[incident.id] = incident
        if len(self._ended) > ENDED_MAX:
            oldest = self._ended.pop(next(iter(self._ended)))
            self._by_id.pop(oldest.id, None)

    def open_of(self, rule: str, subject: str) -> Incident | None:
        return self._open.get((rule, subject))

    def ended_of(self, rule: str, subject: str) -> Incident | None:
        """The last that ended."""
        return self._ended.get((rule, subject))

    def get(self, number: int) -> Incident | None:
        """Open, or ended not long ago."""
        return self._by_id.get(number)

    def all_open(self) -> Iterable[Incident]:
        return self._open.values()

    def beside(self, incident: Incident) -> Iterator[Incident]:
        """Other open faults of the same subject, in the order of their rules' names."""
        for rule in sorted(self._by_subject.get(incident.subject, ())):
            if rule != incident.rule:
                yield self._open[rule, incident.subject]

    def children(self, parent: Incident) -> list[Incident]:
        """The open faults that it explains."""
        return [self._open[key] for key in sorted(self._children.get(parent.id, ()))]

    def part(self, incident: Incident, parent: Incident | None) -> None:
        """It is this parent's child no more."""
        if parent is not None:
            self._children.get(parent.id, set()).discard(_key(incident))

    def let_go(self, parent: Incident) -> list[Incident]:
        """Its children, which are nobody's from now on."""
        children = self.children(parent)
        self._children.pop(parent.id, None)
        return children

    def held(self) -> list[Incident]:
        """Those that wait, in the order in which they are due."""
        return sorted(self._held.values(), key=lambda incident: (incident.due_ms, incident.id))

    @property
    def due_ms(self) -> int:
        """When the first of those that wait is due."""
        return min((incident.due_ms for incident in self._held.values()), default=NEVER_MS)


def _key(incident: Incident) -> Key:
    return incident.rule, incident.subject
