"""Who plays in what, and when: so that no truth lies over another.

Every thing of the city is known by its device, its asset or its own name. A circuit stands for its
cabinet and all its lamps, a concentrator for everything that speaks through it. Draws nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from simulators.catalogue import CATALOGUE, Strikes
from simulators.city import City
from simulators.faults import Kind
from simulators.scenario import Among
from simulators.things import Circuit, Post, Spot, Vehicle

Thing = Post | Spot | Vehicle | str  # a concentrator is a name
Span = tuple[int, int]
FOREVER_MS = 1 << 60
# What a fault of any device can befall, where not every device can show it.
_FLEETS: Mapping[Kind, Sequence[Among]] = {
    Kind.STALE: ("lamps", "bins"),
    Kind.BATTERY_DECAY: ("bins",),
    Kind.SENTINEL: ("bins",),
}
_DEVICES: Sequence[Among] = ("lamps", "cabinets", "bins", "road_sensors", "vehicles")


def fleets_of(kind: Kind) -> Sequence[Among]:
    """On whose devices a fault of any device can show."""
    return _FLEETS.get(kind, _DEVICES)


@dataclass(frozen=True)
class Target:
    """What a fault strikes. `name`: as faults call it; `holds`: everything that it occupies."""

    name: str
    thing: Thing
    fleet: str
    holds: tuple[str, ...] = field(repr=False)


@dataclass
class Booking:
    """`taken`: name -> who has it when, by the number of the line in the scenario."""

    city: City
    taken: dict[str, list[tuple[Span, int]]] = field(default_factory=dict)

    def targets(self, kind: Kind, among: Among | None = None) -> Sequence[Target]:
        """Everything that a fault of this kind can strike."""
        strikes = CATALOGUE[kind].strikes
        if strikes is not Strikes.DEVICE:
            return self._by_strikes[strikes]
        fleets = [among] if among else fleets_of(kind)
        return [target for target in self._devices if target.fleet in fleets]

    def is_free(self, target: Target) -> bool:
        """All through the run."""
        return not any(name in self.taken for name in target.holds)

    def clash(self, target: Target, span: Span) -> int | None:
        """The line that has it in that time."""
        for name in target.holds:
            for (start, end), line in self.taken.get(name, ()):
                if start < span[1] and span[0] < end:
                    return line
        return None

    def take(self, target: Target, span: Span, line: int) -> None:
        for name in target.holds:
            self.taken.setdefault(name, []).append((span, line))

    # --- everything that can be struck -----------------------------------------------------------

    @cached_property
    def _by_strikes(self) -> Mapping[Strikes, Sequence[Target]]:
        city = self.city
        return {
            Strikes.LAMP: [_single(lamp, "lamps") for lamp in city.all_lamps],
            Strikes.CIRCUIT: [_circuit(one) for one in city.circuits if one.device],
            Strikes.BIN: [_single(item, "bins") for item in city.all_bins],
            Strikes.SPOT: [Target(spot.id, spot, "spots", (spot.id,)) for spot in city.spots],
            Strikes.VEHICLE: [_single(vehicle, "vehicles") for vehicle in city.vehicles],
            Strikes.CONCENTRATOR: list(self._concentrators()),
        }

    @cached_property
    def _devices(self) -> Sequence[Target]:
        city, of = self.city, self._by_strikes
        cabinets = [_single(one, "cabinets") for one in city.circuits if one.device]
        sensors = [_single(sensor, "road_sensors") for sensor in city.road_sensors]
        return [
            *of[Strikes.LAMP], *cabinets, *of[Strikes.BIN], *sensors, *of[Strikes.VEHICLE]
        ]  # fmt: skip

    def _concentrators(self) -> Iterator[Target]:
        circuits: dict[str, list[str]] = {}
        for one in self.city.circuits:
            circuits.setdefault(one.concentrator, []).append(one.asset_id)
        for name, devices in self.city.concentrators().items():
            yield Target(name, name, "concentrators", (name, *devices, *circuits.get(name, ())))


def _single(thing: Post | Vehicle, fleet: str) -> Target:
    return Target(thing.device, thing, fleet, (thing.device,))


def _circuit(circuit: Circuit) -> Target:
    lamps = (lamp.device for lamp in circuit.lamps)
    return Target(circuit.asset_id, circuit, "circuits", (circuit.asset_id, circuit.device, *lamps))
