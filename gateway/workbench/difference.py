"""The difference of two backtests over the same messages: what one files and the other does not.

Pure. Two filings are the same when they ask for the same service, for the same asset or a place
within the reach of a label, in episodes that overlap; each is matched once, the nearest in time
first. What is the same may still have moved, and how far is told.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.cases.places import metres
from gateway.workbench.backtest import Filing, Result
from rules.rule import Bundle

REACH_M = 25.0  # the contract: a place answers for another within this
_PLACE = ""


@dataclass(frozen=True, slots=True)
class Change:
    """The same fault, filed by both. Shifts in ms, later is positive; None where only one cleared,
    or neither.
    """

    old: Filing
    new: Filing

    @property
    def started_ms(self) -> int:
        return self.new.started_ms - self.old.started_ms

    @property
    def filed_ms(self) -> int:
        return self.new.filed_ms - self.old.filed_ms

    @property
    def cleared_ms(self) -> int | None:
        if self.new.cleared_ms is None or self.old.cleared_ms is None:
            return None
        return self.new.cleared_ms - self.old.cleared_ms

    @property
    def moved(self) -> bool:
        one_clears = (self.old.cleared_ms is None) != (self.new.cleared_ms is None)
        return bool(self.started_ms or self.filed_ms or self.cleared_ms or one_clears)


@dataclass(frozen=True, slots=True)
class OneSided:
    """Filed by one alone, and what the other made of it."""

    filing: Filing
    instead: str


@dataclass(frozen=True, slots=True)
class Difference:
    added: Sequence[OneSided]
    removed: Sequence[OneSided]
    changed: Sequence[Change]
    same: int

    @property
    def is_none(self) -> bool:
        return not (self.added or self.removed or self.changed)


def difference(old: tuple[Bundle, Result], new: tuple[Bundle, Result]) -> Difference:
    pairs = list(_matched(old[1].filings, new[1].filings))
    in_old = {id(pair.old) for pair in pairs}
    in_new = {id(pair.new) for pair in pairs}
    moved = [pair for pair in pairs if pair.moved]
    return Difference(
        [_one_sided(x, *old) for x in new[1].filings if id(x) not in in_new],
        [_one_sided(x, *new) for x in old[1].filings if id(x) not in in_old],
        sorted(moved, key=lambda pair: (pair.new.filed_ms, pair.new.number)),
        len(pairs) - len(moved),
    )


def _matched(old: Iterable[Filing], new: Iterable[Filing]) -> Iterable[Change]:
    by_thing: dict[tuple[str, str], list[Filing]] = defaultdict(list)
    for filing in old:
        by_thing[filing.service, filing.asset_id or _PLACE].append(filing)
    fits = [
        (abs(one.started_ms - other.started_ms), other.number, one.number, other, one)
        for one in new
        for other in by_thing[one.service, one.asset_id or _PLACE]
        if _same_episode(other, one)
    ]
    taken: set[int] = set()
    for _, _, _, other, one in sorted(fits, key=lambda fit: fit[:3]):
        if id(other) not in taken and id(one) not in taken:
            taken |= {id(other), id(one)}
            yield Change(other, one)


def _same_episode(one: Filing, other: Filing) -> bool:
    if not one.asset_id and metres(one.lat, one.long, other.lat, other.long) > REACH_M:
        return False
    first, second = sorted((one, other), key=lambda filing: filing.started_ms)
    return first.cleared_ms is None or second.started_ms <= first.cleared_ms


def _one_sided(filing: Filing, bundle: Bundle, other: Result) -> OneSided:
    """`bundle`, `other`: the side that did not file it."""
    rules = [
        rule.id
        for rule in bundle.rules.values()
        if rule.file is not None and rule.file.service == filing.service
    ]
    if not rules:
        return OneSided(filing, f"no rule files {filing.service}")
    keys = [(rule, filing.subject) for rule in rules]
    return OneSided(filing, other.nearest(keys, filing.started_ms, filing.cleared_ms))
