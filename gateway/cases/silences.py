"""Maintenance windows: when, where and of what the city is to hear nothing, who says so and why.

Pure. A window is one span of time or one that comes again by a rule of RFC 5545, in a time zone. It
hides no fault: what fires in it waits until the window is over and is filed if it is seen again.
What cannot wait, a burning bin, is none of its business.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from dateutil.rrule import rrule, rrulestr

GRACE_MS = 900_000
"""After a window: what was worked on reports again, and is not filed for its last word before."""
FOR_MS_MAX = 366 * 86_400_000
POINTS_MAX = 1_000
_REPEATS = re.compile(
    r"FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;(?!INTERVAL=0+(;|$))[A-Z]+=[A-Z0-9,+-]+)*"
)
"""An interval of 0 never comes to an end."""

Point = tuple[float, float]
"""Latitude and longitude in degrees."""


class Spot(NamedTuple):
    """What a window may be about: a fault of a rule, here."""

    rule: str
    service: str
    subject: str
    circuit: str
    zone: str
    lat: float | None
    lon: float | None


class Silence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`from_ms` is the begin of the first window, `for_ms` how long each lasts, `repeat` an RRULE
    ("FREQ=WEEKLY;BYDAY=TU"), in the time of `zone`. A list that is empty means any; all that are
    given must agree, and at least one is. `within` is a ring of points.
    """

    who: str
    why: str
    from_ms: int
    for_ms: int
    repeat: str = ""
    time_zone: str = "UTC"
    assets: tuple[str, ...] = ()
    circuits: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    within: tuple[Point, ...] = ()
    ended_ms: int | None = None
    """Ended by hand then; it silences nothing later."""

    def is_about(self, spot: Spot) -> bool:
        named = (
            (spot.subject, self.assets),
            (spot.circuit, self.circuits),
            (spot.zone, self.zones),
            (spot.rule, self.rules),
            (spot.service, self.services),
        )
        if any(names and value not in names for value, names in named):
            return False
        return not self.within or _inside(spot.lat, spot.lon, self.within)

    def until_ms(self, at_ms: int) -> int | None:
        """The end of the window that `at_ms` lies in; None where it lies in none."""
        begin_ms = self._begin_ms(at_ms)
        if begin_ms is None or not begin_ms <= at_ms < begin_ms + self.for_ms:
            return None
        end_ms = begin_ms + self.for_ms
        if self.ended_ms is not None:
            end_ms = min(end_ms, self.ended_ms)
        return end_ms if at_ms < end_ms else None

    def next_ms(self, at_ms: int) -> int | None:
        """The begin of the window at `at_ms`, or of the next one; None: there is none any more."""
        if self.ended_ms is not None and at_ms >= self.ended_ms:
            return None
        if self.until_ms(at_ms) is not None:
            return self._begin_ms(at_ms)
        if not self.repeat:
            return self.from_ms if at_ms < self.from_ms else None
        after = _repeating(self.repeat, self.from_ms, self.time_zone).after(_local(at_ms, self))
        return None if after is None else _ms(after, self)

    def _begin_ms(self, at_ms: int) -> int | None:
        """Of the last window that began by `at_ms`."""
        if not self.repeat or at_ms < self.from_ms:
            return self.from_ms
        times = _repeating(self.repeat, self.from_ms, self.time_zone)
        before = times.before(_local(at_ms, self), inc=True)
        return None if before is None else _ms(before, self)


def faults_of(silence: Silence) -> list[str]:
    """What is wrong with it, in words; nothing where it can be used."""
    faults = []
    if not silence.who.strip() or not silence.why.strip():
        faults.append("say who silences and why: --who NAME --why TEXT")
    if not 0 < silence.for_ms <= FOR_MS_MAX:
        faults.append("a window lasts more than 0 and at most 366 days")
    if not any((silence.assets, silence.circuits, silence.zones, silence.rules, silence.services,
                silence.within)):  # fmt: skip
        faults.append("say what is silent: an asset, circuit, zone, rule, service or polygon")
    if 0 < len(silence.within) < 3 or len(silence.within) > POINTS_MAX:
        faults.append(f"a polygon has 3 to {POINTS_MAX} points")
    if silence.repeat and not _REPEATS.fullmatch(silence.repeat):
        example = "FREQ=WEEKLY;BYDAY=TU"
        faults.append(f"{silence.repeat!r} is no rule of RFC 5545 by days or more, as {example}")
    if not faults:
        faults += _fault_of_time(silence)
    return faults


