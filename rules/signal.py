"""Road vibration: a window of acceleration in, its features out.

Pure numpy. A window is taken as mounted, gravity included; with three axes the mean acceleration
gives the vertical, with z alone z is the vertical. Features are those that a device may also work
out by itself, under the same keys, so rules need not know where they come from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

STILL_MS2 = 1e-6  # below what any sensor resolves: rounding, not vibration

Window = npt.NDArray[np.float64]


def vertical(accel: Mapping[str, Any]) -> Window:
    """Vertical acceleration around its mean, m/s2."""
    axes = [accel.get(key) for key in ("x_ms2", "y_ms2", "z_ms2")]
    if axes[0] is None or axes[1] is None:
        return _around_mean(np.asarray(axes[2], dtype=np.float64))
    window = np.asarray(axes, dtype=np.float64)
    gravity = window.mean(axis=1)
    strength = float(np.linalg.norm(gravity))
    if strength < STILL_MS2:
        return _around_mean(window[2])  # no direction is down: as if mounted upright
    return _around_mean(gravity @ window / strength)


def features(accel: Mapping[str, Any]) -> dict[str, float]:
    """`peak_ms2` (largest deviation from the mean), `rms_ms2`, `crest` (peak / rms) and
    `dominant_hz` (the strongest line of the spectrum, without the mean); all 0 where nothing moves.
    """
    window = vertical(accel)
    peak = float(np.abs(window).max())
    if peak < STILL_MS2:
        return {"peak_ms2": 0.0, "rms_ms2": 0.0, "crest": 0.0, "dominant_hz": 0.0}
    rms = float(np.sqrt(np.mean(window**2)))
    spectrum = np.abs(np.fft.rfft(window))
    line = int(spectrum[1:].argmax()) + 1
    return {
        "peak_ms2": peak,
        "rms_ms2": rms,
        "crest": peak / rms,
        "dominant_hz": line * float(accel["rate_hz"]) / len(window),
    }


def _around_mean(axis: Window) -> Window:
    mean = float(axis.mean())
    return axis - mean
