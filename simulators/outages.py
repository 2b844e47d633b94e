"""When concentrators have no uplink: by their luck, and by the faults that strike them.

Known before the first message of a run. Each concentrator has its own luck; where a fault strikes
one, the fault alone says what happens then. Sends and keeps nothing itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.wire import DAY_MS

_ORDER = {"up": 0, "will": 1, "down": 2}  # at the same moment


class Outage(NamedTuple):
    """`keeps`: how many messages are kept until it ends, the newest; None: all of them."""

    start_ms: int
    end_ms: int
    keeps: int | None


class Turn(NamedTuple):
    """A moment at which an uplink goes down, is given up by the broker, or comes back. `told`: it
    was given up meanwhile.
    """

    t_ms: int
    concentrator: str
    what: Literal["down", "will", "up"]
    outage: Outage
    told: bool


def outages_of(city: City, faults: Sequence[Fault]) -> Mapping[str, Sequence[Outage]]:
    """Concentrator -> its outages in order, none of which touch."""
    struck: dict[str, list[Outage]] = {}
    for fault in faults:
        if fault.kind in (Kind.MASS_SILENCE, Kind.BACKFILL):
            # What lasts is over a little after everything else.
            end_ms = city.end_ms + DAY_MS if fault.end_ms is None else fault.end_ms
            keeps = 0 if fault.kind is Kind.MASS_SILENCE else None
            struck.setdefault(fault.target, []).append(Outage(fault.start_ms, end_ms, keeps))
    names = city.concentrators() if city.scenario.network.disconnects_per_day else struck
    return {name: _apart(struck.get(name, ()), _by_luck(city, name)) for name in names}


def _by_luck(city: City, name: str) -> Iterator[Outage]:
    network, rng = city.scenario.network, dice(city.seed, "uplink", name)
    if not network.disconnects_per_day:
        return
    low_s, high_s = network.disconnected_for
    now_ms: float = city.start_ms
    while True:
        now_ms += rng.expovariate(network.disconnects_per_day / DAY_MS)
        length_ms = rng.uniform(low_s, max(low_s, high_s)) * 1000
        if now_ms + length_ms >= city.end_ms:
            return
        yield Outage(round(now_ms), round(now_ms + length_ms), network.buffer)
        now_ms += length_ms


def _apart(struck: Sequence[Outage], lucky: Iterator[Outage]) -> Sequence[Outage]:
    free = [
        one
        for one in lucky
        if all(one.end_ms < fault.start_ms or one.start_ms > fault.end_ms for fault in struck)
    ]
    return sorted([*struck, *free])


def turns(outages: Mapping[str, Sequence[Outage]], will_ms: int) -> list[Turn]:
    """What happens to the uplinks, in order. The broker gives one up `will_ms` after it is gone."""
    found = []
    for name, each in outages.items():
        for outage in each:
            told = outage.end_ms - outage.start_ms > will_ms
            found.append(Turn(outage.start_ms, name, "down", outage, told))
            found.append(Turn(outage.end_ms, name, "up", outage, told))
            if told:
                found.append(Turn(outage.start_ms + will_ms, name, "will", outage, told))
    return sorted(found, key=lambda turn: (turn.t_ms, _ORDER[turn.what], turn.concentrator))
