"""Devices: what each has said, so that nothing counts twice and nothing missing goes unseen.

Pure. Owns, per device, the sequence numbers seen, digests of what carries no number, the last
sign of life and the counters shown to people. `admit` decides whether a message is new and which
time it belongs to; it never drops a message because of its clock.
"""

from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from gateway.telemetry import Reading

RUNS_MAX = 256  # stretches of sequence numbers with holes between them, per boot
BOOTS_MAX = 4
DIGESTS_MAX = 64
SKEW_MS_MAX = 120_000  # a clock further ahead than this is not believed
EPOCH_MS_MIN = 1_420_070_400_000  # 2015: earlier times are unset clocks (1970, 0001, 2000)
AGE_MS_MAX = 86_400_000  # older readings are kept but not judged: no stale requests
UNTIMED_REPEAT_MS = 600_000  # same content without time or number within this is a repeat


class Verdict(StrEnum):
    FRESH = "fresh"
    DUPLICATE = "duplicate"
    LATE = "late"


class Trust(StrEnum):
    """Whose time a reading carries."""

    DEVICE = "device"
    UNSET = "no clock"
    AHEAD = "clock ahead"
    BEHIND = "clock not set"


class Boot(msgspec.Struct, array_like=True):
    """Sequence numbers seen since one start of a device: [first, last] runs, ascending."""

    boot: int
    runs: list[list[int]]


class Device(msgspec.Struct, array_like=True):
    """One device. Times in ms; `digests` are of the latest messages, oldest first."""

    name: str
    zone: str = ""
    kind: str = ""
    last_ms: int = 0
    seen_ms: int = 0
    online: bool | None = None
    boots: list[Boot] = []
    digests: list[tuple[int, int]] = []
    duplicates: int = 0
    late: int = 0
    rejected: int = 0
    resets: int = 0
    clock_skew_s: float = 0.0
    battery_v: float | None = None
    trust: str = Trust.DEVICE

    @property
    def missing(self) -> int:
        """Messages that were numbered but never came: holes between the runs."""
        return sum(
            later[0] - earlier[1] - 1
            for boot in self.boots
            for earlier, later in zip(boot.runs, boot.runs[1:], strict=False)
        )

    def acknowledged(self) -> tuple[int, int] | None:
        """(boot, upto): everything of the latest boot up to this number has been taken in."""
        if not self.boots:
            return None
        latest = self.boots[-1]
        return latest.boot, latest.runs[0][1]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Device).decode


def dump(device: Device) -> bytes:
    return _encode(device)


def load(blob: bytes) -> Device:
    return _decode(blob)


class Times(NamedTuple):
    """What a reading's own time is measured against, in ms."""

    now_ms: int
    """The time of receipt."""
    latest_ms: int
    """A device time beyond this is not believed."""
    oldest_ms: int
    """A reading from before this is kept but not judged."""


def admit(device: Device, reading: Reading, times: Times) -> tuple[Verdict, int]:
    """Whether the reading is new, and its event time. Changes the device's record."""
    ts_ms = reading.ts_ms
    if ts_ms is None:
        trust, event_ms = Trust.UNSET, times.now_ms
    elif ts_ms < EPOCH_MS_MIN:
        trust, event_ms = Trust.BEHIND, times.now_ms
    elif ts_ms > times.latest_ms:
        trust, event_ms = Trust.AHEAD, times.now_ms
        device.clock_skew_s = (ts_ms - times.now_ms) / 1000
    else:
        trust, event_ms = Trust.DEVICE, ts_ms
    if _seen(device, reading, event_ms, times.now_ms):
        device.duplicates += 1
        return Verdict.DUPLICATE, event_ms
    device.trust = trust
    device.seen_ms = max(device.seen_ms, times.now_ms)
    device.last_ms = max(device.last_ms, event_ms)
    if event_ms < times.oldest_ms:
        device.late += 1
        return Verdict.LATE, event_ms
    return Verdict.FRESH, event_ms


def note_refused(device: Device, numbers: tuple[int | None, int] | None) -> None:
    """A message of this device was refused; it counts as arrived."""
    device.rejected += 1
    if numbers is not None:
        runs = _boot(device, numbers[0] or 0).runs
        if not _in_runs(runs, numbers[1]):
            _add(runs, numbers[1])


def _seen(device: Device, reading: Reading, event_ms: int, now_ms: int) -> bool:
    if reading.seq is None:
        return _seen_content(device, reading, now_ms)
    boots = device.boots
    number = reading.boot or 0
    if boots and boots[-1].boot == number:
        boot = boots[-1]
    else:
        boot = _boot(device, number)
    run = boot.runs[-1] if boot.runs else None
    if run is not None and reading.seq == run[1] + 1:
        run[1] += 1
        return False
    if not _in_runs(boot.runs, reading.seq):
        _add(boot.runs, reading.seq)
        return False
    if reading.boot is None and reading.ts_ms is not None and event_ms > device.last_ms:
        # The counter began again and the device does not count its boots. A repeat would carry
        # a time that was seen before.
        boot.runs[:] = [[reading.seq, reading.seq]]
        device.resets += 1
        return False
    return True


def _boot(device: Device, number: int) -> Boot:
    for known in device.boots:
        if known.boot == number:
            return known
    boot = Boot(number, [])
    device.boots.append(boot)
    device.boots.sort(key=lambda b: b.boot)
    if len(device.boots) > BOOTS_MAX:
        del device.boots[0]
    return boot


def _in_runs(runs: list[list[int]], seq: int) -> bool:
    return any(first <= seq <= last for first, last in runs)


def _add(runs: list[list[int]], seq: int) -> None:
    at = next((i for i, run in enumerate(runs) if run[0] > seq), len(runs))
    if at and runs[at - 1][1] + 1 == seq:
        runs[at - 1][1] = seq
    else:
        runs.insert(at, [seq, seq])
        at += 1
    if at < len(runs) and runs[at - 1][1] + 1 == runs[at][0]:
        runs[at - 1][1] = runs[at][1]
        del runs[at]
    if len(runs) > RUNS_MAX:
        runs[0][1] = runs[1][1]
        del runs[1]


def _seen_content(device: Device, reading: Reading, now_ms: int) -> bool:
    digest = int.from_bytes(blake2b(reading.body, digest_size=7).digest(), "big")
    for known, seen_ms in device.digests:
        if known == digest and (reading.ts_ms is not None or now_ms - seen_ms <= UNTIMED_REPEAT_MS):
            return True
    device.digests.append((digest, now_ms))
    if len(device.digests) > DIGESTS_MAX:
        del device.digests[0]
    return False
