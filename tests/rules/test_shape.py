"""The shape of a jolt hangs on the jolt alone, not on the window's length or its rate."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fields import FELT, HEARD, by_name
from rules.shape import RATE_HZ, SPAN, shape

GRAVITY_MS2 = 9.81


def rough(seconds: float, rate_hz: float, strength: float = 0.3) -> Any:
    """Plain road, of waves that every sampling meets."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    waves = ((1.3, 0.4), (2.9, 1.1), (5.3, 2.0), (8.9, 0.3), (11.3, 2.8), (13.9, 1.9))
    return strength * sum(np.sin(2 * math.pi * hz * t + phase) for hz, phase in waves)


def hole(seconds: float, rate_hz: float, depth: float = 6.0) -> Any:
    """Down and up within a fifth of a second, then the body swings."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz - seconds / 2
    blow = -depth * np.exp(-((t / 0.04) ** 2)) + 0.7 * depth * np.exp(-(((t - 0.1) / 0.05) ** 2))
    return blow + np.where(t > 0, 0.3 * depth * np.exp(-3 * np.abs(t)) * np.sin(9 * t), 0.0)


def hump(seconds: float, rate_hz: float, height: float = 4.0) -> Any:
    """A slow swing up and down."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz - seconds / 2
    return height * np.exp(-((t / 0.5) ** 2)) * np.cos(2 * math.pi * 1.7 * t)


def upright(z: Any, rate_hz: float) -> dict[str, Any]:
    return {"rate_hz": rate_hz, "z_ms2": (GRAVITY_MS2 + z).tolist()}


@pytest.mark.parametrize("seconds", [1.2, 2.0, 4.0])
@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 400.0])
def test_length_and_rate_tell_nothing(seconds: float, rate_hz: float):
    """The same blow gives the same shape."""
    model = shape(upright(hole(2.0, RATE_HZ), RATE_HZ))
    found = shape(upright(hole(seconds, rate_hz), rate_hz))

    for key in ("kurtosis", "down_ms2", "up_ms2", "slow_share", "event_score"):
        assert found[key] == pytest.approx(model[key], rel=0.15, abs=0.02), key


def test_a_hole_is_an_event_and_plain_road_is_none():
    """Whatever the road around it."""
    road = rough(2.0, RATE_HZ)

    assert shape(upright(road, RATE_HZ))["event_score"] < 0.5
    assert shape(upright(road / 3 + hole(2.0, RATE_HZ), RATE_HZ))["event_score"] > 0.5


def test_a_hump_is_slow_and_a_hole_is_not():
    """By the share of the energy below 3 Hz."""
    assert shape(upright(hump(2.0, RATE_HZ), RATE_HZ))["slow_share"] > 0.9
    assert shape(upright(hole(2.0, RATE_HZ), RATE_HZ))["slow_share"] < 0.6


def test_a_hole_goes_down_first_and_a_kerb_up():
    """Of the swings that reach half of the peak."""
    assert shape(upright(hole(2.0, RATE_HZ), RATE_HZ))["up_first"] is False
    assert shape(upright(-hole(2.0, RATE_HZ), RATE_HZ))["up_first"] is True


def test_falling_is_told_by_its_time():
    """A wheel in the air for a tenth of a second."""
    z = np.zeros(100)
    z[50:55] = -GRAVITY_MS2
    assert shape(upright(z, RATE_HZ))["zero_g_s"] == pytest.approx(0.1)


@pytest.mark.parametrize(("samples", "rate_hz"), [(2048, 24.9), (58, 50.0), (16, 5.0), (64, 400.0)])
def test_what_is_too_slow_or_too_brief_has_no_shape(samples: int, rate_hz: float):
    """Nothing is made up."""
    assert shape({"rate_hz": rate_hz, "z_ms2": np.arange(samples) % 7}) == {}


@pytest.mark.parametrize("level", [0.0, GRAVITY_MS2])
def test_where_nothing_moves_there_is_no_shape(level: float):
    """Nor a division by nothing."""
    assert shape({"rate_hz": 50.0, "z_ms2": [level] * 100}) == {}


@given(
    st.lists(st.floats(-1000, 1000), min_size=SPAN, max_size=200),
    st.floats(25, 2000),
    st.booleans(),
)
def test_every_measure_is_in_the_range_that_rules_are_told(
    z: list[float], rate_hz: float, three: bool
):
    """Whatever window the contract allows."""
    axes = {"x_ms2": z[::-1], "y_ms2": z} if three else {}
    for key, value in shape({"rate_hz": rate_hz, "z_ms2": z, **axes}).items():
        assert math.isfinite(value)
        assert FELT[key].low <= value <= FELT[key].high, (key, value)


def test_every_field_of_a_road_has_a_name_of_its_own():
    """None hides another from rules."""
    assert len(by_name("road")) == len(HEARD["road"])
