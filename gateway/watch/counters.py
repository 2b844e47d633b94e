"""Counters: what passed through the gateway since this process began, and how long it took.

In memory and by the batch, so that they cost next to nothing; what has to outlive the process is
counted from the store, by `tally`. Bounded: labels are words of ours (a reason, a kind), never a
device's. No decisions, no clock: durations are handed in.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.effects import Effects

BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""From a quiet second to a disk that is in trouble."""
_KIND = itemgetter(2)  # of a StoredReading
_REASON = itemgetter(3)  # of a StoredRefusal


class Spread(NamedTuple):
    """A histogram as it is told: `counts[n]` were at most `bounds_s[n]` and more than the bound
    before; the last count, of one more, is of those beyond every bound.
    """

    bounds_s: Sequence[float]
    counts: Sequence[int]
    sum_s: float

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Spread":
        return cls(told["bounds_s"], told["counts"], told["sum_s"])

    def up_to(self) -> list[tuple[str, int]]:
        """(bound, how many were at most that), as Prometheus counts."""
        bounds, total, below = [*map(str, self.bounds_s), "+Inf"], 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            total += count
            below.append((bound, total))
        return below


class Durations:
    """A histogram with fixed buckets."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def told(self) -> dict[str, Any]:
        sum_s = round(self._sum_s, 6)
        return Spread(BUCKETS_S, list(self._counts), sum_s)._asdict()


@dataclass(slots=True)
class Counters:
    """Since the start of this process. Written by the core's thread alone."""

    messages: int = 0
    readings: int = 0
    duplicates: int = 0
    refusals: int = 0
    batches: int = 0
    requests: int = 0
    unfiled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    reloads: int = 0
    reloads_refused: int = 0
    batch: Durations = field(default_factory=Durations)
    commit: Durations = field(default_factory=Durations)

    def add(self, effects: Effects) -> None:
        """What one transaction did, whether messages or time led to it."""
        self.readings += len(effects.readings)
        self.duplicates += effects.duplicates
        self.refusals += len(effects.refusals)
        self.requests += len(effects.outbox)
        self.unfiled += len(effects.unfiled)
        self.kinds.update(map(_KIND, effects.readings))
        self.reasons.update(map(_REASON, effects.refusals))

    def time(self, messages: int, batch_s: float, commit_s: float) -> None:
        """One batch of messages: from taking it to its acknowledgement; of that, its commit."""
        self.batches += 1
        self.messages += messages
        self.batch.add(batch_s)
        self.commit.add(commit_s)

    def reload(self, *, refused: bool) -> None:
        self.reloads += not refused
        self.reloads_refused += refused

    def told(self) -> dict[str, Any]:
        """For the status."""
        return {
            "messages": self.messages,
            "readings": self.readings,
            "duplicates": self.duplicates,
            "refusals": self.refusals,
            "refusal_reasons": dict(self.reasons),
            "batches": self.batches,
            "requests": self.requests,
            "unfiled_in_shadow": self.unfiled,
        }

    def figures(self) -> dict[str, Any]:
        """For machines."""
        return {
            "kinds": dict(self.kinds),
            "batch": self.batch.told(),
            "commit": self.commit.told(),
            "reloads": self.reloads,
            "reloads_refused": self.reloads_refused,
        }
