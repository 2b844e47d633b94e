"""Devices: what each has said, so that nothing counts twice and nothing missing goes unseen.

Pure. Owns, per device, the sequence numbers seen, digests of what numbers cannot tell, the last
sign of life and the counters shown to people. `admit` decides whether a message is new and which
time it belongs to; it never drops a message because of its clock. Exact within these bounds: at
most `RUNS_MAX` holes at a time, repeats from the last `LIVES_MAX` starts of a device, and of what
carries no number, or neither boot nor believable time, from its last `DIGESTS_MAX` messages. A
refused message that comes again after its cause was mended is new, once.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from hashlib import blake2b
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from gateway.cases.ride import Ride
from gateway.telemetry import Reading

REFUSED_RUNS_MAX = 64  # stretches of refused numbers that may come again, per life
RUNS_MAX = 256  # stretches of sequence numbers with holes between them, per life
LIVES_MAX = 4  # late messages of the last few starts of a device are told from repeats
DIGESTS_MAX = 64  # three times what well-behaved devices have under way
SKEW_MS_MAX = 120_000  # a clock further ahead than this is not believed
EPOCH_MS_MIN = 1_420_070_400_000  # 2015: earlier times are unset clocks (1970, 0001, 2000)
AGE_MS_MAX = 86_400_000  # older readings are kept but not judged: no stale requests
UNTIMED_REPEAT_MS = 600_000  # same content without time or number within this is a repeat
SETTLE_MS = 600_000  # how long numbers before the first one seen are waited for
PAUSE_KEPT = 0.995  # at each reading: a lamp without power by day is known for it the next day
SLOWER_SHARE = 1 / 16  # of the difference by which a slower message moves the estimated skew
NO_FILL = "no_fill"
NO_BOOT = -1  # of devices that do not count their starts


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


class Life(msgspec.Struct, array_like=True):
    """Sequence numbers since one start of a device: [first, last] runs, ascending. Where a counter
    began again under the same boot number, the later life has the messages from after `since_ms`.
    """

    boot: int
    since_ms: int
    heard_ms: int
    """When the first message of it came."""
    runs: list[list[int]]
    refused: list[list[int]] = []
    """Of these, the numbers whose message was refused: it may come once more, after what was wrong
    has been mended, and is no repeat then.
    """


class Device(msgspec.Struct, array_like=True):
    """One device. Times in ms; `lives` by when they were last heard of, the latest last."""

    name: str
    zone: str = ""
    kind: str = ""
    last_ms: int = 0
    """The latest event time."""
    seen_ms: int = 0
    """When it was last heard, be it a repeat."""
    online: bool | None = None
    lives: list[Life] = []
    digests: dict[int, int] = {}
    """Digest of a message -> when it came; oldest first."""
    duplicates: int = 0
    late: int = 0
    rejected: int = 0
    resets: int = 0
    given_up: int = 0
    """Holes that were closed because there were too many."""
    clock_skew_s: float = 0.0
    """How far its clock is ahead, estimated; negative: behind, or all of it is that late."""
    battery_v: float | None = None
    trust: str = Trust.DEVICE
    ride: Ride | None = None
    """Of what moves."""
    unfit: dict[str, int] = {}
    """Why what it said could not be judged -> how often."""
    pause_s: float = 0.0
    """The longest pause between two of its readings that is usual of late; 0: not known yet."""

    @property
    def missing(self) -> int:
        """Messages that were numbered but never came: holes between the runs."""
        return self.given_up + sum(
            later[0] - earlier[1] - 1
            for life in self.lives
            for earlier, later in zip(life.runs, life.runs[1:], strict=False)
        )

    def note_unfit(self, reason: str) -> None:
        self.unfit = {**self.unfit, reason: self.unfit.get(reason, 0) + 1}

    def acknowledged(self) -> tuple[int | None, int] | None:
        """(boot, upto): everything of the boot last heard up to this number has been taken in.

        Counters begin at 0 or 1. Where the first number seen is a later one, those before it may be
        on their way: nothing is acknowledged until they had time to come.
        """
        if not self.lives:
            return None
        life = self.lives[-1]
        first, upto = life.runs[0]
        if first > 1 and self.seen_ms - life.heard_ms < SETTLE_MS:
            return None
        return None if life.boot == NO_BOOT else life.boot, upto


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Device).decode


def dump(device: Device) -> bytes:
    return _encode(device)


def load(blob: bytes) -> Device:
    return _decode(blob)


def note_heard(device: Device, values: Mapping[str, Any]) -> None:
    """A distance that is no fill came from a sensor without echo, with something on it, or in a bin
    that nobody measured: the bin is not judged by it, and the device has said nothing.
    """
    if "distance_mm" in values and "fill_pct" not in values:
        device.note_unfit(NO_FILL)


class Register:
    """All devices by name. A record is packed while its device is silent: those of a large city
    take a fifth of the memory so.
    """

    def __init__(self, blobs: Iterable[bytes]) -> None:
        self._packed = {load(blob).name: blob for blob in blobs}

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, name: object) -> bool:
        return name in self._packed

    def __iter__(self) -> Iterator[Device]:
        return map(load, self._packed.values())

    def get(self, name: str) -> Device | None:
        """A copy of the record; changes count once they are put back."""
        blob = self._packed.get(name)
        return None if blob is None else load(blob)

    def put_back(self, devices: Iterable[Device]) -> None:
        for device in devices:
            self._packed[device.name] = dump(device)


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
    trust, event_ms = _time_of(reading.ts_ms, times)
    device.seen_ms = max(device.seen_ms, times.now_ms)
    trusted = trust is Trust.DEVICE
    if not _is_new(device, reading, trusted, event_ms, times.now_ms):
        device.duplicates += 1
        return Verdict.DUPLICATE, event_ms
    if reading.ts_ms is not None and trust is not Trust.BEHIND and event_ms >= times.oldest_ms:
        _note_skew(device, trust, (reading.ts_ms - times.now_ms) / 1000)
    device.trust = trust
    device.zone = reading.address.zone
    if device.last_ms and event_ms > device.last_ms:
        device.pause_s = max((event_ms - device.last_ms) / 1000, device.pause_s * PAUSE_KEPT)
    device.last_ms = max(device.last_ms, event_ms)
    device.battery_v = reading.values.get("battery_v", device.battery_v)
    if event_ms < times.oldest_ms:
        device.late += 1
        return Verdict.LATE, event_ms
    return Verdict.FRESH, event_ms


def note_refused(device: Device, numbers: tuple[int | None, int] | None) -> None:
    """A message of this device was refused; its number counts as arrived, so that the refusal does
    not hold up the acknowledgement of what comes after it, and is remembered apart: nothing of the
    message was taken in yet.
    """
    device.rejected += 1
    if numbers is not None:
        boot, seq = numbers
        number = NO_BOOT if boot is None else boot
        # No time is known, so it goes to the latest life, after which nothing lies.
        since_ms = max((x.since_ms for x in device.lives if x.boot == number), default=0)
        life = _life(device, number, since_ms + 1, device.seen_ms)
        if _take(device, life, seq):
            _set_apart(life, seq)


def _note_skew(device: Device, trust: Trust, ahead_s: float) -> None:
    """A message is late by its way and by the device's clock. The one that was quickest of late
    tells the clock's part: a quicker one counts at once, slower ones only little by little.
    """
    skew_s = device.clock_skew_s
    begins = device.last_ms == 0 or trust is not Trust.DEVICE or device.trust != Trust.DEVICE
    if not begins and ahead_s < skew_s:
        ahead_s = skew_s + (ahead_s - skew_s) * SLOWER_SHARE
    device.clock_skew_s = round(ahead_s, 3)


def _time_of(ts_ms: int | None, times: Times) -> tuple[Trust, int]:
    """Where the device's clock cannot be right, the time of receipt stands for its time."""
    if ts_ms is None:
        return Trust.UNSET, times.now_ms
    if ts_ms > times.latest_ms:
        return Trust.AHEAD, times.now_ms
    if ts_ms < EPOCH_MS_MIN:
        return Trust.BEHIND, times.now_ms
    return Trust.DEVICE, ts_ms


