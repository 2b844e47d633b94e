"""The sun over a neighbourhood: elevations by the minute, worked out once for all who share it.

Owns what is remembered; how the sun moves is known to `rules.sun`. A tenth of a degree moves the
sun by less than half a minute, far below any margin that rules use.
"""

from rules.rule import Truth
from rules.sun import elevation_deg

NIGHT_DEG = -6.0  # civil dusk: between it and sunrise no lamp is judged dark
MINUTES_MAX = 4_096  # remembered per neighbourhood: nearly three days


class Sky:
    """Over one square of a tenth of a degree."""

    __slots__ = ("_elevations", "_nights", "lat", "lon")

    def __init__(self, lat: float, lon: float) -> None:
        self.lat = lat
        self.lon = lon
        self._elevations: dict[int, float] = {}
        self._nights: dict[tuple[int, int], bool] = {}

    def elevation(self, ts_ms: int) -> float:
        """Degrees, at the full minute."""
        minute = ts_ms // 60_000
        found = self._elevations.get(minute)
        if found is None:
            if len(self._elevations) >= MINUTES_MAX:
                self._elevations.clear()
            found = elevation_deg(self.lat, self.lon, minute * 60_000)
            self._elevations[minute] = found
        return found

    def is_night(self, ts_ms: int, margin_ms: int) -> Truth:
        """Night now, and a margin ago, and in a margin."""
        key = (ts_ms // 60_000, margin_ms)
        found = self._nights.get(key)
        if found is None:
            minute_ms = key[0] * 60_000
            if len(self._nights) >= MINUTES_MAX:
                self._nights.clear()
            found = all(
                self.elevation(at_ms) < NIGHT_DEG
                for at_ms in (minute_ms - margin_ms, minute_ms, minute_ms + margin_ms)
            )
            self._nights[key] = found
        return found


class Skies:
    """All neighbourhoods."""

    def __init__(self) -> None:
        self._skies: dict[tuple[float, float], Sky] = {}

    def over(self, lat: float | None, lon: float | None) -> Sky | None:
        """None: nobody knows where that is."""
        if lat is None or lon is None:
            return None
        key = round(lat, 1), round(lon, 1)
        if key not in self._skies:
            self._skies[key] = Sky(*key)
        return self._skies[key]
