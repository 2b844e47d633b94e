"""The opinions of `rules.shape` on recorded windows: events against road, holes against bumps.

    PYTHONPATH=. python tests/fit/shapes.py FOLDER

FOLDER holds a CSV for each class of road, as for `tests/fit/roads.py`. Prints the figures of the
weights that are shipped, and, since those were learnt from such windows, of weights learnt anew in
ten times five folds and on halves; the last lines are the weights learnt from all.
"""

import sys
from pathlib import Path

import numpy as np
from roads import CLASSES, RATE_HZ, recorded

from rules import shape

EVENTS = ("potholes", "asphalt_bumps", "metal_bumps")
RIDGE = 1.0  # as C = 1 of usual libraries, on standardised columns
FOLDS, ROUNDS, HALVES = 5, 10, 20


def columns(measures, names):
    return np.log(np.array([[one[name] + shape._TINY for name in names] for one in measures]))


def learnt(x, y):
    """A logistic regression by Newton's steps: weights on the logarithms as they are, and bias."""
    mean, spread = x.mean(0), x.std(0)
    z = np.hstack([(x - mean) / spread, np.ones((len(x), 1))])
    weights, ridge = np.zeros(z.shape[1]), np.diag([RIDGE] * x.shape[1] + [0.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-z @ weights))
        slope = z.T @ (p - y) + ridge @ weights
        weights -= np.linalg.solve((z.T * (p * (1 - p))) @ z + ridge, slope)
    own = weights[:-1] / spread
    return own, weights[-1] - own @ mean


def f1(y, found):
    return 2 * np.sum(found & y) / (np.sum(found) + np.sum(y))


def balanced(y, found):
    return (np.mean(found[y]) + np.mean(~found[~y])) / 2


def parts(classes, count, seed):
    """The number of a part for each window, every class spread over all parts."""
    dice, part = np.random.default_rng(seed), np.empty(len(classes), dtype=int)
    for one in np.unique(classes):
        members = dice.permutation(np.flatnonzero(classes == one))
        part[members] = np.arange(len(members)) % count
    return part


def judged_anew(x, y, classes, metric, count, seed):
    """Each window judged by what was learnt from the other parts; with two, the second by the
    first alone."""
    part, found = parts(classes, count, seed), np.zeros(len(y), dtype=bool)
    asked = range(count) if count > 2 else [1]
    for one in asked:
        weights, bias = learnt(x[part != one], y[part != one])
        found[part == one] = x[part == one] @ weights + bias > 0
    tried = np.isin(part, list(asked))
    return metric(y[tried], found[tried])


def told(name, x, y, classes, metric, shipped):
    weights, bias = shipped
    print(f"{name}: as shipped {metric(y, x @ weights + bias > 0):.3f}")
    rounds = [judged_anew(x, y, classes, metric, FOLDS, seed) for seed in range(ROUNDS)]
    halves = [judged_anew(x, y, classes, metric, 2, seed) for seed in range(HALVES)]
    print(f"  {ROUNDS} times {FOLDS} folds {np.mean(rounds):.3f} (least {min(rounds):.3f})")
    print(f"  {HALVES} halves {np.mean(halves):.3f} ({min(halves):.3f} to {max(halves):.3f})")
    weights, bias = learnt(x, y)
    print("  learnt from all:", *(f"{one:.2f}" for one in weights), f"bias {bias:.2f}")


def main(folder):
    measures, classes = [], []
    for name in CLASSES:
        for window in recorded(folder / f"{name}.csv"):
            found = shape.shape({"rate_hz": RATE_HZ, "z_ms2": window})
            if found:
                measures.append(found)
                classes.append(name)
    classes = np.array(classes)
    event, hole = np.isin(classes, EVENTS), classes == "potholes"
    x = columns(measures, shape._EVENT)
    told("event against road, F1", x, event, classes, f1,
         (np.array(list(shape._EVENT.values())), shape._EVENT_BIAS))  # fmt: skip
    x = columns(measures, shape._POTHOLE)[event]
    told("hole against bump, balanced accuracy", x, hole[event], classes[event], balanced,
         (np.array(list(shape._POTHOLE.values())), shape._POTHOLE_BIAS))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
