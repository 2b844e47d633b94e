"""How a vehicle drives round its route: pull away, cruise, slow down for a corner, wait at a light.

A round is a list of stretches of constant acceleration; where the vehicle is at a time, and when
and how fast it is at a place, follow exactly. A city has a few dozen rounds, drawn from its seed,
and its vehicles drive them again and again. Knows nothing of potholes.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from random import Random
from typing import NamedTuple

from simulators.dice import dice

ROUNDS = 64
CRUISE_MPS = (7.0, 13.4)  # 25 to 48 km/h, drawn for each block
CORNER_MPS = (4.0, 6.0)
AWAY_MS2, BRAKE_MS2 = (1.0, 1.6), (1.3, 2.2)
RED, RED_S = 0.4, (5.0, 50.0)  # the share of lights that are red, and how long one waits


class Stretch(NamedTuple):
    """From a place and a time on, until the next one: speed then, acceleration all along."""

    from_m: float
    from_s: float
    speed_mps: float
    accel_ms2: float


class Passing(NamedTuple):
    """The vehicle at one place of its round."""

    after_s: float
    speed_mps: float
    accel_ms2: float


@dataclass(frozen=True)
class Round:
    """Begins and ends standing at the start of the route."""

    stretches: tuple[Stretch, ...]
    starts_m: tuple[float, ...]
    starts_s: tuple[float, ...]
    lasts_s: float

    def at(self, along_m: float) -> Passing:
        """When and how it comes by there; where it waits, that is when it pulls away."""
        one = self.stretches[max(0, bisect_right(self.starts_m, along_m) - 1)]
        ahead_m = along_m - one.from_m
        speed = sqrt(max(0.0, one.speed_mps**2 + 2 * one.accel_ms2 * ahead_m))
        if one.accel_ms2 != 0.0:
            took_s = (speed - one.speed_mps) / one.accel_ms2
        else:
            took_s = ahead_m / one.speed_mps if one.speed_mps else 0.0
        return Passing(one.from_s + took_s, speed, one.accel_ms2)

    def when(self, after_s: float) -> Passing:
        """How it goes so long after its start."""
        one = self.stretches[max(0, bisect_right(self.starts_s, after_s) - 1)]
        speed = one.speed_mps + one.accel_ms2 * (after_s - one.from_s)
        return Passing(after_s, max(0.0, speed), one.accel_ms2)

    def along_m(self, after_s: float) -> float:
        """Where it is so long after its start."""
        one = self.stretches[max(0, bisect_right(self.starts_s, after_s) - 1)]
        took_s = after_s - one.from_s
        return one.from_m + one.speed_mps * took_s + one.accel_ms2 * took_s**2 / 2


@dataclass(frozen=True, slots=True)
class Drive:
    """One of the city's rounds, begun at a time."""

    start_ms: int
    round: Round

    @property
    def end_ms(self) -> int:
        return self.start_ms + round(self.round.lasts_s * 1000)

    def at_ms(self, along_m: float) -> int:
        """When it comes by there."""
        return self.start_ms + int(self.round.at(along_m).after_s * 1000)


@lru_cache(maxsize=16)
def rounds_of(
    seed: int, length_m: float, corners_m: tuple[float, ...], lights_m: tuple[float, ...]
) -> tuple[Round, ...]:
    """The rounds of a city; corners and lights by their distance from the route's start."""
    places = [*sorted({*corners_m, *lights_m} - {0.0}), length_m]
    return tuple(
        _round(dice(seed, "round", n), places, frozenset(corners_m)) for n in range(ROUNDS)
    )


def _round(rng: Random, places: list[float], corners_m: frozenset[float]) -> Round:
    *moving, end = _stretches(rng, places, corners_m)
    starts_m, starts_s = (one.from_m for one in moving), (one.from_s for one in moving)
    return Round(tuple(moving), tuple(starts_m), tuple(starts_s), end.from_s)


def _stretches(rng: Random, places: list[float], corners_m: frozenset[float]) -> Iterator[Stretch]:
    """Block by block; the last one is the standstill at the end."""
    here_m, now_s, speed = 0.0, 0.0, 0.0
    for place_m in places:
        cruise, red = rng.uniform(*CRUISE_MPS), rng.random() < RED
        corner, wait_s = rng.uniform(*CORNER_MPS), rng.uniform(*RED_S)
        accels = rng.uniform(*AWAY_MS2), rng.uniform(*BRAKE_MS2)
        leaves_at = corner if place_m in corners_m else cruise
        if red or place_m == places[-1]:
            leaves_at = 0.0
        block = _block(here_m, now_s, place_m, (speed, cruise, leaves_at), accels)
        yield from block
        here_m, now_s, speed = place_m, _end_s(block[-1], place_m), leaves_at
        if leaves_at == 0.0:
            yield Stretch(place_m, now_s, 0.0, 0.0)
            now_s += wait_s


def _block(
    from_m: float, from_s: float, to_m: float,
    speeds: tuple[float, float, float], accels: tuple[float, float],
) -> list[Stretch]:  # fmt: skip
    """To the cruising speed, along, and down to the speed at the block's end."""
    (first, cruise, last), (away, brake) = speeds, accels
    gain = away if cruise >= first else -brake
    level_m = from_m + (cruise**2 - first**2) / (2 * gain)
    level_s = from_s + (cruise - first) / gain
    block = [Stretch(from_m, from_s, first, gain), Stretch(level_m, level_s, cruise, 0.0)]
    if last < cruise:
        brake_m = to_m - (cruise**2 - last**2) / (2 * brake)
        block.append(Stretch(brake_m, level_s + (brake_m - level_m) / cruise, cruise, -brake))
    return block


def _end_s(last: Stretch, to_m: float) -> float:
    if last.accel_ms2 == 0.0:
        return last.from_s + (to_m - last.from_m) / last.speed_mps
    end = sqrt(max(0.0, last.speed_mps**2 + 2 * last.accel_ms2 * (to_m - last.from_m)))
    return last.from_s + (end - last.speed_mps) / last.accel_ms2
