"""Wire formats: how what the devices say looks when it comes through somebody else's platform.

Applied last, where the platform stands: between the network and the broker. Written from the public
documents of each format and knowing nothing of the side that reads it. The native format needs no
room here: it is what the devices say.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from simulators.city import City
from simulators.wire import Message
from simulators.wires.lorawan import LoraWan, chirpstack, chirpstack3, tts
from simulators.wires.ngsi import NgsiLd, NgsiV2
from simulators.wires.senml import SenML
from simulators.wires.sparkplug import Sparkplug
from simulators.wires.uplink_frame import Frame, frames_of


class Wire(Protocol):
    """A platform, with what it remembers of its devices."""

    def say(self, frame: Frame) -> Iterator[Message]: ...


def wire_of(name: str) -> Wire:
    """A fresh platform of a format that a scenario may name; KeyError for `native` and others."""
    return _WIRES[name]()


_WIRES: Mapping[str, Callable[[], Wire]] = {
    "tts": lambda: LoraWan(tts),
    "chirpstack": lambda: LoraWan(chirpstack),
    "chirpstack3": lambda: LoraWan(chirpstack3),
    "vendor": lambda: LoraWan(chirpstack, raw=True),
    "sparkplug": Sparkplug,
    "ngsi": NgsiLd,
    "ngsi2": NgsiV2,
    "senml": SenML,
}


def translated(city: City, messages: Iterable[Message]) -> Iterator[Message]:
    """The messages as the broker gets them, in the formats that the fleets speak."""
    wires = _wires(city)
    if not wires:
        yield from messages
        return
    kinds = {speaker.device: kind for kind, speaker in city.speakers()}
    fixed = {sensor.device for sensor in city.road_sensors}
    for message in messages:
        kind = kinds.get(message.speaker, "")
        fleet = "road_sensors" if message.speaker in fixed else _FLEETS.get(kind, "")
        wire = wires.get(fleet)
        if wire is None:
            yield message
        elif message.leaf == "status":  # the others know no birth and no death
            if isinstance(wire, Sparkplug):
                yield from wire.online(message, is_online=b"true" in message.payload)
        else:
            for frame in frames_of(message):
                yield from wire.say(frame)


_FLEETS = {"streetlight": "lamps", "cabinet": "lamps", "bin": "bins", "road": "vehicles"}


def _wires(city: City) -> Mapping[str, Wire]:
    """Fleet -> its platform; fleets of one format share one."""
    fleets = city.scenario.fleets
    names = {
        "lamps": fleets.lamps.wire, "bins": fleets.bins.wire, "vehicles": fleets.vehicles.wire,
        "road_sensors": fleets.road_sensors.wire,
    }  # fmt: skip
    shared = {name: wire_of(name) for name in set(names.values()) if name != "native"}
    return {fleet: shared[name] for fleet, name in names.items() if name != "native"}
