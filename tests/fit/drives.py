"""Places on recorded drives: what the shipped rule files of what was felt, window by window.

    PYTHONPATH=. python tests/fit/drives.py FOLDER

FOLDER holds `NAME_sensors.csv` (time, position, speed in m/s or -1, acceleration in g on three
axes) and `NAME_potholes.csv` (times at which somebody felt one) for each drive. Each is cut into
windows in several ways, and judged with a quorum of 2: the share of the filed places within 25 m of
a felt one, and the share of what was felt on two drives or more that is filed.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from gateway.cases.places import metres
from gateway.cases.roadway import Roadway
from gateway.field.devices import Device
from gateway.telemetry import Address, Reading
from rules.files import load, read_library
from rules.scene import Scene

GRAVITY_MS2, MATCH_M = 9.81, 25.0
WAYS = ((8, 8), (8, 4), (10, 10), (10, 5), (12, 6), (15, 15), (16, 8), (20, 10))


def table(path):
    with path.open(encoding="utf-8") as file:
        return np.array([[float(cell) for cell in row] for row in list(csv.reader(file))[1:]])


def windows(rows, samples, step, axes):
    rate_hz = 1 / float(np.median(np.diff(rows[:, 0])))
    for first in range(0, len(rows) - samples + 1, step):
        window = rows[first : first + samples]
        ts, lat, lon, speed = window[samples // 2, :4]
        felt = window[:, 4:7] * GRAVITY_MS2
        accel = {"rate_hz": rate_hz, "z_ms2": (-felt[:, 1]).tolist()}  # the phone stands upright
        if axes == 3:
            names = zip(("x_ms2", "y_ms2", "z_ms2"), felt.T.tolist(), strict=True)
            accel = {"rate_hz": rate_hz} | dict(names)
        values = {"speed_mps": float(speed)} if speed >= 0 else {}
        yield round(1000 * ts), (float(lat), float(lon)), accel, values


def filed(drives, samples, step, axes):
    bundle, _ = load(read_library(), {"pothole.quorum": "2"})
    rule = bundle.rules["pothole"]
    roadway, scene, found = Roadway([rule]), Scene(lambda _: iter(())), {}
    for name, rows in drives.items():
        device = Device(name, "z", "road")
        for ts_ms, loc, accel, values in windows(rows, samples, step, axes):
            address = Address("z", "road", name, "telemetry")
            reading = Reading(address, ts_ms, 1, 1, values, loc, (), False, accel, b"")
            for place, told in roadway.take(device, reading, ts_ms, scene)[1]:
                if rule.when.judge(told, {}, scene, []) and place.id not in found:
                    found[place.id] = (place.lat, place.lon)
                    roadway.places.mark_fired(place.id, fired=True)
    return list(found.values())


def felt_at(rows, times):
    at = np.minimum(np.searchsorted(rows[:, 0], times), len(rows) - 1)
    return [tuple(rows[n, 1:3]) for n in at]


def main(folder):
    names = sorted(
        path.name.removesuffix("_potholes.csv") for path in folder.glob("*_potholes.csv")
    )
    drives = {name: table(folder / f"{name}_sensors.csv") for name in names}
    felt = {name: felt_at(drives[name], table(folder / f"{name}_potholes.csv")[:, 0])
            for name in names}  # fmt: skip
    every = [place for places in felt.values() for place in places]
    twice = [
        place for name in names for place in felt[name]
        if any(metres(*place, *other) <= MATCH_M
               for also in names if also != name for other in felt[also])
    ]  # fmt: skip
    print(f"{len(names)} drives, {len(every)} felt, {len(twice)} of them on two drives or more")
    for axes in (3, 1):
        rows = []
        for samples, step in WAYS:
            places = filed(drives, samples, step, axes)
            right = sum(any(metres(*p, *q) <= MATCH_M for q in every) for p in places)
            found = sum(any(metres(*q, *p) <= MATCH_M for p in places) for q in twice)
            rows.append((right / max(1, len(places)), found / max(1, len(twice))))
            way = f"{axes} axes, {samples} samples every {step}"
            print(f"{way}: {len(places)} filed, {right} of them felt ({rows[-1][0]:.2f}); "
                  f"of those felt twice {found} filed ({rows[-1][1]:.2f})")  # fmt: skip
        precision, recall = np.mean(rows, axis=0)
        print(f"{axes} axes, mean: precision {precision:.2f}, recall {recall:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
