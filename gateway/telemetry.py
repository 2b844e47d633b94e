"""Topic and bytes in, readings or refusals out: the native envelope.

Pure. Knows topics, sizes and batches; what a single message may say is the contract's. Nothing is
parsed before its size is known to be allowed, so every input costs bounded time and memory. In a
batch each message stands for itself: good ones are taken, bad ones refused one by one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.contract import Status, check, numbers_in, read
from gateway.refusal import Reason, Refusal, nearest
from rules.fields import REPORTED_KINDS

MESSAGE_BYTES_MAX = 16 * 1024
ROAD_BYTES_MAX = 64 * 1024  # a window of 2048 samples on three axes
BATCH_MESSAGES_MAX = 500
BATCH_BYTES_MAX = 8 * 1024 * 1024  # 500 messages of the largest common size
STATUS_BYTES_MAX = 1024
JUMPS_MAX = 200_000  # brackets followed through what is nested too deeply, per batch: about 0.1 s
TOPICS_KNOWN_MAX = 200_000  # parsed topics kept; beyond that they are parsed anew

_NAME = r"[A-Za-z0-9_-]{1,64}"
NAME = re.compile(_NAME)
"""What a zone, a kind or a device may be called."""
_TOPIC = re.compile(rf"city/v1/({_NAME})/({_NAME})/({_NAME})/(telemetry|batch|status)")
_BYTES_MAX = dict.fromkeys(REPORTED_KINDS, MESSAGE_BYTES_MAX) | {"road": ROAD_BYTES_MAX}


class Address(NamedTuple):
    """What a topic says of its sender."""

    zone: str
    kind: str
    device: str
    leaf: str


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One message in canonical form. `values` by wire key; `accel` is not in it."""

    address: Address
    ts_ms: int | None
    """Event time by the device, ms since the epoch; None when it has no clock."""
    boot: int | None
    seq: int | None
    values: dict[str, Any]
    loc: tuple[float, float] | None
    faults: tuple[str, ...]
    sim: bool
    accel: Mapping[str, Any] | None
    body: bytes
    """The message as it came."""


