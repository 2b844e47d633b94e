"""The sun's elevation against astral, an independent implementation."""

from datetime import UTC, datetime

import pytest
from astral import Observer
from astral.sun import elevation
from hypothesis import given
from hypothesis import strategies as st

from rules.sun import elevation_deg

_1950_MS = -631_152_000_000
_2100_MS = 4_102_444_800_000


@given(
    lat=st.floats(-89, 89),
    lon=st.floats(-180, 180),
    ts_ms=st.integers(_1950_MS, _2100_MS),
)
def test_elevation_agrees_with_astral_to_a_tenth_of_a_degree(lat, lon, ts_ms):
    """Anywhere but the very poles, at any time from 1950 to 2100."""
    when = datetime.fromtimestamp(ts_ms / 1000, UTC)
    oracle = elevation(Observer(lat, lon), when, with_refraction=False)
    assert elevation_deg(lat, lon, ts_ms) == pytest.approx(oracle, abs=0.1)


@given(lon=st.floats(-180, 180), ts_ms=st.integers(_1950_MS, _2100_MS))
@pytest.mark.parametrize("lat", [-90.0, 90.0])
def test_elevation_is_there_at_the_poles(lat, lon, ts_ms):
    """At a pole the elevation is the declination, never more than the obliquity of the ecliptic."""
    assert -23.5 < elevation_deg(lat, lon, ts_ms) < 23.5


def test_a_january_evening_in_chicago_is_night():
    """2026-01-15 20:25 at 41.88 N 87.63 W: far below civil dusk."""
    ts_ms = int(datetime.fromisoformat("2026-01-15T20:25:00-06:00").timestamp() * 1000)
    assert -45 < elevation_deg(41.88, -87.63, ts_ms) < -30
