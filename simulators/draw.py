"""A draw: one story to be placed, with what must be known for it: hours, passes, and for how long.

A story is placed where it is seen before the run ends. Where the run has no room for it, `Unfit`
says why and how to mend the line. Says nothing of the single kinds: those are the stories'.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from simulators import sky
from simulators.booking import FOREVER_MS, Booking, Span, Target
from simulators.catalogue import CATALOGUE, Entry, When
from simulators.city import City
from simulators.faults import Kind
from simulators.scenario import FaultLine
from simulators.things import Spot

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NIGHT_DEG, NIGHT_MARGIN_MS = -6.0, 25 * MINUTE_MS  # a little inside the 20 minutes of the rules
DAY_DEG, DAY_MARGIN_MS = 6.0, 10 * MINUTE_MS
PASS_GAP_MS = 11 * MINUTE_MS  # hits closer than 10 minutes may count as one pass
PASSES_MIN = 4  # a pothole is confirmed by 3; one more in case one is missed
SEEN_MS = 2 * HOUR_MS  # what must be left to see a fault that lasts
# These take longer to tell from a sound thing.
_SEEN_MS = {Kind.STUCK_VALUE: 2 * DAY_MS, Kind.BATTERY_DECAY: DAY_MS}
_BRIEF = frozenset({Kind.LAMP_DIP, Kind.DUSK_FLICKER})  # if longer, it is the fault itself

Story = tuple[int, int | None]  # start, end; None: it lasts


class Unfit(Exception):  # noqa: N818 (an answer, no error)
    """The run has no room for it. `key`: what in the line to blame; `other`: the number of the
    line that is in its way.
    """

    def __init__(
        self, message: str, hint: str = "", key: str = "kind", other: int | None = None
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.key = key
        self.other = other


class Hours:
    """When it is surely night and surely day in the run."""

    def __init__(self, city: City) -> None:
        self.run = (city.start_ms, city.end_ms)
        self._city = city

    @cached_property
    def nights(self) -> Sequence[Span]:
        return list(self._spans(lambda deg: deg < NIGHT_DEG, NIGHT_MARGIN_MS))

    @cached_property
    def days(self) -> Sequence[Span]:
        return list(self._spans(lambda deg: deg > DAY_DEG, DAY_MARGIN_MS))

    def below(self, deg: float) -> Sequence[Span]:
        return list(self._spans(lambda now: now < deg, 0))

    def of(self, when: When) -> Sequence[Span]:
        return {When.NIGHT: self.nights, When.DAY: self.days}.get(when, [self.run])

    def _spans(self, holds: Callable[[float], bool], margin_ms: int) -> Iterator[Span]:
        at = (self._city.lat, self._city.lon)
        return sky.spans(*self.run, lambda t: holds(sky.elevation_deg(*at, t)), margin_ms)


@dataclass(frozen=True)
class Draw:
    """One story to be placed. `number`: of those of its line, from 0."""

    booking: Booking
    hours: Hours
    line: FaultLine
    target: Target
    rng: Random
    number: int

    @property
    def city(self) -> City:
        return self.booking.city

    @property
    def entry(self) -> Entry:
        return CATALOGUE[self.line.kind]

    @property
    def for_ms(self) -> int | None:
        return None if self.line.for_ is None else round(self.line.for_ * 1000)

    @property
    def seen_ms(self) -> int:
        """For how long it must show."""
        if not self.entry.must_file:
            return MINUTE_MS
        shortest = self.entry.minutes[0] * MINUTE_MS
        return _SEEN_MS.get(self.line.kind, shortest or SEEN_MS)

    def span(self, spans: Sequence[Span], needed_ms: int) -> Span:
        """A span at least that long, by chance."""
        long_enough = [span for span in spans if span[1] - span[0] >= needed_ms]
        if not long_enough:
            raise Unfit(*no_room(self, spans, needed_ms))
        return self.rng.choice(long_enough)

    def between(self, low_ms: int, high_ms: int) -> int:
        """A whole second, as devices stamp whole seconds."""
        return self.rng.randint(low_ms // 1000, max(low_ms, high_ms) // 1000) * 1000


def check_begins(draw: Draw, start: int) -> None:
    if start >= draw.city.end_ms:
        lasts = lasting(draw.city.end_ms - draw.city.start_ms)
        raise Unfit(f"it would begin after the run, which lasts {lasts}", "begin earlier", key="at")


def check_brief(draw: Draw, for_ms: int) -> None:
    longest = draw.entry.minutes[1]
    if draw.line.kind in _BRIEF and for_ms > longest * MINUTE_MS:
        fault = f"longer, it is a fault that must be filed: {draw.entry.rule}"
        raise Unfit(f"{draw.line.kind} lasts {longest}min at most", fault, "for")


def check_shows(draw: Draw, start: int, end: int | None) -> None:
    """Long enough for anyone to see it."""
    spans = draw.hours.of(draw.entry.when)
    until = draw.city.end_ms if end is None else end
    shown = max((min(until, b) - max(start, a) for a, b in spans), default=0)
    if shown >= draw.seen_ms:
        return
    if draw.entry.when in (When.NIGHT, When.DAY) and shown < until - start:
        raise Unfit(*no_room(draw, spans, draw.seen_ms), key="at")
    key, needed = "for" if draw.for_ms is not None else "at", lasting(draw.seen_ms)
    left = lasting(max(0, shown))
    raise Unfit(f"{draw.line.kind} would show for {left}; it takes {needed} to be told from a "
                "sound thing", "begin earlier, or let it last longer", key)  # fmt: skip


def no_room(draw: Draw, spans: Sequence[Span], needed_ms: int) -> tuple[str, str]:
    kind, when, needed = draw.line.kind, draw.entry.when, lasting(needed_ms)
    if when not in (When.NIGHT, When.DAY):
        return f"the run is too short for {kind}", f"it takes {needed}"
    if not spans:
        return (f"there is no {when} in this run, and {kind} shows by {when} only",
                "another start, a longer duration, or another place")  # fmt: skip
    first = draw.city.start_ms
    shown = ", ".join(f"{lasting(a - first)} to {lasting(b - first)}" for a, b in spans[:4])
    return (f"{kind} shows by {when} only, for {needed} at least",
            f"after the start of the run it is {when} from {shown}")  # fmt: skip


def lasting(ms: int) -> str:
    """As scenarios write it: 90min, 36h, 2.5h."""
    minutes = round(ms / MINUTE_MS)
    if minutes < 120:
        return f"{minutes}min"
    return f"{minutes / 60:.1f}".removesuffix(".0") + "h"


def passes(booking: Booking, spot: Spot) -> list[tuple[int, str]]:
    """When each sound vehicle is at the spot: (time, device), in order."""
    return sorted(
        (drive.at_ms(spot.along_m), vehicle.device)
        for vehicle in booking.city.vehicles
        if vehicle.route == spot.route and vehicle.device not in booking.taken
        for drive in vehicle.drives
    )


def distinct_passes(booking: Booking, spot: Spot, since_ms: int = 0) -> list[int]:
    """Passes so far apart that nobody can take two for one, whoever drives; early enough that an
    hour is left to act on them.
    """
    times: list[int] = []
    for t_ms, _ in passes(booking, spot):
        if t_ms > booking.city.end_ms - HOUR_MS:
            break
        if t_ms >= since_ms and (not times or t_ms - times[-1] > PASS_GAP_MS):
            times.append(t_ms)
    return times


def span_of(story: Story) -> Span:
    """For the booking."""
    return story[0], FOREVER_MS if story[1] is None else story[1]
