"""What happens to messages between a sensor and the broker: nothing to most of them.

Some are sent twice, some come up to two minutes late and out of order, those of a dead device or
of a concentrator without uplink never come, those of a sick one come spoiled, and old retained
ones lie about from last week. The order of sending is kept by `t_ms`. Never makes up a reading
that a sound device could have sent.
"""

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.wire import Message, encode, rfc3339

TWICE_SHARE, TWICE_MS = 0.004, (1_000, 30_000)
LATE_SHARE, LATE_MS = 0.01, (5_000, 120_000)
SPOILT_SHARE = 0.4  # of a sick device's messages
STALE_AGE_MS = 3 * 86_400_000
_OUT_OF_RANGE = 99_999


def disturb(city: City, faults: Sequence[Fault], sent: Iterable[Message]) -> Iterator[Message]:
    """The messages as they reach the broker, in order of `t_ms`."""
    rng = dice(city.seed, "network")
    gone = {f.target: f for f in faults if f.kind in (Kind.DEVICE_SILENT, Kind.MASS_SILENCE)}
    sick = {fault.target for fault in faults if fault.kind is Kind.SICK}
    waiting: list[tuple[int, int, Message]] = []
    for number, message in enumerate(sent):
        while waiting and waiting[0][0] <= message.t_ms:
            yield heapq.heappop(waiting)[2]
        if any(gone[name].active(message.t_ms) for name in _names(message) if name in gone):
            continue
        for copy in _copies(message, message.device in sick, rng):
            heapq.heappush(waiting, (copy.t_ms, number, copy))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _names(message: Message) -> tuple[str, str]:
    return message.device, message.concentrator


def _copies(message: Message, is_sick: bool, rng: Random) -> Iterator[Message]:
    if message.leaf != "telemetry" or message.retain:
        yield message
        return
    fate, delay = rng.random(), rng.randint(*TWICE_MS)
    if is_sick and rng.random() < SPOILT_SHARE:
        message = message._replace(payload=rng.choice(SPOILERS)(message.payload))
    if fate < LATE_SHARE:
        message = message._replace(t_ms=message.t_ms + rng.randint(*LATE_MS))
    yield message
    if LATE_SHARE <= fate < LATE_SHARE + TWICE_SHARE:
        yield message._replace(t_ms=message.t_ms + delay)


def _cut_short(payload: bytes) -> bytes:
    return payload[: len(payload) * 2 // 3]


def _not_text(payload: bytes) -> bytes:
    return b"\xff\xfe\x00" + payload[:20]


def _not_a_number(payload: bytes) -> bytes:
    """Some firmware prints NaN for a sensor that gives nothing: not JSON."""
    body = json.loads(payload)
    body["values"] = dict.fromkeys(body["values"], float("nan"))
    return json.dumps(body, separators=(",", ":")).encode()


def _out_of_range(payload: bytes) -> bytes:
    body = json.loads(payload)
    body["values"][next(iter(body["values"]))] = _OUT_OF_RANGE
    return encode(body)


def _as_text(payload: bytes) -> bytes:
    body = json.loads(payload)
    body["values"] = {key: str(value) for key, value in body["values"].items()}
    return encode(body)


SPOILERS: Sequence[Callable[[bytes], bytes]] = (
    _cut_short, _not_text, _not_a_number, _out_of_range, _as_text,
)  # fmt: skip


def stale_messages(city: City, faults: Sequence[Fault]) -> Iterator[Message]:
    """Telemetry of three days ago that somebody left retained: a dark lamp, a burning bin."""
    targets = {fault.target: fault for fault in faults if fault.kind is Kind.STALE}
    for kind, speaker in city.speakers():
        if speaker.device not in targets:
            continue
        voice = city.voice(kind, speaker)
        ts_ms = city.start_ms - STALE_AGE_MS
        values = {
            "streetlight": {"active_power_w": 0.0, "voltage_v": 240.0, "relay_on": True},
            "bin": {"fill_pct": 97.0, "temperature_c": 81.0},
        }[kind]
        body = {"ts": rfc3339(ts_ms), "boot": voice.boot - 1, "seq": 9000, "values": values}
        payload = encode(body | ({"sim": True} if city.sim else {}))
        topic = voice.topic("telemetry")
        yield Message(city.start_ms, topic, payload, 1, True, speaker.concentrator)
