"""Where messages come from: the native contract, and envelopes on topics of their own.

Pure. A source names a topic filter, the envelope on it, and what of its devices is known: codec,
mapping. Whatever comes in an envelope is made a canonical message and judged by the contract, like
what came natively. What an envelope holds beside readings is refused with its reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.codecs import codecs
from gateway.codecs.frame import Codec
from gateway.envelopes import Envelope, envelopes
from gateway.envelopes.mapping import MappingFile
from gateway.envelopes.sparkplug import REBIRTH, Sparkplug
from gateway.envelopes.uplink import Canonical, Opened, Uplink, canonical
from gateway.inventory.assets import Asset
from gateway.refusal import Reason, Refusal
from gateway.telemetry import NAME, Decoded, Decoder, Reading

PAYLOAD_BYTES_MAX = 1024 * 1024
NOWHERE = "-"
"""The zone of a device that belongs to no asset."""


@dataclass(frozen=True, slots=True)
class Source:
    """`topic`: an MQTT filter. `format`: an envelope, a codec for bytes alone, or "mapping"."""

    topic: str
    format: str
    codec: str = ""
    kind: str = ""
    mapping: MappingFile | None = None


@dataclass(slots=True)
class _Open:
    """A source with what its envelope remembers."""

    source: Source
    envelope: Envelope | None
    codec: Codec | None
    parts: list[str] = field(default_factory=list)

    def opened(self, topic: str, payload: bytes, now_ms: int) -> Opened:
        if self.envelope is not None:
            return self.envelope.open(topic, payload, now_ms)
        if self.source.mapping is not None:
            return self.source.mapping.open(topic, payload)
        device = topic.rpartition("/")[2]
        return [Uplink(device, data=payload, path="payload")], []


class Sources:
    """The decoder of everything that comes."""

    def __init__(
        self, sources: Sequence[Source] = (), by_device: Mapping[str, Asset] | None = None
    ) -> None:
        self._native = Decoder()
        self._by_device = by_device or {}
        self._open = [_opened(source) for source in sources]

    def decode(self, topic: str, payload: bytes, now_ms: int) -> Decoded:
        found = next((one for one in self._open if fits(one.parts, topic)), None)
        if found is None:
            return self._native.decode(topic, payload)
        if len(payload) > PAYLOAD_BYTES_MAX:
            hint = f"at most {PAYLOAD_BYTES_MAX} bytes"
            refusal = Refusal(Reason.TOO_LARGE, "", f"{len(payload)} bytes", hint)
            return Decoded(None, refusals=(refusal,), refused=(payload,))
        uplinks, refusals = found.opened(topic, payload, now_ms)
        readings = list[Reading]()
        for uplink in uplinks:
            more, wrong = self._read(found, uplink)
            readings += more
            refusals = [*refusals, *wrong]
        return Decoded(None, readings, refusals, [payload] * len(refusals))

    def know(self, by_device: Mapping[str, Asset]) -> None:
        """Other assets are in force."""
        self._by_device = by_device

    def commands(self) -> Iterator[tuple[str, bytes]]:
        """What is to be said to edge nodes: topic and payload."""
        for one in self._open:
            if isinstance(one.envelope, Sparkplug):
                for topic in one.envelope.take_rebirths():
                    yield topic, REBIRTH

    def _read(self, found: _Open, uplink: Uplink) -> tuple[list[Reading], list[Refusal]]:
        if not NAME.fullmatch(uplink.device):
            hint = "names of devices are 1 to 64 letters, digits, _ or -"
            message = f"no device can be called {uplink.device[:64]!r}"
            return [], [Refusal(Reason.WRONG_TOPIC, "device", message, hint)]
        asset = self._by_device.get(uplink.device)
        kind = asset.kind if asset is not None else found.source.kind
        messages, refusals = canonical(uplink, found.codec, kind)
        readings = list[Reading]()
        zone = (asset.zone if asset is not None else "") or NOWHERE
        for decoded in (self._judged(zone, message) for message in messages):
            readings += decoded.readings
            refusals = [*refusals, *decoded.refusals]
        return readings, refusals

    def _judged(self, zone: str, message: Canonical) -> Decoded:
        topic = f"city/v1/{zone}/{message.kind}/{message.device}/telemetry"
        return self._native.decode(topic, message.body)


def _opened(source: Source) -> _Open:
    parts = source.topic.split("/")
    codec = codecs().get(source.codec or source.format)
    make = envelopes().get(source.format)
    return _Open(source, make() if make is not None else None, codec, parts)


def fits(parts: Sequence[str], topic: str) -> bool:
    """Whether a topic is one of a filter, split at its slashes."""
    levels = topic.split("/")
    for i, part in enumerate(parts):
        if part == "#":
            return True
        if i >= len(levels) or part not in ("+", levels[i]):
            return False
    return len(parts) == len(levels)
