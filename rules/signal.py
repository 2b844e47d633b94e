"""Road vibration: a window of acceleration in, its features out (rules.md section 4.2).

Pure numpy. A window is taken as mounted, gravity included; with three axes the mean acceleration
gives the vertical, with z alone z is the vertical. Features are those that a device may also work
out by itself, under the same keys, so rules need not know where they come from.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Window = npt.NDArray[np.float64]


def vertical(accel: Mapping[str, Any]) -> Window:
    """Vertical acceleration around its mean, m/s2."""
    z = np.asarray(accel["z_ms2"], dtype=np.float64)
    if accel.get("x_ms2") is None or accel.get("y_ms2") is None:
        return z - z.mean()
    axes = np.stack([np.asarray(accel["x_ms2"]), np.asarray(accel["y_ms2"]), z])
    gravity = axes.mean(axis=1)
    strength = float(np.linalg.norm(gravity))
    if strength == 0.0:
        return z - z.mean()
    along: Window = gravity @ axes / strength
    return along - along.mean()


def features(accel: Mapping[str, Any]) -> dict[str, float]:
    """`peak_ms2` (largest deviation from the mean), `rms_ms2`, `crest` (peak / rms) and
    `dominant_hz` (the strongest line of the spectrum, without the mean).
    """
    window = vertical(accel)
    peak = float(np.abs(window).max())
    rms = float(np.sqrt(np.mean(window**2)))
    spectrum = np.abs(np.fft.rfft(window))
    line = int(spectrum[1:].argmax()) + 1
    return {
        "peak_ms2": peak,
        "rms_ms2": rms,
        "crest": peak / rms if rms else 0.0,
        "dominant_hz": line * float(accel["rate_hz"]) / len(window),
    }
