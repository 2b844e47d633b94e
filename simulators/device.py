"""A device: it numbers, stamps and packs what its sensor says, well or badly.

Between the sensor, which tells the truth about its thing as well as it can, and the network, which
carries bytes. What ails the device itself is applied here, one layer for each fault of its story; a
sound device has no layer and costs nothing. Never makes up what a sensor did not say.
"""

from collections.abc import Iterable, Iterator, Sequence

from simulators import ailments
from simulators.ailments import Patient
from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.things import Post, Vehicle
from simulators.wire import DAY_MS, Message, Said, Voice


def speak(
    city: City,
    kind: str,
    speaker: Post | Vehicle,
    says: Iterable[Said],
    story: Sequence[Fault],
    alias: str = "",
) -> Iterator[Message]:
    """The messages of one device, in the order in which it sends them. `story`: its faults;
    `alias`: the device whose name it takes while it is spoofed.
    """
    voice = city.voice(kind, speaker)
    patients = [
        Patient(fault, voice, dice(city.seed, fault.kind, speaker.device), city.end_ms, alias)
        for fault in story
    ]
    for patient in patients:
        if change := ailments.OF_SAYING.get(patient.fault.kind):
            says = change(patient, says)
    if city.scenario.network.clock_steps_per_day:
        says = _with_a_stepping_clock(city, speaker.device, says)
    messages = _voiced(voice, says)
    for patient in patients:
        if spoil := ailments.OF_SENDING.get(patient.fault.kind):
            messages = spoil(patient, messages)
    return messages


def _with_a_stepping_clock(city: City, device: str, says: Iterable[Said]) -> Iterator[Said]:
    """Set anew now and then, each time a little wrong, before or behind."""
    network, rng = city.scenario.network, dice(city.seed, "clock", device)
    low_s, high_s = network.clock_off_by
    rate = network.clock_steps_per_day / DAY_MS
    off_ms, next_ms = 0.0, city.start_ms + rng.expovariate(rate)
    for said in says:
        while next_ms <= said.t_ms:
            off_ms = rng.choice((-1000, 1000)) * rng.uniform(low_s, max(low_s, high_s))
            next_ms += rng.expovariate(rate)
        yield said._replace(ts_ms=max(0, said.ts_ms + round(off_ms))) if off_ms else said


def _voiced(voice: Voice, says: Iterable[Said]) -> Iterator[Message]:
    last_ms = 0
    for said in says:
        # It sends one after the other: none overtakes the one before.
        last_ms = max(last_ms + 1, said.t_ms)
        yield voice.say(said if said.t_ms == last_ms else said._replace(t_ms=last_ms))


def opening(
    city: City, kind: str, speaker: Post | Vehicle, story: Sequence[Fault]
) -> Iterator[Message]:
    """What lies retained on the broker as the run begins: that the device is there, and for some
    a reading of days ago.
    """
    voice = city.voice(kind, speaker)
    if any(fault.kind is Kind.STALE for fault in story):
        yield ailments.stale_reading(voice, city.start_ms)
    yield voice.status(city.start_ms, online=True)
