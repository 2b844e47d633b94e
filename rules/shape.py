"""The shape of a jolt: what it looks like in the one second and a bit around its largest swing.

Pure numpy. Whatever the length and rate of a window, it is brought to RATE_HZ and cropped to SPAN
samples about the jolt, so that neither tells anything. What is sampled too slowly or too briefly
for that has no shape: nothing is made up. From the shape follow two opinions, each a chance from 0
to 1: that it is an event and not plain road, and that, as an event, it is a hole and not a bump.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rules.signal import Window, vertical

RATE_HZ = 50.0
SPAN = 59  # samples: the longest that the shortest of the windows learnt from has
SLOWEST_HZ = 25.0  # from a slower sampling the bands above half of it cannot be had
BURST = 5  # samples: a tenth of a second
BANDS_HZ = {"slow": (0.0, 3.0), "mid": (3.0, 8.0), "quick": (8.0, 16.0), "fast": (16.0, 26.0)}
ZERO_G_MS2 = 8.0  # that much below its mean a wheel hangs in the air
GRAVITY_MS2 = 9.81
_TINY = 0.01  # added before a logarithm: a share may be 0

# Logistic regressions over logarithms, learnt from 250 windows of five classes at 50 Hz that are
# not part of the project (Gonzalez et al., IEEE T-ITS 18(11), 2017), C = 1. In fivefold
# cross-validation, ten times: event against road F1 0.88, hole against bump balanced accuracy 0.85.
_EVENT = {
    "down_ms2": 1.11, "kurtosis": 1.33, "sta_lta": 0.26, "peak_median": 3.10,
    "crossings_hz": -2.96, "mid_share": -1.01,
}  # fmt: skip
_EVENT_BIAS = -2.48
_POTHOLE = {
    "up_ms2": 2.06, "down_ms2": -2.82, "width_s": 1.94, "quickness_hz": 4.64, "slow_share": 2.08,
}  # fmt: skip
_POTHOLE_BIAS = -12.35


def shape(accel: Mapping[str, Any]) -> dict[str, float | bool]:
    """Of a window of the contract: the measures below and both opinions; empty where it has none.

    `up_ms2`, `down_ms2`: largest swings; `up_first`: which came first of those that reach half of
    the peak. `kurtosis`: 3 for noise, more for single jolts. `sta_lta`: strongest tenth of a second
    to the whole. `peak_median`: peak to the median. `crossings_hz`: of zero. `jerk_ms3`: largest
    change; `quickness_hz`: its rms to that of the acceleration. `width_s`: from a tenth to nine
    tenths of the energy; `half_width_s`: above half of the peak. `energy_m2s3`: the integral of the
    square. `zero_g_s`: as good as falling. Shares of the energy by band, and `slow_rms_ms2` and so
    on: its strength.
    """
    window = _standard(accel)
    if window is None:
        return {}
    found = _measures(window)
    chances = {
        "event_score": _chance(found, _EVENT, _EVENT_BIAS),
        "pothole_score": _chance(found, _POTHOLE, _POTHOLE_BIAS),
    }
    return found | chances


def _standard(accel: Mapping[str, Any]) -> Window | None:
    rate_hz = float(accel["rate_hz"])
    window = vertical(accel)
    count = round(len(window) * RATE_HZ / rate_hz)
    if rate_hz < SLOWEST_HZ or count < SPAN:
        return None
    if count != len(window):
        window = _resampled(window, count)
    middle = int(np.abs(window - np.median(window)).argmax())
    first = min(max(0, middle - SPAN // 2), count - SPAN)
    cropped: Window = window[first : first + SPAN]
    return None if np.ptp(cropped) < _TINY else cropped - cropped.mean()


def _resampled(window: Window, count: int) -> Window:
    """By its spectrum: what the new rate cannot hold is left out, not folded back."""
    spectrum = np.fft.rfft(window)
    lines = count // 2 + 1
    kept = np.zeros(lines, dtype=np.complex128)
    kept[: min(lines, len(spectrum))] = spectrum[:lines]
    return np.fft.irfft(kept, count) * (count / len(window))


def _measures(window: Window) -> dict[str, float | bool]:
    """Of SPAN samples at RATE_HZ around their mean."""
    strength, squares = np.abs(window), window * window
    peak, rms = float(strength.max()), math.sqrt(squares.mean())
    burst = math.sqrt(np.convolve(squares, np.full(BURST, 1 / BURST), "valid").max())
    grown = np.cumsum(squares) / squares.sum()
    jerks = np.diff(window) * RATE_HZ
    width = np.searchsorted(grown, 0.9) - np.searchsorted(grown, 0.1)
    first = int((strength >= peak / 2).argmax())
    return {
        "up_ms2": float(window.max()),
        "down_ms2": float(-window.min()),
        "up_first": bool(window[first] > 0),
        "kurtosis": float((squares * squares).mean() / rms**4),
        "sta_lta": burst / rms,
        "peak_median": peak / max(_TINY, float(np.median(strength))),
        "crossings_hz": float(np.count_nonzero(np.diff(np.sign(window))) * RATE_HZ / SPAN),
        "jerk_ms3": float(np.abs(jerks).max()),
        "quickness_hz": float(jerks.std()) / rms,
        "width_s": float(width) / RATE_HZ,
        "half_width_s": float(np.count_nonzero(strength > peak / 2)) / RATE_HZ,
        "zero_g_s": float(np.count_nonzero(window < -ZERO_G_MS2)) / RATE_HZ,
        "energy_m2s3": float(squares.sum()) / RATE_HZ,
        **_bands(window, rms),
    }


def _bands(window: Window, rms: float) -> dict[str, float]:
    power = np.abs(np.fft.rfft(window * np.hanning(SPAN))) ** 2
    hertz = np.fft.rfftfreq(SPAN, 1 / RATE_HZ)
    whole = float(power[1:].sum())
    found = {}
    for name, (low, high) in BANDS_HZ.items():
        inside = (hertz >= low) & (hertz < high) & (hertz > 0)
        share = float(power[inside].sum()) / whole
        found[f"{name}_share"] = share
        found[f"{name}_rms_ms2"] = rms * math.sqrt(share)
    return found


def _chance(
    measures: Mapping[str, float | bool], weights: Mapping[str, float], bias: float
) -> float:
    logit = bias + sum(
        weight * math.log(measures[name] + _TINY) for name, weight in weights.items()
    )
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
