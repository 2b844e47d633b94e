"""Road vibration: a window of acceleration in, its strength out.

Pure numpy. A window is taken as mounted, gravity included; with three axes the mean acceleration
gives the vertical, with z alone z is the vertical. `peak_ms2`, `rms_ms2`, `crest` and `dominant_hz`
are those that a device may also work out by itself, under the same keys, so rules need not know
where they come from. What shape a jolt has is told in `shape`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

STILL_MS2 = 1e-6  # below what any sensor resolves: rounding, not vibration
ASIDE = 2.0
"""What moves a vehicle aside counts double in a jolt: a hole takes one wheel, so the body rolls; a
hump lifts both. Of 1, 1.5, 2 and 3 the best, by a little, on two drives over one road by a phone
in a car at 5 Hz."""
MISSED_HZ = 3.5
"""A slow sampling seldom meets a swing at its height: it is taken to be 1 + MISSED_HZ / rate times
what was met. Recorded potholes thinned from 50 Hz lose a factor of 1.08 at 25 Hz, 1.26 at 12.5 and
1.77 at 5."""

Window = npt.NDArray[np.float64]


def vertical(accel: Mapping[str, Any]) -> Window:
    """Vertical acceleration around its mean, m/s2."""
    up, _ = _around_gravity(accel)
    return up


def features(accel: Mapping[str, Any]) -> dict[str, float]:
    """`peak_ms2` (largest vertical deviation from the mean), `rms_ms2`, `crest` (peak / rms),
    `dominant_hz` (the strongest line of the spectrum, without the mean) and `jolt_ms2` (largest
    deviation from the trend in any direction, whatever the rate); all 0 where nothing moves.
    """
    window, aside = _around_gravity(accel)
    peak = float(np.abs(window).max())
    if peak < STILL_MS2 and aside is None:
        return {"peak_ms2": 0.0, "rms_ms2": 0.0, "crest": 0.0, "dominant_hz": 0.0, "jolt_ms2": 0.0}
    rms = float(np.sqrt(np.mean(window**2)))
    spectrum = np.abs(np.fft.rfft(window))
    line = int(spectrum[1:].argmax()) + 1
    is_still = peak < STILL_MS2
    return {
        "peak_ms2": 0.0 if is_still else peak,
        "rms_ms2": 0.0 if is_still else rms,
        "crest": 0.0 if is_still else peak / rms,
        "dominant_hz": 0.0 if is_still else line * float(accel["rate_hz"]) / len(window),
        "jolt_ms2": _jolt(window, aside) * (1 + MISSED_HZ / float(accel["rate_hz"])),
    }


def _jolt(up: Window, aside: Window | None) -> float:
    strength = _without_trend(up) ** 2
    if aside is not None:
        strength = strength + ASIDE**2 * (_without_trend(aside) ** 2).sum(axis=0)
    found = float(np.sqrt(strength.max()))
    return found if found >= STILL_MS2 else 0.0


def _around_gravity(accel: Mapping[str, Any]) -> tuple[Window, Window | None]:
    """Vertical deviation from the mean; and those on all axes of what is not vertical, if known."""
    axes = [accel.get(key) for key in ("x_ms2", "y_ms2", "z_ms2")]
    if axes[0] is None or axes[1] is None:
        return _around_mean(np.asarray(axes[2], dtype=np.float64)), None
    window = np.asarray(axes, dtype=np.float64)
    gravity = window.mean(axis=1)
    strength = float(np.linalg.norm(gravity))
    if strength < STILL_MS2:
        return _around_mean(window[2]), None  # no direction is down: as if mounted upright
    down = gravity / strength
    up = _around_mean(down @ window)
    return up, window - gravity[:, None] - down[:, None] * up


def _around_mean(axis: Window) -> Window:
    mean = float(axis.mean())
    return axis - mean


def _without_trend(axes: Window) -> Window:
    """Braking and curves grow slowly; what is left of them is no jolt."""
    steps = np.arange(axes.shape[-1]) - (axes.shape[-1] - 1) / 2
    slopes = axes @ steps / float(steps @ steps)
    around: Window = axes - axes.mean(axis=-1, keepdims=True) - np.multiply.outer(slopes, steps)
    return around
