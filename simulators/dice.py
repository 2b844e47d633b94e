"""Seeded chance: every draw of the simulated city comes from here.

A dice is named (`dice(7, "lamp", 12)`), so that each device has its own and adding one device
does not change what another one throws. The same names give the same throws on every machine,
whatever the hash seed of the interpreter. Never used for anything secret.
"""

import hashlib
import random

import numpy as np


def _number(seed: int, names: tuple[str | int, ...]) -> int:
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def dice(seed: int, *names: str | int) -> random.Random:
    """The stream of chance that belongs to these names."""
    return random.Random(_number(seed, names))  # noqa: S311 (chance of a simulation, no secret)


def array_dice(seed: int, *names: str | int) -> np.random.Generator:
    """The same for whole arrays."""
    return np.random.Generator(np.random.PCG64(_number(seed, names)))
