"""What a radio frame says, in canonical values: the words that all codecs share.

Pure. A frame is one reading or several, or none with the reason. Values have the contract's keys
and units and are checked against its ranges later, like those of any device. Nothing is clipped;
what a sensor marks as not measured is left out, and said.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.refusal import Reason, Refusal

Value = float | bool


@dataclass(frozen=True, slots=True)
class Frame:
    """`faults`: the device's own claims. `ts_ms`: its own time, where it is believable."""

    values: Mapping[str, Value]
    faults: tuple[str, ...] = ()
    ts_ms: int | None = None
    loc: tuple[float, float] | None = None


@dataclass(slots=True)
class Content:
    """What came of the bytes: readings, and what is none with the reason."""

    frames: list[Frame] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


Decode = Callable[[bytes, int], Content]
"""(bytes, fPort) -> what they say."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One family of devices. `fields`: names in the objects of the vendor's own decoder -> ours."""

    name: str
    kind: str
    decode: Decode
    about: str
    fields: Mapping[str, str] = field(default_factory=dict)


class TooShort(Exception):  # noqa: N818 -- of the frame
    """The frame ends before what it announces."""


class Reader:
    """Bytes, read from the front; `order` is "<" or ">"."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data = data
        self._order = order
        self.at = 0

    def take(self, form: str) -> Any:
        """One number: "B", "h" and so on, as `struct` has them."""
        size = struct.calcsize(form)
        if self.at + size > len(self._data):
            raise TooShort
        (value,) = struct.unpack_from(self._order + form, self._data, self.at)
        self.at += size
        return value

    @property
    def left(self) -> int:
        return len(self._data) - self.at


def reading(values: Mapping[str, Value | None], faults: Sequence[str] = (), **more: Any) -> Content:
    """One reading; values that are None are not known."""
    known = {key: value for key, value in values.items() if value is not None}
    return Content([Frame(known, tuple(faults), **more)])


def not_a_reading(what: str) -> Content:
    hint = "nothing to do: the device says this beside its readings"
    return Content(refusals=[Refusal(Reason.NOT_A_READING, "frame", what, hint)])


def unknown_frame(data: bytes, what: str) -> Content:
    hint = "check that the codec is that of the device and of its firmware"
    shown = data[:16].hex()
    return Content(refusals=[Refusal(Reason.UNKNOWN_FRAME, "frame", f"{what}: {shown}", hint)])


def sensor_fault(path: str, what: str) -> Refusal:
    hint = "look at the sensor: the device works and its sensor gives no value"
    return Refusal(Reason.SENSOR_FAULT, path, what, hint)


def too_short(data: bytes) -> Content:
    hint = "check that the codec is that of the device, and that the bytes are whole"
    message = f"{len(data)} bytes are too few"
    return Content(refusals=[Refusal(Reason.WRONG_LENGTH, "frame", message, hint)])


def bits(data: bytes, first: int, count: int) -> int:
    """An unsigned number from the bits of all bytes, the first bit being the highest."""
    total = 8 * len(data)
    if first + count > total:
        raise TooShort
    return int.from_bytes(data, "big") >> (total - first - count) & ((1 << count) - 1)
