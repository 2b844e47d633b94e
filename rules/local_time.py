"""Local time: the clocks and calendar of a place, and weekly schedules by them.

Owns what a time zone says of an instant, and the text of a schedule. Local time is what clocks on
the wall show: when they are put back an hour comes twice, when they are put forward one is left
out. Pure but for the time zones' own tables; a zone that is not known has no local time.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

QUARTERS_MAX = 4_096  # remembered per zone: six weeks
_QUARTER_MS = 900_000  # clocks are only ever changed at a full quarter of an hour
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
DAY_MINUTES = 1_440
WEEK_MINUTES = 7 * DAY_MINUTES
WEEK_MS = 7 * DAY_MS
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART = re.compile(
    r"\s*([a-z][a-z,\s-]*?)\s*([0-9]{1,2}):([0-5][0-9])\s*-\s*([0-9]{1,2}):([0-5][0-9])\s*"
)
SCHEDULE_CHARACTERS_MAX = 256


class LocalTime:
    """The clocks of one time zone."""

    __slots__ = ("_offsets", "_zone")

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._offsets: dict[int, int] = {}

    def hour(self, ts_ms: int) -> float:
        """Hours since midnight."""
        return self._local_ms(ts_ms) % DAY_MS / HOUR_MS

    def weekday(self, ts_ms: int) -> int:
        """0 is Monday."""
        return (self._local_ms(ts_ms) // DAY_MS + EPOCH_WEEKDAY) % 7

    def is_in(self, schedule: "Schedule", ts_ms: int) -> bool:
        minute = self._local_ms(ts_ms) // 60_000 + EPOCH_WEEKDAY * DAY_MINUTES
        return schedule.holds(minute % WEEK_MINUTES)

    def time_to_ms(self, schedule: "Schedule", ts_ms: int) -> int:
        """As these clocks count; a change of the clocks on the way is left out of account."""
        if self.is_in(schedule, ts_ms):
            return 0
        week_ms = (self._local_ms(ts_ms) + EPOCH_WEEKDAY * DAY_MS) % WEEK_MS
        return min((start * 60_000 - week_ms) % WEEK_MS for start, _ in schedule.spans)

    def offset_ms(self, ts_ms: int) -> int:
        """What to add to UTC."""
        quarter = ts_ms // _QUARTER_MS
        offset_ms = self._offsets.get(quarter)
        if offset_ms is None:
            if len(self._offsets) >= QUARTERS_MAX:
                self._offsets.clear()
            offset = datetime.fromtimestamp(quarter * 900, self._zone).utcoffset()
            assert offset is not None
            offset_ms = self._offsets[quarter] = round(offset.total_seconds() * 1000)
        return offset_ms

    def _local_ms(self, ts_ms: int) -> int:
        return ts_ms + self.offset_ms(ts_ms)


class LocalTimes:
    """All time zones that are asked for."""

    def __init__(self) -> None:
        self._known: dict[str, LocalTime | None] = {}

    def of(self, time_zone: str) -> LocalTime | None:
        """None: there is no such zone."""
        if time_zone not in self._known:
            zone = zone_of(time_zone)
            self._known[time_zone] = None if zone is None else LocalTime(zone)
        return self._known[time_zone]


def zone_of(name: str) -> ZoneInfo | None:
    """The zone of an IANA name such as America/Chicago."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # unknown, or no name at all: a path, a folder
        return None


class Schedule(NamedTuple):
    """Hours of the week, in minutes since Monday 00:00: [from, to)."""

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """`mon,thu 06:00-10:00; sat-sun 22:00-02:00` or `daily 06:00-22:00`. ValueError."""
        if len(text) > SCHEDULE_CHARACTERS_MAX:
            raise ValueError(f"a schedule has at most {SCHEDULE_CHARACTERS_MAX} characters")
        spans: list[tuple[int, int]] = []
        for part in text.split(";"):
            spans.extend(_spans(part))
        return cls(tuple(spans))

    def holds(self, week_minute: int) -> bool:
        return any(start <= week_minute < end for start, end in self.spans)


@lru_cache(maxsize=4_096)
def schedule_of(text: str) -> Schedule | None:
    """A schedule that an asset has; None where it is none."""
    try:
        return Schedule.parse(text)
    except ValueError:
        return None


def _spans(part: str) -> list[tuple[int, int]]:
    found = _PART.fullmatch(part.lower())
    if found is None:
        raise ValueError(f"{part.strip()!r} is not days and hours such as mon,thu 06:00-10:00")
    start = _minute(found[2], found[3])
    end = _minute(found[4], found[5])
    if start in (DAY_MINUTES, end):
        raise ValueError(f"{part.strip()!r} has no hours in it")
    length = (end - start) % DAY_MINUTES or DAY_MINUTES
    spans = []
    for day in _days(found[1]):
        begins = day * DAY_MINUTES + start
        ends = begins + length
        spans.append((begins, min(ends, WEEK_MINUTES)))
        if ends > WEEK_MINUTES:
            spans.append((0, ends - WEEK_MINUTES))
    return spans


def _minute(hours: str, minutes: str) -> int:
    minute = 60 * int(hours) + int(minutes)
    if minute > DAY_MINUTES:
        raise ValueError(f"{hours}:{minutes} is not a time of day")
    return minute


def _days(text: str) -> list[int]:
    if text == "daily":
        return list(range(7))
    days: list[int] = []
    for item in text.split(","):
        ends = [_day(name.strip()) for name in item.split("-", 1)]
        count = (ends[-1] - ends[0]) % 7 + 1
        days.extend((ends[0] + i) % 7 for i in range(count))
    return days


def _day(name: str) -> int:
    if name not in _DAYS:
        raise ValueError(f"{name!r} is not one of {', '.join(_DAYS)} or daily")
    return _DAYS.index(name)