def _is_new(device: Device, reading: Reading, trusted: bool, event_ms: int, now_ms: int) -> bool:
    """Numbers tell; content does where there are none, or no time to tell a counter that began
    again from a repeat.
    """
    seq = reading.seq
    if seq is None or device.digests or not trusted:
        digest = _digest(reading.body)
        if _is_known(device, digest, now_ms, lasting=trusted or seq is not None):
            return False
        if seq is None or not trusted:
            _note(device, digest, now_ms)
    if seq is None:
        return True
    number = NO_BOOT if reading.boot is None else reading.boot
    lives = device.lives
    if lives and lives[-1].boot == number and lives[-1].since_ms < event_ms:
        life = lives[-1]
    else:
        life = _life(device, number, event_ms, now_ms)
    if _take(device, life, seq) or _take_refused(life, seq):
        return True
    if not _began_again(device, number, trusted, event_ms):
        return False
    device.resets += 1
    since_ms = min(device.last_ms, event_ms - 1)
    _enter(device, Life(number, since_ms, now_ms, [[seq, seq]]))
    return True


def _began_again(device: Device, number: int, trusted: bool, event_ms: int) -> bool:
    """Whether a number that was seen before is a new message. A repeat carries a time that was seen
    before too; without a believable time, only one that counts its starts can be told by number.
    """
    return event_ms > device.last_ms if trusted else number == NO_BOOT


