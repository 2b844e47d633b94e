"""Dead letters: what the gateway would make today of a message that it refused.

Pure. Runs the gateway's own decoder on what was kept, and says in which form it can be published
again: on its own topic, or natively where it came in an envelope; with its own numbers, so that
nothing counts twice; never what would be taken for something that happens now. What was taken in
meanwhile is left out.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.effects import TOPIC_CHARS_KEPT, KeptRefusal
from gateway.field.devices import EPOCH_MS_MIN
from gateway.field.identity import identify
from gateway.inventory.assets import City
from gateway.refusal import Reason, Refusal
from gateway.sources import NOWHERE, Sources
from gateway.telemetry import Reading, parse_topic

_OF_THE_READING = frozenset(
    {Reason.UNKNOWN_DEVICE, Reason.WRONG_KIND, Reason.NO_POSITION, Reason.SIMULATED}
)
"""Reasons that a reading has which could be read: it was kept in canonical form."""


class Prospect(StrEnum):
    """What comes of a letter that is sent again."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """As before, or for another reason."""
    STORED = "stored"
    """All that is in it was taken in meanwhile."""
    REPEATED = "repeated"
    """It is in another letter, word for word."""
    CUT = "cut"
    """Only its beginning was kept."""
    TIMELESS = "timeless"
    """It says no time that can be believed: it would count as happening now."""


class Letter(NamedTuple):
    """A kept message, looked at today. `messages`: topic and payload to be published."""

    kept: KeptRefusal
    prospect: Prospect
    readings: tuple[Reading, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    messages: tuple[tuple[str, bytes], ...] = ()
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.kept.id,
            "device": self.kept.device,
            "was": self.kept.reason,
            "prospect": str(self.prospect),
            "readings": [_shown(reading) for reading in self.readings],
            "refusals": [refusal._asdict() for refusal in self.refusals],
            "topic": self.messages[0][0] if self.messages else self.kept.topic,
            "why": self.why,
        }


StoredAmong = Callable[[Sequence[bytes]], Collection[tuple[str, bytes]]]
"""Which of these messages were taken in meanwhile, as (device, message)."""


class _Read(NamedTuple):
    """A letter as it is read today: in which form, and what is in it."""

    topic: str
    payload: bytes
    readings: tuple[Reading, ...]
    refusals: tuple[Refusal, ...]
    is_native: bool


class Reader:
    """Looks at letters with the decoder, the assets and the permissions of today."""

    def __init__(self, sources: Sources, city: City, *, allow_simulated: bool) -> None:
        self._sources, self._city = sources, city
        self._allow_simulated = allow_simulated

    def letters(
        self, kept: Iterable[KeptRefusal], stored: StoredAmong, now_ms: int
    ) -> Iterator[Letter]:
        """One for each, in their order."""
        seen: dict[tuple[str, bytes], int] = {}
        read = [(one, self._read(one, now_ms)) for one in kept]
        known = stored([reading.body for _, found in read if found for reading in found.readings])
        for one, found in read:
            first = seen.setdefault((one.topic, one.payload), one.id)
            if found is None:
                why = f"only the first {len(one.payload)} of {one.size} bytes were kept"
                yield Letter(one, Prospect.CUT, why=why)
            elif first != one.id:
                yield Letter(one, Prospect.REPEATED, why=f"the same as {first}")
            else:
                yield _judged(one, found, known)

    def _read(self, kept: KeptRefusal, now_ms: int) -> _Read | None:
        """None where it is not whole."""
        if not kept.is_whole or len(kept.topic) >= TOPIC_CHARS_KEPT:
            return None
        topic, payload = self._form(kept)
        decoded = self._sources.decode(topic, payload, now_ms)
        refusals, readings = list(decoded.refusals), list[Reading]()
        for reading in decoded.readings:
            who = identify(reading, self._city, allow_simulated=self._allow_simulated)
            if isinstance(who, Refusal):
                refusals.append(who)
            else:
                readings.append(reading)
        if kept.reason == Reason.RETAINED:
            refusals.append(Refusal(Reason.RETAINED, "retain", kept.message, kept.hint))
        is_native = not isinstance(parse_topic(topic), Refusal)
        return _Read(topic, payload, tuple(readings), tuple(refusals), is_native)

    def _form(self, kept: KeptRefusal) -> tuple[str, bytes]:
        """Where and as what it is read. One message of a batch is a batch of its own; a reading
        that came in an envelope was kept as a native message, in the name of whose it is now.
        """
        address = parse_topic(kept.topic)
        if not isinstance(address, Refusal):
            alone = address.leaf == "batch" and not kept.payload.lstrip().startswith(b"[")
            return kept.topic, b"[" + kept.payload + b"]" if alone else kept.payload
        asset = self._city.by_device.get(kept.device)
        if kept.reason not in _OF_THE_READING or asset is None:
            return kept.topic, kept.payload
        zone = asset.zone or NOWHERE
        return f"city/v1/{zone}/{asset.kind}/{kept.device}/telemetry", kept.payload


def paced(topics: Sequence[str], per_minute_max: int | None) -> list[int]:
    """When each message is sent, in ms from now: of one topic at half the pace that a device may
    have, so that it can go on speaking meanwhile; at once where there is no limit.
    """
    gap_ms = 0 if per_minute_max is None else 120_000 // per_minute_max
    sent = Counter[str]()
    moments = []
    for topic in topics:
        moments.append(sent[topic] * gap_ms)
        sent[topic] += 1
    return moments


def _judged(kept: KeptRefusal, read: _Read, stored: Collection[tuple[str, bytes]]) -> Letter:
    letter = Letter(kept, Prospect.REFUSED, read.readings, read.refusals)
    fresh = [one for one in read.readings if (one.address.device, one.body) not in stored]
    if read.readings and not fresh:
        why = "the same was taken in meanwhile"
        return letter._replace(prospect=Prospect.STORED, why=why)
    whole = ((read.topic, read.payload),)
    if read.refusals or not fresh:
        told = read.refusals[0].message if read.refusals else "there is no reading in it"
        return letter._replace(messages=whole, why=told)
    if any(reading.ts_ms is None or reading.ts_ms < EPOCH_MS_MIN for reading in fresh):
        why = "it says no time that can be believed, and would count as happening now"
        return letter._replace(prospect=Prospect.TIMELESS, messages=whole, why=why)
    # An envelope is not sent again: it would break into the session of whoever sends these.
    parts = tuple((_own_topic(reading), reading.body) for reading in fresh)
    messages = whole if read.is_native and len(fresh) == len(read.readings) else parts
    return letter._replace(prospect=Prospect.ACCEPTED, messages=messages)


def _own_topic(reading: Reading) -> str:
    return "/".join(("city/v1", *reading.address._replace(leaf="telemetry")))


def _shown(reading: Reading) -> dict[str, Any]:
    return {"device": reading.address.device, "values": reading.values, "seq": reading.seq}
