"""The city's word on what was filed: the outcome of each request, and rules judged by it.

Pure. For a city without labels: a request that the city closed was a fault, one that it closed with
the word that nothing was wrong was none, and of all others nobody knows. So precision and recall
here are of those alone, and each figure says of how many.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from gateway.cases.places import metres
from gateway.cityhall.following import CLOSED, DUPLICATE
from gateway.workbench.backtest import Filing
from gateway.workbench.difference import REACH_M


class Verdict(StrEnum):
    CONFIRMED = "confirmed"
    UNFOUNDED = "unfounded"
    UNKNOWN = "unknown"


_NOTHING_WRONG = re.compile(
    r"\bun(?:founded|substantiated|verified)\b|\bfalse (?:alarm|report)\b|\binvalid\b"
    r"|\bnot (?:found|located|an issue|broken|defective)\b|\bunable to (?:find|locate|verify)\b"
    r"|\bno\s+(?:\w+\s+){0,2}(?:found|needed|required|observed)\b"
    r"|\b(?:works?|working) (?:properly|correctly|fine|as designed)\b"
    r"|\bno se (?:encontr|detect)|\bsin (?:aver[ií]a|falla|problema)"
    r"|\baucune? (?:d[ée]faut|panne|probl[èe]me|anomalie)|\bnon (?:constat|fond)[ée]"
    r"|未发现|无故障|无需处理",
    re.IGNORECASE,
)
"""As cities write it: "Completed - no problem found", "Unable to locate"."""


def verdict_of(status: str, notes: str) -> Verdict:
    """`status` as `following` keeps it. A duplicate was reported by somebody else too."""
    if status == DUPLICATE:
        return Verdict.CONFIRMED
    if status != CLOSED:
        return Verdict.UNKNOWN
    return Verdict.UNFOUNDED if _NOTHING_WRONG.search(notes) else Verdict.CONFIRMED


class Answered(NamedTuple):
    """A request that was filed, and the city's word on it."""

    rule: str
    service: str
    subject: str
    asset_id: str | None
    lat: float
    long: float
    started_ms: int
    cleared_ms: int | None
    verdict: Verdict


@dataclass(slots=True)
class Score:
    """Of one rule. `missed`: confirmed by the city and not filed by these rules."""

    confirmed: int = 0
    unfounded: int = 0
    unknown: int = 0
    missed: int = 0

    @property
    def precision(self) -> float | None:
        known = self.confirmed + self.unfounded
        return self.confirmed / known if known else None

    @property
    def recall(self) -> float | None:
        faults = self.confirmed + self.missed
        return self.confirmed / faults if faults else None


@dataclass(slots=True)
class Judged:
    scores: dict[str, Score] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    """Of each filing, by its number."""
    missed: list[tuple[str, Answered]] = field(default_factory=list)
    """(the rule here that should have filed it, the request)."""


def judge(
    filings: Sequence[Filing], answered: Sequence[Answered], services: Mapping[str, str]
) -> Judged:
    """`services`: rule -> the service that it files, of every rule that files one."""
    judged = Judged({rule: Score() for rule in services})
    pairs = dict(_matched(filings, answered))
    for filing in filings:
        score = judged.scores.setdefault(filing.rule, Score())
        found = pairs.get(filing.number)
        verdict = Verdict.UNKNOWN if found is None else answered[found].verdict
        judged.verdicts[filing.number] = verdict
        setattr(score, verdict, getattr(score, verdict) + 1)
    taken = set(pairs.values())
    for place, one in enumerate(answered):
        rule = _answering(one, services)
        if place not in taken and one.verdict is Verdict.CONFIRMED and rule is not None:
            judged.scores[rule].missed += 1
            judged.missed.append((rule, one))
    return judged


def _answering(one: Answered, services: Mapping[str, str]) -> str | None:
    """The rule of the request, or the first one that files the same."""
    if services.get(one.rule) == one.service:
        return one.rule
    return next((rule for rule, service in services.items() if service == one.service), None)


def _matched(filings: Sequence[Filing], answered: Sequence[Answered]) -> Iterator[tuple[int, int]]:
    """(number of the filing, place of the request): each once, the nearest in time first."""
    by_thing: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, one in enumerate(answered):
        by_thing[one.service, one.asset_id or ""].append(place)
    fits = sorted(
        (abs(filing.started_ms - answered[place].started_ms), filing.number, place)
        for filing in filings
        for place in by_thing[filing.service, filing.asset_id or ""]
        if _same_episode(filing, answered[place])
    )
    numbers: set[int] = set()
    places: set[int] = set()
    for _, number, place in fits:
        if number not in numbers and place not in places:
            numbers.add(number)
            places.add(place)
            yield number, place


def _same_episode(filing: Filing, one: Answered) -> bool:
    if not filing.asset_id and metres(filing.lat, filing.long, one.lat, one.long) > REACH_M:
        return False
    if filing.started_ms <= one.started_ms:
        return filing.cleared_ms is None or one.started_ms <= filing.cleared_ms
    return one.cleared_ms is None or filing.started_ms <= one.cleared_ms
