"""A device: it numbers, stamps and packs what its sensor says, well or badly.

Between the sensor, which tells the truth about its thing as well as it can, and the network, which
carries bytes. Faults of the device itself (its clock, its firmware, its memory) are here. Never
makes up what a sensor did not say.
"""

from collections.abc import Iterable, Iterator, Sequence

from simulators.city import City
from simulators.faults import Fault, Kind
from simulators.things import Post, Vehicle
from simulators.wire import Message, Said


def speak(
    city: City, kind: str, speaker: Post | Vehicle, says: Iterable[Said], story: Sequence[Fault]
) -> Iterator[Message]:
    """The messages of one device, in the order in which it sends them. `story`: its faults."""
    clock_ms = next((f.end_ms or city.end_ms for f in story if f.kind is Kind.EPOCH_CLOCK), 0)
    voice = city.voice(kind, speaker, clock_ms)
    last_ms = 0
    for said in says:
        # It sends one after the other: none overtakes the one before.
        last_ms = max(last_ms + 1, said.t_ms)
        yield voice.say(said if said.t_ms == last_ms else said._replace(t_ms=last_ms))
