"""LoRaWAN network servers: The Things Stack v3, ChirpStack v4 and v3.

As in proto3 JSON a field that is zero, false or empty is not there. The time is that of the radio,
where a concentrator knows it, else that of the server. What the server decoded counts before the
bytes; events that are no uplinks are told apart by their topic.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.clock import ms_of
from gateway.envelopes.uplink import Opened, Uplink, each, no, parsed, texts
from gateway.refusal import Reason, Refusal

_EUI = re.compile(r"[0-9A-Fa-f]{16}")
_HINT = "subscribe to uplinks only; this one is counted and left"
_EVENTS = ("join", "status", "ack", "txack", "log", "location", "integration", "queued", "sent",
           "nack", "failed", "push", "replace", "solved", "data")  # fmt: skip


def tts(payload: bytes) -> Opened:
    """`v3/{application}@{tenant}/devices/{device}/up`."""
    tree = parsed(payload)
    if isinstance(tree, Refusal):
        return [], [tree]
    if not isinstance(tree, dict):
        return no(Reason.WRONG_TYPE, "", "not an object", "an uplink of The Things Stack v3")
    ids, uplink = tree.get("end_device_ids"), tree.get("uplink_message")
    if not isinstance(uplink, Mapping):
        what = next((key for key in tree if key.startswith(("join", "downlink"))), "another event")
        return no(Reason.NOT_A_READING, "uplink_message", f"no uplink: {what}", _HINT)
    device = ids.get("device_id") if isinstance(ids, Mapping) else None
    if not isinstance(device, str) or not device:
        hint = "The Things Stack names the device there"
        return no(Reason.MISSING_KEY, "end_device_ids.device_id", "no device", hint)
    version = uplink.get("version_ids")
    models = version if isinstance(version, Mapping) else {}
    data = _bytes(uplink.get("frm_payload"), "uplink_message.frm_payload")
    if isinstance(data, Refusal):
        return [], [data]
    return [
        Uplink(
            device,
            _tts_time(tree, uplink),
            object=_object(uplink.get("decoded_payload")),
            data=data,
            port=_port(uplink.get("f_port")),
            hints=texts(models.get("model_id")),
            sim=tree.get("simulated") is True,
            path="uplink_message.decoded_payload",
        )
    ], []


def _tts_time(tree: Mapping[str, Any], uplink: Mapping[str, Any]) -> int | None:
    """Of the radio before the concentrators' before the server's."""
    settings = uplink.get("settings")
    found = [settings.get("time") if isinstance(settings, Mapping) else None]
    found += [one.get("time") for one in each(uplink.get("rx_metadata"))]
    return _first_time(*found, uplink.get("received_at"), tree.get("received_at"))


def chirpstack(topic: str, payload: bytes) -> Opened:
    """`application/{id}/device/{eui}/event/{event}`, of version 4 or 3."""
    event = topic.rpartition("/")[2]
    if event in _EVENTS:
        return no(Reason.NOT_A_READING, "topic", f"the event {event}", _HINT)
    tree = parsed(payload)
    if isinstance(tree, Refusal):
        return [], [tree]
    if not isinstance(tree, dict):
        return no(Reason.WRONG_TYPE, "", "not an object", "an uplink of ChirpStack")
    return _version_3(tree) if "devEUI" in tree else _version_4(tree)


def _version_4(tree: Mapping[str, Any]) -> Opened:
    info = tree.get("deviceInfo")
    info = info if isinstance(info, Mapping) else {}
    device = info.get("devEui")
    if not isinstance(device, str) or not device:
        hint = "ChirpStack names the device there"
        return no(Reason.MISSING_KEY, "deviceInfo.devEui", "no device", hint)
    if "level" in tree or "margin" in tree:
        return no(Reason.NOT_A_READING, "", "a log or status event", _HINT)
    data = _bytes(tree.get("data"), "data")
    if isinstance(data, Refusal):
        return [], [data]
    tags = _object(info.get("tags"))
    times = [tree.get("time"), *(one.get("time") for one in each(tree.get("rxInfo")))]
    return [
        Uplink(
            device.lower(),
            _first_time(*times),
            object=_object(tree.get("object")),
            data=data,
            port=_port(tree.get("fPort")),
            hints=texts(tags.get("codec"), info.get("deviceProfileName")),
            sim=tags.get("sim") == "true",
            path="object",
        )
    ], []


def _version_3(tree: Mapping[str, Any]) -> Opened:
    """EUIs in base64, the object as JSON within a text."""
    device = _eui(tree.get("devEUI"))
    if not device:
        hint = "eight bytes in base64, as ChirpStack v3 writes it"
        return no(Reason.WRONG_TYPE, "devEUI", "not an EUI", hint)
    data = _bytes(tree.get("data"), "data")
    if isinstance(data, Refusal):
        return [], [data]
    told, refusals = tree.get("objectJSON"), list[Refusal]()
    decoded = _object(tree.get("object"))
    if isinstance(told, str) and told:
        inner = parsed(told.encode())
        if isinstance(inner, Refusal):
            refusals.append(inner._replace(path=f"objectJSON {inner.path}".strip()))
        else:
            decoded = _object(inner)
    tags = _object(tree.get("tags"))
    times = [one.get("time") for one in each(tree.get("rxInfo"))]
    uplink = Uplink(
        device,
        _first_time(*times, tree.get("publishedAt")),
        object=decoded,
        data=b"" if refusals else data,
        port=_port(tree.get("fPort")),
        hints=texts(tags.get("codec"), tree.get("deviceProfileName")),
        sim=tags.get("sim") == "true",
        path="objectJSON",
    )
    return ([] if refusals else [uplink]), refusals


def _first_time(*found: Any) -> int | None:
    for text in found:
        ms = ms_of(text) if isinstance(text, str) else None
        if ms is not None and ms > 0:
            return ms
    return None


def _bytes(text: Any, path: str) -> bytes | Refusal:
    if text is None:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return Refusal(Reason.WRONG_TYPE, path, "not base64", "bytes in base64, as the server has")


def _eui(text: Any) -> str:
    """Sixteen hexadecimal digits, from these or from base64."""
    if not isinstance(text, str):
        return ""
    if _EUI.fullmatch(text):
        return text.lower()
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return data.hex() if len(data) == 8 else ""


def _port(value: Any) -> int:
    """Absent is 0, as proto3 has it."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _object(value: Any) -> Mapping[str, Any]:
    """The object; one that is wrapped in `data`, as some decoders give it, is unwrapped."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(value, Mapping):
        return {}
    inner = value.get("data")
    return inner if isinstance(inner, Mapping) and len(value) == 1 else value
