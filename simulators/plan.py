"""A run of the simulated city: what stands in it, what will go wrong, and every message of it.

The same city numbers give the same bytes on every machine. Messages come as a stream in order of
sending, made while they are asked for; the truth is known before the first of them.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simulators import bins, lamps, network, register, roads
from simulators.casting import cast_faults
from simulators.city import City
from simulators.device import speak
from simulators.faults import Fault
from simulators.truth import Label
from simulators.wire import Message


@dataclass(frozen=True)
class Plan:
    """Made by `plan_of`. `faults` is in order of start."""

    city: City
    faults: tuple[Fault, ...]

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


def messages(plan: Plan) -> Iterator[Message]:
    """Every message of the run as it reaches the broker, in order of `t_ms`."""
    telemetry = heapq.merge(*_devices(plan), key=lambda message: message.t_ms)
    opening = itertools.chain(
        network.stale_messages(plan.city, plan.faults), _birth_messages(plan.city)
    )
    return network.disturb(plan.city, plan.faults, itertools.chain(opening, telemetry))


def _birth_messages(town: City) -> Iterator[Message]:
    for kind, speaker in town.speakers():
        yield town.voice(kind, speaker).online(town.start_ms)


def _devices(plan: Plan) -> Iterator[Iterable[Message]]:
    """One stream for each device."""
    town = plan.city
    for circuit in town.circuits:
        story = plan.story(circuit.asset_id, circuit.device)
        yield speak(town, "cabinet", circuit, lamps.cabinet_says(town, circuit, story), story)
        for lamp in circuit.lamps:
            story = plan.story(lamp.device, circuit.asset_id)
            says = lamps.lamp_says(town, lamp, story, circuit.on_below_deg)
            yield speak(town, "streetlight", lamp, says, story)
    for item in town.all_bins:
        story = plan.story(item.device)
        yield speak(town, "bin", item, bins.bin_says(town, item, story), story)
    for sensor in town.road_sensors:
        story = plan.story(sensor.device)
        yield speak(town, "road", sensor, roads.sensor_says(town, sensor), story)
    spots = {spot.id: plan.story(spot.id) for spot in town.spots}
    for vehicle in town.vehicles:
        says = roads.vehicle_says(town, vehicle, spots)
        yield speak(town, "road", vehicle, says, plan.story(vehicle.device))
