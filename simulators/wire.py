"""The wire format as a device speaks it: topics, payload bytes, times, message numbers.

Written from the contract alone, knowing nothing of the side that reads it, so that a shared
mistake cannot hide. A `Voice` numbers what its device says: (boot, seq) never repeats for two
different messages. Never invents a value: it writes what it is given.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """One publish: `t_ms` is when it is sent, `concentrator` whose connection carries it."""

    t_ms: int
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    concentrator: str = ""

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
    moment = EPOCH + timedelta(milliseconds=ts_ms)
    spec = "milliseconds" if ts_ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


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
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


@dataclass(slots=True)
class Voice:
    """How one device speaks. `epoch_clock_until_ms`: until then its clock starts at 1970."""

    zone: str
    kind: str
    device: str
    concentrator: str
    boot: int
    seq: int
    sim: bool
    epoch_clock_until_ms: int = 0
    _born_ms: int | None = field(default=None, repr=False)

    def topic(self, leaf: str) -> str:
        return f"city/v1/{self.zone}/{self.kind}/{self.device}/{leaf}"

    def say(self, said: Said) -> Message:
        """The next telemetry message."""
        self.seq += 1
        body: dict[str, Any] = {"ts": self._stamp(said.ts_ms), "boot": self.boot, "seq": self.seq}
        body["values"] = said.values
        if said.loc is not None:
            body["loc"] = said.loc
        if said.claims:
            body["faults"] = said.claims
        if self.sim:
            body["sim"] = True
        topic = self.topic("telemetry")
        return Message(said.t_ms, topic, encode(body), concentrator=self.concentrator)

    def online(self, t_ms: int) -> Message:
        """The retained word that the device is there."""
        payload = encode({"online": True})
        return Message(t_ms, self.topic("status"), payload, 1, True, self.concentrator)

    def _stamp(self, ts_ms: int) -> str:
        if self._born_ms is None:
            self._born_ms = ts_ms
        if ts_ms < self.epoch_clock_until_ms:
            return rfc3339(ts_ms - self._born_ms)
        return rfc3339(ts_ms)
