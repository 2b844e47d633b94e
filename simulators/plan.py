"""A run of the simulated city: what stands in it, what will go wrong, and every message of it.

The same city numbers give the same bytes on every machine. Messages come as a stream in order of
sending, made while they are asked for; the truth is known before the first of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from simulators import bins, cabinets, lamps, network, register, roads
from simulators.casting import cast_faults
from simulators.city import City
from simulators.device import opening, speak
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.feeder import Feeder
from simulators.losses import Loss, Losses
from simulators.outages import outages_of
from simulators.things import Lamp, Post, Vehicle
from simulators.timeline import HOUR_MS, in_order
from simulators.truth import Label
from simulators.wire import Message, Said
from simulators.wires import translated


@dataclass(frozen=True)
class Plan:
    """Made by `plan_of`. `faults` is in order of start."""

    city: City
    faults: tuple[Fault, ...]
    ledger: Losses = field(default_factory=Losses, compare=False, repr=False)

    @property
    def losses(self) -> list[Loss]:
        """What the network has lost for ever of the messages asked for so far."""
        return self.ledger.all()

    @property
    def labels(self) -> list[Label]:
        return [label for fault in self.faults for label in fault.labels]

    def assets(self) -> dict[str, Any]:
        return register.assets(self.city)

    def concentrators(self) -> dict[str, list[str]]:
        """Concentrator (one MQTT connection and credential) -> its devices."""
        return self.city.concentrators()

    @cached_property
    def _stories(self) -> Mapping[str, Sequence[Fault]]:
        stories: dict[str, list[Fault]] = {}
        for fault in self.faults:
            stories.setdefault(fault.target, []).append(fault)
        return stories

    def story(self, *targets: str) -> tuple[Fault, ...]:
        """The faults that a device, circuit or spot plays in."""
        return tuple(fault for target in targets for fault in self._stories.get(target, ()))


def plan_of(town: City) -> Plan:
    return Plan(town, cast_faults(town))


def messages(plan: Plan, slice_ms: int = HOUR_MS) -> Iterator[Message]:
    """Every message of the run as it reaches the broker, in order of `t_ms`, made about `slice_ms`
    ahead. What the network loses for ever stands in `plan.losses` when the last one has been asked
    for.
    """
    plan.ledger.clear()
    uplinks = outages_of(plan.city, plan.faults)
    arriving = in_order(heard(plan), slice_ms)
    native = network.over_the_uplinks(
        uplinks, arriving, _Words(plan.city), plan.ledger, plan.city.end_ms
    )
    return translated(plan.city, native)


class _Words:
    """What the broker holds retained of the devices behind a concentrator."""

    def __init__(self, town: City) -> None:
        self._behind: dict[str, list[tuple[str, Post | Vehicle]]] = {}
        for kind, speaker in town.speakers():
            self._behind.setdefault(speaker.concentrator, []).append((kind, speaker))
        self._town = town

    def __call__(self, concentrator: str, t_ms: int, online: bool) -> Iterator[Message]:
        for kind, speaker in self._behind.get(concentrator, ()):
            yield self._town.voice(kind, speaker).status(t_ms, online=online)


def heard(plan: Plan) -> Iterator[Iterator[Message]]:
    """One stream for each device, as its concentrator hears it."""
    town, air = plan.city, plan.city.scenario.network
    aliases = _aliases(plan)
    for kind, speaker, says, story in devices(plan):
        sent = speak(town, kind, speaker, says, story, aliases.get(speaker.device, ""))
        luck = dice(town.seed, "network", speaker.device)
        whole = chain(opening(town, kind, speaker, story), sent)
        yield network.on_the_air(air, luck, whole, plan.ledger)


def _aliases(plan: Plan) -> dict[str, str]:
    """Spoofed device -> the one whose name it takes: the next of its kind behind the same
    concentrator and in the same zone that plays in no story; its readings are sound as well.
    """
    spoofed = {fault.target for fault in plan.faults if fault.kind is Kind.SPOOFED}
    peers: dict[tuple[str, str, str], list[Post | Vehicle]] = {}
    for kind, speaker in plan.city.speakers() if spoofed else ():
        peers.setdefault((kind, speaker.zone, speaker.concentrator), []).append(speaker)
    aliases = {}
    for group in peers.values():
        for at, speaker in enumerate(group):
            if speaker.device in spoofed:
                others = (*group[at + 1 :], *group[:at])
                aliases[speaker.device] = next(
                    (x.device for x in others if not _plays(plan, x)), ""
                )
    return aliases


def _plays(plan: Plan, speaker: Post | Vehicle) -> bool:
    circuit = (speaker.circuit,) if isinstance(speaker, Lamp) else ()
    return bool(plan.story(speaker.device, *circuit))


def devices(
    plan: Plan,
) -> Iterator[tuple[str, Post | Vehicle, Iterable[Said], Sequence[Fault]]]:
    """Every device, with its kind, what its sensor says, and its story."""
    town = plan.city
    for circuit in town.circuits:
        story = plan.story(circuit.asset_id, circuit.device)
        feeder = Feeder(town, circuit, plan.story(circuit.asset_id))
        if circuit.device:
            yield "cabinet", circuit, cabinets.cabinet_says(feeder), story
        for lamp in circuit.lamps:
            story = plan.story(lamp.device, circuit.asset_id)
            says = lamps.lamp_says(feeder, lamp, story)
            yield "streetlight", lamp, says, story
    for item in town.all_bins:
        story = plan.story(item.device)
        yield "bin", item, bins.bin_says(town, item, story), story
    for sensor in town.road_sensors:
        story = plan.story(sensor.device)
        yield "road", sensor, roads.sensor_says(town, sensor), story
    spots = {spot.id: plan.story(spot.id) for spot in town.spots}
    for vehicle in town.vehicles:
        says = roads.vehicle_says(town, vehicle, spots, plan.story(vehicle.device))
        yield "road", vehicle, says, plan.story(vehicle.device)
