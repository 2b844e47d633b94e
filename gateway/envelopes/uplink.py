"""What an envelope held: an uplink of one device, before it is a canonical message.

Pure. The words that all envelopes share: who said it, when by whose clock, and the bytes or the
decoded object. From there a codec, or the names of the object, make canonical values; the contract
then judges them like those of any device. What is not known is left out, nothing is guessed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.codecs import codec_named
from gateway.codecs.frame import Codec, Content, Frame
from gateway.envelopes.names import claims_in, values_in
from gateway.refusal import Reason, Refusal, find_bent
from rules.fields import CATALOGUE, REPORTED_KINDS

OBJECT_KEYS_MAX = 200


@dataclass(frozen=True, slots=True)
class Uplink:
    """`ts_ms`: of the sample, by the best clock that the envelope knows. `hints`: texts that may
    name the codec: a profile, a model. `path`: where the object stands in the message.
    """

    device: str
    ts_ms: int | None = None
    kind: str = ""
    object: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""
    port: int = 0
    hints: tuple[str, ...] = ()
    sim: bool = False
    loc: tuple[float, float] | None = None
    faults: tuple[str, ...] = ()
    numbers: tuple[int, int] | None = None
    """Boot and sequence number, where the device counts itself."""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Canonical:
    """A message in the contract's words; `body` is its JSON."""

    device: str
    kind: str
    body: bytes


Opened = tuple[list[Uplink], list[Refusal]]
"""What an envelope held."""


def parsed(payload: bytes) -> Any | Refusal:
    """The JSON of an envelope; a key that stands there twice, NaN and the like are refused."""
    bent = find_bent(payload)
    return bent if bent is not None else json.loads(payload)


def no(reason: Reason, path: str, message: str, hint: str) -> Opened:
    return [], [Refusal(reason, path, message, hint)]


def canonical(
    uplink: Uplink, codec: Codec | None = None, kind: str = ""
) -> tuple[list[Canonical], list[Refusal]]:
    """The canonical messages of an uplink. `codec`, `kind`: of the device, where they are known."""
    codec = codec or next(filter(None, map(codec_named, uplink.hints)), None)
    frames, refusals = list[Frame](), list[Refusal]()
    if uplink.object:
        frames, refusals = _from_object(uplink, codec)
        if len(frames) == 1 and codec is not None and uplink.data:
            frames = [_completed(frames[0], codec.decode(uplink.data, uplink.port))]
    if not frames and uplink.data and (codec is not None or not refusals):
        if codec is None:
            message = f"{len(uplink.data)} bytes and no codec for them"
            hint = "name the codec of the source, or have the network server decode them"
            return [], [Refusal(Reason.NO_CODEC, uplink.path, message, hint)]
        content = codec.decode(uplink.data, uplink.port)
        frames, refusals = content.frames, content.refusals
    if not frames and not refusals:
        hint = "the names of the contract, or of a codec that is named for the source"
        return [], [Refusal(Reason.NO_VALUES, uplink.path, "no value that is known", hint)]
    of = kind or uplink.kind or (codec.kind if codec is not None else "")
    return [_message(uplink, frame, of or _kind_of(frame)) for frame in frames], refusals


def _from_object(uplink: Uplink, codec: Codec | None) -> tuple[list[Frame], list[Refusal]]:
    if len(uplink.object) > OBJECT_KEYS_MAX:
        hint = f"at most {OBJECT_KEYS_MAX} keys"
        return [], [Refusal(Reason.TOO_LARGE, uplink.path, "too many keys", hint)]
    renamed = codec.fields if codec is not None else {}
    values, refusals = values_in(uplink.object, renamed, uplink.path)
    faults = claims_in(uplink.object)
    loc = _position(uplink.object)
    if not values and not faults:
        return [], refusals
    return [Frame(values, faults, loc=loc)], refusals


def _completed(frame: Frame, content: Content) -> Frame:
    """What the object says, and what only the bytes do; bytes that are in doubt say nothing."""
    if content.refusals or len(content.frames) != 1:
        return frame
    (told,) = content.frames
    return Frame(
        {**told.values, **frame.values},
        frame.faults or told.faults,
        told.ts_ms,
        frame.loc or told.loc,
    )


def _position(said: Mapping[str, Any]) -> tuple[float, float] | None:
    lat, lon = said.get("latitude"), said.get("longitude")
    if isinstance(lat, int | float) and isinstance(lon, int | float):
        return float(lat), float(lon)
    return None


def _kind_of(frame: Frame) -> str:
    """The kind that has all of its values; of those that have, the one that the values are typical
    of: a bin before a street light before a road.
    """
    for kind in ("bin", "streetlight", "road", "cabinet"):
        if set(frame.values) <= {*CATALOGUE[kind], "accel"}:
            return kind
    return REPORTED_KINDS[0]


def _message(uplink: Uplink, frame: Frame, kind: str) -> Canonical:
    ts_ms = frame.ts_ms if frame.ts_ms is not None else uplink.ts_ms
    body: dict[str, Any] = {"ts": _rfc3339(ts_ms) if ts_ms is not None else None}
    if uplink.numbers is not None:
        body["boot"], body["seq"] = uplink.numbers
    body["values"] = dict(frame.values)
    if (loc := frame.loc or uplink.loc) is not None:
        body["loc"] = list(loc)
    if faults := sorted({*frame.faults, *uplink.faults}):
        body["faults"] = faults
    if uplink.sim:
        body["sim"] = True
    return Canonical(uplink.device, kind, json.dumps(body, allow_nan=True).encode())


def _rfc3339(ts_ms: int) -> str | None:
    from datetime import UTC, datetime

    try:
        at = datetime.fromtimestamp(ts_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def texts(*found: Any) -> tuple[str, ...]:
    return tuple(text for text in found if isinstance(text, str) and text)


def each(found: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list, or the one object."""
    for one in found if isinstance(found, Sequence) and not isinstance(found, str) else [found]:
        if isinstance(one, Mapping):
            yield one
