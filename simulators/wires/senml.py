"""SenML packs in JSON (RFC 8428), with the secondary units of RFC 8798.

Name and time stand once, at the head; a window of vibration is a row of records with their own
times. A device whose clock was never set writes how long ago it was: a time below 2^28 is relative
to now.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from simulators.wire import Message, encode
from simulators.wires.uplink_frame import Frame

CLOCK_SET_MS = 946_684_800_000
UNITS: Mapping[str, tuple[str, float]] = {
    "_w": ("W", 1), "_a": ("A", 1), "_v": ("V", 1), "_pct": ("%", 1), "_wh": ("Wh", 1),
    "_lx": ("lx", 1), "_c": ("Cel", 1), "_deg": ("deg", 1), "_mm": ("mm", 1), "_kg": ("kg", 1),
    "_mps": ("m/s", 1), "_ms2": ("m/s2", 1), "_hz": ("Hz", 1), "_mm_s": ("m/s", 0.001),
}  # fmt: skip
"""End of our name -> (unit, factor)."""


class SenML:
    def say(self, frame: Frame) -> Iterator[Message]:
        topic = f"senml/{frame.zone}/{frame.kind}/{frame.device}"
        if frame.values is None:
            yield frame.sent._replace(topic=topic)
            return
        head = {"bn": f"urn:dev:mac:{frame.eui.hex()}_", "bt": _time_s(frame)}
        records = [record for name, value in frame.values.items() for record in _told(name, value)]
        if frame.loc is not None:
            records += [{"n": "lat", "u": "lat", "v": frame.loc[0]},
                        {"n": "lon", "u": "lon", "v": frame.loc[1]}]  # fmt: skip
        records += [{"n": f"fault/{claim}", "vb": True} for claim in frame.claims]
        records.append({"n": "sim", "vb": True})
        records[0] = head | records[0]
        yield frame.sent._replace(topic=topic, payload=encode(records))


def unit_of(name: str) -> tuple[str, float]:
    """(unit, factor) of a value by the end of its name; ("/", 1) for plain numbers."""
    ends = sorted((end for end in UNITS if name.endswith(end)), key=len)
    return UNITS[ends[-1]] if ends else ("/", 1)


def _time_s(frame: Frame) -> float:
    if frame.ts_ms >= CLOCK_SET_MS:
        return frame.ts_ms / 1000
    return -1.0


def _told(name: str, value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, bool):
        yield {"n": name, "vb": value}
    elif isinstance(value, Mapping):  # a window: its middle sample is at the pack's time
        for axis in (key for key in value if key != "rate_hz"):
            middle = len(value[axis]) // 2
            for i, sample in enumerate(value[axis]):
                at_s = round((i - middle) / value["rate_hz"], 6)
                yield {"n": axis, "u": "m/s2", "v": sample, "t": at_s}
    elif isinstance(value, int | float):
        unit, factor = unit_of(name)
        yield {"n": name, "u": unit, "v": value if factor == 1 else value * factor}
    else:
        yield {"n": name, "vs": str(value)}
