"""A test of a rule after loading: a small city, what its devices send, what is expected of it.

Made by `rules.cases` from the `tests:` of a rule, run by whoever has an engine. Immutable, and
small however many samples it stands for: they are laid out anew each time. Knows no YAML and runs
nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import merge

STALE_MS = 25 * 3_600_000
"""How far the time of a stale sample is behind that of its receipt: a day old is judged still."""
METRES_PER_DEGREE = 111_195.0


class Mark(StrEnum):
    """What stands for a sample without a value."""

    MISSING = "_"
    REJECT = "reject"
    STALE = "stale"


Claims = tuple[str, ...]
"""What a device says is wrong with it, in one message: its `faults`."""
Value = float | bool | Mark | Claims
Series = tuple[Value, ...]
FAULTS = "faults"
"""The key of the series of claims, beside those of values."""


@dataclass(frozen=True, slots=True)
class Stand:
    """An asset of a case. `attributes` by wire key."""

    id: str
    kind: str
    lat: float
    lon: float
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """One message of a device. `place`: where it was, for what moves."""

    arrives_ms: int
    ts_ms: int
    device: str
    kind: str
    values: Mapping[str, float | bool]
    place: tuple[float, float] | None = None
    faults: Claims = ()


@dataclass(frozen=True, slots=True)
class Feed:
    """What some devices send in step. A series of one value is held; one that is led by others
    (`held`) makes no sample by itself.
    """

    devices: tuple[str, ...]
    kind: str
    series: Mapping[str, Series]
    """By wire key; that of `FAULTS` is of claims."""
    held: frozenset[str] = frozenset()
    late_ms: Series = (0.0,)
    place: tuple[float, float] | None = None
    """Vehicles: where they pass, one after the other, a sample each."""
    north_m: Series = (0.0,)

    @property
    def length(self) -> int:
        return max((len(s) for s in (*self.series.values(), self.late_ms, self.north_m)), default=1)

    def samples(self, start_ms: int, every_ms: int, count: int) -> Iterator[Sample]:
        """In the order of the steps; what is late has its own time all the same."""
        for i in range(count):
            ts_ms = start_ms + i * every_ms
            said = {key: _at(series, i) for key, series in self.series.items()}
            marks = {value for value in said.values() if isinstance(value, Mark)}
            leads = any(key not in self.held for key in said)
            known = {k: v for k, v in said.items() if not isinstance(v, Mark)}
            sent = any(key not in self.held or not leads for key in known)
            if Mark.REJECT in marks or not (sent or Mark.STALE in marks):
                continue
            arrives_ms = ts_ms + int(_number(self.late_ms, i))
            own_ms = ts_ms - STALE_MS if Mark.STALE in marks else ts_ms
            faults = next((v for v in known.values() if isinstance(v, tuple)), ())
            values = {k: v for k, v in known.items() if not isinstance(v, tuple)}
            for device in self._senders(i):
                yield Sample(arrives_ms, own_ms, device, self.kind, values, self._where(i), faults)

    def _senders(self, i: int) -> tuple[str, ...]:
        return self.devices if self.place is None else (self.devices[i % len(self.devices)],)

    def _where(self, i: int) -> tuple[float, float] | None:
        if self.place is None:
            return None
        lat, lon = self.place
        return lat + _number(self.north_m, i) / METRES_PER_DEGREE, lon


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must hold. Only what is not None is asked."""

    line: int
    text: str
    """As it stands in the file, for people."""
    at_ms: int | None = None
    """None: at all times, which is what `never` says."""
    rule: str | None = None
    """None: the rule whose test it is."""
    on: str | None = None
    """An asset; None: all that the rule watches."""
    state: str | None = None
    filed: int | None = None
    service: str | None = None
    absorbed: int | None = None
    incident: str | None = None
    says: str | None = None
    """Part of the description of the last request."""
    never: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    rule: str
    name: str
    file: str
    line: int
    start_ms: int
    every_ms: int
    count: int
    """Steps, of which each may have a sample of each device."""
    stands: tuple[Stand, ...]
    feeds: tuple[Feed, ...]
    expectations: tuple[Expectation, ...]

    @property
    def end_ms(self) -> int:
        """One step after the last sample."""
        return self.start_ms + self.every_ms * self.count

    @property
    def until_ms(self) -> int:
        """The last instant that anything is expected of."""
        return max([self.end_ms, *(e.at_ms for e in self.expectations if e.at_ms is not None)])

    def samples(self) -> Iterator[Sample]:
        """In the order of their arrival; of those that arrive together, in the order of feeds."""
        streams = (
            sorted(
                feed.samples(self.start_ms, self.every_ms, self.count), key=lambda s: s.arrives_ms
            )
            for feed in self.feeds
        )
        return merge(*streams, key=lambda s: s.arrives_ms)


def _at(series: Series, i: int) -> Value:
    """A single value is held; a series that is over is silent."""
    if len(series) == 1:
        return series[0]
    return series[i] if i < len(series) else Mark.MISSING


def _number(series: Series, i: int) -> float:
    value = _at(series, i)
    return float(value) if isinstance(value, float | bool) else 0.0
