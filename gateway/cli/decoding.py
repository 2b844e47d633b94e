"""What `decode` is asked: which envelope, which codec; and the messages of a capture, one a line.

Runs the gateway's own decoder. A capture is a recording (JSON Lines with topic and payload), so
that a session whose messages depend on each other can be looked at as a whole.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cli.judging import Piece, payload_of, pieces, plain, recorded
from gateway.clock import SystemClock, ms_of
from gateway.codecs import codec_named, codecs
from gateway.envelopes import envelopes
from gateway.envelopes.mapping import MappingFile, read_mapping
from gateway.envelopes.uplink import Uplink, canonical
from gateway.refusal import Reason, Refusal
from gateway.sources import Source, Sources
from gateway.telemetry import Decoded, Decoder

_STARTS = {
    "city/v1/": "native", "spBv1.0/": "sparkplug", "v3/": "tts", "application/": "chirpstack",
}  # fmt: skip
NATIVE_TOPIC = "city/v1/zone/streetlight/device/telemetry"
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command. `fport` is None where no bytes were given."""

    topic: str | None
    format: str
    codec: str | None
    fport: int | None
    mapping: Path | None
    kind: str


def decoded_lines(asked: Asked, payload: bytes) -> list[Decoded]:
    """Of every message in the payload. ValueError: the question is wrong."""
    is_envelope = asked.format in envelopes() or (asked.format == AUTO and asked.topic)
    if asked.fport is not None and (asked.codec is not None or not is_envelope):
        return [_bytes(asked, payload)]
    payload = plain(payload)
    messages = list(_captured(payload)) or list(_laid_out(payload, asked.topic or ""))
    name = asked.format
    if name == AUTO:
        name = "mapping" if asked.mapping is not None else _guess(*messages[0][:2])
    native = name == "native"
    sources = Sources() if native else Sources([_source(asked, name)])
    unsaid = NATIVE_TOPIC if native else "device"
    return [
        Decoded(None, refusals=(body,), refused=(b"",))
        if isinstance(body, Refusal)
        else sources.decode(topic or unsaid, body, now_ms)
        for topic, body, now_ms in messages
    ]


def _source(asked: Asked, name: str) -> Source:
    codec = ""
    if asked.codec is not None:
        found = codec_named(asked.codec)
        if found is None:
            raise ValueError(f"--codec {asked.codec}: there are {', '.join(codecs())}")
        codec = found.name
    if name not in envelopes() and name != "mapping":
        made = codec_named(name)
        if made is None:
            known = ", ".join(("native", *envelopes(), *codecs()))
            raise ValueError(f"--format {name}: there are {AUTO}, {known}")
        name = made.name
    return Source("#", name, codec, asked.kind, _mapping(asked.mapping))


def _mapping(path: Path | None) -> MappingFile | None:
    if path is None:
        return None
    read = read_mapping(path)
    if isinstance(read, MappingFile):
        return read
    raise ValueError("; ".join(map(str, read)))


def _bytes(asked: Asked, data: bytes) -> Decoded:
    """The bytes of a frame, by themselves."""
    codec = codec_named(asked.codec or asked.format)
    if codec is None:
        known = ", ".join(codecs())
        raise ValueError(f"--hex needs the codec, as --format: {known}")
    uplink = Uplink("device", data=data, port=asked.fport or 0, path="frame")
    messages, refusals = canonical(uplink, codec, asked.kind)
    decoder = Decoder()
    found = [
        decoder.decode(f"city/v1/-/{one.kind}/{one.device}/telemetry", one.body) for one in messages
    ]
    readings = [reading for one in found for reading in one.readings]
    wrong = [refusal for one in found for refusal in one.refusals]
    return Decoded(None, readings, [*refusals, *wrong])


def _guess(topic: str, payload: bytes | Refusal) -> str:
    """By the topic where it tells, else by what only one format has."""
    for start, name in _STARTS.items():
        if topic.startswith(start):
            return name
    if topic.endswith("/attrs"):
        return "ngsi"
    try:
        tree = json.loads(payload if isinstance(payload, bytes) else b"")
    except (ValueError, RecursionError):
        return "native"
    return _by_content(tree)


def _by_content(tree: Any) -> str:
    if isinstance(tree, list):
        records = bool(tree) and isinstance(tree[0], dict)
        return "senml" if records and {"n", "bn", "v", "vb"} & set(tree[0]) else "ngsi"
    if not isinstance(tree, dict):
        return "native"
    marks = (
        ("tts", {"end_device_ids", "uplink_message"}),
        ("chirpstack", {"deviceInfo", "devEUI"}),
        ("ngsi", {"id", "body", "data"}),
    )
    return next((name for name, keys in marks if keys & set(tree)), "native")


def _laid_out(payload: bytes, topic: str) -> Iterator[tuple[str, bytes | Refusal, int]]:
    """One message, or JSON Lines of them; what does not begin like an object is one, whatever it
    holds.
    """
    lines = pieces(payload) if payload.lstrip().startswith(b"{") else [Piece(1, payload)]
    for line in lines:
        yield topic, line.text, SystemClock().now_ms()


def _captured(payload: bytes) -> Iterator[tuple[str, bytes | Refusal, int]]:
    """Topic, bytes and time of each line; nothing where the first one is not of a recording. One
    that is not stands among them as a refusal.
    """
    lines = [line for line in payload.splitlines() if line.strip()]
    if (
        not lines
        or (first := recorded(lines[0])) is None
        or not (first.payload or first.payload_b64)
    ):
        return
    for number, text in enumerate(lines, 1):
        line = recorded(text)
        if line is None:
            hint = "a line of a recording has topic, and payload or payload_b64"
            yield "", Refusal(Reason.NOT_JSON, f"line {number}", "no line of a recording", hint), 0
        else:
            yield line.topic, payload_of(line), ms_of(line.t) or SystemClock().now_ms()
