"""What readings arrive wrapped in: network servers, platforms, somebody else's JSON.

An adapter opens one envelope: (topic, bytes, time of receipt) -> uplinks and refusals. A third
party adds one without touching ours: an entry point in the group `sense311.envelopes` that names a
class without arguments with such an `open`.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

from gateway.envelopes.lorawan import chirpstack, tts
from gateway.envelopes.ngsi import ngsi
from gateway.envelopes.senml import senml
from gateway.envelopes.sparkplug import Sparkplug
from gateway.envelopes.uplink import Opened

GROUP = "sense311.envelopes"


class Envelope(Protocol):
    """May remember what it was told before, as births are."""

    def open(self, topic: str, payload: bytes, now_ms: int) -> Opened: ...


class _Plain:
    """One that remembers nothing."""

    def __init__(self, opened: Callable[[str, bytes, int], Opened]) -> None:
        self.open = opened


@cache
def envelopes() -> Mapping[str, Callable[[], Envelope]]:
    """All that are installed, by name; ours come first and are not replaced."""
    found: dict[str, Callable[[], Envelope]] = {
        "tts": lambda: _Plain(lambda _topic, payload, _now_ms: tts(payload)),
        "chirpstack": lambda: _Plain(lambda topic, payload, _now_ms: chirpstack(topic, payload)),
        "sparkplug": Sparkplug,
        "ngsi": lambda: _Plain(lambda topic, payload, _now_ms: ngsi(topic, payload)),
        "senml": lambda: _Plain(senml),
    }
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, point.load())
    return found
