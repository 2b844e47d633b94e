"""The sun over the simulated city: where it stands, and when it is surely night or day.

An independent formula (low precision formulas of the Astronomical Almanac, about 0.01 degrees),
so that a mistake in the judging side's sun cannot hide here. Elevations are geometric: without
refraction. Works at every latitude; where there is no night there is simply no span of it.
"""

import math
from collections.abc import Callable, Iterator

J2000_MS = 946_728_000_000  # 2000-01-01T12:00:00Z
DAY_MS = 86_400_000
# Illuminance in civil twilight, from about 400 lx at sunset to 3.4 lx at -6 degrees.
SUNSET_DEG, SUNSET_LX, LUX_DEG = -0.833, 400.0, 0.92
STEP_MS = 300_000  # spans are found to five minutes, well inside the margins put on them


def elevation_deg(lat: float, lon: float, ts_ms: int) -> float:
    """Angle of the sun above the horizon, degrees, at a place (WGS 84 degrees) and a time."""
    days = (ts_ms - J2000_MS) / DAY_MS
    anomaly = math.radians(357.528 + 0.9856003 * days)
    longitude = math.radians(
        280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 0.0000004 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(longitude), math.cos(longitude))
    declination = math.asin(math.sin(tilt) * math.sin(longitude))
    sidereal = math.radians((280.46062 + 360.98564737 * days + lon) % 360.0)
    hour_angle, latitude = sidereal - ascension, math.radians(lat)
    height = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(
        declination
    ) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))


def spans(
    start_ms: int, end_ms: int, holds: Callable[[int], bool], margin_ms: int = 0
) -> Iterator[tuple[int, int]]:
    """Stretches of [start, end) in which `holds(ts_ms)` is true, `margin_ms` shorter at both ends.

    The margin is taken from the condition, not from the ends of the run: a night already on when
    the run starts is night at once only if it also held `margin_ms` before.
    """
    since: int | None = None
    first, last = start_ms - margin_ms - STEP_MS, end_ms + margin_ms + STEP_MS
    for ts_ms in range(first, last, STEP_MS):
        if holds(ts_ms) and ts_ms + STEP_MS < last:
            since = ts_ms if since is None else since
        elif since is not None:
            begin, end = max(since + margin_ms, start_ms), min(ts_ms - STEP_MS - margin_ms, end_ms)
            since = None
            if begin < end:
                yield begin, end


def elevations(lat: float, lon: float, start_ms: int, end_ms: int) -> list[tuple[int, float]]:
    """(time, elevation) every five minutes from `start_ms` to beyond `end_ms`."""
    times = range(start_ms, end_ms + STEP_MS, STEP_MS)
    return [(ts_ms, elevation_deg(lat, lon, ts_ms)) for ts_ms in times]


def clear_lux(elevation: float) -> float:
    """Daylight on the ground about sunset under a clear sky: it halves with every 0.75 degrees."""
    return SUNSET_LX * math.exp(LUX_DEG * (elevation - SUNSET_DEG))


def elevation_of_lux(lux: float) -> float:
    """The reverse: the elevation at which a clear sky gives that light."""
    return SUNSET_DEG + math.log(lux / SUNSET_LX) / LUX_DEG


def passing_light(cover: float) -> float:
    """The share of daylight that clouds let through, by the share of the sky that they cover."""
    return 1.0 - 0.75 * math.pow(cover, 3.4)
