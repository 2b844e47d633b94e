"""A run of the simulated city: what stands in it, what will go wrong, and every message of it.

The same city numbers give the same bytes on every machine. Messages come as a stream in order of
sending, made while they are asked for; the truth is known before the first of them.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from simulators import bins, lamps, network, register, roads
from simulators.casting import cast_faults
from simulators.city import City
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

    def story(self, *targets: str) -> tuple[Fault, ...]:
        """The faults that a device, circuit or spot plays in."""
        return tuple(fault for fault in self.faults if fault.target in targets)


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
        yield _in_order(lamps.cabinet_messages(town, circuit, plan.story(circuit.asset_id)))
        for lamp in circuit.lamps:
            story = plan.story(lamp.device, circuit.asset_id)
            yield _in_order(lamps.lamp_messages(town, lamp, story, circuit.on_below_deg))
    for item in town.all_bins:
        yield _in_order(bins.bin_messages(town, item, plan.story(item.device)))
    for sensor in town.road_sensors:
        yield _in_order(roads.sensor_messages(town, sensor))
    spots = {spot.id: plan.story(spot.id) for spot in town.spots}
    for vehicle in town.vehicles:
        yield _in_order(roads.vehicle_messages(town, vehicle, spots))


def _in_order(stream: Iterator[Message]) -> Iterator[Message]:
    """A device sends its messages one after the other: none overtakes the one before."""
    last_ms = 0
    for message in stream:
        last_ms = max(last_ms + 1, message.t_ms)
        yield message if last_ms == message.t_ms else message._replace(t_ms=last_ms)