class Online(NamedTuple):
    """A device's own word on the `status` topic."""

    address: Address
    online: bool


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What one MQTT message held. `refused` are the messages that `refusals` are about."""

    address: Address | None
    readings: Sequence[Reading] = ()
    refusals: Sequence[Refusal] = ()
    refused: Sequence[bytes] = ()
    status: Online | None = None


class Decoder:
    """Decodes messages; remembers the topics that it has parsed."""

    def __init__(self) -> None:
        self._addresses: dict[str, Address] = {}

    def decode(self, topic: str, payload: bytes) -> Decoded:
        address = self._addresses.get(topic)
        if address is None:
            parsed = parse_topic(topic)
            if isinstance(parsed, Refusal):
                return _refuse(None, parsed, payload)
            address = self._remember(topic, parsed)
        if address.leaf == "telemetry":
            result = decode_message(address, payload)
            if isinstance(result, Reading):
                return Decoded(address, (result,))
            return _refuse(address, result, payload)
        if address.leaf == "batch":
            return _decode_batch(address, payload)
        return _decode_status(address, payload)

    def _remember(self, topic: str, address: Address) -> Address:
        if len(self._addresses) >= TOPICS_KNOWN_MAX:
            self._addresses.clear()
        self._addresses[topic] = address
        return address


def parse_topic(topic: str) -> Address | Refusal:
    match = _TOPIC.fullmatch(topic)
    if match is None:
        return Refusal(
            Reason.WRONG_TOPIC,
            "topic",
            "not a topic of the contract",
            "publish to city/v1/{zone}/{kind}/{device}/telemetry, batch or status; names are 1 to "
            "64 letters, digits, _ or -",
        )
    address = Address(*match.groups())
    if address.kind not in REPORTED_KINDS:
        return Refusal(
            Reason.UNKNOWN_KIND,
            "topic",
            f"no kind {address.kind!r}",
            nearest(address.kind, REPORTED_KINDS) or f"kinds are {', '.join(REPORTED_KINDS)}",
        )
    return address


def decode_message(address: Address, payload: bytes) -> Reading | Refusal:
    """One message, as it came on `address` or within a batch."""
    kind = address.kind
    if len(payload) > _BYTES_MAX[kind]:
        hint = f"at most {_BYTES_MAX[kind]} bytes a message; leave out what is not needed"
        return _too_large(payload, hint)
    result = read(kind, payload)
    if isinstance(result, Refusal):
        return result
    message, ts_ms = result
    return Reading(
        address,
        ts_ms,
        message.boot,
        message.seq,
        message.values,
        message.loc,
        message.faults or (),
        message.sim or False,
        message.values.pop("accel", None),
        payload,
    )


def numbers_of(payload: bytes) -> tuple[int | None, int] | None:
    """(boot, seq) of a refused message where they can be read: a refusal must not hold up the
    acknowledgement of what comes after it. None for what is too large to look into.
    """
    return numbers_in(payload) if len(payload) <= BATCH_BYTES_MAX else None


# -- batches ----------------------------------------------------------------------------------

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_INNER = rb'[^\[\]{}"]++|' + _STRING
_NESTED = rb"[\[{](?:" + _INNER + rb")*+[\]}]"
for _ in range(3):  # a message has four levels
    _NESTED = rb"[\[{](?:" + _INNER + rb"|" + _NESTED + rb")*+[\]}]"
_OPEN = re.compile(rb"[ \t\r\n]*+\[")
_EMPTY = re.compile(rb"[ \t\r\n]*+\]")
_ELEMENT = re.compile(rb'(?:[^\[\]{}",]++|' + _STRING + rb"|" + _NESTED + rb")*+", re.DOTALL)
_JUMP = re.compile(rb"(?:" + _INNER + rb")*+([\[{]++|[\]}]++)", re.DOTALL)
_JSON_SPACE = b" \t\r\n"


class _BatchError(Exception):
    """The text of a batch cannot be told apart into messages."""

    def __init__(self, reason: Reason, path: str, message: str) -> None:
        hint = "a batch is a JSON array of messages, oldest first"
        self.refusal = Refusal(reason, path, message, hint)


def _decode_batch(address: Address, payload: bytes) -> Decoded:
    if len(payload) > BATCH_BYTES_MAX:
        hint = f"at most {BATCH_BYTES_MAX} bytes; send a long backlog as several batches"
        return _refuse(address, _too_large(payload, hint), payload)
    try:
        items = list(_elements(payload))
    except _BatchError as error:
        return _refuse(address, error.refusal, payload)
    if len(items) > BATCH_MESSAGES_MAX:
        message = f"more than {BATCH_MESSAGES_MAX} messages"
        hint = f"send at most {BATCH_MESSAGES_MAX} messages in one batch"
        return _refuse(address, Refusal(Reason.WRONG_LENGTH, "", message, hint), payload)
    results = [decode_message(address, item) for item in items]
    refusals = [
        (result._replace(path=f"[{i}].{result.path}" if result.path else f"[{i}]"), items[i])
        for i, result in enumerate(results)
        if isinstance(result, Refusal)
    ]
    return Decoded(
        address,
        [result for result in results if isinstance(result, Reading)],
        [refusal for refusal, _ in refusals],
        [item for _, item in refusals],
    )


def _elements(payload: bytes) -> Iterator[bytes]:
    """The texts between the brackets and commas of an array, at most one more than are allowed.
    What stands in them is not looked at: one bent message must not spoil the others.
    """
    opened = _OPEN.match(payload)
    if opened is None:
        raise _BatchError(Reason.WRONG_TYPE, "", "not an array")
    at = opened.end()
    jumps = iter(range(JUMPS_MAX))
    ended = _EMPTY.match(payload, at)
    count = 0
    while ended is None and count <= BATCH_MESSAGES_MAX:
        start, at = at, _end_of_element(payload, at, jumps)
        yield payload[start:at].strip(_JSON_SPACE)
        count += 1
        if payload[at : at + 1] == b"]":
            ended = _EMPTY.match(payload, at)
        at += 1
    if ended is not None and payload[ended.end() :].strip(_JSON_SPACE):
        raise _BatchError(Reason.NOT_JSON, f"byte {ended.end()}", "text after the array")


def _end_of_element(payload: bytes, at: int, jumps: Iterator[int]) -> int:
    """Where the comma or bracket after it stands."""
    while True:
        match = _ELEMENT.match(payload, at)
        assert match is not None  # it may be empty
        at = match.end()
        after = payload[at : at + 1]
        if after in (b",", b"]"):
            return at
        if after not in (b"[", b"{"):
            raise _BatchError(Reason.NOT_JSON, f"byte {at}", "the array is not closed")
        at = _end_of_nested(payload, at, jumps)


def _end_of_nested(payload: bytes, at: int, jumps: Iterator[int]) -> int:
    """The end of what is nested more deeply than any message."""
    depth = 0
    for _ in jumps:
        match = _JUMP.match(payload, at)
        if match is None:
            raise _BatchError(Reason.NOT_JSON, f"byte {at}", "the array is not closed")
        at = match.end()
        count = len(match[1])
        if match[1][:1] in (b"[", b"{"):
            depth += count
        elif count >= depth:
            return at - (count - depth)
        else:
            depth -= count
    raise _BatchError(Reason.TOO_DEEP, f"byte {at}", "nested too deeply")


# -- status, and what is refused as a whole ---------------------------------------------------


def _decode_status(address: Address, payload: bytes) -> Decoded:
    hint = 'status is {"online": true} or {"online": false}'
    if len(payload) > STATUS_BYTES_MAX:
        return _refuse(address, _too_large(payload, hint), payload)
    result = check(Status, payload, address.kind)
    if isinstance(result, Refusal):
        return _refuse(address, result._replace(hint=hint), payload)
    return Decoded(address, status=Online(address, result.online))


def _refuse(address: Address | None, refusal: Refusal, payload: bytes) -> Decoded:
    return Decoded(address, refusals=(refusal,), refused=(payload,))


def _too_large(payload: bytes, hint: str) -> Refusal:
    return Refusal(Reason.TOO_LARGE, "", f"{len(payload)} bytes", hint)
