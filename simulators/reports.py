"""When a measuring device reports, and the chance that belongs to each of its reports.

Regular reports from its own moment on, and extra ones in between. Worked out a chunk at a time,
so that a long run of a large fleet needs no memory for it. Chance goes with the number of the
report: neither an extra report nor the length of the run changes that of a regular one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np

from simulators.city import City
from simulators.dice import array_dice
from simulators.photoperiod import Numbers, Times

CHUNK = 32  # a third of a day, for most
LATENCY_MS = (120, 1800)
NOISE_MAX = 3.0  # standard deviations


class Draws(NamedTuple):
    """Of some reports: noises of standard deviation 1, a share from 0 to 1, time on the way."""

    power: Numbers
    volts: Numbers
    share: Numbers
    latency_ms: Times

    @classmethod
    def of(cls, rng: np.random.Generator, count: int) -> Self:
        power, volts = np.clip(rng.standard_normal((2, count)), -NOISE_MAX, NOISE_MAX)
        return cls(power, volts, rng.random(count), rng.integers(*LATENCY_MS, count))

    def first(self, n: int) -> Self:
        return type(self)(self.power[:n], self.volts[:n], self.share[:n], self.latency_ms[:n])

    def then(self, extra: Self, order: Times) -> Self:
        """These and those, in another order."""
        return type(self)(
            np.concatenate((self.power, extra.power))[order],
            np.concatenate((self.volts, extra.volts))[order],
            np.concatenate((self.share, extra.share))[order],
            np.concatenate((self.latency_ms, extra.latency_ms))[order],
        )


class Reports(NamedTuple):
    """Some reports of one device, in order."""

    ts_ms: Times
    draws: Draws


def reports(
    city: City, device: str, first_ms: int, every_ms: int, extra_ms: Sequence[int]
) -> Iterator[Reports]:
    """All reports of a device in a run. `extra_ms`: when it reports out of turn, in order."""
    rng = array_dice(city.seed, "reports", device)
    extra_rng = array_dice(city.seed, "extra reports", device) if extra_ms else rng
    extra_ms = [t_ms for t_ms in extra_ms if t_ms < first_ms or (t_ms - first_ms) % every_ms]
    while True:
        next_ms = min(first_ms + CHUNK * every_ms, city.end_ms)
        regular = np.arange(first_ms, next_ms, every_ms, dtype=np.int64)
        draws = Draws.of(rng, CHUNK)
        due = [ts_ms for ts_ms in extra_ms if ts_ms < next_ms]
        extra_ms = extra_ms[len(due) :]
        if due:
            yield _merged(regular, draws, due, Draws.of(extra_rng, len(due)))
        elif len(regular):
            yield Reports(regular, draws.first(len(regular)))
        if next_ms == city.end_ms:
            return
        first_ms = next_ms


def _merged(regular: Times, draws: Draws, due: Sequence[int], extra: Draws) -> Reports:
    times = np.concatenate((regular, np.array(due, np.int64)))
    order = np.argsort(times, kind="stable")
    return Reports(times[order], draws.first(len(regular)).then(extra, order))
