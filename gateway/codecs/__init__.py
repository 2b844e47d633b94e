"""Vendor payload bytes -> canonical values, a table for each family of devices.

A third party adds one without touching ours: an entry point in the group `sense311.codecs` that
names a `Codec` or a tuple of them. Names are those of the makers, in small letters.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points

from gateway.codecs import (
    decentlab,
    dragino,
    milesight,
    nas,
    netvox,
    smartends,
    twtg,
    wilsen,
)
from gateway.codecs.frame import Codec

GROUP = "sense311.codecs"
_OURS = (milesight, dragino, netvox, decentlab, smartends, wilsen, nas, twtg)


@cache
def codecs() -> Mapping[str, Codec]:
    """All that are installed, by name; ours come first and are not replaced."""
    found: dict[str, Codec] = {}
    for codec in _all():
        found.setdefault(codec.name, codec)
    return found


def _all() -> Iterator[Codec]:
    for module in _OURS:
        yield from module.CODECS
    for point in entry_points(group=GROUP):
        loaded = point.load()
        yield from loaded if isinstance(loaded, tuple) else (loaded,)


def codec_named(text: str) -> Codec | None:
    """By a name as people and platforms write it: `EM400-MUD`, `em400_mud`, `Milesight EM400`."""
    wanted = _plain(text)
    for name, codec in codecs().items():
        if _plain(name) == wanted:
            return codec
    within = [codec for name, codec in codecs().items() if _plain(name) in wanted]
    return within[0] if len(within) == 1 else None


def _plain(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())
