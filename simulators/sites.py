"""Where bins stand, and when people use them: the weight of every hour at every kind of site.

The weights are summed once through the run, so that the use between any two moments is one
subtraction. Events of the scenario make the hours of their zone heavier. Over an ordinary week
the weights have a mean of 1, so that a bin's rate is its mean rate. How fast the sites fill among
each other (parks at half the pace of streets, weekends a tenth above workdays in the middle of a
city) follows the emptyings of 324 sensor bins (City of Edinburgh Council, June 2016) and daily
levels of 11 suburban bins (Wyndham, 2018 to 2021); the hours of the day are an assumption, since
neither tells them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

from simulators.scenario import Event

STEP_MS, HOUR_MS, DAY_MS = 900_000, 3_600_000, 86_400_000


class Site(StrEnum):
    STREET = "street"
    PARK = "park"
    MARKET = "market"
    OFFICE = "office"
    RESIDENTIAL = "residential"


class Profile(NamedTuple):
    """`share` of all bins; `pace` as compared with a street; `days` from Monday on; `hours`: the
    weight from each named hour to the next one.
    """

    share: float
    pace: float
    days: tuple[float, ...]
    hours: Mapping[int, float]


PROFILES: Mapping[Site, Profile] = {
    Site.STREET: Profile(
        0.45, 1.0, (0.95, 0.95, 0.95, 1.0, 1.0, 1.15, 1.05),
        {0: 0.2, 7: 0.8, 10: 1.4, 12: 2.0, 15: 1.5, 18: 1.3, 22: 0.6}),
    Site.PARK: Profile(
        0.15, 0.6, (0.75, 0.75, 0.8, 0.8, 1.0, 1.5, 1.6),
        {0: 0.05, 8: 0.5, 11: 1.5, 14: 2.6, 19: 1.6, 22: 0.3}),
    Site.MARKET: Profile(
        0.10, 1.5, (0.6, 0.7, 1.4, 0.8, 1.1, 1.9, 0.5),
        {0: 0.05, 7: 1.5, 10: 3.0, 15: 1.6, 18: 0.5, 21: 0.1}),
    Site.OFFICE: Profile(
        0.15, 0.8, (1.3, 1.35, 1.35, 1.3, 1.2, 0.3, 0.2),
        {0: 0.05, 7: 1.2, 9: 1.0, 12: 3.0, 14: 1.2, 17: 1.4, 19: 0.3}),
    Site.RESIDENTIAL: Profile(
        0.15, 0.5, (0.95, 0.9, 0.9, 0.95, 1.0, 1.1, 1.2),
        {0: 0.1, 7: 1.2, 9: 0.7, 17: 1.9, 21: 0.8, 23: 0.3}),
}  # fmt: skip


def site_of(chance: float) -> Site:
    """`chance` from 0 to 1 -> a kind of site, as often as its share has it."""
    shares = accumulate(profile.share for profile in PROFILES.values())
    met = (site for site, upto in zip(PROFILES, shares, strict=True) if chance < upto)
    return next(met, Site.STREET)


@dataclass(frozen=True)
class Use:
    """Hours of mean use since some moment, summed up; `at` is linear between its steps."""

    first_ms: int
    hours: Sequence[float] = field(repr=False)

    def at(self, ts_ms: int) -> float:
        steps = (ts_ms - self.first_ms) / STEP_MS
        n = min(max(0, int(steps)), len(self.hours) - 2)
        here = self.hours[n]
        return here + (self.hours[n + 1] - here) * (steps - n)


@dataclass(frozen=True)
class People:
    """Of one city from `first_ms` (before the run starts) to the end of the run."""

    zone: ZoneInfo
    first_ms: int
    start_ms: int
    end_ms: int
    events: tuple[Event, ...] = ()
    _uses: dict[tuple[Site, str], Use] = field(default_factory=dict, repr=False, compare=False)

    def use(self, site: Site, zone: str) -> Use:
        """Of all bins at such a site in such a zone."""
        known = self._uses.get((site, zone))
        if known is None:
            known = self._uses[site, zone] = self._summed(site, zone)
        return known

    def _summed(self, site: Site, zone: str) -> Use:
        weights = _week(PROFILES[site])
        events = [event for event in self.events if event.zone in (None, zone)]
        share_h = STEP_MS / HOUR_MS
        steps = (
            share_h * weights[hour] * self._busy(events, ts_ms)
            for ts_ms, hour in zip(self._times, self._hours, strict=True)
        )
        return Use(self.first_ms, [0.0, *accumulate(steps)])

    def _busy(self, events: Sequence[Event], ts_ms: int) -> float:
        factor = 1.0
        for event in events:
            since_s = (ts_ms + STEP_MS // 2 - self.start_ms) / 1000 - event.at
            factor *= event.fill if 0 <= since_s < event.for_ else 1.0
        return factor

    @cached_property
    def _times(self) -> range:
        return range(self.first_ms, self.end_ms + STEP_MS, STEP_MS)

    @cached_property
    def _hours(self) -> Sequence[int]:
        """The hour of the local week of each step, Monday's first one 0."""
        moments = (datetime.fromtimestamp(ts_ms / 1000, self.zone) for ts_ms in self._times)
        return [moment.weekday() * 24 + moment.hour for moment in moments]


def _week(profile: Profile) -> Sequence[float]:
    """Its 168 weights, with a mean of 1."""
    hours, now = [], 0.0
    for hour in range(24):
        now = profile.hours.get(hour, now)
        hours.append(now)
    week = [day * hour for day in profile.days for hour in hours]
    mean = math.fsum(week) / len(week)  # `sum` rounds differently from Python 3.12 on
    return [weight / mean for weight in week]
