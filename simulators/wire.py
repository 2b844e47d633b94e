"""The wire format as a device speaks it: topics, payload bytes, times, message numbers.

Written from the contract alone, knowing nothing of the side that reads it, so that a shared
mistake cannot hide. A `Voice` numbers what its device says: (boot, seq) never repeats for two
different messages. Never invents a value: it writes what it is given.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS, MINUTE_MS = 86_400_000, 60_000


class Said(NamedTuple):
    """What a thing's sensor says, before its device numbers, stamps and packs it: sampled at
    `ts_ms`, sent at `t_ms`. `claims`: the faults that the device itself reports, in uCIFI's names.
    """

    t_ms: int
    ts_ms: int
    values: Mapping[str, Any]
    loc: Sequence[float] | None = None
    claims: tuple[str, ...] = ()


class Message(NamedTuple):
    """One publish: `t_ms` is when it is sent, `concentrator` whose connection carries it,
    `speaker` the device that sent it, whatever the topic says.
    """

    t_ms: int
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    concentrator: str = ""
    speaker: str = ""

    @property
    def device(self) -> str:
        """The device named by the topic; empty where the topic names none."""
        parts = self.topic.split("/")
        return parts[4] if len(parts) > 4 else ""

    @property
    def leaf(self) -> str:
        return self.topic.rpartition("/")[2]


def rfc3339(ts_ms: int) -> str:
    """Milliseconds since the epoch -> `2026-01-15T20:05:00Z`, a fraction only if it has one."""
    day, rest = divmod(ts_ms, DAY_MS)
    minute, rest = divmod(rest, MINUTE_MS)
    second, thousandth = divmod(rest, 1000)
    fraction = f".{thousandth:03d}" if thousandth else ""
    return f"{_date(day)}{_MINUTES[minute]}{_SECONDS[second]}{fraction}Z"


_MINUTES = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60))
_SECONDS = tuple(f"{second:02d}" for second in range(60))


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()


def ms_of(moment: datetime) -> int:
    """A moment with its zone -> milliseconds since the epoch."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def parse_rfc3339(text: str) -> int:
    """The reverse, any offset. Raises ValueError where there is no zone or no such time."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return ms_of(moment)


def encode(value: object) -> bytes:
    """JSON as compact as devices send it; raises ValueError for NaN and infinities."""
    payload = _ENCODER.encode(value)
    if b"null" in payload:  # what stands there for NaN, too
        json.dumps(value, allow_nan=False)
    return payload


_ENCODER = msgspec.json.Encoder()


def is_whole(payload: bytes) -> bool:
    """Whether it is one JSON object."""
    try:
        return isinstance(msgspec.json.decode(payload), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


@dataclass(slots=True)
class Voice:
    """How one device speaks."""

    zone: str
    kind: str
    device: str
    concentrator: str
    boot: int
    seq: int
    sim: bool
    _telemetry: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._telemetry = self.topic("telemetry")

    def topic(self, leaf: str) -> str:
        return f"city/v1/{self.zone}/{self.kind}/{self.device}/{leaf}"

    def say(self, said: Said) -> Message:
        """The next telemetry message."""
        self.seq += 1
        body: dict[str, Any] = {
            "ts": rfc3339(said.ts_ms), "boot": self.boot, "seq": self.seq, "values": said.values,
        }  # fmt: skip
        if said.loc is not None:
            body["loc"] = said.loc
        if said.claims:
            body["faults"] = said.claims
        if self.sim:
            body["sim"] = True
        payload = encode(body)
        return Message(
            said.t_ms, self._telemetry, payload, 1, False, self.concentrator, self.device
        )

    def restart(self) -> None:
        """It boots: the next message is the first of a new run of numbers."""
        self.boot, self.seq = self.boot + 1, 0

    def status(self, t_ms: int, *, online: bool) -> Message:
        """The retained word whether the device is there: its own, or its will's."""
        topic, payload = self.topic("status"), encode({"online": online})
        return Message(t_ms, topic, payload, 1, True, self.concentrator, self.device)