def _life(device: Device, number: int, event_ms: int, heard_ms: int) -> Life:
    """The life of this boot that the time falls into. A life that is over stays in its place: the
    last of all is always the latest of its boot.
    """
    lives = sorted((x for x in device.lives if x.boot == number), key=lambda x: x.since_ms)
    fitting = [x for x in lives if x.since_ms < event_ms]
    life = fitting[-1] if fitting else Life(number, 0, heard_ms, [])
    if not lives or life is lives[-1]:
        if lives:
            device.lives.remove(life)
        _enter(device, life)
    return life


def _enter(device: Device, life: Life) -> None:
    device.lives.append(life)
    if len(device.lives) > LIVES_MAX:
        del device.lives[0]


def _take(device: Device, life: Life, seq: int) -> bool:
    """Note a number; False if it was there."""
    runs = life.runs
    if runs and runs[-1][1] + 1 == seq:
        runs[-1][1] = seq
        return True
    at = bisect_right(runs, seq, key=itemgetter(0))
    if at and seq <= runs[at - 1][1]:
        return False
    follows = at > 0 and runs[at - 1][1] + 1 == seq
    precedes = at < len(runs) and runs[at][0] - 1 == seq
    if follows and precedes:
        runs[at - 1][1] = runs.pop(at)[1]
    elif follows:
        runs[at - 1][1] = seq
    elif precedes:
        runs[at][0] = seq
    else:
        runs.insert(at, [seq, seq])
        _bound(device, runs)
    return True


def _set_apart(life: Life, seq: int) -> None:
    """Remember a number as refused; of too many stretches the one longest ago is forgotten, and
    what comes again of it is a repeat.
    """
    refused = life.refused
    if refused and refused[-1][1] + 1 == seq:
        refused[-1][1] = seq
        return
    refused.append([seq, seq])
    del refused[:-REFUSED_RUNS_MAX]


def _take_refused(life: Life, seq: int) -> bool:
    """Whether the message of this number was refused before; from now on it has been taken in."""
    for i, (first, last) in enumerate(life.refused):
        if first <= seq <= last:
            rest = [[first, seq - 1], [seq + 1, last]]
            life.refused[i : i + 1] = [run for run in rest if run[0] <= run[1]]
            del life.refused[:-REFUSED_RUNS_MAX]
            return True
    return False


def _bound(device: Device, runs: list[list[int]]) -> None:
    """Too many holes: the oldest is given up as if it had been filled."""
    if len(runs) > RUNS_MAX:
        device.given_up += runs[1][0] - runs[0][1] - 1
        runs[0][1] = runs.pop(1)[1]


def _digest(body: bytes) -> int:
    return int.from_bytes(blake2b(body, digest_size=7).digest(), "big")


def _is_known(device: Device, digest: int, now_ms: int, *, lasting: bool) -> bool:
    """`lasting`: the content carries a time or a number, so it never comes again by itself."""
    seen_ms = device.digests.get(digest)
    return seen_ms is not None and (lasting or now_ms - seen_ms <= UNTIMED_REPEAT_MS)


def _note(device: Device, digest: int, now_ms: int) -> None:
    device.digests.pop(digest, None)
    device.digests[digest] = now_ms
    if len(device.digests) > DIGESTS_MAX:
        del device.digests[next(iter(device.digests))]