def _fault_of_time(silence: Silence) -> list[str]:
    try:
        ZoneInfo(silence.time_zone)
    except (OSError, ValueError, KeyError):
        return [f"there is no time zone {silence.time_zone!r}; write America/Chicago, say"]
    if not silence.repeat:
        return []
    begin = _local(silence.from_ms, silence)
    try:
        times = _repeating(silence.repeat, silence.from_ms, silence.time_zone)
        first = times.after(begin, inc=True)
    except (ValueError, TypeError) as error:
        return [f"{silence.repeat!r} is no rule of RFC 5545: {error}"]
    if first == begin:
        return []
    day = f"{begin:%A, %Y-%m-%d %H:%M}"
    return [
        f"by the clocks of {silence.time_zone} it begins on {day}: {silence.repeat} is not then"
    ]


def silenced(silences: Iterable[Silence], spot: Spot, moments_ms: Iterable[int]) -> int | None:
    """Until when the city is to hear nothing of it, counting every window that one of the moments
    lies in.
    """
    moments = list(moments_ms)
    ends = [
        until_ms
        for silence in silences
        if silence.is_about(spot)
        for at_ms in moments
        if (until_ms := silence.until_ms(at_ms)) is not None
    ]
    return max(ends, default=None)


def encode(silence: Silence) -> str:
    return msgspec.json.encode(silence).decode()


def decode(text: str) -> Silence:
    """ValueError: it is none."""
    return msgspec.json.decode(text, type=Silence)


def ring_of(tree: Any) -> tuple[Point, ...]:
    """The outer ring of a GeoJSON polygon, also where it stands in a feature. ValueError: none."""
    if isinstance(tree, dict) and tree.get("type") == "FeatureCollection":
        features = tree.get("features")
        tree = features[0] if isinstance(features, list) and len(features) == 1 else None
    if isinstance(tree, dict) and tree.get("type") == "Feature":
        tree = tree.get("geometry")
    try:
        if not isinstance(tree, dict) or tree["type"] != "Polygon":
            raise ValueError("it holds no Polygon")  # noqa: TRY301 -- told as any other fault of it
        points = tuple((float(lat), float(lon)) for lon, lat, *_ in tree["coordinates"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        hint = '{"type": "Polygon", "coordinates": [[[lon, lat], ...]]}'
        raise ValueError(f"not one GeoJSON polygon, as {hint}") from None
    if any(not (-90 <= lat <= 90 and -180 <= lon <= 180) for lat, lon in points):
        raise ValueError("a point lies off the earth; GeoJSON writes [longitude, latitude]")
    return points[:-1] if points[:1] == points[-1:] else points


@lru_cache(maxsize=256)
def _repeating(repeat: str, from_ms: int, time_zone: str) -> rrule:
    """In local time without a zone: 22:00 is 22:00 in summer and in winter."""
    begin = datetime.fromtimestamp(from_ms / 1000, ZoneInfo(time_zone)).replace(tzinfo=None)
    found = rrulestr(repeat, dtstart=begin, cache=True)
    assert isinstance(found, rrule)
    return found


def _local(at_ms: int, silence: Silence) -> datetime:
    zone = ZoneInfo(silence.time_zone)
    return datetime.fromtimestamp(at_ms // 1000, zone).replace(tzinfo=None)


def _ms(local: datetime, silence: Silence) -> int:
    at = local.replace(tzinfo=ZoneInfo(silence.time_zone)).astimezone(UTC)
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def _inside(lat: float | None, lon: float | None, ring: tuple[Point, ...]) -> bool:
    """By the number of edges that a line from here to the east crosses."""
    if lat is None or lon is None:
        return False
    inside = False
    for (lat_a, lon_a), (lat_b, lon_b) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if (lat_a > lat) != (lat_b > lat):
            crossing = lon_a + (lat - lat_a) / (lat_b - lat_a) * (lon_b - lon_a)
            inside ^= lon < crossing
    return inside
