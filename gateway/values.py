"""What rules hear of a reading: its values, and what follows from them and the asset.

Owns what is worked out at the door: the features of a window of acceleration, the fill from a
measured distance, how far a thing is from its place, the device's own claims. Live, backtest and
reports hear the same. Pure.
"""

from typing import Any

from gateway.cases.places import metres
from gateway.inventory.assets import Asset
from gateway.telemetry import Reading
from rules.fields import CLAIM, DISPLACEMENT, STANDING_KINDS
from rules.shape import shape
from rules.signal import features

SHAPED_MS2 = 1.0  # a smaller jolt is of no interest, and its shape is noise


def heard(reading: Reading, asset: Asset | None, ts_ms: int) -> dict[str, Any]:
    """The reading's own values, completed. `asset`: None for what moves."""
    values = reading.values
    if not values:
        values[CLAIM] = True
    if reading.accel is not None:
        values |= features(reading.accel)
        if values["jolt_ms2"] >= SHAPED_MS2:
            values |= shape(reading.accel)
    elif "peak_ms2" in values:
        values.setdefault("jolt_ms2", values["peak_ms2"])
    if reading.faults:
        values |= {CLAIM + name: True for name in reading.faults}
    if asset is not None and reading.loc is not None and asset.kind in STANDING_KINDS:
        values[DISPLACEMENT.key] = metres(*reading.loc, asset.lat, asset.lon)
    if asset is not None and "distance_mm" in values and "fill_pct" not in values:
        fill_pct = asset.fill_pct(values["distance_mm"], ts_ms)
        if fill_pct is not None:
            values["fill_pct"] = fill_pct
    return values
