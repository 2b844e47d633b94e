"""Where the sun stands: its elevation at a place and a time.

Guarantees a value for every place and time (no dusk or dawn to be missing near the poles), within
0.1 degree of the full theory for the years 1950 to 2100. Geometric elevation of the sun's centre,
without refraction, as in the definition of twilight (civil dusk is -6 degrees). Pure.
The formulas are those of NOAA's solar calculator, after Meeus, Astronomical Algorithms.
"""

import math
from typing import Any

_J2000_MS = 946_728_000_000  # 2000-01-01T12:00Z
_MS_PER_CENTURY = 36_525 * 86_400_000
_MS_PER_DAY = 86_400_000


def elevation_deg(lat: float, lon: float, ts_ms: int) -> float:
    """Degrees above (below: negative) the horizon; `lat`, `lon` in degrees, WGS 84, east positive;
    `ts_ms` UTC.
    """
    return math.degrees(math.asin(max(-1.0, min(1.0, sine_of_elevation(math, lat, lon, ts_ms)))))


def sine_of_elevation(m: Any, lat: float, lon: float, ts_ms: Any) -> Any:
    """By the functions of `m`: `math` for one instant, numpy for many. These may differ in the last
    bits, and rounding may lead a little beyond 1.
    """
    t = (ts_ms - _J2000_MS) / _MS_PER_CENTURY
    mean_longitude = m.radians((280.46646 + t * (36000.76983 + t * 0.0003032)) % 360.0)
    anomaly = m.radians(357.52911 + t * (35999.05029 - 0.0001537 * t))
    eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t)
    centre = (
        m.sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t))
        + m.sin(2 * anomaly) * (0.019993 - 0.000101 * t)
        + m.sin(3 * anomaly) * 0.000289
    )
    node = m.radians(125.04 - 1934.136 * t)
    longitude = mean_longitude + m.radians(centre - 0.00569 - 0.00478 * m.sin(node))
    obliquity = m.radians(23.439291 - t * 0.0130042 + 0.00256 * m.cos(node))
    declination = m.asin(m.sin(obliquity) * m.sin(longitude))
    y = m.tan(obliquity / 2) ** 2
    equation_of_time = (
        y * m.sin(2 * mean_longitude)
        - 2 * eccentricity * m.sin(anomaly)
        + 4 * eccentricity * y * m.sin(anomaly) * m.cos(2 * mean_longitude)
        - 0.5 * y * y * m.sin(4 * mean_longitude)
        - 1.25 * eccentricity * eccentricity * m.sin(2 * anomaly)
    )
    day_angle = m.radians((ts_ms % _MS_PER_DAY) / _MS_PER_DAY * 360.0 + lon - 180.0)
    phi = m.radians(lat)
    across = m.cos(phi) * m.cos(declination) * m.cos(day_angle + equation_of_time)
    return m.sin(phi) * m.sin(declination) + across
