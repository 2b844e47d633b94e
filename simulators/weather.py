"""The air over the simulated city: how warm it is, and how much sun reaches the street.

From the scenario's mean, swing and cloud, the place and the season: warmest at 15:00 local time,
a little warmer or colder from day to day, drifting with the season from the start of the run on.
Worked out once, every quarter of an hour; in between it is linear. Knows nothing of devices.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from simulators import sky
from simulators.dice import dice
from simulators.scenario import Weather

STEP_MS, DAY_MS = 900_000, 86_400_000
WARMEST_HOUR = 15.0
FRONT_C = 1.5  # a day is so much warmer or colder than the season has it, at most
YEAR_DAYS = 365.2425
WARMEST_DAY = 201  # 20 July; half a year later in the south
# Half the span from January to July grows with latitude: a rule of thumb for inland places.
SEASON_C_DEG, SEASON_MAX_C = 0.27, 16.0
AIR_MIN_C, AIR_MAX_C = -56.0, 52.0  # as on Earth where people live
SUN_LAG_MS = 5_400_000  # what stands in the sun is warmest so long after noon


@dataclass(frozen=True)
class Climate:
    """Of one place through one run."""

    seed: int
    weather: Weather
    lat: float
    lon: float
    zone: ZoneInfo
    start_ms: int
    end_ms: int

    def ambient_c(self, ts_ms: int) -> float:
        """The temperature in the shade."""
        return self._between(self._ambient, ts_ms)

    def sun(self, ts_ms: int) -> float:
        """How much the sun has warmed what stands in it: 1 under a clear sky with the sun
        overhead, 0 by night.
        """
        return self._between(self._sun, ts_ms)

    @cached_property
    def sun_max(self) -> float:
        """The most of the run."""
        return max(self._sun)

    def _between(self, table: Sequence[float], ts_ms: int) -> float:
        steps = (ts_ms - self.start_ms) / STEP_MS
        n = min(max(0, int(steps)), len(table) - 2)
        here = table[n]
        return here + (table[n + 1] - here) * (steps - n)

    @cached_property
    def _times(self) -> range:
        """Some hours longer than the run, for what is still on its way then."""
        return range(self.start_ms, self.end_ms + 12 * STEP_MS, STEP_MS)

    @cached_property
    def _ambient(self) -> Sequence[float]:
        return [self._ambient_at(ts_ms) for ts_ms in self._times]

    @cached_property
    def _sun(self) -> Sequence[float]:
        light = sky.passing_light(self.weather.cloud)
        elevations = (
            sky.elevation_deg(self.lat, self.lon, ts_ms - SUN_LAG_MS) for ts_ms in self._times
        )
        return [light * max(0.0, math.sin(math.radians(deg))) for deg in elevations]

    def _ambient_at(self, ts_ms: int) -> float:
        local = datetime.fromtimestamp(ts_ms / 1000, self.zone)
        wave = math.cos((local.hour + local.minute / 60 - WARMEST_HOUR) / 12 * math.pi)
        # Under clouds days are cooler and nights milder.
        swing_c = self.weather.swing_c * (0.4 + 0.6 * sky.passing_light(self.weather.cloud))
        season_c = self._season_c(ts_ms) - self._season_c(self.start_ms)
        here_c = self.weather.mean_c + season_c + self._front_c(ts_ms) + swing_c * wave
        return max(AIR_MIN_C, min(AIR_MAX_C, here_c))

    def _season_c(self, ts_ms: int) -> float:
        """Above the mean of the year."""
        height_c = math.copysign(min(SEASON_MAX_C, SEASON_C_DEG * abs(self.lat)), self.lat)
        # 1970 began on a first of January.
        return height_c * math.cos((ts_ms / DAY_MS - WARMEST_DAY) / YEAR_DAYS * math.tau)

    def _front_c(self, ts_ms: int) -> float:
        day, within = divmod(ts_ms / DAY_MS, 1.0)
        blend = (1 - math.cos(within * math.pi)) / 2
        today, tomorrow = self._fronts[int(day)], self._fronts[int(day) + 1]
        return today + (tomorrow - today) * blend

    @cached_property
    def _fronts(self) -> Mapping[int, float]:
        """By the days since 1970."""
        first, last = self._times[0] // DAY_MS, self._times[-1] // DAY_MS + 1
        return {
            day: dice(self.seed, "weather", day).uniform(-FRONT_C, FRONT_C)
            for day in range(first, last + 1)
        }
