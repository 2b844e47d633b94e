"""What `validate` is given: a message, a batch, JSON Lines of either, or a recording.

Runs the decoder of the gateway on each by itself. A recording's lines bear their own topics, and
the bytes of their payloads are judged as they stand there: a key written twice is found.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from gateway.refusal import Reason, Refusal
from gateway.telemetry import Decoded, Decoder
from rules.fields import REPORTED_KINDS

_GZIP = b"\x1f\x8b"


class Piece(NamedTuple):
    """One message or batch, and the line on which it begins."""

    line: int
    text: bytes


class Recorded(msgspec.Struct):
    """A line of a recording."""

    topic: str
    payload: msgspec.Raw = msgspec.Raw(b"")
    payload_b64: str | None = None
    t: str = ""


_recorded = msgspec.json.Decoder(Recorded).decode


def recorded(line: bytes) -> Recorded | None:
    """None: it is no line of a recording."""
    try:
        found: Recorded = _recorded(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found


def payload_of(line: Recorded) -> bytes | Refusal:
    """What was published, byte by byte."""
    if line.payload_b64 is None:
        return bytes(line.payload)
    try:
        return base64.b64decode(line.payload_b64, validate=True)
    except ValueError:
        hint = "the bytes in base64, as a recorder writes them"
        return Refusal(Reason.WRONG_TYPE, "payload_b64", "not base64", hint)


def judged(text: bytes, *, kind: str, topic: str) -> list[tuple[int, Decoded]]:
    """Each piece with its line. ValueError: the question is wrong."""
    if kind and topic:
        raise ValueError("--kind and --topic: one of them says enough")
    if kind and kind not in REPORTED_KINDS:
        near = get_close_matches(kind, REPORTED_KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"kinds are {', '.join(REPORTED_KINDS)}"
        raise ValueError(f"--kind {kind}: {hint}")
    decoder = Decoder()
    return [
        (piece.line, _decoded(decoder, piece.text, kind, topic)) for piece in pieces(plain(text))
    ]


def plain(text: bytes) -> bytes:
    """Unpacked, where it is gzip. ValueError: it only begins like it."""
    if not text.startswith(_GZIP):
        return text
    try:
        return gzip.decompress(text)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"it begins like gzip and is none: {error}") from None


def pieces(text: bytes) -> Sequence[Piece]:
    """The lines of JSON Lines, else the whole: a message may be laid out over several lines."""
    lines = [Piece(i, line) for i, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    starts = [piece.text.startswith(b"{") for piece in lines]
    if text.lstrip().startswith(b"[") or not any(starts[1:]) or _is_json(text):
        return [Piece(lines[0].line if lines else 1, text)]
    return lines


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(decoder: Decoder, text: bytes, kind: str, topic: str) -> Decoded:
    line = recorded(text)
    if line is not None:
        payload = payload_of(line)
        if isinstance(payload, Refusal):
            return Decoded(None, refusals=(payload,), refused=(text,))
        return decoder.decode(line.topic, payload)
    if not (topic or kind):
        raise ValueError("--kind or --topic: say what it is; only a recording says so itself")
    return decoder.decode(topic or _topic_of(kind, text), text)


def _topic_of(kind: str, text: bytes) -> str:
    leaf = "batch" if text.lstrip().startswith(b"[") else "telemetry"
    return f"city/v1/zone/{kind}/device/{leaf}"


def accepted(decoded: Decoded) -> int:
    return len(decoded.readings) + (decoded.status is not None)


def refusals_of(found: Sequence[tuple[int, Decoded]]) -> Iterator[dict[str, object]]:
    """As they are shown: reason, path, message, hint, line."""
    for line, decoded in found:
        for refusal in decoded.refusals:
            yield refusal._asdict() | {"line": line}
