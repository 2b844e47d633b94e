"""Features of a vibration window are those of the vertical, however the sensor is mounted."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.signal import ASIDE, MISSED_HZ, features, vertical

RATE_HZ = 100.0
GRAVITY_MS2 = 9.81
N = 128


def window(wave: Any, down: tuple[float, float, float]) -> dict[str, Any]:
    """A wave along gravity, on a sensor for which `down` is the direction of gravity."""
    along = np.asarray(wave) + GRAVITY_MS2
    x, y, z = (np.asarray(part) * along for part in down)
    return {"rate_hz": RATE_HZ, "x_ms2": x.tolist(), "y_ms2": y.tolist(), "z_ms2": z.tolist()}


def sine(amplitude: float, hz: float) -> Any:
    return amplitude * np.sin(2 * math.pi * hz * np.arange(N) / RATE_HZ)


angles = st.floats(-math.pi, math.pi)


@given(angles, angles)
def test_the_way_a_sensor_is_mounted_changes_nothing(tilt: float, turn: float):
    """With three axes the mean acceleration is down, so any mounting gives the same features."""
    bump = np.zeros(N)
    bump[60:64] = (6.0, -4.0, 2.0, -1.0)
    down = (math.sin(tilt) * math.cos(turn), math.sin(tilt) * math.sin(turn), math.cos(tilt))
    upright = features(window(bump, (0.0, 0.0, 1.0)))
    assert features(window(bump, down)) == pytest.approx(upright, rel=1e-6)


def test_movement_across_the_vertical_does_not_count():
    """Braking and cornering are no hole in the road."""
    accel = window(np.zeros(N), (0.0, 0.0, 1.0))
    accel["x_ms2"] = sine(3.0, 12.5).tolist()
    assert features(accel)["peak_ms2"] < 0.01


def test_what_moves_a_vehicle_aside_counts_double_in_a_jolt():
    """A hole takes one wheel: the body rolls."""
    accel = window(np.zeros(N), (0.0, 0.0, 1.0))
    accel["x_ms2"] = np.where(np.arange(N) == 60, 3.0, 0.0).tolist()
    swing = 3.0 * (1 - 1 / N)
    expected = ASIDE * swing * (1 + MISSED_HZ / RATE_HZ)
    assert features(accel)["jolt_ms2"] == pytest.approx(expected, rel=0.02)


def test_braking_is_no_jolt():
    """What grows slowly is taken out."""
    accel = window(np.zeros(N), (0.0, 0.0, 1.0))
    accel["y_ms2"] = np.linspace(0.0, 3.0, N).tolist()
    assert features(accel)["jolt_ms2"] < 0.2


@pytest.mark.parametrize("rate_hz", [5.0, 10.0, 50.0])
def test_a_slow_sampling_is_taken_to_have_missed_the_height(rate_hz: float):
    """The same samples are a larger jolt the further apart they lie."""
    z = (GRAVITY_MS2 + np.where(np.arange(N) == 60, 3.0, 0.0)).tolist()
    found = features({"rate_hz": rate_hz, "z_ms2": z})["jolt_ms2"]
    assert found == pytest.approx(3.0 * (1 + MISSED_HZ / rate_hz), rel=0.02)


@pytest.mark.parametrize("axes", [{}, {"x_ms2": None, "y_ms2": None}, {"x_ms2": [5.0] * N}])
def test_with_z_alone_z_is_the_vertical(axes: dict[str, Any]):
    """Two axes do not give the direction of gravity; then z stands for it."""
    z = (GRAVITY_MS2 + sine(2.0, 12.5)).tolist()
    found = features({"rate_hz": RATE_HZ, "z_ms2": z} | axes)
    assert found["peak_ms2"] == pytest.approx(2.0, rel=1e-6)
    assert found["rms_ms2"] == pytest.approx(2.0 / math.sqrt(2), rel=1e-6)
    assert found["crest"] == pytest.approx(math.sqrt(2), rel=1e-6)
    assert found["dominant_hz"] == pytest.approx(12.5)


@pytest.mark.parametrize("hz", [RATE_HZ / N, 25.0, 50.0])
def test_the_strongest_line_is_found_up_to_half_the_rate(hz: float):
    """From the slowest wave that fits in the window to the fastest that can be sampled."""
    wave = np.cos(2 * math.pi * hz * np.arange(N) / RATE_HZ)
    assert features({"rate_hz": RATE_HZ, "z_ms2": wave})["dominant_hz"] == pytest.approx(hz)


@pytest.mark.parametrize("level", [0.0, GRAVITY_MS2, -1000.0, 0.1])
def test_where_nothing_moves_all_features_are_zero(level: float):
    """Rounding is not taken for vibration."""
    for extra in ({}, {"x_ms2": [level] * 77, "y_ms2": [0.0] * 77}):
        found = features({"rate_hz": RATE_HZ, "z_ms2": [level] * 77} | extra)
        assert set(found.values()) == {0.0}


def test_without_gravity_z_is_the_vertical():
    """Axes from which the mean was taken already have no direction that is down."""
    wave = sine(2.0, 12.5).tolist()
    accel = {"rate_hz": RATE_HZ, "x_ms2": [0.0] * N, "y_ms2": [0.0] * N, "z_ms2": wave}
    assert vertical(accel) == pytest.approx(np.asarray(wave), abs=1e-9)


@given(
    st.lists(st.floats(-1000, 1000), min_size=8, max_size=64),
    st.floats(1, 2000),
    st.booleans(),
)
def test_features_are_finite_and_in_range(z: list[float], rate_hz: float, three: bool):
    """Whatever window the contract allows, the features are numbers that rules can judge."""
    axes = {"x_ms2": z[::-1], "y_ms2": z} if three else {}
    found = features({"rate_hz": rate_hz, "z_ms2": z, **axes})
    assert all(math.isfinite(value) and value >= 0 for value in found.values())
    assert found["dominant_hz"] <= rate_hz / 2 * (1 + 1e-9)
    assert found["crest"] <= math.sqrt(len(z)) + 1e-9
    assert found["rms_ms2"] <= found["peak_ms2"] + 1e-9
