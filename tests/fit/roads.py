"""The model of the roads against recordings: peaks, spectra and shapes of windows, in a table.

Run by hand, `python tests/fit/roads.py FOLDER`: the folder holds a CSV for each class of road,
with columns of a number and of vertical acceleration in m/s2 at 50 Hz, separated by spaces. Every
window is cropped to one length about its peak, as their lengths differ by class. No recording is
part of the project, and nothing here is tuned by itself: the table is for people to judge.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from simulators.city import City
from simulators.faults import Fault, Kind
from simulators.roads import vehicle_says

RATE_HZ, CROP = 50, 59
BANDS_HZ = ((0.4, 3), (3, 8), (8, 16), (16, 25.1))
HEADS = ("peak-peak", "peak", "rms", "kurtosis", "main Hz",
         *(f"{low:g}-{high:.0f} Hz" for low, high in BANDS_HZ))  # fmt: skip
CLASSES = {
    "regular_road": None,
    "worn_out_road": Kind.WORN_SURFACE,
    "potholes": Kind.POTHOLE,
    "asphalt_bumps": Kind.SPEED_BUMP,
    "metal_bumps": Kind.EXPANSION_JOINT,
}


def recorded(path: Path) -> Iterator[np.ndarray]:
    with path.open(encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for _, samples in rows:
            yield np.asarray(samples.split(), dtype=np.float64)


def simulated(kind: Kind | None) -> Iterator[np.ndarray]:
    """Windows of a day at watched spots, twice as long as they are cropped to."""
    fleets = {"lamps": {"count": 0}, "bins": {"count": 0}, "road_sensors": {"count": 0},
              "vehicles": {"count": 24, "rate_hz": [RATE_HZ], "samples": 2 * CROP}}  # fmt: skip
    city = City.sized(1, fleets=fleets, faults=[])
    stories = {}
    if kind is not None:
        whole = {spot.id: Fault(kind, spot.id, city.start_ms, None) for spot in city.spots}
        stories = {spot: (fault,) for spot, fault in whole.items()}
    for vehicle in city.vehicles:
        spots = {drive.at_ms(spot.along_m) for drive in vehicle.drives for spot in city.spots}
        for said in vehicle_says(city, vehicle, stories, ()):
            if said.ts_ms in spots:
                yield np.asarray(said.values["accel"]["z_ms2"])


def measured(window: np.ndarray) -> list[float]:
    middle = int(np.abs(window - window.mean()).argmax())
    first = max(0, min(len(window) - CROP, middle - CROP // 2))
    z = window[first : first + CROP]
    z = z - z.mean()
    power = np.abs(np.fft.rfft(z * np.hanning(CROP))) ** 2
    hertz = np.fft.rfftfreq(CROP, 1 / RATE_HZ)
    power[hertz < BANDS_HZ[0][0]] = 0.0
    shares = [power[(hertz >= a) & (hertz < b)].sum() / power.sum() for a, b in BANDS_HZ]
    kurtosis = float((z**4).mean() / z.var() ** 2)
    return [np.ptp(z), np.abs(z).max(), z.std(), kurtosis, hertz[power.argmax()], *shares]


def main(folder: Path) -> None:
    print(f"{'median (10 to 90 %)':30}" + "".join(f"{head:>18}" for head in HEADS))
    for name, kind in CLASSES.items():
        for who, windows in (
            ("recorded", recorded(folder / f"{name}.csv")),
            ("model", simulated(kind)),
        ):
            table = np.asarray([measured(window) for window in windows])
            low, mid, high = np.percentile(table, (10, 50, 90), axis=0)
            cells = (f"{b:.2f} ({a:.2f}-{c:.2f})" for a, b, c in zip(low, mid, high, strict=True))
            what = name if who == "recorded" else (kind or "sound road")
            print(f"{what:18}{who:12}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
